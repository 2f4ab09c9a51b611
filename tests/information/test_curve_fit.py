"""Curves that schedules are chosen on: the nearest that never rises, and the smooth one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.information.curve_fit import FITS, ROUGHNESS, isotonic_fit, smoothed, spline_fit
from mdmjax.information.loss_curve import LossCurve, LossTable, curve_from_table
from mdmjax.information.loss_means import loss_means


def floats(*values):
    return np.array(values, dtype=np.float64)


@st.composite
def tables(draw):
    """Losses with errors at some of the positions."""
    n = draw(st.sampled_from([3, 5, 9]))
    at = np.array(sorted(draw(st.sets(st.integers(0, n - 1), min_size=2))))
    some = st.lists(st.floats(0, 8), min_size=at.size, max_size=at.size)
    errors = st.lists(st.floats(0.1, 2), min_size=at.size, max_size=at.size)
    return LossTable(n, n - at, floats(*draw(some)), stderr=floats(*draw(errors)))


@given(tables())
@settings(deadline=None, max_examples=40)
def test_isotonic_fit_is_the_weighted_projection(table):
    """Nonincreasing, and no nonincreasing candidate is nearer (the projection's inequality)."""
    curve = curve_from_table(table)
    fit = isotonic_fit(curve)
    assert np.all(np.diff(np.asarray(fit.loss)) <= 1e-12)
    measured = np.asarray(curve.measured)
    weights = 1 / np.asarray(curve.stderr)[measured] ** 2
    data, fitted = np.asarray(curve.loss)[measured], np.asarray(fit.loss)[measured]
    generator = np.random.default_rng(0)
    for _ in range(20):
        other = -np.sort(-generator.uniform(0, 8, data.size))
        inner = np.sum(weights * (data - fitted) * (other - fitted))
        assert inner <= 1e-9 * np.sum(weights) * 64
    again = isotonic_fit(fit)
    np.testing.assert_allclose(again.loss, fit.loss, rtol=1e-12, atol=1e-12)


def test_isotonic_fit_trusts_small_standard_errors():
    """Pooling two points weighs them by 1 / stderr^2: (1/1 * 1 + 1/4 * 2) / (1 + 1/4) = 1.2."""
    table = LossTable(3, np.array([3, 2, 1]), floats(3, 1, 2), stderr=floats(1, 1, 2))
    np.testing.assert_allclose(isotonic_fit(curve_from_table(table)).loss, [3, 1.2, 1.2])


def slow_smooth(x, y, stderr):
    """A line with a flat prior plus integrated Brownian motion: dense, by generalised least squares."""
    weights = stderr**-2
    spread = np.sum(weights * (y - np.sum(weights * y) / weights.sum()) ** 2) / weights.sum()
    s, t = np.minimum.outer(x, x) - x[0], np.maximum.outer(x, x) - x[0]
    kernel = s**2 * t / 2 - s**3 / 6
    line = np.stack([np.ones_like(x), x], axis=1)
    contrasts = np.linalg.svd(line)[0][:, 2:]
    best = None
    for tau in spread / (x[-1] - x[0]) ** 3 * ROUGHNESS:
        covariance = tau * kernel + np.diag(stderr**2)
        inside = contrasts.T @ covariance @ contrasts
        z = contrasts.T @ y
        cost = np.linalg.slogdet(inside)[1] + z @ np.linalg.solve(inside, z)
        if best is None or cost < best[0] - 1e-9:
            inverse = np.linalg.inv(covariance)
            beta = np.linalg.solve(line.T @ inverse @ line, line.T @ inverse @ y)
            best = cost, line @ beta + tau * kernel @ inverse @ (y - line @ beta)
    return best[1]


@pytest.mark.parametrize("size", [3, 4, 5, 12])
def test_the_spline_is_the_mean_of_integrated_brownian_motion(size):
    generator = np.random.default_rng(size)
    for _ in range(10):
        x = np.sort(generator.uniform(-3, 3, size))
        stderr = generator.uniform(0.05, 0.5, size)
        y = np.sin(2 * x) + stderr * generator.normal(size=size)
        np.testing.assert_allclose(smoothed(x, y, stderr), slow_smooth(x, y, stderr), rtol=1e-6, atol=1e-7)


def test_a_smoothed_line_is_that_line_and_little_noise_is_kept():
    x = np.sort(np.random.default_rng(0).uniform(-3, 3, 9))
    np.testing.assert_allclose(smoothed(x, 3 - 2 * x, np.full(9, 0.3)), 3 - 2 * x, atol=1e-12)
    np.testing.assert_allclose(smoothed(x, np.cos(9 * x), np.full(9, 1e-4)), np.cos(9 * x), atol=1e-3)
    assert smoothed(x[:2], floats(1, 5), floats(9, 9)).tolist() == [1, 5]


@given(tables())
@settings(deadline=None, max_examples=40)
def test_the_smooth_fit_never_rises_and_scales(table):
    """Where nothing is cut at 0, nats or bits are the same."""
    curve = curve_from_table(table)
    fit = np.asarray(spline_fit(curve).loss)
    assert np.all(np.diff(fit) <= 1e-9)
    assert np.all(fit >= 0)
    high = LossCurve(np.asarray(curve.loss) + 20, curve.stderr, curve.count)
    twice = LossCurve(2 * np.asarray(high.loss), 2 * np.asarray(curve.stderr), curve.count)
    np.testing.assert_allclose(spline_fit(twice).loss, 2 * np.asarray(spline_fit(high).loss), rtol=1e-6)


def test_the_smooth_fit_beats_the_rows_of_a_smooth_curve():
    """A tenth of the squared error over all positions, and half of the isotonic fit's."""
    n = 64
    true = 4 - 3 / (1 + np.exp(-np.log((np.arange(n) + 1) / (n - np.arange(n)))))
    generator, errors = np.random.default_rng(3), []
    for _ in range(20):
        loss = true + 0.1 * generator.normal(size=n)
        curve = curve_from_table(LossTable(n, n - np.arange(n), loss, stderr=np.full(n, 0.1)))
        errors.append([np.mean((np.asarray(f(curve).loss) - true) ** 2) for f in FITS.values()])
    rows, isotonic, spline = np.mean(errors, axis=0)
    assert spline < 0.1 * rows
    assert spline < 0.5 * isotonic


def test_fits_that_cannot_be_had():
    with pytest.raises(
        InvalidInputError, match="stderr is not known of n_masked = 2: want one of every row"
    ):
        spline_fit(LossCurve([1.0, 0.5], [np.nan, 0.1]))
    exact = LossCurve([2.0, 1.0, 1.5], [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(spline_fit(exact).loss, isotonic_fit(exact).loss)
    some = LossCurve([2.0, 1.0, 1.5, 1.0], [0.0, 0.1, 0.1, 0.1])
    assert np.all(np.isfinite(spline_fit(some).loss))


def test_a_table_of_repeated_rows_can_be_smoothed():
    table = LossTable(3, np.array([3, 3, 2, 2, 1]), floats(3, 3.2, 1, 1.3, 1.1))
    assert np.all(np.diff(np.asarray(spline_fit(loss_means(table).curve()).loss)) < 0)
