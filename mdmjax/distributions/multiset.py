"""The uniform distribution on the orders of a multiset."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Float, Int, Key, Tokens
from .base import AbstractDistribution, check_sequence, known_rows


class Multiset(AbstractDistribution):
    r"""Every order of a multiset that has symbol `a` `repeats[a]` times is as likely as any other.

    With all `repeats` 1 it is `UniformPermutation`. Refuses no symbols, and numbers that are none.

    >>> jnp.exp(Multiset([2, 1]).log_conditionals(jnp.array([0, 2, 2]))[1]).round(4).tolist()
    [0.5, 0.5]
    """

    repeats: tuple[int, ...] = eqx.field(static=True)
    n = property(lambda self: sum(self.repeats))
    q = property(lambda self: len(self.repeats))

    def __init__(self, repeats: Sequence[int]):
        self.repeats = check_repeats(repeats)
        check_sequence(self.n, self.q, n=self.n, q=self.q)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw."""
        every = jnp.repeat(jnp.arange(self.q), jnp.asarray(self.repeats), total_repeat_length=self.n)
        return jax.random.permutation(key, every)

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log \prod_a (r_a)_{s_a} / (n)_m$ in nats for $s_a$ of $m$ symbols; $-\infty$ if too many."""
        left, log_factorial = self._left(tokens), lambda number: gammaln(number + 1)
        ways = log_factorial(jnp.asarray(self.repeats, left.dtype)) - log_factorial(jnp.maximum(left, 0))
        every = log_factorial(jnp.asarray(self.n, left.dtype)) - log_factorial(jnp.sum(left))
        return jnp.where(jnp.all(left >= 0), jnp.sum(ways) - every, -jnp.inf)

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""The log of the share of each symbol in what is left; NaN if too many are one."""
        left = self._left(tokens)
        masked = jnp.log(jnp.maximum(left, 0)) - jnp.log(jnp.maximum(jnp.sum(left), 1))
        table = jnp.where((tokens == self.q)[:, None], masked[None, :], known_rows(tokens, self.q))
        return jnp.where(jnp.all(left >= 0), table, jnp.nan)

    def _left(self, tokens: Tokens) -> Float[Array, " q"]:
        """How many of each symbol are not revealed."""
        seen = jnp.zeros(self.q).at[tokens].add(1.0, mode="drop")
        return jnp.asarray(self.repeats, seen.dtype) - seen


def check_repeats(repeats: Sequence[int]) -> tuple[int, ...]:
    """How often each symbol is there, as integers; refused if there is none."""
    found = tuple(check_integer("repeats", count, 0) for count in repeats)
    if not sum(found):
        refuse("repeats", list(found) or "empty", "integers >= 0 that are not all 0", "one for each symbol")
    return found
