"""Means over problems and training seeds, with intervals that have both in them."""

import functools

import numpy as np

RESAMPLES, LEVEL = 1000, 0.95


def crossed(values: np.ndarray) -> np.ndarray:
    """`[..., seed, problem]` to `[..., 3]`: the mean, and the ends of its 95% bootstrap interval.

    A resample draws seeds and, of each, the same problems, with replacement (ours: three seeds are few,
    so that ends are rough). NaN has no part in a mean. Differences are paired: equal shapes draw alike.
    """
    known = ~np.isnan(values)
    seeds, problems = _drawn(*values.shape[-2:])

    def total(of: np.ndarray) -> np.ndarray:
        return ((of @ problems.T) * seeds.T).sum(axis=-2)

    def ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    filled = np.where(known, values, 0.0)
    means = ratio(total(filled), total(known.astype(float)))
    alone = ratio(filled.sum((-2, -1)), known.sum((-2, -1)))
    none = np.isnan(means).all(axis=-1, keepdims=True)
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    low, high = np.nanquantile(np.where(none, 0.0, means), tails, axis=-1)
    ends = np.where(none[..., 0], np.nan, np.stack([low, high]))
    return np.stack([alone, *ends], axis=-1)


@functools.cache
def _drawn(*sizes: int) -> tuple[np.ndarray, ...]:
    """How often a resample has each seed, and each problem."""
    rng = np.random.default_rng(0)
    return tuple(rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float) for n in sizes)
