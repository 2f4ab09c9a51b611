"""Properties of the information curve: against dit, its published tests, and the definitions."""

import math

import _oracles
import _strategies
import dit
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from mdmjax._errors import InvalidInputError
from mdmjax.distributions.joint import Joint
from mdmjax.information.closed_form import (
    mds_curve,
    parity_curve,
    permutation_curve,
    repetition_curve,
)
from mdmjax.information.curve import InformationCurve, curve_from_mean_entropies
from mdmjax.information.enumeration import information_curve
from mdmjax.information.loss_curve import LossCurve

EPS = np.finfo(float).eps
BIT = math.log(2)


def random_table(seed, n, q=2):
    return np.random.default_rng(seed).dirichlet(np.full(q**n, 0.3)).reshape((q,) * n)


def curve_of_words(words, n):
    return information_curve(Joint(jnp.asarray(_oracles.uniform_table(words, n, 2))))


def words(text):
    return [[int(symbol) for symbol in word] for word in text.split()]


# The expected values of dit's own tests: test_total_correlation, test_dual_total_correlation,
# test_tse_complexity (in bits).
@pytest.mark.parametrize("n", range(3, 7))
def test_dit_test_tc1_parity(n):
    curve = curve_of_words([w for w in np.ndindex(*(2,) * n) if sum(w) % 2 == 0], n)
    assert float(curve.total_correlation) / BIT == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize(
    ("text", "bits"), [("00 11", 1), ("000 111", 1), ("0000 1111", 1), ("000 011 101 110", 2)]
)
def test_dit_test_b1_to_b4(text, bits):
    outcomes = words(text)
    curve = curve_of_words(outcomes, len(outcomes[0]))
    assert float(curve.dual_total_correlation) / BIT == pytest.approx(bits, abs=1e-13)


def test_dit_test_gb_order_2_is_the_dual_total_correlation_of_five_bits_of_even_parity():
    curve = curve_of_words([w for w in np.ndindex(2, 2, 2, 2, 2) if sum(w) % 2 == 0], 5)
    assert float(curve.dual_total_correlation) / BIT == pytest.approx(4, abs=1e-13)


@pytest.mark.parametrize("n", range(2, 7))
def test_dit_test_tse2_giant_bit(n):
    curve = curve_of_words([[0] * n, [1] * n], n)
    assert float(curve.tse_complexity) / BIT == pytest.approx((n - 1) / 2, abs=1e-13)


@pytest.mark.parametrize(("seed", "n", "q"), [(0, 3, 2), (1, 5, 2), (2, 3, 3), (3, 2, 4)])
def test_random_joints_equal_dit(seed, n, q):
    table = random_table(seed, n, q)
    law, curve = dit.Distribution.from_ndarray(table), information_curve(Joint(jnp.asarray(table)))
    for ours, theirs in [
        (curve.total_correlation, dit.multivariate.total_correlation(law)),
        (curve.dual_total_correlation, dit.multivariate.dual_total_correlation(law)),
        (curve.tse_complexity, dit.multivariate.tse_complexity(law)),
        (curve.entropy, dit.shannon.entropy(law)),
    ]:
        assert float(ours) / BIT == pytest.approx(float(theirs), rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(_strategies.probabilities(16))
def test_every_curve_rises_from_zero_and_orders_its_summaries(flat):
    table = flat.reshape(2, 2, 2, 2)
    curve = information_curve(Joint(jnp.asarray(table)))
    noise = 2**4 * 16 * EPS
    z = np.asarray(curve.information)
    np.testing.assert_allclose(z, _oracles.information_by_subsets(table).astype(float), 0, noise)
    assert abs(z[0]) <= noise
    assert np.all(np.diff(z) >= -noise)  # Han
    assert z[-1] <= curve.marginal_entropy + noise
    # H(0,1) <= min(TC, DTC), and TC + DTC = n Z_n.
    least = min(curve.total_correlation, curve.dual_total_correlation)
    assert curve.ugc_mass <= least + noise
    both = curve.total_correlation + curve.dual_total_correlation
    np.testing.assert_allclose(both, 4 * z[-1], 0, noise)
    np.testing.assert_allclose(
        curve.tse_complexity, _oracles.tse_by_loop(np.asarray(curve.mean_entropies)), 0, noise
    )


@pytest.mark.parametrize(
    "curve",
    [
        permutation_curve(12),
        mds_curve(9, 4, 3),
        information_curve(Joint(jnp.asarray(random_table(5, 6)))),
    ],
)
def test_integrals_over_a_reveal_time(curve):
    # papers.md section 0: TC = int (1-t) h', DTC = int t h', H(0,1) = int t (1-t) h', and
    # h(1) = TC + DTC. Gauss-Legendre of n nodes is exact for these polynomials.
    x, w = np.polynomial.legendre.leggauss(curve.n)
    t, w = (x + 1) / 2, w / 2
    slope = np.array([_oracles.bernstein_slope(curve.information, s) for s in t])
    for weight, value in [
        (1 - t, curve.total_correlation),
        (t, curve.dual_total_correlation),
        (t * (1 - t), curve.ugc_mass),
        (np.ones_like(t), curve.total_correlation + curve.dual_total_correlation),
    ]:
        np.testing.assert_allclose(np.sum(w * weight * slope), value, 1e-12)


@pytest.mark.parametrize("n", [2, 7, 128, 10**6])
def test_ugc_mass_and_tse_of_repetition_and_parity(n):
    for curve in repetition_curve(n, 2), parity_curve(n, 2):
        np.testing.assert_allclose(curve.ugc_mass, (n - 1) / (n + 1) * BIT, 4 * EPS)
        np.testing.assert_allclose(curve.tse_complexity, (n - 1) / 2 * BIT, 4 * EPS)


def test_mean_entropies_and_conditional_entropies_by_the_chain_rule():
    table = random_table(7, 4)
    curve = information_curve(Joint(jnp.asarray(table)))
    positive = table[table > 0]
    np.testing.assert_allclose(curve.entropy, -np.sum(positive * np.log(positive)), 1e-13)
    np.testing.assert_allclose(np.diff(curve.mean_entropies), curve.loss, 1e-12)
    again = curve_from_mean_entropies(curve.mean_entropies)
    np.testing.assert_allclose(again.information, curve.information, 0, 64 * EPS)
    assert float(again.marginal_entropy) == float(curve.mean_entropies[1])


@pytest.mark.parametrize("shape", [(), (0,), (2, 2)])
def test_refuses_what_is_not_a_curve(shape):
    # The annotation is checked before the message when run-time types are on, as they are here.
    with pytest.raises((InvalidInputError, TypeError)):
        InformationCurve(jnp.zeros(shape), jnp.array(0.0))


def test_curves_take_lists_and_numpy():
    curve = InformationCurve([0, 0.5, 1], np.float64(1))
    assert curve.information.dtype == curve.marginal_entropy.dtype == jnp.float64
    assert InformationCurve(np.zeros(2, np.float32), 1.0).loss.dtype == jnp.float32
    assert LossCurve([2, 1]).loss.tolist() == [2.0, 1.0]
    assert LossCurve([2, 1]).measured.tolist() == [True, True]
    for stderr in ([0.1], [[0.1, 0.2]]):
        with pytest.raises(InvalidInputError, match="stderr is of shape"):
            LossCurve([2.0, 1.0], stderr)


def test_float32_summaries_of_a_million_positions():
    names = ("total_correlation", "dual_total_correlation", "entropy", "ugc_mass", "tse_complexity")
    exact = [float(getattr(permutation_curve(10**6), name)) for name in names]
    with jax.enable_x64(False):
        single = [getattr(permutation_curve(10**6), name) for name in names]
    assert all(value.dtype == jnp.float32 for value in single)
    np.testing.assert_allclose(single, exact, 1e-5)
