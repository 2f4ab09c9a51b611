"""The masked-loss curve of a model: rows to curve, between rows and beyond them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.information.closed_form import permutation_curve
from mdmjax.information.loss_curve import (
    LossCurve,
    LossTable,
    between_rows,
    curve_from_table,
    masked_from_ratio,
)
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
def test_rows_are_averaged_and_gaps_are_monotone_cubics(table):
    """Every point by its own definition: the weighted mean, or Fritsch and Butland's cubic in log odds."""
    curve = curve_from_table(table)
    means = {}
    for k in set(table.n_masked.tolist()):
        rows = table.n_masked == k
        means[table.n - k] = np.sum(table.count[rows] * table.loss[rows]) / np.sum(table.count[rows])
    at = sorted(means)
    for m in range(table.n):
        assert bool(curve.measured[m]) == (m in means)
        expected = slow_cubic(table.n, at, [means[i] for i in at], min(max(m, at[0]), at[-1]))
        assert float(curve.loss[m]) == pytest.approx(expected, rel=1e-11, abs=1e-12)


def slow_cubic(n, at, loss, m):
    """Hermite's cubic with the slopes of Fritsch and Butland (1984), three-point ones at the ends."""
    x = [math.log((i + 1) / (n - i)) for i in at]
    secant = [(loss[i + 1] - loss[i]) / (x[i + 1] - x[i]) for i in range(len(at) - 1)]
    width = [b - a for a, b in itertools.pairwise(x)]

    def end(h0, h1, d0, d1):
        slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
        if np.sign(slope) != np.sign(d0):
            return 0.0
        return 3 * d0 if np.sign(d0) != np.sign(d1) and abs(slope) > 3 * abs(d0) else slope

    def slope(i):
        if len(at) == 2:
            return secant[0]
        if i in (0, len(at) - 1):
            near, far = (0, 1) if i == 0 else (-1, -2)
            return end(width[near], width[far], secant[near], secant[far])
        if secant[i - 1] * secant[i] <= 0:
            return 0.0
        w0, w1 = 2 * width[i] + width[i - 1], width[i] + 2 * width[i - 1]
        return (w0 + w1) / (w0 / secant[i - 1] + w1 / secant[i])

    i = max(j for j in range(len(at) - 1) if at[j] <= m)
    t, h = (math.log((m + 1) / (n - m)) - x[i]) / width[i], width[i]
    basis = (2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, -2 * t**3 + 3 * t**2, t**3 - t**2)
    return sum(
        a * b for a, b in zip(basis, (loss[i], h * slope(i), loss[i + 1], h * slope(i + 1)), strict=True)
    )


@given(st.integers(2, 12), st.data())
@settings(deadline=None, max_examples=60)
def test_the_bracket_holds_every_curve_that_does_not_rise(n, data):
    """Beyond the rows; between them the interpolated curve lies between its neighbours."""
    losses = data.draw(st.lists(st.floats(0, 2), min_size=n, max_size=n))
    true = np.sort(floats(*losses))[::-1]
    at = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=min(n, 2)))))
    curve = curve_from_table(LossTable(n, n - at, true[at]))
    for q in (None, 8):
        low, high = curve.bracket(q)
        outside = (np.arange(n) < at[0]) | (np.arange(n) > at[-1])
        slack = 1e-12
        assert np.all((low - slack <= true)[outside])
        assert np.all((true <= high + slack)[outside])
        np.testing.assert_array_equal(low[~outside], curve.loss[~outside])
        np.testing.assert_array_equal(high[~outside], curve.loss[~outside])
    assert np.all(np.diff(np.asarray(curve.loss)) <= slack)


def test_a_model_worse_than_chance_has_no_empty_bracket():
    curve = LossCurve([9.0, 9.0, 1.0], count=[0.0, 1.0, 1.0])
    assert [ends.tolist() for ends in curve.bracket(2)] == [[9.0, 9.0, 1.0], [9.0, 9.0, 1.0]]


def test_a_curve_of_one_position_is_its_loss():
    assert between_rows(1, np.array([0]), floats(2)).tolist() == [2.0]


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
