"""Guarded logarithms: values and gradients at 0, and the accuracy of our float64 logarithm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._numerics import entropy, kl_terms, neg_xlogx, safe_log, xlogx


@pytest.mark.parametrize("function", [xlogx, neg_xlogx])
def test_value_and_gradient_at_zero(function):
    value, gradient = jax.value_and_grad(lambda p: function(p).sum())(jnp.array([0.0, 0.25]))
    sign = 1 if function is xlogx else -1
    assert float(value) == pytest.approx(sign * 0.25 * np.log(0.25), rel=1e-15)
    np.testing.assert_allclose(gradient, [0.0, sign * (1 + np.log(0.25))], rtol=1e-15)


def test_safe_log_of_zero_is_minus_infinity_with_zero_gradient():
    assert float(safe_log(jnp.array(0.0))) == -np.inf
    assert float(jax.grad(safe_log)(jnp.array(0.0))) == 0.0


def test_fast_logarithm_is_within_four_ulp():
    rng = np.random.default_rng(0)
    near_one = 1 + np.linspace(-1e-3, 1e-3, 4001)
    p = np.concatenate([rng.random(200_000), 10.0 ** np.linspace(-300, 2, 50_000), near_one])
    exact = -p * np.log(p)
    error = np.abs(np.asarray(neg_xlogx(jnp.asarray(p))) - exact)
    assert np.max(error / np.spacing(np.maximum(np.abs(exact), 1e-290))) <= 4


def test_subnormal_probabilities_are_harmless():
    tiny = jnp.array([5e-324, 1e-310])
    assert np.all(np.abs(neg_xlogx(tiny)) < 1e-300)


def test_kl_terms_keep_digits_that_the_plain_sum_loses():
    p = np.full(2**12, 2.0**-12)
    r = p * (1 + 1e-5 * np.where(np.arange(2**12) % 2, 1.0, -1.0))
    exact = -0.5 * np.log1p(-1e-10)  # mean of -log(1 + u) over u = +-1e-5
    assert float(kl_terms(jnp.asarray(p), jnp.asarray(r)).sum()) == pytest.approx(exact, rel=1e-9)
    single = kl_terms(jnp.asarray(p, jnp.float32), jnp.asarray(r, jnp.float32)).sum()
    assert float(single) == pytest.approx(exact, rel=2e-2)
    assert np.all(np.asarray(kl_terms(jnp.asarray(p), jnp.asarray(r))) >= 0)


def test_kl_is_infinite_without_support_and_r_where_p_is_zero():
    terms = kl_terms(jnp.array([0.5, 0.0]), jnp.array([0.0, 0.25]))
    assert terms.tolist() == [np.inf, 0.25]


def test_entropy_over_several_axes():
    table = jnp.full((2, 3, 4), 1 / 24)
    assert float(entropy(table, axis=(0, 1, 2))) == pytest.approx(np.log(24), rel=1e-15)


def test_kl_of_a_very_small_probability_is_finite():
    for dtype, tiny in ((jnp.float64, 1e-200), (jnp.float32, 1e-30)):
        term = kl_terms(jnp.array([0.5], dtype), jnp.array([tiny], dtype))
        assert float(term[0]) == pytest.approx(0.5 * np.log(0.5 / tiny) - 0.5, rel=1e-6)
    assert np.isnan(kl_terms(jnp.array([jnp.nan, 0.5]), jnp.array([0.5, jnp.nan]))).all()
