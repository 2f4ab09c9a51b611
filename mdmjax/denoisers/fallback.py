"""A denoiser that answers everywhere: what a sampler does in a context that the data never have."""

import jax.numpy as jnp

from .._types import Array, Float, Tokens
from .base import AbstractDenoiser
from .perturbed import AbstractPerturbed


class Fallback(AbstractPerturbed):
    r"""`denoiser` where it has an answer, uniform rows where it gives NaN.

    Writing several tokens at once with the oracle of a distribution that has zeros can end in a context of
    probability zero, where no conditional is right. Uniform is our choice. For a decoder that never masks
    again it does not matter to the forward KL, the total variation or the mass outside the support: a
    sequence of positive probability has no impossible context on its way, and every other one has
    $p = 0$ whatever is written next. It does matter to the entropy of the law, to which impossible
    sequences come out, and to the calls of a rule that looks at the rows.

    >>> from mdmjax import Joint, Oracle
    >>> even = Oracle(Joint(jnp.array([[[0.5, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]]])))
    >>> [x.tolist() for x in jnp.exp(Fallback(even)(jnp.array([0, 1, 2])))]
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    """

    denoiser: AbstractDenoiser

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position, never NaN."""
        log_probs = self.denoiser(tokens)
        masked = (tokens == self.q)[:, None]
        certain = jnp.where(jnp.arange(self.q)[None, :] == tokens[:, None], 0.0, -jnp.inf)
        return jnp.where(masked, self.perturb(log_probs, tokens), certain.astype(log_probs.dtype))

    def perturb(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
        """Uniform rows in place of those with NaN."""
        missing = jnp.any(jnp.isnan(log_probs), axis=1, keepdims=True)
        return jnp.where(missing, -jnp.log(self.q), log_probs)
