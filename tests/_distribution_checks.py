"""What every family of distributions must pass, given its dense table."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _oracles import partial_assignments, table_conditionals, table_marginal

traces = []
"""Grows by one each time `conditionals` is traced."""


@eqx.filter_jit
def conditionals(distribution, contexts):
    """`log_conditionals` of many contexts."""
    traces.append(contexts.shape)
    return jax.vmap(distribution.log_conditionals)(contexts)


@eqx.filter_jit
def marginals(distribution, contexts):
    """`log_marginal` of many contexts."""
    return jax.vmap(distribution.log_marginal)(contexts)


@eqx.filter_jit
def samples(distribution, key, draws):
    """Many draws."""
    return jax.vmap(distribution.sample)(jax.random.split(key, draws))


def assert_matches_table(distribution, table, rtol=1e-13):
    """Marginals and conditionals of every partial assignment, by one trace for all masks."""
    n, q = distribution.n, distribution.q
    assert table.shape == (q,) * n
    contexts = partial_assignments(n, q)
    tokens = jnp.asarray(contexts, jnp.int32)
    found = conditionals(distribution, tokens)
    before = len(traces)
    conditionals(distribution, tokens[::-1])
    assert len(traces) == before
    assert found.shape == (len(contexts), n, q)
    wanted = [table_conditionals(table, x) for x in contexts]
    np.testing.assert_allclose(np.exp(found), wanted, rtol=rtol, atol=0)
    wanted = [table_marginal(table, x) for x in contexts]
    found = marginals(distribution, tokens)
    np.testing.assert_allclose(np.exp(found), wanted, rtol=rtol, atol=0)


def assert_samples(distribution, table, key, draws=40_000):
    """The share of every sequence within 5 standard errors, and nothing impossible drawn."""
    words = np.asarray(samples(distribution, key, draws))
    assert words.shape == (draws, distribution.n)
    codes = words @ distribution.q ** np.arange(distribution.n - 1, -1, -1)
    counts = np.bincount(codes, minlength=table.size)
    p = table.reshape(-1)
    error = np.sqrt(draws * p * (1 - p))
    assert np.all(np.abs(counts - draws * p) <= 5 * error + 1 * (p > 0))
