r"""What a decoder is: the law of one step of a sampler; and what a rule is, of which most are made.

A step of a decoder takes a state to a law on states,
$K(x' \mid x) = \sum_b w_b(x) \prod_i r_{b,i}(x'_i \mid x)$, a mixture of products with the mask as one more
symbol. That form holds every decoder here: a rule that reveals has one branch, a random subset one branch a
subset, a decoder that looks at what it drew one branch a draw; a canvas of tokens without masks is a state
like any other. Samples are drawn from it and exact laws are propagated through it, so that both are of the
same decoder.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser

MAX_STEPS = 1024
"""The steps after which a decoder that may go on for ever is stopped."""


class AbstractRule(eqx.Module):
    r"""Which masked positions a step reveals, from what the denoiser says; `Reveal(rule)` is its decoder.

    `choose` is a function of one sequence; with `is_random` false it must not use its key. A random rule
    has an exact law if it says the probability of every choice in `choice_law`. At least one masked
    position must be chosen while there is one.
    """

    is_random: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def choose(
        self,
        key: Key[Array, ""],
        log_probs: Float[Array, "n q"],
        tokens: Tokens,
        step: Int[Array, ""],
    ) -> Bool[Array, " n"]:
        """The masked positions that step `step` (from 0) reveals."""

    def choice_law(
        self, log_probs: Float[Array, "n q"], tokens: Tokens, step: Int[Array, ""]
    ) -> Float[Array, " subsets"]:
        """The probability that `choose` returns each set; bit `i` of the index is position `i`.

        Raises:
            InvalidInputError: a random rule that does not say.
        """
        n = tokens.shape[0]
        if self.is_random:
            name = type(self).__name__
            refuse("rule", name, "one that says the law of its choice", f"define {name}.choice_law")
        key = jax.random.key(0)  # not used: the rule is not random
        chosen = self.choose(key, log_probs, tokens, step) & (tokens == log_probs.shape[1])
        index = jnp.sum(jnp.where(chosen, 1 << jnp.arange(n), 0))
        return jax.nn.one_hot(index, 2**n, dtype=log_probs.dtype)


class Branches(NamedTuple):
    """A mixture of products: `weights` sum to one, and so does every row over `0..q` (`q`: masked)."""

    weights: Float[Array, " branches"]
    rows: Float[Array, "branches n symbols"]


class AbstractDecoder(eqx.Module):
    r"""One step of a sampler as a law on what follows: reveal, write, mask again, stop.

    `branches` is that law. `calls` is what the step costs, in calls of the denoiser (batched calls on
    several drafts count once). `finished` says when to stop. `revises` is whether a revealed token may
    change. `draw` samples from `branches`; a decoder whose branches are many overrides it, with the same
    law. `start` is the law of the first state: everything masked, unless a decoder says otherwise. What a
    decoder remembers from step to step is part of its state.
    """

    revises: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> Branches:
        """The law of the tokens after step `step` (from 0)."""

    def draw(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> Tokens:
        """One draw from `branches`."""
        return drawn_branch(key, self.branches(denoiser, tokens, step)).astype(tokens.dtype)

    def calls(self, tokens: Tokens, step: Int[Array, ""], q: int) -> Int[Array, ""]:
        """Calls of the denoiser in this step: one, unless a decoder says otherwise."""
        return jnp.ones((), int)

    def finished(self, tokens: Tokens, step: Int[Array, ""], q: int) -> Bool[Array, ""]:
        """Whether to stop before step `step`: once nothing is masked, unless a decoder says otherwise."""
        return jnp.all(tokens != q)

    def start(self, n: int, q: int) -> Branches:
        """The law of the tokens before step 0: all masked, unless a decoder says otherwise."""
        rows = kept_rows(jnp.full((n,), q), q, jnp.result_type(float))
        return Branches(jnp.ones((1,)), rows[None])

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """The denoiser whose rows tokens are drawn from: as it is, unless a decoder has a temperature."""
        return denoiser

    def most_steps(self, n: int) -> int:
        """The steps after which it is stopped if nothing else is said; it may go on for ever."""
        return MAX_STEPS


def drawn_branch(key: Key[Array, ""], branches: Branches) -> Int[Array, " n"]:
    """One draw from a mixture of products."""
    weights, rows = branches
    choosing, drawing = jax.random.split(key)
    branch = jax.random.categorical(choosing, safe_log(weights)) if weights.shape[0] > 1 else 0
    return jax.random.categorical(drawing, safe_log(rows[branch]))


def drawn_from(key: Key[Array, ""], log_probs: Float[Array, "n q"]) -> Int[Array, " n"]:
    r"""One symbol from each row, by inversion of its sums: `n` random numbers; Gumbel noise takes `n q`.

    A symbol of probability zero is never drawn, however the sums are rounded.

    >>> drawn_from(jax.random.key(0), jnp.log(jnp.array([[0.0, 1.0], [1.0, 0.0]]))).tolist()
    [1, 0]
    """
    probs = jnp.exp(log_probs)
    possible, sums = probs > 0, jnp.cumsum(probs, axis=-1)
    total = jnp.max(sums, axis=-1, keepdims=True, where=possible, initial=0.0)
    place = jax.random.uniform(key, total.shape, total.dtype) * total
    place = jnp.minimum(place, jnp.nextafter(total, jnp.zeros_like(total)))
    return jnp.argmax(possible & (sums > place), axis=-1)


def kept_rows(tokens: Tokens, q: int, dtype: jnp.dtype) -> Float[Array, "n symbols"]:
    """The rows of a step that changes nothing.

    >>> kept_rows(jnp.array([0, 2]), 2, jnp.dtype(float)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return jax.nn.one_hot(tokens, q + 1, dtype=dtype)


def revealed_rows(
    log_probs: Float[Array, "n q"], tokens: Tokens, chosen: Bool[Array, " n"]
) -> Float[Array, "n symbols"]:
    """The rows of a step that draws the chosen masked positions and keeps the others."""
    q = log_probs.shape[1]
    drawn = jnp.pad(jnp.exp(log_probs), ((0, 0), (0, 1)))
    masked = chosen & (tokens == q)
    return jnp.where(masked[:, None], drawn, kept_rows(tokens, q, log_probs.dtype))


def word_branches(weights: Float[Array, " branches"], words: Int[Array, "branches n"], q: int) -> Branches:
    """The law of one of the words: a branch that is certain for each."""
    return Branches(weights, jax.vmap(lambda word: kept_rows(word, q, weights.dtype))(words))
