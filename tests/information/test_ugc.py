"""Costs in continuous time, against published numbers and adaptive quadrature."""

import math

import _oracles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom

from mdmjax._errors import InvalidInputError
from mdmjax.information import ugc
from mdmjax.information.closed_form import (
    curve_from_steps,
    mds_curve,
    parity_curve,
    permutation_curve,
    repetition_curve,
)
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.information.ugc import effective_total_correlation, ugc_costs


@pytest.mark.parametrize(
    ("flip", "coarse", "fine", "ratio"),
    [(0.01, 5.032, 1.116, 4.511), (0.30, 5.666, 2.617, 2.165), (0.45, 0.621, 0.375, 1.653)],
)
def test_the_published_noisy_bits(flip, coarse, fine, ratio):
    # arXiv 2608.13520, 128 tokens; papers.md 4.8.
    costs = ugc_costs(noisy_bit_curve(128, flip))
    assert float(costs.coarse) == pytest.approx(coarse, abs=5e-4)
    assert float(costs.fine) == pytest.approx(fine, abs=5e-4)
    assert float(costs.coarse / costs.fine) == pytest.approx(ratio, abs=5e-4)


def test_the_repeated_bit_has_the_published_density():
    # q = d (d-1) log 2 t^2 (1-t)^d (Eq. 24a); parity is its mirror image.
    d = 40
    half_width = math.log(d - 1)
    t = lambda logit: 1 / (1 + math.exp(-logit))
    density = lambda x: d * (d - 1) * math.log(2) * t(x) ** 2 * t(-x) ** d
    area = quad(density, -half_width, half_width, epsabs=0, epsrel=1e-12)[0]
    root = quad(lambda x: math.sqrt(density(x)), -half_width, half_width, epsabs=0, epsrel=1e-12)[0]
    for curve in repetition_curve(d, 2), parity_curve(d, 2):
        costs = ugc_costs(curve)
        np.testing.assert_allclose(costs.coarse, 2 * half_width * area, 1e-11)
        np.testing.assert_allclose(costs.fine, root**2, 1e-11)


CURVES = {
    "step in the middle": mds_curve(12, 6, 2),
    "two far steps": curve_from_steps([0.1, 5.0], [2, 12], 12),
    "permutation": permutation_curve(10),
    "two positions": repetition_curve(2, 2),
}


@pytest.mark.parametrize("name", CURVES)
def test_equal_adaptive_quadrature_of_the_definition(name):
    curve = CURVES[name]
    slope = lambda t: _oracles.bernstein_slope(curve.information, t)
    whole = lambda f, low, high: quad(f, low, high, epsabs=0, epsrel=1e-12, limit=200)[0]
    turn = math.exp(-1)
    effective = whole(lambda t: t * slope(t), 0, turn)
    effective += whole(lambda t: -t * math.log(t) * slope(t), turn, 1)
    np.testing.assert_allclose(effective_total_correlation(curve), effective, 1e-10)
    if curve.n < 3:
        return
    ends = 1 / curve.n, 1 - 1 / curve.n
    root = whole(lambda t: math.sqrt(max(slope(t), 0.0)), *ends)  # sqrt(q) dlogit = sqrt(h') dt
    area = whole(lambda t: t * (1 - t) * slope(t), *ends)
    costs = ugc_costs(curve)
    np.testing.assert_allclose(costs.coarse, 2 * math.log(curve.n - 1) * area, 1e-10)
    np.testing.assert_allclose(costs.fine, root**2, 1e-10)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([0.0, 1e-3, 0.5, 1.0]), min_size=30, max_size=30))
def test_the_orders_of_the_summaries(rises):
    curve = curve_from_steps(np.cumsum(rises), np.arange(2, 32), 31)
    costs, effective = ugc_costs(curve), effective_total_correlation(curve)
    assert costs.fine <= costs.coarse * (1 + 1e-9)
    assert curve.ugc_mass <= effective * (1 + 1e-9)
    assert effective <= math.e / (math.e - 1) * curve.ugc_mass * (1 + 1e-9)
    least = min(curve.total_correlation, curve.dual_total_correlation)
    assert effective <= least * (1 + 1e-9)  # min(1, log 1/t) t <= t, and <= 1 - t


@pytest.mark.parametrize(
    ("n", "dim"),
    [(500, 25), *(pytest.param(10**4, dim, marks=pytest.mark.slow) for dim in (1, 500, 9999))],
)
def test_accuracy_of_long_curves(n, dim):
    # The area under the density over the whole line is H(0,1), which is a sum.
    curve = mds_curve(n, dim, 2)
    nodes = ugc._panels(curve, (-30.0, 30.0))
    area = jnp.sum(nodes[1] * ugc._density(curve.information, nodes[0]))
    np.testing.assert_allclose(area, curve.ugc_mass, 1e-9)
    # Panels of half the length agree on the root, which has no closed form.
    costs = ugc_costs(curve)
    halved = ugc._panels(permutation_curve(4 * n), (-math.log(n - 1), math.log(n - 1)))
    root = jnp.sum(halved[1] * jnp.sqrt(ugc._density(curve.information, halved[0])))
    np.testing.assert_allclose(costs.fine, root**2, 1e-9)


@pytest.mark.parametrize("n", [500, pytest.param(10**4, marks=pytest.mark.slow)])
def test_the_effective_total_correlation_of_long_curves_equals_the_quadrature(n):
    rises = np.random.default_rng(n).exponential(size=n - 1) ** 3
    curve = curve_from_steps(np.cumsum(rises), np.arange(2, n + 1), n)
    end, turn = math.log(n) + 20, -math.log(math.e - 1)  # the minimum turns at t = 1/e
    logits, widths = ugc._panels(curve, (-end, turn, end))
    discount = jnp.minimum(1.0, -jax.nn.log_sigmoid(logits)) / jax.nn.sigmoid(-logits)
    quadrature = jnp.sum(widths * discount * ugc._density(curve.information, logits))
    np.testing.assert_allclose(effective_total_correlation(curve), quadrature, 1e-11)


def test_a_binomial_mean_leaves_out_only_what_is_below_rounding():
    trials, times = 50_000, np.array([1e-9, 1e-4, 0.3, 0.5, 1 - 2e-5])
    values = np.random.default_rng(0).normal(size=trials + 1)
    weights = binom.pmf(np.arange(trials + 1), trials, times[:, None])
    found = ugc.bernstein(jnp.asarray(values), jnp.asarray(times))
    np.testing.assert_allclose(found, weights @ values, rtol=0, atol=1e-11)  # pmf is good to 1e-11
    reach = ugc._reach(trials)
    assert ugc._reach(trials) < trials / 30
    for time in times:
        mode = math.floor((trials + 1) * time)
        outside = binom.cdf(mode - reach - 1, trials, time) + binom.sf(mode + reach, trials, time)
        assert outside < math.exp(-71)


def test_no_information_costs_nothing():
    curve = mds_curve(5, 5, 2)
    assert [float(cost) for cost in ugc_costs(curve)] == [0.0, 0.0]
    assert float(effective_total_correlation(curve)) == 0.0
    assert float(effective_total_correlation(repetition_curve(1, 2))) == 0.0


def test_refuses():
    with pytest.raises(InvalidInputError, match="n is 2"):
        ugc_costs(repetition_curve(2, 2))
    with pytest.raises(InvalidInputError, match="n is 10000000: want at most 4e"):
        ugc_costs(repetition_curve(10**7, 2))


def test_float32_is_good_to_1e_4():
    make = lambda: permutation_curve(500)
    exact = *ugc_costs(make()), effective_total_correlation(make())
    with jax.enable_x64(False):
        single = *ugc_costs(make()), effective_total_correlation(make())
    assert all(value.dtype == jnp.float32 for value in single)
    np.testing.assert_allclose(single, exact, 1e-4)


def test_float32_density_where_the_square_of_n_is_beyond_int32():
    logits = [-3.0, 0.0, 2.0]
    exact = ugc._density(permutation_curve(50_000).information, jnp.array(logits))
    with jax.enable_x64(False):
        single = ugc._density(permutation_curve(50_000).information, jnp.array(logits))
    np.testing.assert_allclose(single, exact, 1e-3)
