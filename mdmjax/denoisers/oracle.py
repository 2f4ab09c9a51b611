"""The perfect denoiser of a distribution: its own masked conditionals."""

from .._types import Array, Float, Tokens
from ..distributions.base import AbstractDistribution
from .base import AbstractDenoiser


class Oracle(AbstractDenoiser):
    r"""$p(x_i = a \mid x_S)$ exactly: the conditional-marginal oracle of arXiv 2511.04647.

    >>> import jax.numpy as jnp
    >>> from mdmjax import Joint
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> jnp.exp(pair(jnp.array([1, 2])))[1].tolist()
    [0.0, 1.0]
    """

    distribution: AbstractDistribution
    n = property(lambda self: self.distribution.n)
    q = property(lambda self: self.distribution.q)

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""
        return self.distribution.log_conditionals(tokens)
