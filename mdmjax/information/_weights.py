r"""Means under laws on `0..m` known by ratios of neighbours (binomial, hypergeometric).

Binomial coefficients by log-gamma lose the digits of a large logarithm; ratios of neighbours, multiplied
outwards from the mode, lose a few roundings a factor and underflow only where nothing matters.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._types import Array, Float


def mean_from_ratios(
    values: Float[Array, " outcomes"],
    mode: Float[Array, " points"],
    ratio_up: Callable[[Float[Array, ""]], Float[Array, " points"]],
    ratio_down: Callable[[Float[Array, ""]], Float[Array, " points"]],
) -> Float[Array, " points"]:
    r"""$\mathbb{E}\, v_L$ under many laws $p$ at once, with $p(l+1)/p(l)$ = `ratio_up(l)`.

    `ratio_down(l)` is $p(l-1)/p(l)$. `mode` is any outcome of positive probability near the mode of each
    law, from which the ratios are followed; they must be finite, and 0 where they leave the support.
    """
    nothing = jnp.zeros_like(mode)

    def upwards(state, row):
        (weight, total, mean), (outcome, value) = state, row
        weight = jnp.where(outcome == mode, 1.0, weight)
        total, mean = total + weight, mean + weight * value
        return (weight * ratio_up(outcome), total, mean), None

    def downwards(state, row):
        (weight, total, mean), (outcome, value) = state, row
        total, mean = total + weight, mean + weight * value
        # The mode was counted on the way up; only what is below it is added here.
        weight = jnp.where(outcome == mode, 1.0, weight)
        return (weight * ratio_down(outcome), total, mean), None

    rows = jnp.arange(values.shape[0], dtype=values.dtype), values
    (_, total, mean), _ = jax.lax.scan(upwards, (nothing, nothing, nothing), rows)
    (_, total, mean), _ = jax.lax.scan(downwards, (nothing, total, mean), rows, reverse=True)
    return mean / total
