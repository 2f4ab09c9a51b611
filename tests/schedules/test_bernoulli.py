"""Grids of random times: their error by enumeration, and the inequality that each grid is made for."""

import math

import _growth_oracles as slow
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _strategies import nondecreasing_curves, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from mdmjax._errors import InvalidInputError
from mdmjax.distributions.joint import Joint
from mdmjax.information.curve import InformationCurve
from mdmjax.information.enumeration import information_curve
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.information.loss_curve import LossCurve
from mdmjax.information.ugc import effective_total_correlation, growth_profile
from mdmjax.schedules import bernoulli
from mdmjax.schedules.bernoulli import TimeGrid, bernoulli_kl

GRIDS = ([0.0, 1.0], [0.25, 0.5, 0.75], [0.0, 0.1, 0.6, 1.0], [0.3, 0.95])


@settings(deadline=None, max_examples=25)
@given(probabilities(2, 2, 4).map(lambda t: t.reshape(2, 2, 2, 2) / t.sum()), st.sampled_from(GRIDS))
def test_equals_the_enumeration_of_who_is_revealed_when(table, times):
    found = bernoulli_kl(information_curve(Joint(jnp.asarray(table))), TimeGrid(times))
    np.testing.assert_allclose(found, slow.bernoulli_error(table, times), atol=1e-12)


@pytest.mark.parametrize("times", GRIDS)
def test_equals_the_quadrature_of_its_integral(times):
    # Gamma(p, q) = int (q - u) h'(u) du (Eq. 50a).
    heights = np.cumsum([0.0, 0.5, 0.0, 2.0])
    whole = sum(
        quad(lambda u, q=q: (q - u) * slow.slope(heights, u), p, q, epsabs=0, epsrel=1e-12)[0]
        for p, q in zip(times[:-1], times[1:], strict=True)
    )
    np.testing.assert_allclose(bernoulli_kl(InformationCurve(heights, 4.0), TimeGrid(times)), whole, 1e-12)
    as_losses = LossCurve(5.0 - heights)
    np.testing.assert_allclose(bernoulli_kl(as_losses, TimeGrid(times)), whole, 1e-12)


@settings(deadline=None, max_examples=25)
@given(nondecreasing_curves(12), st.integers(1, 40))
def test_each_grid_keeps_its_inequality(heights, steps):
    curve, n = InformationCurve(heights, float(heights[-1])), 12
    tc, dual = float(curve.total_correlation), float(curve.dual_total_correlation)
    mass = float(growth_profile(curve).mass[-1])
    slack = 1e-12 * (1 + tc + dual)
    kl = lambda grid: float(bernoulli_kl(curve, grid))
    assert kl(bernoulli.shrinking_grid(n, steps)) <= (1 - n ** (-1 / steps)) * tc + slack
    assert kl(bernoulli.growing_grid(n, steps)) <= (n ** (1 / steps) - 1) * dual + slack
    length = 2 * math.log(n - 1)
    assert kl(bernoulli.odds_grid(n, steps)) <= math.expm1(length / steps) * mass * (1 + 1e-9) + slack
    if steps >= length:  # Corollary 1 (Eq. 21)
        assert kl(bernoulli.odds_grid(n, steps)) <= 2 * length * mass / steps * (1 + 1e-9) + slack
    kappa, first, last = 2 / steps, 2.0, 0.3 / steps
    grid = bernoulli.exponential_then_constant(first, last, kappa)
    ends = (grid.times[1] + 1 - grid.times[-2]) * (tc + dual)
    effective = float(effective_total_correlation(curve))
    assert kl(grid) <= ends + math.expm1(kappa) * effective * (1 + 1e-9) + slack


@pytest.mark.parametrize(("first", "last", "kappa"), [(3.0, 0.01, 0.5), (0.7, 0.1, 2.0), (0.2, 0.9, 1.0)])
def test_exponential_then_constant_takes_no_longer_steps(first, last, kappa):
    times = bernoulli.exponential_then_constant(first, last, kappa).times
    s = -np.log(times[1:-1])
    assert times[[0, -1]].tolist() == [0.0, 1.0]
    assert s[[0, -1]] == pytest.approx([max(first, last), last])
    assert np.all(s[:-1] - s[1:] <= kappa * np.minimum(1, s[1:]) * (1 + 1e-12))


@pytest.mark.slow
def test_equal_root_mass_reaches_theorem_3():
    # N times the error tends to P / 2, and no other grid of as many steps does better (Eq. 41).
    curve = noisy_bit_curve(64, 0.3)
    profile = growth_profile(curve, 4096)
    steps = 400
    found = float(bernoulli_kl(curve, bernoulli.root_mass_grid(profile, steps)))
    assert found * 2 * steps == pytest.approx(float(profile.costs.fine), rel=5e-3)
    assert found < float(bernoulli_kl(curve, bernoulli.odds_grid(64, steps)))
    nothing = InformationCurve(jnp.zeros(5), 1.0)
    assert bernoulli.root_mass_grid(growth_profile(nothing), 3).steps == 3


def test_is_differentiable_and_maps_over_curves():
    grid, tilt = TimeGrid([0.1, 0.4, 1.0]), jnp.asarray([0.0, 0.2, -0.1, 0.4])
    cost = lambda heights: bernoulli_kl(InformationCurve(heights, jnp.asarray(3.0)), grid)
    heights = jnp.asarray([0.0, 1.0, 1.5, 2.5])
    slope = float(jnp.vdot(jax.grad(cost)(heights), tilt))
    difference = (cost(heights + 1e-4 * tilt) - cost(heights - 1e-4 * tilt)) / 2e-4
    assert slope == pytest.approx(float(difference), rel=1e-8)
    each = jax.vmap(cost)(jnp.stack([heights, 2 * heights]))
    np.testing.assert_allclose(each, [cost(heights), 2 * cost(heights)], 1e-14)


@pytest.mark.parametrize("times", [[0.5], [0.5, 0.5], [0.2, 1.1], [-0.1, 1.0], [0.0, math.nan]])
def test_refuses_what_are_no_times(times):
    with pytest.raises(InvalidInputError, match="want at least two increasing numbers"):
        TimeGrid(times)
