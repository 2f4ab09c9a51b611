"""What a denoiser is: the one interface that every decoder and every law takes."""

import abc
from typing import TYPE_CHECKING

import equinox as eqx

from .._types import Array, Float, Tokens


class AbstractDenoiser(eqx.Module):
    r"""Tokens with masks to log-probabilities: $\hat p(x_i = a \mid x_S)$ at every position.

    A call takes one sequence of `n` tokens in `0..q` (the mask is `q`) and returns `[n, q]` in nats.
    The row of a masked position sums to one; that of a revealed one is certain of its token. A context
    that the data never have may give any rows, NaN among them: the laws refuse to visit such a context.
    """

    if TYPE_CHECKING:  # a checker would take abstract variables for arguments of the constructor

        @property
        def n(self) -> int: ...  # noqa: D102
        @property
        def q(self) -> int: ...  # noqa: D102
    else:
        n: eqx.AbstractVar[int]
        q: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""
