"""Hypothesis strategies that several test files share."""

import itertools

import jax.numpy as jnp
import numpy as np
from _oracles import partial_assignments, table_conditionals
from hypothesis import strategies as st

from mdmjax._contexts import tokens_of
from mdmjax.denoisers.table import TableDenoiser


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


SEEDS = st.integers(0, 2**16)


def any_denoiser(table, seed):
    """A table of rows and the same as a function of a tuple of tokens: the rows of no distribution.

    More or less wrong; with or without mass where the data have none, and none where they have some; NaN
    in contexts that the data never have.
    """
    rng, (n, q) = np.random.default_rng(seed), (table.ndim, table.shape[0])
    noise, respects, ruled_out = rng.choice([0.0, 0.3, 1.0]), rng.random() < 0.5, rng.choice([0.0, 0.1])
    rows = {}
    for tokens in map(tuple, partial_assignments(n, q).tolist()):
        exact = table_conditionals(table, tokens)
        made = (1 - noise) * exact + noise * rng.dirichlet(np.ones(q), n)
        made = np.where(respects & (exact == 0), 0, made)
        ruled = np.where(rng.random((n, q)) < ruled_out, 0, made)
        made = np.where(ruled.sum(1, keepdims=True) > 0, ruled, made)
        seen = np.array([np.eye(q + 1)[token, :q] for token in tokens])
        made = np.where(seen.sum(1, keepdims=True) > 0, seen, made)
        rows[tokens] = (
            np.full((n, q), np.nan) if np.isnan(exact).any() else made / made.sum(1, keepdims=True)
        )
    with np.errstate(divide="ignore"):
        denoiser = TableDenoiser(jnp.asarray(np.log(np.array(list(rows.values())))))
    return denoiser, lambda tokens: rows[tuple(tokens)]


def partitions(data, n):
    """Any ordered partition, its blocks in any order within."""
    order = data.draw(st.permutations(range(n)))
    ends = np.cumsum(data.draw(counts_of(n)))
    return [order[start:end] for start, end in itertools.pairwise([0, *ends.tolist()])]


def random_denoiser(n, q, seed):
    """Any rows at all, from a coarse grid so that there are zeros and ties."""
    rng = np.random.default_rng(seed)
    rows = rng.choice([0.0, 0.1, 0.25, 0.4, 1.0], size=((q + 1) ** n, n, q))
    rows[rows.sum(-1) == 0] = 1.0
    rows /= rows.sum(-1, keepdims=True)
    tokens = np.asarray(tokens_of(np.arange((q + 1) ** n), n, q))
    rows = np.where((tokens == q)[..., None], rows, tokens[..., None] == np.arange(q))
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows))), rows_function(rows, n, q)


def rows_function(rows, n, q):
    return lambda tokens: rows[sum(t * (q + 1) ** (n - 1 - i) for i, t in enumerate(tokens))].tolist()
