"""What a denoiser is: the one interface that every decoder and every law takes; and the perfect one."""

import abc

from .._types import AbstractSized, Array, Float, Int, Tokens
from ..distributions.base import AbstractDistribution


class AbstractDenoiser(AbstractSized):
    r"""Tokens with masks to log-probabilities: $\hat p(x_i = a \mid x_S)$ at every position.

    A call takes one sequence of `n` tokens in `0..q` (the mask is `q`) and returns `[n, q]` in nats.
    The row of a masked position sums to one; that of a revealed one is certain of its token. A context
    that the data never have may give any rows, NaN among them: the laws refuse to visit such a context.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> class Coins(AbstractDenoiser):
    ...     n: int
    ...     q: int = 2
    ...     def __call__(self, tokens):
    ...         hidden = (tokens == self.q)[:, None]
    ...         return jnp.log(jnp.where(hidden, 0.5, jax.nn.one_hot(tokens, self.q)))
    >>> jnp.exp(Coins(2)(jnp.array([1, 2]))).tolist()
    [[0.0, 1.0], [0.5, 0.5]]
    """

    @abc.abstractmethod
    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""

    def log_probs_at(self, tokens: Tokens, position: Int[Array, ""]) -> Float[Array, " q"]:
        """Log-probabilities of every symbol at one position: of large vocabularies the others are much."""
        return self(tokens)[position]


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
