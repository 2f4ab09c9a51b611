"""Hypothesis strategies that several test files share."""

import numpy as np
from hypothesis import strategies as st


def counts_of(n):
    """Every schedule of `n` tokens, as a list of counts: a start or not at each of 1..n-1."""
    return st.lists(st.booleans(), min_size=n - 1, max_size=n - 1).map(
        lambda starts: np.diff([0, *(np.flatnonzero(starts) + 1), n]).tolist()
    )


def nondecreasing_curves(n):
    """Information curves of length `n`: from 0, with many flat parts and a few large steps."""
    increments = st.sampled_from([0.0, 0.0, 1e-9, 0.01, 0.3, 1.0, 7.0])
    return st.lists(increments, min_size=n - 1, max_size=n - 1).map(
        lambda steps: np.concatenate([[0.0], np.cumsum(steps)])
    )


def probabilities(*shape, zeros=True):
    """Arrays of this shape whose last axis sums to one; some entries are small, or 0 if `zeros`."""
    entry = st.sampled_from([1.0, 0.7, 0.3, 0.05] + ([0.0] if zeros else [1e-3]))
    size = int(np.prod(shape))
    tables = st.lists(entry, min_size=size, max_size=size).map(lambda e: np.reshape(e, shape))
    positive = tables.filter(lambda t: np.all(t.sum(-1) > 0))
    return positive.map(lambda t: t / t.sum(-1, keepdims=True))
