r"""Blocks drawn from $p(x_B \mid x_P)$: by enumeration, or by rejection from the product of the rows."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._draws import drawn_from
from .._errors import refuse
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions._chain import log_sum_exp
from ..distributions.base import AbstractDistribution
from .base import AbstractDecoder, Branches, check_branches, word_branches
from .orders import FixedPartition

WORDS_AT_ONCE = 2**8  # words whose marginals are alive at the same time
Outcomes = tuple[Float[Array, " outcomes"], Int[Array, "outcomes n"]]


class AbstractBlocks(AbstractDecoder):
    """A decoder whose step ends in one of a list of words, for the next block of a partition."""

    distribution: AbstractDistribution
    partition: FixedPartition
    width: int = eqx.field(static=True)
    revises = False

    def __init__(self, distribution: AbstractDistribution, partition: Sequence[Sequence[int]]):
        self.distribution, self.partition = distribution, FixedPartition(partition)
        n, q, given = distribution.n, distribution.q, self.partition.levels.shape[0]
        if given != n:
            refuse("partition", f"of {given} positions", f"n = {n} positions")
        self.width = max(map(len, partition))
        check_branches("partition", f"of blocks of up to {self.width}", q**self.width + 1, n, q)

    @abc.abstractmethod
    def outcomes(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Outcomes:
        """The probability of each outcome of the step, and the tokens after it."""

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch an outcome."""
        return word_branches(*self.outcomes(denoiser, tokens, step), denoiser.q)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One of the outcomes."""
        probs, words = self.outcomes(denoiser, tokens, step)
        return words[drawn_from(key, probs[None, :])[0]]

    def _next(
        self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step
    ) -> tuple[Positions, "BlockWords"]:
        """The masked positions of the first block that has any, and its words."""
        check_fits(denoiser, self.distribution)
        rows = jnp.zeros((denoiser.n, denoiser.q))  # neither they nor the key are looked at
        block = self.partition.choose(jax.random.key(0), rows, tokens, step)
        return block, block_words(self.distribution, tokens, block, self.width)


class BlockVerification(AbstractBlocks):
    r"""The next block of `partition` from its exact conditional $p(x_B \mid x_P)$ of `distribution`.

    The verified decoder of arXiv 2602.00286 (App. E.4): one batched call weighs all $q^{|B|}$ words of the
    block by `distribution.log_marginal`. Its law is the distribution. The denoiser is not used.

    Raises:
        InvalidInputError: blocks that do not partition `0..n-1`; words that need more than 2 GiB; at the
            first use, a denoiser of another shape.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> exact_law(Oracle(same), BlockVerification(same, [[0, 1]])).probs.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """

    calls_of = "a block, all of whose words are enumerated"

    def outcomes(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Outcomes:
        """The words of the block by their exact conditional."""
        _, words = self._next(denoiser, tokens, step)
        return jnp.exp(words.log_target), words.tokens


class BlockRejection(AbstractBlocks):
    r"""One proposal a step for the next block of `partition`: it is accepted, or the state stays.

    Words are proposed from the product of the denoiser's rows, $p_\Pi(x_B \mid x_P)$, and accepted with
    probability $p / (M p_\Pi)$, where $M(x_P) = \max_{x_B} p(x_B \mid x_P) / p_\Pi(x_B \mid x_P)$ (arXiv
    2602.00286, Prop. 5.1, Eq. 19). The law is the distribution, if the rows have its support; where they
    have not, nothing is ever accepted. A call is one proposed word (our choice), $M$ a block in the mean;
    $M$ itself is found by enumeration, which is not counted.

    Raises:
        InvalidInputError: as `BlockVerification`.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = exact_law(Oracle(same), BlockRejection(same, [[0, 1]]), max_steps=3)
    >>> law.probs.tolist(), float(law.unfinished)  # M = 2
    ([[0.4375, 0.0], [0.0, 0.4375]], 0.125)
    """

    calls_of = "a proposal"

    def outcomes(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Outcomes:
        r"""$p_\Pi a$ of every word, and what is left: the tokens as they are."""
        block, words = self._next(denoiser, tokens, step)
        log_product, log_ratio = proposals(denoiser(tokens), words, block)
        log_constant = jnp.max(log_ratio)
        log_accept = jnp.where(jnp.isfinite(log_constant), log_ratio - log_constant, -jnp.inf)
        accepted = jnp.exp(log_product + log_accept)
        stays = jnp.maximum(1 - jnp.sum(accepted), 0.0)
        return jnp.append(accepted, stays), jnp.concatenate([words.tokens, tokens[None, :]])


class BlockWords(NamedTuple):
    r"""All words of a block after a context: `log_target` is $\log p(x_B \mid x_P)$, `-inf` for repeats."""

    tokens: Int[Array, "words n"]
    log_target: Float[Array, " words"]


def block_words(p: AbstractDistribution, tokens: Tokens, block: Positions, width: int) -> BlockWords:
    r"""The $q^{width}$ words of the positions `block`, at most `width`; NaN if the context cannot occur."""
    symbols = np.indices((p.q,) * width).reshape(width, -1).T
    slots = jnp.argsort(~block)[:width]
    used = block[slots]

    def filled(word: Int[Array, " width"]) -> Tokens:
        return tokens.at[slots].set(jnp.where(used, word, tokens[slots]))

    words = jax.vmap(filled)(jnp.asarray(symbols, tokens.dtype))
    # A block of fewer positions leaves slots over, which hold the symbol 0.
    fresh = jnp.all(used[None, :] | (symbols == 0), axis=1)
    log_probs = jax.lax.map(p.log_marginal, words, batch_size=min(WORDS_AT_ONCE, len(symbols)))
    log_probs = jnp.where(fresh, log_probs, -jnp.inf)
    return BlockWords(words, log_probs - log_sum_exp(log_probs, axis=0))


def proposals(log_probs: LogProbs, words: BlockWords, block: Positions) -> tuple[Array, Array]:
    r"""$\log p_\Pi(x_B)$ of every word; and $\log p / p_\Pi$, $-\infty$ for $p = 0$ whatever $p_\Pi$."""
    n, q = log_probs.shape
    chosen = log_probs[jnp.arange(n)[None, :], jnp.minimum(words.tokens, q - 1)]
    log_product = jnp.sum(jnp.where(block[None, :], chosen, 0.0), axis=1)
    impossible = jnp.isneginf(words.log_target) & ~jnp.isnan(log_product)
    return log_product, jnp.where(impossible, -jnp.inf, words.log_target - log_product)


def check_fits(denoiser: AbstractDenoiser, distribution: AbstractDistribution) -> None:
    """Refuse a denoiser of other positions or symbols than the distribution."""
    n, q = distribution.n, distribution.q
    if (denoiser.n, denoiser.q) != (n, q):
        refuse("denoiser", f"of n, q = {denoiser.n}, {denoiser.q}", f"n, q = {n}, {q} of the distribution")
