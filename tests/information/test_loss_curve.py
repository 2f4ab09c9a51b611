"""The masked-loss curve of a model: rows to curve, isotonic fit, bootstrap of the gain."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.information.closed_form import permutation_curve
from mdmjax.information.loss_curve import (
    LossCurve,
    LossTable,
    curve_from_table,
    isotonic_fit,
    masked_from_ratio,
)
from mdmjax.schedules.bootstrap import bootstrap_gain
from mdmjax.schedules.named import llada_uniform
from mdmjax.schedules.optimal import optimal_schedule
from mdmjax.schedules.schedule import Schedule, expected_kl, nll


def floats(*values):
    return np.array(values, dtype=np.float64)


@st.composite
def tables(draw):
    """Rows in any order, some mask counts repeated and some missing."""
    n = draw(st.sampled_from([2, 5, 9]))
    first = draw(st.permutations(range(1, n + 1)))[: draw(st.integers(2, n))]
    repeats = draw(st.lists(st.sampled_from(first), max_size=4))
    n_masked = np.array([*first, *repeats])
    some = st.floats(0, 8)
    loss = floats(*draw(st.lists(some, min_size=n_masked.size, max_size=n_masked.size)))
    counts = st.integers(1, 5)
    count = floats(*draw(st.lists(counts, min_size=n_masked.size, max_size=n_masked.size)))
    return LossTable(n, n_masked, loss, count=count)


@given(tables())
@settings(deadline=None, max_examples=60)
def test_rows_are_averaged_and_gaps_are_linear(table):
    """Every point by its own definition: the weighted mean, or the line between its neighbours."""
    curve = curve_from_table(table)
    means = {}
    for k in set(table.n_masked.tolist()):
        rows = table.n_masked == k
        means[k] = np.sum(table.count[rows] * table.loss[rows]) / np.sum(table.count[rows])
    for m in range(table.n):
        masked = table.n - m
        assert bool(curve.measured[m]) == (masked in means)
        below, above = (
            max((k for k in means if k <= masked), default=None),
            min((k for k in means if k >= masked), default=None),
        )
        if below is None or above is None or below == above:
            expected = means[above if below is None else below]
        else:
            share = (masked - below) / (above - below)
            expected = (1 - share) * means[below] + share * means[above]
        assert float(curve.loss[m]) == pytest.approx(expected, rel=1e-13, abs=1e-13)


def test_standard_errors_stay_with_their_rows():
    table = LossTable(4, np.array([1, 4, 2]), floats(1, 3, 2), stderr=floats(0.1, 0.4, 0.2))
    stderr = np.asarray(curve_from_table(table).stderr)
    np.testing.assert_array_equal(stderr, [0.4, np.nan, 0.2, 0.1])


def test_a_perfect_models_table_gives_the_schedule_of_the_information_curve():
    """c(m) = H_1 - Z_{m+1}: the best NLL schedule is the best KL schedule, NLL = H(X) + KL."""
    exact = permutation_curve(12)
    n_masked = np.arange(12, 0, -1)
    table = LossTable(12, n_masked, np.asarray(exact.loss))
    curve = curve_from_table(table)
    for steps in (2, 4, 7):
        best = optimal_schedule(curve, steps)
        assert float(expected_kl(exact, best)) == pytest.approx(
            float(expected_kl(exact, optimal_schedule(exact, steps))), rel=1e-12
        )
        total = float(exact.entropy + expected_kl(exact, best))
        assert float(nll(curve, best)) == pytest.approx(total, rel=1e-13)


def test_the_best_schedule_of_a_curve_that_rises_beats_every_composition():
    loss = LossCurve([2.0, 0.9, 1.6, 0.4, 0.7, 0.1])
    for steps in range(1, 7):
        cuts = itertools.combinations(range(1, 6), steps - 1)
        scores = [float(nll(loss, Schedule(np.diff([0, *inside, 6]).tolist()))) for inside in cuts]
        best = float(nll(loss, optimal_schedule(loss, steps)))
        assert best == pytest.approx(min(scores), rel=1e-14)


@given(tables())
@settings(deadline=None, max_examples=40)
def test_isotonic_fit_is_the_weighted_projection(table):
    """Nonincreasing, and no nonincreasing candidate is nearer (the projection's inequality)."""
    curve = curve_from_table(table)
    fit = isotonic_fit(curve)
    assert np.all(np.diff(np.asarray(fit.loss)) <= 1e-12)
    measured = np.asarray(curve.measured)
    weights = np.asarray(curve.count)[measured]
    data, fitted = np.asarray(curve.loss)[measured], np.asarray(fit.loss)[measured]
    generator = np.random.default_rng(0)
    for _ in range(20):
        other = -np.sort(-generator.uniform(0, 8, data.size))
        inner = np.sum(weights * (data - fitted) * (other - fitted))
        assert inner <= 1e-9 * np.sum(weights) * 64
    again = isotonic_fit(fit)
    np.testing.assert_allclose(again.loss, fit.loss, rtol=1e-13, atol=1e-13)


def test_isotonic_fit_trusts_small_standard_errors():
    """Pooling two points weighs them by 1 / stderr^2: (1/1 * 1 + 1/4 * 2) / (1 + 1/4) = 1.2."""
    table = LossTable(3, np.array([3, 2, 1]), floats(3, 1, 2), stderr=floats(1, 1, 2))
    np.testing.assert_allclose(isotonic_fit(curve_from_table(table)).loss, [3, 1.2, 1.2])


def test_masked_from_ratio_rounds_halves_up_and_masks_at_least_one():
    ratios = floats(1e-9, 0.15, 0.25, 0.349, 0.35, 1.0)
    assert masked_from_ratio(ratios, 10).tolist() == [1, 2, 3, 3, 4, 10]
    for bad in (0.0, -0.1, 1.01, np.nan):
        with pytest.raises(InvalidInputError, match="mask_ratio is"):
            masked_from_ratio(floats(0.5, bad), 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, [], []), "loss table is empty"),
        ((4, [0, 1], [1, 1]), "n_masked is 0 in row 1: want 1..n with n = 4"),
        ((4, [1, 5], [1, 1]), "n_masked is 5 in row 2"),
        ((4, [1, 2], [1, np.nan]), "loss is nan in row 2"),
        ((4, [1, 2], [1, np.inf]), "loss is inf in row 2"),
        ((4, [1, 2], [-0.5, 1]), "loss is -0.5 in row 1"),
        ((4, [2, 2], [1, 1]), "at least two different mask counts"),
    ],
)
def test_tables_that_are_refused(arguments, message):
    n, n_masked, loss = arguments
    with pytest.raises(InvalidInputError, match=message):
        LossTable(n, np.array(n_masked, dtype=np.int64), floats(*loss))


def test_counts_and_standard_errors_that_are_refused():
    rows = np.array([1, 2])
    with pytest.raises(InvalidInputError, match="count is 0 in row 2"):
        LossTable(2, rows, floats(1, 1), count=floats(1, 0))
    with pytest.raises(InvalidInputError, match="stderr is -1 in row 1"):
        LossTable(2, rows, floats(1, 1), stderr=floats(-1, 1))
    with pytest.raises(InvalidInputError, match="n_masked is 2 in 2 rows that have a stderr"):
        LossTable(3, np.array([1, 2, 2]), floats(1, 1, 1), stderr=floats(1, 1, 1))


N, STEPS = 12, 3
TRUTH = 2 * np.exp(-np.arange(N) / 3.0) + 0.5


def measured(generator, noise, *, rows=1, stderr=True):
    """A table of the true curve with normal noise."""
    n_masked = np.repeat(N - np.arange(N), rows)
    loss = np.repeat(TRUTH, rows) + noise * generator.normal(size=N * rows)
    errors = np.full(N * rows, noise) if stderr else None
    return LossTable(N, n_masked, loss, stderr=errors)


def test_bootstrap_without_noise_has_intervals_of_no_width(key):
    table = LossTable(N, N - np.arange(N), TRUTH, stderr=np.zeros(N))
    found = bootstrap_gain(key, table, STEPS, 5)
    loss = LossCurve(TRUTH)
    best = optimal_schedule(loss, STEPS)
    gain = float(nll(loss, llada_uniform(N, STEPS)) - nll(loss, best))
    assert found.gain == pytest.approx(gain, rel=1e-14)
    np.testing.assert_allclose(found.gain_interval, [gain, gain], rtol=1e-12)
    np.testing.assert_allclose(found.fixed_interval, [gain, gain], rtol=1e-12)
    assert abs(found.optimism) < 1e-12
    assert found.boundary_intervals.tolist() == [[b, b] for b in best.boundaries[1:-1]]


def test_fixed_interval_has_the_width_of_the_normal_law(key):
    """The gain of a fixed schedule is linear in the losses: its law is normal and known."""
    noise = 0.05
    table = measured(np.random.default_rng(1), noise)
    found = bootstrap_gain(key, table, STEPS, 400)
    uniform, best = llada_uniform(N, STEPS), found.schedule
    weights = np.zeros(N)
    np.add.at(weights, uniform.boundaries[:-1], uniform.counts)
    np.subtract.at(weights, best.boundaries[:-1], best.counts)
    sigma = noise * np.linalg.norm(weights)
    expected = found.gain + 1.96 * sigma * np.array([-1, 1])
    np.testing.assert_allclose(found.fixed_interval, expected, atol=0.35 * sigma)


def test_bootstrap_shows_its_optimism(key):
    """Where nothing can be gained the optimum of each replicate still seems to gain."""
    flat = LossTable(N, N - np.arange(N), np.full(N, 1.0), stderr=np.full(N, 0.1))
    found = bootstrap_gain(key, flat, STEPS, 100)
    assert found.gain == pytest.approx(0, abs=1e-12)
    assert found.gain_interval[0] > 0
    assert found.optimism > 0.5 * found.gain_interval[0]
    assert found.fixed_interval[0] <= 1e-12 <= found.fixed_interval[1] + 1e-9


def test_rows_are_resampled_within_their_mask_count(key):
    """A mask count whose rows agree cannot vary: only the one that differs does."""
    n_masked = np.repeat(N - np.arange(N), 2)
    loss = np.repeat(TRUTH, 2)
    still = bootstrap_gain(key, LossTable(N, n_masked, loss), STEPS, 20)
    np.testing.assert_allclose(still.fixed_interval, still.gain, rtol=1e-12)
    loss[0] += 0.3  # one of the two rows at m = 0, where both schedules start
    moved = bootstrap_gain(key, LossTable(N, n_masked, loss), STEPS, 200)
    first = moved.schedule.counts[0]
    lever = abs(llada_uniform(N, STEPS).counts[0] - first)
    assert np.ptp(moved.fixed_interval) == pytest.approx(0.3 * lever, rel=1e-9)


def test_bootstrap_is_reproducible_and_fits_replicates(key):
    table = measured(np.random.default_rng(2), 0.2, rows=3, stderr=False)
    one = bootstrap_gain(key, table, STEPS, 20, fit=isotonic_fit)
    two = bootstrap_gain(key, table, STEPS, 20, fit=isotonic_fit)
    np.testing.assert_array_equal(one.gain_interval, two.gain_interval)
    other = bootstrap_gain(jax.random.key(7), table, STEPS, 20, fit=isotonic_fit)
    assert not np.array_equal(one.gain_interval, other.gain_interval)
    plain = bootstrap_gain(key, table, STEPS, 20)
    assert not np.array_equal(one.gain_interval, plain.gain_interval)


def test_bootstrap_needs_errors(key):
    table = LossTable(N, N - np.arange(N), TRUTH)
    with pytest.raises(InvalidInputError, match="column stderr or with repeated rows"):
        bootstrap_gain(key, table, STEPS, 20)
    with pytest.raises(InvalidInputError, match="samples is 1"):
        bootstrap_gain(key, table, STEPS, 1)


def test_curve_is_a_module_of_arrays():
    curve = LossCurve(jnp.ones(3), jnp.zeros(3), jnp.array([1.0, 0.0, 2.0]))
    assert curve.n == 3
    assert curve.measured.tolist() == [True, False, True]
