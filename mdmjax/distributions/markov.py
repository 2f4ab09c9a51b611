"""A homogeneous Markov chain on the positions."""

import equinox as eqx
import jax.numpy as jnp

from .._checks import (
    Numbers,
    as_floats,
    check_integer,
    check_probability,
    check_rows,
    check_shape,
)
from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key, Tokens
from ._chain import chain_log_evidence, sample_chain
from .base import AbstractDistribution, conditionals_from_evidence, token_weights


class MarkovChain(AbstractDistribution):
    r"""$p(x) = \pi(x_1) \prod_{i<n} A(x_i, x_{i+1})$, with $\pi$ `initial` and $A$ `transition`.

    Rows of `transition` are the current symbol. Conditionals of any mask take one forward pass and
    its gradient, $O(n q^2)$.

    Raises:
        InvalidInputError: `n < 1`, wrong shapes, numbers that are not probabilities.

    >>> chain = MarkovChain([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], 3)
    >>> [round(p, 4) for p in jnp.exp(chain.log_conditionals(jnp.array([0, 2, 0]))[1]).tolist()]
    [0.9878, 0.0122]
    """

    initial: Float[Array, " q"]
    transition: Float[Array, "q q"]
    n: int = eqx.field(static=True)

    def __init__(self, initial: Numbers, transition: Numbers, n: int):
        self.initial, self.transition = as_floats(initial, transition)
        self.n = check_integer("n", n, 1)
        if self.initial.ndim != 1 or self.initial.shape[0] < 1:
            refuse("initial", f"of shape {self.initial.shape}", "shape (q,), q >= 1")
        q = self.initial.shape[0]
        check_shape("transition", self.transition, (q, q), "(q, q)")
        check_rows("initial", self.initial)
        check_rows("transition", self.transition)

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return self.initial.shape[0]

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw."""
        return sample_chain(key, safe_log(self.initial), safe_log(self.transition), self.n)

    def log_evidence(self, weights: Float[Array, "n q"]) -> Float[Array, ""]:
        r"""$\log \sum_x p(x) \prod_i w_i(x_i)$ in nats."""
        return chain_log_evidence(safe_log(self.initial), safe_log(self.transition), safe_log(weights))

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats; $-\infty$ if it cannot occur."""
        return self.log_evidence(token_weights(tokens, self.q, self.initial.dtype))

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid x_S)$ in nats; NaN if the context cannot occur."""
        weights = token_weights(tokens, self.q, self.initial.dtype)
        return conditionals_from_evidence(self.log_evidence, tokens, weights)


def symmetric_chain(n: int, q: int, flip: Numbers) -> MarkovChain:
    r"""The stationary chain that keeps its symbol with probability `1 - flip`, else picks another.

    The other `q - 1` symbols are equally likely; the start is uniform, which is stationary.

    Raises:
        InvalidInputError: `n < 1`, `q < 2`, `flip` not in `[0, 1]`.

    >>> symmetric_chain(4, 3, 0.5).transition[0].tolist()
    [0.5, 0.25, 0.25]
    """
    q = check_integer("q", q, 2)
    (flip,) = as_floats(flip)
    check_shape("flip", flip, (), "()")
    check_probability("flip", flip)
    transition = jnp.where(jnp.eye(q, dtype=bool), 1 - flip, flip / (q - 1))
    return MarkovChain(jnp.full((q,), 1 / q, flip.dtype), transition, n)
