"""The interval of Proposition 2: its formula, its moments, its coverage, and a public fault."""

import itertools
import math
import statistics
from itertools import pairwise as pairs

import _growth_oracles as slow
import numpy as np
import pytest
from _strategies import nondecreasing_curves, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from mdmjax._errors import InvalidInputError
from mdmjax.information.growth import (
    best_alpha,
    dyadic_logits,
    entropy_interval,
    growth_interval,
    moment_bound,
    sample_moment,
)


@pytest.mark.parametrize(("low", "high"), [(-4.8, 4.8), (0.0, math.log(2)), (1.0, 1.1), (-3.0, 0.3)])
def test_odds_double_up_to_the_end(low, high):
    logits = dyadic_logits(low, high)
    assert logits[[0, -1]].tolist() == [low, high]
    assert logits.size - 1 == max(1, math.ceil(round((high - low) / math.log(2), 9)))  # J
    factors = np.diff(np.exp(logits)) / np.exp(logits[:-1])
    np.testing.assert_allclose(factors[:-1], 1.0)
    assert 0 < factors[-1] <= 1 + 1e-12


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 50), min_size=2, max_size=30),
    st.sampled_from([4.0, 6.0, 64.0]),
    st.sampled_from([0.01, 0.5]),
)
def test_equals_the_formula(draws, alpha, eta):
    found = growth_interval(np.array(draws), 0.3, 2.0, alpha, eta)
    mean, radius = slow.proposition2(draws, 0.3, 2.0, alpha, eta)
    assert found.mass == pytest.approx(mean, rel=1e-12, abs=1e-12)
    assert found.radius == pytest.approx(radius, rel=1e-9)
    assert found.upper == found.mass + found.radius
    assert found.lower == max(0.0, (found.mass - found.radius) / 2)


@settings(deadline=None)
@given(data=st.data(), eta=st.sampled_from([0.01, 0.5]), most=st.sampled_from([1.0, 7.5]))
def test_the_interval_from_entropies_equals_the_formula(data, eta, most):
    times = np.array([0.1, 0.25, 0.7, 0.9])
    row = st.lists(st.floats(0, most), min_size=4, max_size=4)
    rows = data.draw(st.lists(row, min_size=2, max_size=12))
    bounds = []
    for sign, weigh in ((-1, lambda p, q: p * (1 - q)), (1, lambda p, q: q * (1 - p))):
        weights = [weigh(p, q) for p, q in pairs(times)]
        total = lambda e, weights=weights: sum(
            w * (a - b) for w, (a, b) in zip(weights, pairs(e), strict=True)
        )
        draws = [total(row) for row in rows]
        ends = [total(corner) for corner in itertools.product((0.0, most), repeat=4)]  # all that it can be
        log, m = math.log(4 / eta), len(draws)
        radius = math.sqrt(2 * statistics.variance(draws) * log / m)
        radius += 7 * (max(ends) - min(ends)) * log / (3 * (m - 1))
        bounds.append(max(statistics.mean(draws) + sign * radius, 0.0))
    found = entropy_interval(np.array(rows), times, most, eta)
    np.testing.assert_allclose(found, bounds, 1e-9, 1e-12)


@settings(deadline=None, max_examples=20)
@given(nondecreasing_curves(8))
def test_the_mass_is_between_the_sums_of_entropies(heights):
    # Without noise: entropies are their means, h(0) - h(t) but for a constant.
    times = np.array([0.05, 0.3, 0.5, 0.95])
    mass = quad(lambda t: t * (1 - t) * slow.slope(heights, t), times[0], times[-1], limit=200)[0]
    means = np.array([slow.level(heights, 1.0) - slow.level(heights, t) for t in times])
    found = entropy_interval(np.tile(means, (10**4, 1)), times, 0.0, 0.5)
    assert found.lower <= mass + 1e-9 <= found.upper + 2e-9


@settings(deadline=None, max_examples=15)
@given(probabilities(4).map(lambda p: p.reshape(2, 2)), st.sampled_from([4.0, 8.0, 20.0]))
def test_moments_are_below_the_bound(table, alpha):
    for p, q in ((0.1, 0.2), (0.4, 0.9)):
        values, weights = slow.divergence_law(table, p, q)
        moment = float(weights @ values ** (alpha / 2)) ** (2 / alpha)
        assert moment <= moment_bound(2, 2, alpha)


def test_the_bound_of_moments_is_met_by_rare_symbols():
    # y (s - 1 + log 1/y)^s is concave: the mean of log^s(1/y) under any row is at most (s - 1 + log q)^s.
    rng = np.random.default_rng(0)
    for s in (2.0, 5.0):
        for _ in range(200):
            row = rng.dirichlet(np.full(5, rng.choice([0.05, 0.5, 5.0])))
            row = row[row > 0]
            assert float(row @ (-np.log(row)) ** s) <= (s - 1 + math.log(5)) ** s


def _one_interval():
    """A table, an interval of times whose odds less than double, and everything that is exact of it."""
    flip, table = 0.2, np.zeros((2, 2, 2))
    for word in np.ndindex(2, 2, 2):
        ones = sum(word)
        table[word] = (flip**ones * (1 - flip) ** (3 - ones) + flip ** (3 - ones) * (1 - flip) ** ones) / 2
    p, q = 0.4, 0.5
    values, weights = slow.divergence_law(table, p, q)
    entropy = lambda k: slow.subset_entropy(table, tuple(range(k)))
    heights = np.array([2 * entropy(1) - entropy(1)] * 3) - np.diff([entropy(k) for k in range(4)])
    mass = quad(lambda t: t * (1 - t) * slow.slope(heights, t), p, q)[0]
    return values, weights, p * (1 - q), mass, heights, (p, q)


def test_lemma_1_of_one_interval():
    values, weights, scale, mass, heights, (p, q) = _one_interval()
    mean = float(weights @ values)
    assert mean == pytest.approx(slow.level(heights, q) - slow.level(heights, p), rel=1e-10)
    assert scale * mean <= mass <= 2 * scale * mean
    assert mass > 2 * (q - p) * mean  # as the weight is written in Eq. 32b: odds grow by half here


@settings(deadline=None, max_examples=60)
@given(nondecreasing_curves(9), st.floats(-4, 3), st.floats(0.05, 5))
def test_the_mean_of_the_draws_is_within_a_factor_of_two(heights, low, length):
    # E Q <= H <= 2 E Q (Lemma 1), for every interval and every curve.
    times = 1 / (1 + np.exp(-dyadic_logits(low, low + length)))
    rise = np.diff([slow.level(heights, t) for t in times])
    mean = float(np.sum(times[:-1] * (1 - times[1:]) * rise))
    mass = quad(lambda t: t * (1 - t) * slow.slope(heights, t), times[0], times[-1], epsabs=1e-13)[0]
    slack = 1e-9 * heights[-1] * len(heights)
    assert mean - slack <= mass <= 2 * mean + slack


def test_the_truncation_grows_with_the_draws():
    # A public implementation inverts the base of the exponent in Eq. 33b: tau shrinks where it should grow,
    # Q is cut to almost nothing, and what is said to be an upper bound is not.
    values, weights, scale, mass, _, _ = _one_interval()
    moment, size = float(np.sqrt(weights @ values**2)), 20_000  # exactly B_4
    draws = scale * np.random.default_rng(0).choice(values, size, p=weights / weights.sum())
    found = growth_interval(draws, scale, moment, 4.0, 0.05)
    mean, radius = slow.proposition2(draws, scale, moment, 4.0, 0.05, swapped=True)
    assert mean + radius < mass <= found.upper
    assert found.truncation > draws.max()
    assert found.truncation > growth_interval(draws[:2000], scale, moment, 4.0, 0.05).truncation


@pytest.mark.parametrize(
    ("repetitions", "size"), [(200, 500), pytest.param(200, 50_000, marks=pytest.mark.slow)]
)
def test_coverage_with_the_exact_moment(repetitions, size):
    values, weights, scale, mass, _, _ = _one_interval()
    moment, eta = float(np.sqrt(weights @ values**2)), 0.1
    rng, held = np.random.default_rng(1), 0
    for _ in range(repetitions):
        draws = scale * rng.choice(values, size, p=weights / weights.sum())
        found = growth_interval(draws, scale, moment, 4.0, eta)
        held += found.lower <= mass <= found.upper
    assert held >= (1 - eta) * repetitions


def test_alpha_is_the_best_of_those_tried_and_depends_on_no_draws():
    for size in (10, 10**3, 10**6):
        x = 7 * math.log(4 / 0.05) / (3 * (size - 1))
        term = lambda alpha, x=x: moment_bound(64, 3, alpha) * x ** (1 - 2 / alpha)
        best = best_alpha(64, 3, size, 0.05)
        assert all(term(best) <= term(alpha) * (1 + 1e-12) for alpha in 4.0 * 2 ** (np.arange(65) / 8))


def test_the_moment_of_draws():
    divergences = np.random.default_rng(0).gamma(0.3, 5.0, (50, 3))
    wanted = max(float(np.mean(column**3) ** (1 / 3)) for column in divergences.T)
    assert sample_moment(divergences, 6.0) == pytest.approx(wanted, rel=1e-12)
    assert sample_moment(np.zeros((4, 2)), 4.0) < 1e-200


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("alpha", {"alpha": 3.0}),
        ("eta", {"eta": 1.0}),
        ("moment", {"moment": -1.0}),
        ("samples", {"draws": np.ones(1)}),
    ],
)
def test_refuses(argument, change):
    how = {"draws": np.ones(3), "weight": 0.5, "moment": 1.0, "alpha": 4.0, "eta": 0.1}
    with pytest.raises(InvalidInputError, match=f"^{argument} is"):
        growth_interval(**how | change)
