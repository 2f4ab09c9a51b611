"""Intervals of means over samples, by the bootstrap; of differences too, where two files share prompts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float, Key

RESAMPLES = 1000
"""Resamples of an interval (our choice)."""
UNITS = 2**12
"""More samples than this are joined into so many groups, whose means are resampled (our choice)."""
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean, and the percentiles of the bootstrap about it; NaN where no sample has a value."""

    mean: Float[Array, " metrics"]
    low: Float[Array, " metrics"]
    high: Float[Array, " metrics"]


class Means(NamedTuple):
    """Means over samples, of the data and of each resample of it."""

    mean: Float[Array, " metrics"]
    resampled: Float[Array, "resamples metrics"]

    def __sub__(self, other: "Means") -> "Means":
        """The difference; paired if both were resampled with one key over the same units."""
        return Means(self.mean - other.mean, self.resampled - other.resampled)

    def interval(self) -> Interval:
        """The mean with the central percentiles of the resamples that have one."""
        tails = jnp.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = jnp.nanquantile(self.resampled, tails, axis=0)
        return Interval(self.mean, low, high)


def resampled_means(
    key: Key[Array, ""],
    sums: Float[Array, "units metrics"],
    counts: Float[Array, "units metrics"],
    *,
    resamples: int = RESAMPLES,
) -> Means:
    """Means of units drawn with replacement, each the `sums` of its values and how many (`counts`).

    A unit is what is drawn together: a sample, or all samples of one prompt. What it has no value of has
    no part in that mean: it counts 0. Equal keys and numbers of units draw the same units.

    >>> values = jnp.arange(10.0)[:, None]
    >>> mean, low, high = resampled_means(jax.random.key(0), values, jnp.ones((10, 1))).interval()
    >>> bool(low[0] < mean[0] < high[0]), float(mean[0])
    (True, 4.5)
    """
    units = sums.shape[0]
    if units == 0:
        empty = jnp.full(sums.shape[1], jnp.nan)
        return Means(empty, jnp.broadcast_to(empty, (resamples, empty.size)))

    def one(key: Array) -> Array:
        times = jnp.bincount(jax.random.randint(key, (units,), 0, units), length=units)
        times = times.astype(sums.dtype)
        return _mean(times @ sums, times @ counts)

    drawn = jax.lax.map(one, jax.random.split(key, resamples), batch_size=32)
    return Means(_mean(sums.sum(0), counts.sum(0)), drawn)


def _mean(sums: Array, counts: Array) -> Array:
    return jnp.where(counts > 0, sums / jnp.where(counts > 0, counts, 1), jnp.nan)
