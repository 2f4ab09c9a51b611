r"""What every distribution can do, and the two ways to get its masked conditionals.

A distribution $p$ on $\{0..q-1\}^n$ is a frozen module with `sample`, `log_marginal` (the probability
of a partial assignment) and `log_conditionals` (the conditional-marginal oracle of arXiv 2511.04647).
Every function takes one sequence; `jax.vmap` batches it.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from .._numerics import safe_log
from .._types import Array, Float, Int, Key, Tokens


class AbstractDistribution(eqx.Module):
    """A distribution on `n` positions with alphabet `0..q-1`; the mask token is `q`."""

    n: eqx.AbstractVar[int]
    q: eqx.AbstractVar[int]

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw."""

    @abc.abstractmethod
    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats of the revealed positions $S$; $-\infty$ if it cannot occur."""

    @abc.abstractmethod
    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid x_S)$ for every position and symbol, in nats.

        A revealed position has its own symbol with probability one. A context that has probability
        zero has no conditionals: the result is NaN.
        """

    def log_prob(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x)$ in nats of a fully revealed sequence."""
        return self.log_marginal(tokens)


def token_weights(tokens: Tokens, q: int, dtype: jnp.dtype) -> Float[Array, "n q"]:
    """Evidence of a partial assignment: one-hot rows where revealed, rows of ones where masked."""
    revealed = (tokens != q)[:, None]
    return jnp.where(revealed, jax.nn.one_hot(tokens, q, dtype=dtype), jnp.ones((), dtype))


def conditionals_from_evidence(
    log_evidence: Callable[[Float[Array, "n q"]], Float[Array, ""]],
    tokens: Tokens,
    weights: Float[Array, "n q"],
) -> Float[Array, "n q"]:
    r"""All conditionals from one gradient of the network polynomial.

    With $Z(w) = \sum_x p(x) \prod_i w_i(x_i)$, and $w$ the `token_weights` of `tokens`,
    $p(x_i = a \mid x_S) = w_i(a)\,\partial \log Z / \partial w_i(a)$ (Darwiche 2003, "A differential
    approach to inference in Bayesian networks", Thm 1). Costs about three evaluations of $Z$.
    """
    log_z, gradient = jax.value_and_grad(log_evidence)(weights)
    probabilities = jnp.where(jnp.isfinite(log_z), weights * gradient, jnp.nan)
    q = weights.shape[1]
    revealed = (tokens != q)[:, None] & jnp.isfinite(log_z)
    return jnp.where(revealed, safe_log(weights), _log_or_nan(probabilities))


def conditionals_from_marginals(
    log_marginal: Callable[[Tokens], Float[Array, ""]], tokens: Tokens, q: int
) -> Float[Array, "n q"]:
    r"""All conditionals by Bayes: $\log p(x_i = a, x_S) - \log p(x_S)$, in `n q` marginals."""
    positions = jnp.arange(tokens.shape[0])

    def joint_with(i: Int[Array, ""], a: Int[Array, ""]) -> Float[Array, ""]:
        agrees = (tokens[i] == q) | (tokens[i] == a)
        return jnp.where(agrees, log_marginal(tokens.at[i].set(a)), -jnp.inf)

    grid = jax.vmap(jax.vmap(joint_with, (None, 0)), (0, None))(positions, jnp.arange(q))
    return grid - log_marginal(tokens)


def _log_or_nan(p: Float[Array, "..."]) -> Float[Array, "..."]:
    """`safe_log` that keeps NaN as NaN."""
    return jnp.where(jnp.isnan(p), jnp.nan, safe_log(p))
