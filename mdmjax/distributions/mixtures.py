"""Mixtures of product distributions."""

import jax
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_integer, check_rows, check_shape, probability
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key, Tokens
from ._chain import log_sum_exp
from .base import MAX_TABLE_BYTES, AbstractDistribution, known_rows


class MixtureOfProducts(AbstractDistribution):
    r"""$p(x) = \sum_m$ `weights[m]` $\prod_i$ `probs[m, i, x_i]`.

    Its dual total correlation is at most the entropy of `weights` (arXiv 2511.04647: at most the log of
    their number). `n` may be large. Refuses wrong shapes, and numbers that are not probabilities.

    >>> mixture = MixtureOfProducts([0.5, 0.5], [[[1.0, 0.0]] * 2, [[0.5, 0.5]] * 2])
    >>> [round(p, 4) for p in jnp.exp(mixture.log_conditionals(jnp.array([0, 2]))[1]).tolist()]
    [0.8333, 0.1667]
    """

    weights: Float[Array, " parts"]
    probs: Float[Array, "parts n q"]
    n = property(lambda self: self.probs.shape[1])
    q = property(lambda self: self.probs.shape[2])

    def __init__(self, weights: Numbers, probs: Numbers):
        self.weights, self.probs = as_floats(weights, probs)
        shape = self.probs.shape
        if len(shape) != 3 or 0 in shape:
            refuse("probs", f"of shape {shape}", "shape (parts, n, q), each >= 1")
        check_shape("weights", self.weights, shape[:1], "(parts,)")
        check_rows("weights", self.weights)
        check_rows("probs", self.probs)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw: a part, then its positions."""
        for_part, for_tokens = jax.random.split(key)
        # mode="high": by default float32 has 23 random bits, too few for rare symbols.
        part = jax.random.categorical(for_part, safe_log(self.weights), mode="high")
        return jax.random.categorical(for_tokens, safe_log(self.probs[part]), mode="high")

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats; $-\infty$ if it cannot occur."""
        log_odds, log_best = self._read(tokens)
        return log_sum_exp(log_odds, axis=0) + log_best

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log \sum_m p(m \mid x_S)\, p_m(x_i = a)$ in nats; NaN if the context cannot occur."""
        log_odds, log_best = self._read(tokens)
        log_posterior = log_odds - log_sum_exp(log_odds, axis=0)
        masked = log_sum_exp(log_posterior[:, None, None] + safe_log(self.probs), axis=0)
        table = jnp.where((tokens == self.q)[:, None], masked, known_rows(tokens, self.q))
        return jnp.where(log_best > -jnp.inf, table, jnp.nan)

    def _read(self, tokens: Tokens) -> tuple[Float[Array, " parts"], Float[Array, ""]]:
        r"""$\log p(m, x_S)$ of each part $m$ less that of the best one, and the latter, in nats."""
        column = jnp.minimum(tokens, self.q - 1)[None, :, None]
        seen = safe_log(jnp.take_along_axis(self.probs, column, axis=2)[:, :, 0])
        seen = jnp.where((tokens != self.q)[None, :], seen, 0.0)
        log_weights = safe_log(self.weights)
        log_parts = log_weights + jnp.sum(seen, axis=1)
        best = jnp.argmax(log_parts)
        possible = log_parts[best] > -jnp.inf
        against = jnp.where(possible, seen[best], 0.0)
        # Compared position by position before the sum, where nearly equal sums would lose digits.
        log_odds = log_weights + jnp.sum(seen - against[None, :], axis=1)
        return log_odds - jnp.where(possible, log_weights[best], 0.0), log_parts[best]


def noisy_repeated_bit(n: int, flip: Numbers) -> MixtureOfProducts:
    """`n` copies of one fair bit, each flipped independently with probability `flip`.

    Refuses `n < 1` or too large, and `flip` not in `[0, 1]`.

    >>> noisy_repeated_bit(2, 0.25).probs[0].tolist()
    [[0.75, 0.25], [0.75, 0.25]]
    """
    n = check_integer("n", n, 1)
    check_bytes(32 * n, MAX_TABLE_BYTES, "a mixture", "use fewer positions", n=n)
    flip = probability("flip", flip)
    kept = jnp.stack([1 - flip, flip])
    probs = jnp.broadcast_to(jnp.stack([kept, kept[::-1]])[:, None, :], (2, n, 2))
    return MixtureOfProducts(jnp.full((2,), 0.5, flip.dtype), probs)
