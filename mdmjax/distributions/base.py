r"""What every distribution can do, for one sequence (`jax.vmap` batches it); conditionals by evidence."""

import abc

import jax
import jax.numpy as jnp

from .._errors import check_bytes
from .._numerics import safe_log
from .._types import AbstractSized, Array, Float, Int, Key, Tokens

MAX_TABLE_BYTES = 2**31  # of a table that is made unasked (our choice)


class AbstractDistribution(AbstractSized):
    """A distribution on `n` positions with alphabet `0..q-1`; the mask token is `q`.

    >>> from mdmjax import parity_code
    >>> code = parity_code(3, 2)
    >>> isinstance(code, AbstractDistribution), round(float(code.log_prob(jnp.array([0, 1, 1]))), 4)
    (True, -1.3863)
    """

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw."""

    @abc.abstractmethod
    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats of the revealed positions $S$; $-\infty$ if it cannot occur."""

    @abc.abstractmethod
    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid x_S)$ of every position and symbol in nats: the oracle of arXiv 2511.04647.

        A revealed position has its own symbol with probability one. In a context that cannot occur all is
        NaN.
        """

    def log_prob(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x)$ in nats of a fully revealed sequence."""
        return self.log_marginal(tokens)


class AbstractEvidence(AbstractDistribution):
    r"""A distribution given by its evidence $Z(w) = \sum_x p(x) \prod_i w_i(x_i)$, the network polynomial.

    With $w$ the `token_weights` of $x_S$, $Z(w) = p(x_S)$, and all conditionals follow from one gradient:
    $p(x_i = a \mid x_S) = w_i(a)\,\partial \log Z / \partial w_i(a)$ (Darwiche 2003, "A differential
    approach to inference in Bayesian networks", Thm 1), at the cost of about three evaluations of $Z$.
    """

    @abc.abstractmethod
    def log_evidence(self, weights: Float[Array, "n q"]) -> Float[Array, ""]:
        r"""$\log \sum_x p(x) \prod_i w_i(x_i)$ in nats."""

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats; $-\infty$ if it cannot occur."""
        return self.log_evidence(self._weights(tokens))

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid x_S)$ in nats for any mask; NaN if the context cannot occur."""
        weights = self._weights(tokens)
        log_z, gradient = jax.value_and_grad(self.log_evidence)(weights)
        possible = jnp.isfinite(log_z)
        probs = jnp.where(possible, weights * gradient, jnp.nan)
        masked = jnp.where(jnp.isnan(probs), jnp.nan, safe_log(probs))
        return jnp.where((tokens != self.q)[:, None] & possible, safe_log(weights), masked)

    def _weights(self, tokens: Tokens) -> Float[Array, "n q"]:
        return token_weights(tokens, self.q, jax.tree.leaves(self)[0].dtype)


def token_weights(tokens: Tokens, q: int, dtype: jnp.dtype) -> Float[Array, "n q"]:
    """Evidence of a partial assignment: one-hot rows where revealed, rows of ones where masked."""
    revealed = (tokens != q)[:, None]
    return jnp.where(revealed, jax.nn.one_hot(tokens, q, dtype=dtype), jnp.ones((), dtype))


def known_rows(tokens: Tokens, q: int) -> Float[Array, "n q"]:
    r"""Log-probabilities of known symbols: 0 at its own symbol, $-\infty$ elsewhere (where masked, all)."""
    return jnp.where(tokens[:, None] == jnp.arange(q, dtype=tokens.dtype)[None, :], 0.0, -jnp.inf)


def check_sequence(n: int, q: int, /, **sizes: int) -> None:
    """Refuse conditionals, `n q` numbers, that are too large; `sizes` are the arguments that set them."""
    what, remedy = "conditionals", "use fewer positions or symbols"
    check_bytes(8 * n * q, MAX_TABLE_BYTES, what, remedy, **(sizes or {"n": n, "q": q}))
