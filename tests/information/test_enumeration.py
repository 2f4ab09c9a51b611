"""Entropies of all subsets against loops from the definition and against dit."""

import itertools

import chex
import dit
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import InvalidInputError, Joint, information_curve
from mdmjax.information import enumeration
from mdmjax.information.enumeration import entropy_bytes, mean_entropies, subset_entropies

SHAPES = [(1, 3), (2, 1), (2, 2), (2, 5), (2, 7), (3, 1), (3, 4), (4, 5), (5, 3), (9, 2)]


def random_table(q, n, seed=0, zeros=True):
    table = np.random.default_rng([q, n, seed]).random((q,) * n)
    if zeros and q > 1:
        table *= np.random.default_rng([n, q]).random(table.shape) > 0.2
    return table / table.sum()


def entropies_by_loops(table):
    """H of every marginal: the table summed over the positions left out, term by term."""
    n, result = table.ndim, []
    for subset in range(2**n):
        out = tuple(i for i in range(n) if not subset >> i & 1)
        result.append(-sum(p * np.log(p) for p in np.ravel(table.sum(axis=out)) if p > 0))
    return np.array(result)


@pytest.mark.parametrize(("q", "n"), SHAPES)
def test_every_subset_against_the_definition(q, n):
    table = random_table(q, n)
    found = subset_entropies(Joint(jnp.asarray(table)))
    tolerance = 16 * np.finfo(np.float64).eps * n * np.log(max(q, 2))
    np.testing.assert_allclose(found, entropies_by_loops(table), rtol=0, atol=tolerance)


def test_every_subset_against_dit():
    table = random_table(2, 4)
    outcomes = ["".join(map(str, x)) for x in itertools.product(range(2), repeat=4)]
    dist = dit.Distribution(outcomes, table.ravel().tolist())
    found = np.asarray(subset_entropies(Joint(jnp.asarray(table))))
    for subset in range(1, 16):
        positions = [i for i in range(4) if subset >> i & 1]
        bits = dit.shannon.entropy(dist, positions)
        assert abs(found[subset] - bits * np.log(2)) < 1e-12


@pytest.mark.parametrize("entries", [8, 200])
def test_blocks_do_not_change_the_result(monkeypatch, entries):
    monkeypatch.setattr(enumeration, "BLOCK_ENTRIES", entries)
    table = random_table(2, 9, seed=entries)
    found = subset_entropies(Joint(jnp.asarray(table)))
    np.testing.assert_allclose(found, entropies_by_loops(table), rtol=0, atol=1e-13)


def test_mean_entropies_against_combinations():
    table = random_table(3, 4)
    by_subset = entropies_by_loops(table)
    found = mean_entropies(jnp.asarray(by_subset))
    for k in range(5):
        members = [by_subset[sum(1 << i for i in c)] for c in itertools.combinations(range(4), k)]
        assert abs(float(found[k]) - np.mean(members)) < 1e-14


def test_float32_is_accurate_to_its_own_precision():
    table = random_table(2, 12)
    exact = entropies_by_loops(table)
    single = subset_entropies(Joint(jnp.asarray(table, jnp.float32)))
    assert single.dtype == jnp.float32
    # Stated accuracy: 16 eps of the largest entropy.
    assert (
        np.max(np.abs(np.asarray(single, np.float64) - exact)) < 16 * np.finfo(np.float32).eps * exact.max()
    )


def test_float32_means_do_not_lose_digits_with_the_number_of_subsets():
    entropies = 10 + jnp.asarray(np.random.default_rng(0).random(2**16))
    exact, single = mean_entropies(entropies), mean_entropies(entropies.astype(jnp.float32))
    error = np.max(np.abs(np.asarray(single, np.float64) - np.asarray(exact)))
    assert error < 4 * np.finfo(np.float32).eps * 11


def test_gradient_is_finite_at_zeros_and_correct():
    def total_correlation(raw):
        return information_curve(Joint(raw / raw.sum())).total_correlation

    table = jnp.asarray(random_table(2, 3, zeros=False))
    gradient = jax.grad(total_correlation)(table)
    step = 1e-6
    for index in itertools.product(range(2), repeat=3):
        up, down = (total_correlation(table.at[index].add(s)) for s in (step, -step))
        assert abs(float(gradient[index]) - float(up - down) / (2 * step)) < 1e-7
    # A zero whose marginals are positive: the derivative is infinite there and is guarded as 0.
    with_zero = table.at[0, 0, 0].set(0.0)
    assert np.all(np.isfinite(jax.grad(total_correlation)(with_zero)))


def test_a_table_too_large_is_refused_with_its_bytes(monkeypatch):
    monkeypatch.setattr(enumeration, "MAX_BYTES", 1000)
    with pytest.raises(InvalidInputError, match="MiB"):
        subset_entropies(Joint(jnp.asarray(random_table(2, 8))))


def test_bytes_bound_grows_with_n():
    assert entropy_bytes(20, 2) > entropy_bytes(16, 2) > entropy_bytes(8, 2)


def test_the_entropies_of_a_shape_are_compiled_once(monkeypatch):
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(enumeration._subset_entropies.__wrapped__, n=1)
    monkeypatch.setattr(enumeration, "_subset_entropies", eqx.filter_jit(traced))
    for seed in range(3):
        information_curve(Joint(jnp.asarray(random_table(2, 6, seed))))
    with pytest.raises(AssertionError, match="traced > 1 times"):
        information_curve(Joint(jnp.asarray(random_table(3, 4))))
