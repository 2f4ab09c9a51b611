r"""Blocks drawn from their joint conditional: by enumeration, or by rejection from the product of the rows.

Both end in $p(x_B \mid x_P)$, which no product of rows can: what differs is the price. Enumeration weighs
all $q^{|B|}$ words in one step; rejection proposes words until one is accepted (arXiv 2602.00286,
Prop. 5.1 and App. E.4).
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import readable_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions._chain import log_sum_exp
from ..distributions.base import AbstractDistribution
from ..distributions.joint import MAX_TABLE_BYTES
from .base import AbstractDecoder, Branches, word_branches
from .orders import FixedPartition

WORDS_AT_ONCE = 2**8
"""Words whose marginals are alive at the same time."""


class BlockVerification(AbstractDecoder):
    r"""The next block of `partition` from its exact conditional $p(x_B \mid x_P)$ of `distribution`.

    The verified decoder of arXiv 2602.00286 (App. E.4): all $q^{|B|}$ words of the block are weighed by
    `distribution.log_marginal`, and one is drawn. Its law is the distribution. The denoiser is not used.
    A step is one call: one batched evaluation of $q^{|B|}$ words (`q` to the largest block).

    Raises:
        InvalidInputError: blocks that do not partition `0..n-1`; words that need more than 2 GiB; at the
            first use, a denoiser of another shape.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> exact_law(Oracle(same), BlockVerification(same, [[0, 1]])).probs.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """

    distribution: AbstractDistribution
    partition: FixedPartition
    width: int = eqx.field(static=True)
    revises = False

    def __init__(self, distribution: AbstractDistribution, partition: Sequence[Sequence[int]]):
        self.distribution = distribution
        self.partition, self.width = _checked(distribution, partition)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> Branches:
        """One branch a word."""
        words = self._words(denoiser, tokens, step)
        return word_branches(jnp.exp(words.log_target), words.tokens, denoiser.q)

    def draw(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> Tokens:
        """One of the words."""
        words = self._words(denoiser, tokens, step)
        return words.tokens[jax.random.categorical(key, words.log_target)]

    def _words(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> "BlockWords":
        check_fits(denoiser, self.distribution)
        block = next_block(self.partition, tokens, step, denoiser.q)
        return block_words(self.distribution, tokens, block, self.width)


class BlockRejection(AbstractDecoder):
    r"""One proposal a step for the next block of `partition`: it is accepted, or the state stays.

    Words are proposed from the product of the denoiser's rows, $p_\Pi(x_B \mid x_P)$, and accepted with
    probability $p / (M p_\Pi)$, where $M(x_P) = \max_{x_B} p(x_B \mid x_P) / p_\Pi(x_B \mid x_P)$ is the
    least constant that makes this a probability (arXiv 2602.00286, Eq. 19). The law is the distribution,
    whatever the denoiser, if its rows have the support; where they have not, $M = \infty$ and nothing is
    ever accepted. A step is one call (our choice: the evaluation of one proposed word), so that calls
    count proposals, $M$ a block in the mean. $M$ itself is found by enumeration, which is not counted.

    Raises:
        InvalidInputError: as `BlockVerification`.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = exact_law(Oracle(same), BlockRejection(same, [[0, 1]]), max_steps=3)
    >>> law.probs.tolist(), float(law.unfinished)  # M = 2
    ([[0.4375, 0.0], [0.0, 0.4375]], 0.125)
    """

    distribution: AbstractDistribution
    partition: FixedPartition
    width: int = eqx.field(static=True)
    revises = False

    def __init__(self, distribution: AbstractDistribution, partition: Sequence[Sequence[int]]):
        self.distribution = distribution
        self.partition, self.width = _checked(distribution, partition)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> Branches:
        """One branch a word, and the last one for a rejection."""
        weights, words = self._outcomes(denoiser, tokens, step)
        return word_branches(weights, words, denoiser.q)

    def draw(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> Tokens:
        """An accepted word, or the tokens as they are."""
        weights, words = self._outcomes(denoiser, tokens, step)
        return words[jax.random.categorical(key, safe_log(weights))]

    def _outcomes(
        self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> tuple[Float[Array, " outcomes"], Int[Array, "outcomes n"]]:
        r"""$p_\Pi a$ of every word, and what is left."""
        check_fits(denoiser, self.distribution)
        block = next_block(self.partition, tokens, step, denoiser.q)
        words = block_words(self.distribution, tokens, block, self.width)
        log_product = product_log_probs(denoiser(tokens), words.tokens, block)
        log_ratio = log_ratios(words.log_target, log_product)
        log_constant = jnp.max(log_ratio)
        log_accept = jnp.where(jnp.isfinite(log_constant), log_ratio - log_constant, -jnp.inf)
        accepted = jnp.exp(log_product + log_accept)
        stays = jnp.maximum(1 - jnp.sum(accepted), 0.0)
        return jnp.append(accepted, stays), jnp.concatenate([words.tokens, tokens[None, :]])


class BlockWords(NamedTuple):
    r"""All words of a block after a context: `log_target` is $\log p(x_B \mid x_P)$, `-inf` for repeats."""

    tokens: Int[Array, "words n"]
    log_target: Float[Array, " words"]


def block_words(
    distribution: AbstractDistribution, tokens: Tokens, block: Bool[Array, " n"], width: int
) -> BlockWords:
    r"""The $q^{width}$ words of the positions `block`, at most `width`; NaN if the context cannot occur.

    >>> from mdmjax import Joint
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> words = block_words(same, jnp.array([1, 2]), jnp.array([False, True]), 1)
    >>> words.tokens.tolist(), jnp.exp(words.log_target).tolist()
    ([[1, 0], [1, 1]], [0.0, 1.0])
    """
    q = distribution.q
    symbols = np.indices((q,) * width).reshape(width, -1).T
    slots = jnp.argsort(~block)[:width]
    used = block[slots]

    def filled(word: Int[Array, " width"]) -> Tokens:
        return tokens.at[slots].set(jnp.where(used, word, tokens[slots]))

    words = jax.vmap(filled)(jnp.asarray(symbols, tokens.dtype))
    # A block of fewer positions leaves slots over, which hold the symbol 0.
    fresh = jnp.all(used[None, :] | (symbols == 0), axis=1)
    log_probs = jax.lax.map(distribution.log_marginal, words, batch_size=min(WORDS_AT_ONCE, len(symbols)))
    log_probs = jnp.where(fresh, log_probs, -jnp.inf)
    return BlockWords(words, log_probs - log_sum_exp(log_probs, axis=0))


def product_log_probs(
    log_probs: Float[Array, "n q"], words: Int[Array, "words n"], block: Bool[Array, " n"]
) -> Float[Array, " words"]:
    r"""$\log p_\Pi(x_B)$ of every word, from the rows of the context."""
    n, q = log_probs.shape
    chosen = log_probs[jnp.arange(n)[None, :], jnp.minimum(words, q - 1)]
    return jnp.sum(jnp.where(block[None, :], chosen, 0.0), axis=1)


def log_ratios(
    log_target: Float[Array, " words"], log_product: Float[Array, " words"]
) -> Float[Array, " words"]:
    r"""$\log p / p_\Pi$, which is $-\infty$ for $p = 0$, whatever $p_\Pi$."""
    impossible = jnp.isneginf(log_target) & ~jnp.isnan(log_product)
    return jnp.where(impossible, -jnp.inf, log_target - log_product)


def next_block(
    partition: FixedPartition, tokens: Tokens, step: Int[Array, ""], q: int
) -> Bool[Array, " n"]:
    """The masked positions of the first block that has any."""
    key, rows = jax.random.key(0), jnp.zeros((tokens.shape[0], q))  # not looked at
    return partition.choose(key, rows, tokens, step)


def check_branches(argument: str, value: str, count: int, n: int, q: int) -> None:
    """Refuse `count` branches of `[n, q + 1]` that need more than 2 GiB, before they are made."""
    need = count * n * (q + 1) * 8
    if need > MAX_TABLE_BYTES:
        wanted = f"branches of at most {readable_bytes(MAX_TABLE_BYTES)}"
        refuse(argument, value, wanted, f"its words need {readable_bytes(need)}; use less")


def check_fits(denoiser: AbstractDenoiser, distribution: AbstractDistribution) -> None:
    """Refuse a denoiser of other positions or symbols than the distribution."""
    found, wanted = (denoiser.n, denoiser.q), (distribution.n, distribution.q)
    if found != wanted:
        refuse("denoiser", f"of n, q = {found}", f"n, q = {wanted}", "as the distribution has them")


def _checked(
    distribution: AbstractDistribution, partition: Sequence[Sequence[int]]
) -> tuple[FixedPartition, int]:
    """The partition, and the size of its largest block."""
    n, q, blocks = distribution.n, distribution.q, FixedPartition(partition)
    if blocks.levels.shape[0] != n:
        refuse("partition", f"of {blocks.levels.shape[0]} positions", f"n = {n} positions")
    width = max(map(len, partition))
    check_branches("partition", f"of blocks of up to {width}", q**width + 1, n, q)
    return blocks, width
