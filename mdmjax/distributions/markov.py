"""A homogeneous Markov chain on the positions."""

import equinox as eqx
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_integer, probability
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key
from ._chain import chain_log_evidence, check_chain, sample_chain
from .base import MAX_TABLE_BYTES, AbstractEvidence, check_sequence


class MarkovChain(AbstractEvidence):
    r"""$p(x) = \pi(x_1) \prod_{i<n} A(x_i, x_{i+1})$, with $\pi$ `initial` and $A$ `transition`.

    Rows of `transition` are the current symbol. Conditionals of any mask take $O(n q^2)$. Refuses `n < 1`
    or too large, wrong shapes, and numbers that are not probabilities.

    >>> chain = MarkovChain([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], 3)
    >>> [round(p, 4) for p in jnp.exp(chain.log_conditionals(jnp.array([0, 2, 0]))[1]).tolist()]
    [0.9878, 0.0122]
    """

    initial: Float[Array, " q"]
    transition: Float[Array, "q q"]
    n: int = eqx.field(static=True)
    q = property(lambda self: self.initial.shape[0])

    def __init__(self, initial: Numbers, transition: Numbers, n: int):
        self.initial, self.transition = as_floats(initial, transition)
        self.n = check_integer("n", n, 1)
        if self.initial.ndim != 1 or self.initial.shape[0] < 1:
            refuse("initial", f"of shape {self.initial.shape}", "shape (q,), q >= 1")
        check_chain(self.initial, self.transition, "q")
        check_sequence(self.n, self.q)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw."""
        return sample_chain(key, self.initial, self.transition, self.n)

    def log_evidence(self, weights: Float[Array, "n q"]) -> Float[Array, ""]:
        r"""$\log \sum_x p(x) \prod_i w_i(x_i)$ in nats."""
        return chain_log_evidence(self.initial, self.transition, safe_log(weights))


def symmetric_chain(n: int, q: int, flip: Numbers) -> MarkovChain:
    r"""The stationary chain that keeps its symbol with probability `1 - flip`, else picks another.

    The other `q - 1` symbols are equally likely; the start is uniform, which is stationary. Refuses
    `n < 1`, `q < 2` and sizes that are too large, and `flip` not in `[0, 1]`.

    >>> symmetric_chain(4, 3, 0.5).transition[0].tolist()
    [0.5, 0.25, 0.25]
    """
    n, q = check_integer("n", n, 1), check_integer("q", q, 2)
    check_bytes(8 * q * q, MAX_TABLE_BYTES, "a transition matrix", "use fewer symbols", q=q)
    flip = probability("flip", flip)
    transition = jnp.where(jnp.eye(q, dtype=bool), 1 - flip, flip / (q - 1))
    return MarkovChain(jnp.full((q,), 1 / q, flip.dtype), transition, n)
