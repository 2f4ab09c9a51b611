"""All optimal schedules as a pure function: against compositions and the frontier; batches; gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_compositions, step_gap_by_loops

from mdmjax import LossCurve, frontier
from mdmjax.schedules import every
from mdmjax.schedules.every import every_schedule


def curves(n, batch=7):
    """Rising ones with plateaus, ties to rounding and jumps, and ones that fall."""
    rng = np.random.default_rng(n)
    rising = np.sort(rng.random((batch, n)), axis=1)
    steps = np.cumsum(rng.integers(0, 2, (batch, n)), axis=1) / 8
    return np.concatenate([rising, steps, rng.normal(size=(batch, n)), np.zeros((1, n))])


@pytest.mark.parametrize("n", [1, 6])
def test_every_schedule_is_the_best_of_all_compositions(n):
    rows = curves(n)
    found = jax.jit(jax.vmap(every_schedule))(rows)
    for values, gaps, boundaries in zip(rows, *map(np.asarray, found), strict=True):
        for steps in range(1, n + 1):
            counts = np.diff(boundaries[steps - 1, : steps + 1])
            best = min(step_gap_by_loops(values, c) for c in all_compositions(n, steps))
            assert counts.min() >= 1
            assert np.all(boundaries[steps - 1, steps:] == n)
            assert abs(step_gap_by_loops(values, counts) - best) <= 1e-13 * n
            assert abs(gaps[steps - 1] - best) <= 1e-13 * n


def test_a_batch_is_a_loop_of_one_curve_and_both_are_the_frontier(monkeypatch):
    n = 37
    monkeypatch.setattr(every, "LANES", 64)
    rows = jnp.asarray(curves(n, batch=30))
    assert rows.shape[0] == 91  # more than the curves side by side, and no multiple of them
    together = jax.jit(jax.vmap(every_schedule))(rows)
    alone = jax.jit(every_schedule)
    for at in range(0, 91, 9):
        one = alone(rows[at])
        np.testing.assert_allclose(together.gaps[at], one.gaps, rtol=0, atol=1e-13)
        exact = frontier(LossCurve(-rows[at]), n).gaps
        np.testing.assert_allclose(one.gaps, exact, rtol=0, atol=1e-13 * n)


@pytest.mark.parametrize("kind", [slice(0, 7), slice(0, 22)], ids=["rising", "any"])
def test_windows_leave_out_nothing_that_a_reduction_of_all_starts_finds(kind):
    n = 22
    z = jnp.asarray(curves(n)[kind].T)
    z = z - z[:1]
    (gains, starts), (wanted, of_all) = every.windowed_layers(z), every.reduced_layers(z)
    np.testing.assert_allclose(gains, wanted, rtol=0, atol=1e-14 * n)
    reached = np.arange(1, n + 1) >= np.arange(2, n + 1)[:, None]
    same = (np.asarray(starts) == np.asarray(of_all))[reached]
    assert np.mean(same[:, :7]) > 0.99  # no ties but of rounding


def test_the_gradient_of_a_gap_is_that_of_its_schedule():
    """Central differences of the optimum itself, where one schedule is best."""
    values = jnp.asarray(np.cumsum(np.random.default_rng(3).random(9)))
    slope = jax.jit(jax.jacobian(lambda z: every_schedule(z).gaps))(values)
    width = 1e-6
    gaps = jax.jit(jax.vmap(lambda z: every_schedule(z).gaps))
    moved = width * jnp.eye(9)
    wanted = (gaps(values[None] + moved) - gaps(values[None] - moved)) / (2 * width)
    np.testing.assert_allclose(slope, wanted.T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(slope[0], [-8, *[1] * 8], rtol=0, atol=1e-12)


def test_float32_gaps_are_good_to_its_own_rounding():
    rows = jnp.asarray(curves(40)[:14])
    exact = np.asarray(jax.vmap(every_schedule)(rows).gaps)
    single = jax.jit(jax.vmap(every_schedule))(jnp.asarray(rows, jnp.float32))
    assert single.gaps.dtype == jnp.float32
    tolerance = 8 * 40 * np.finfo(np.float32).eps * np.ptp(np.asarray(rows), axis=1, keepdims=True)
    assert np.all(np.abs(np.asarray(single.gaps) - exact) <= tolerance)
    for values, row, gaps in zip(np.asarray(rows), np.asarray(single.boundaries), exact, strict=True):
        for steps in (2, 11, 39):
            counts = np.diff(row[steps - 1, : steps + 1])
            assert step_gap_by_loops(values, counts) - gaps[steps - 1] <= tolerance.max()


def test_one_shape_compiles_once():
    chex.clear_trace_counter()
    solve = jax.jit(jax.vmap(chex.assert_max_traces(every_schedule, n=1)))
    for seed in range(3):
        solve(jnp.asarray(np.random.default_rng(seed).random((5, 8))))
