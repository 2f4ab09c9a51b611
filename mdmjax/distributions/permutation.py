"""The uniform distribution on permutations."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer
from .._types import Array, Bool, Float, Int, Key, Tokens
from .base import AbstractDistribution, check_sequence, known_rows


class UniformPermutation(AbstractDistribution):
    r"""Every permutation of `0..n-1` has probability $1/n!$; the alphabet is `q = n`.

    Refuses `n < 1` or too large.

    >>> jnp.exp(UniformPermutation(3).log_conditionals(jnp.array([2, 3, 3]))[1]).round(6).tolist()
    [0.5, 0.5, 0.0]
    """

    n: int = eqx.field(static=True, converter=lambda n: check_integer("n", n, 1))
    q = property(lambda self: self.n)

    def __check_init__(self):
        check_sequence(self.n, self.n, n=self.n)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw."""
        return jax.random.permutation(key, self.n)

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log \frac{(n-m)!}{n!}$ in nats for $m$ symbols; $-\infty$ if one is repeated."""
        possible, revealed, _ = self._read(tokens)
        order = jnp.arange(self.n)
        # The sum, not a difference of log-factorials, which would lose digits.
        logs = jnp.log((self.n - order).astype(jnp.result_type(float)))
        return jnp.where(possible, -jnp.sum(jnp.where(order < revealed, logs, 0.0)), -jnp.inf)

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$-\log(n - m)$ for each symbol not yet seen; NaN if a symbol is repeated."""
        possible, revealed, used = self._read(tokens)
        left = jnp.maximum(self.n - revealed, 1).astype(jnp.result_type(float))
        masked = jnp.where(used, -jnp.inf, -jnp.log(left))
        table = jnp.where((tokens == self.n)[:, None], masked[None, :], known_rows(tokens, self.n))
        return jnp.where(possible, table, jnp.nan)

    def _read(self, tokens: Tokens) -> tuple[Bool[Array, ""], Int[Array, ""], Bool[Array, " n"]]:
        """Whether no symbol is repeated, how many are revealed, and which."""
        counts = jnp.zeros(self.n, jnp.int32).at[tokens].add(1, mode="drop")
        return jnp.all(counts <= 1), jnp.sum(counts), counts > 0
