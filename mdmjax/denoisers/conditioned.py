"""A denoiser of some positions, with the others given: an answer after a prompt."""

from typing import Any

import numpy as np
from jax.core import Tracer

from .._errors import refuse
from .._types import Array, Float, Int, Tokens
from .base import AbstractDenoiser


class Conditioned(AbstractDenoiser):
    r"""$\hat p(x_i = a \mid x_S, \text{context})$ at the `positions`, which `context` has tokens around.

    `positions` are `n` different places of `context`, whose own tokens there do not matter. A decoder of
    `n` positions writes them, and counts these alone.

    Raises:
        InvalidInputError: positions that are not different places of the context.

    >>> import jax.numpy as jnp
    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> second = Conditioned(pair, jnp.array([1, 2]), jnp.array([1]))
    >>> jnp.exp(second(jnp.array([2]))).tolist()
    [[0.0, 1.0]]
    """

    denoiser: AbstractDenoiser
    context: Int[Array, " length"]
    positions: Int[Array, " n"]
    n = property(lambda self: self.positions.shape[0])
    q = property(lambda self: self.denoiser.q)

    def __check_init__(self):
        check_places("positions", self.positions, self.context)

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at the positions."""
        whole = self.context.at[self.positions].set(tokens.astype(self.context.dtype))
        return self.denoiser(whole)[self.positions]


def check_places(argument: str, positions: Any, whole: Any) -> None:
    """Refuse known positions that are not different places of a sequence."""
    if isinstance(positions, Tracer) or not all(hasattr(x, "shape") for x in (positions, whole)):
        return
    if positions.ndim != 1 or whole.ndim != 1:
        refuse(argument, f"of shape {positions.shape} in one of {whole.shape}", "two lists")
    places, length = np.asarray(positions), whole.shape[0]
    different = np.unique(places).size == places.size
    if places.size and (places.min() < 0 or places.max() >= length or not different):
        refuse(argument, places.tolist(), f"different places in 0..{length - 1}")
