"""The law of a decoder: what it outputs, and what that costs."""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._numerics import dot
from .._types import AbstractSized, Array, Float, Int, Key
from ..decoders.base import DENOISED
from ..distributions.joint import Joint
from ..divergences import tables

if TYPE_CHECKING:  # a type checker would take it for one more argument of the constructor
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar


class AbstractLaw(AbstractSized):
    r"""The exact law of a decoder, as `exact_law` finds it: what it outputs, and what that costs.

    `way` is the way it was found, `calls_of` what its calls are of. `calls[c]` is the probability of `c`
    calls, `c = 0..len-1`. `finalised[i, t]` is the probability that position `i` gets its final token in
    step `t` (from 0); what a row lacks of one never changed. Both are `None` where the steps have no bound
    and the law was found without walking them; `expected_calls` is known there as well. `unfinished` is the
    mass that had not finished when a bound on steps was reached (0 for most).
    """

    way: AbstractVar[str]
    calls_of: AbstractVar[str]
    calls: AbstractVar[Float[Array, " counts"] | None]
    finalised: AbstractVar[Float[Array, "n steps"] | None]
    unfinished: AbstractVar[Float[Array, ""]]

    @property
    def expected_calls(self) -> Float[Array, ""]:
        """Mean number of calls."""
        assert self.calls is not None  # such a law knows its mean in another way
        return dot(self.calls, jnp.arange(self.calls.shape[0], dtype=self.calls.dtype))

    @abc.abstractmethod
    def kl(self, p) -> Float[Array, ""]:
        r"""Forward $\mathrm{KL}(p \| \text{law})$ in nats, from the truth $p$."""

    @abc.abstractmethod
    def reverse_kl(self, p) -> Float[Array, ""]:
        r"""Reverse $\mathrm{KL}(\text{law} \| p)$ in nats."""

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One draw of the output."""


Plan = Callable[[], AbstractLaw]  # a law that is not too large, still to be computed


class Law(AbstractLaw):
    r"""A law with a table: `probs[x_1, ..., x_n]` is the probability of the output, shape `[q]*n`.

    It sums to one less `unfinished`. A sequence whose probability is below the smallest float (2e-308 in
    float64) has probability 0 here, and the forward KL is then `inf` if the truth has it.

    >>> law = Law(jnp.array([0.5, 0.5]), jnp.array([0.0, 1.0]), jnp.ones((1, 1)), jnp.zeros(()))
    >>> float(law.expected_calls), round(float(law.kl(jnp.array([1.0, 0.0]))), 4)
    (1.0, 0.6931)
    """

    probs: Float[Array, "..."]
    calls: Float[Array, " counts"] | None
    finalised: Float[Array, "n steps"] | None
    unfinished: Float[Array, ""]
    way: str = eqx.field(static=True, default="frontier")
    calls_of: str = eqx.field(static=True, default=DENOISED)

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.probs.ndim

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return self.probs.shape[0]

    def kl(self, p: tables.Table) -> Float[Array, ""]:
        r"""Forward KL in nats: `divergences.kl(p, law)`."""
        return tables.kl(p, self)

    def reverse_kl(self, p: tables.Table) -> Float[Array, ""]:
        r"""Reverse KL in nats: `divergences.reverse_kl(p, law)`."""
        return tables.reverse_kl(p, self)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One draw of the output, given that it finishes; in `O(q^n)`."""
        return Joint(self.probs / jnp.sum(self.probs)).sample(key)


def stepwise(probs: np.ndarray, finalised: np.ndarray, way: str) -> Law:
    """A law that takes one call in each of the steps of `finalised`, and no more."""
    dtype, steps = jnp.result_type(float), finalised.shape[1]
    calls = jnp.zeros((steps + 1,), dtype).at[-1].set(1.0)
    return Law(jnp.asarray(probs, dtype), calls, jnp.asarray(finalised, dtype), jnp.zeros((), dtype), way)
