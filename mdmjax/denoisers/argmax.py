"""A denoiser that is certain of its best guess: greedy writing."""

import jax
import jax.numpy as jnp

from .._numerics import comparable, safe_log
from .._types import Array, Float, Tokens
from .base import AbstractDenoiser
from .perturbed import AbstractPerturbed


class Argmax(AbstractPerturbed):
    r"""All mass on the most probable symbol, the first of equals: temperature 0.

    Probabilities that differ by rounding only count as equal (`comparable`). A decoder that sees these
    rows finds every position certain; `Reveal(rule, temperature=0)` lets it choose by the rows of the base.

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.2, 0.8])))
    >>> jnp.exp(Argmax(coin)(jnp.array([2])))[0].tolist()
    [0.0, 1.0]
    """

    denoiser: AbstractDenoiser

    def perturb(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
        """One-hot rows; rows of NaN stay."""
        return certain(log_probs)


def certain(log_probs: Float[Array, "n q"]) -> Float[Array, "n q"]:
    """Rows that are certain of the most probable symbol, the first of equals; rows of NaN stay.

    >>> certain(jnp.log(jnp.array([[0.2, 0.8]]))).tolist()
    [[-inf, 0.0]]
    """
    best = jnp.argmax(comparable(jnp.exp(log_probs)), axis=-1)
    rows = safe_log(jax.nn.one_hot(best, log_probs.shape[1], dtype=log_probs.dtype))
    return jnp.where(jnp.isnan(log_probs), log_probs, rows)
