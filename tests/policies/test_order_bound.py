"""The weights of Eq. 11 against their recursions, and the bound for a denoiser that obeys Eq. 10."""

import jax.numpy as jnp
import numpy as np
import pytest
from _strategies import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import EntropyNoise, InvalidInputError, Joint, Oracle
from mdmjax.policies.orders import fixed_orders, last_error_weights, order_bound, sum_error_weights

NATS = st.integers(0, 300).map(lambda hundredths: hundredths / 100)


def errors_by_recursion(entropies, alpha, lam, b, past):
    """The largest errors that Eq. 10 allows, `past` being the reading: of all errors before, a number."""
    errors = []
    for h in entropies:
        errors.append(alpha * h + lam * past(errors) + b)
    return errors


READINGS = [(sum_error_weights, sum), (last_error_weights, lambda errors: errors[-1] if errors else 0.0)]


@pytest.mark.parametrize(("weights", "past"), READINGS)
@given(st.lists(NATS, min_size=1, max_size=8), st.floats(0.01, 3), NATS, NATS)
@settings(deadline=None, max_examples=60)
def test_the_weights_solve_their_recursion(weights, past, entropies, alpha, lam, b):
    total = sum(errors_by_recursion(entropies, alpha, lam, b, past))
    bound = order_bound(jnp.asarray(entropies), alpha, lam, b, weights=weights)
    np.testing.assert_allclose(bound, total, rtol=1e-12)


def test_the_two_readings_part_and_the_offset_is_carried_on():
    """Eq. 36 takes them for the same; and Eq. 11 adds T b, which is too little once lam > 0."""
    assert sum_error_weights(1.0, 0.5, 3).tolist() == [2.25, 1.5, 1.0]
    assert last_error_weights(1.0, 0.5, 3).tolist() == [1.75, 1.5, 1.0]
    for weights, past in READINGS:
        total = sum(errors_by_recursion([0.0] * 3, 1.0, 0.5, 0.1, past))
        assert total > 3 * 0.1 + 0.1
        assert float(order_bound(jnp.zeros(3), 1.0, 0.5, 0.1, weights=weights)) == pytest.approx(total)
        np.testing.assert_allclose(weights(0.7, 0.0, 4), 0.7)


@given(st.data(), st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([0.0, 0.2, 1.0]))
@settings(deadline=None, max_examples=12)
def test_the_bound_is_a_theorem(data, alpha, lam):
    """Left to right Eq. 10 holds with b = 0; with lam = 0 in every order. Equality below the cap."""
    n, q = data.draw(st.sampled_from([(2, 3), (4, 2)]))
    joint = Joint(jnp.asarray(data.draw(probabilities(q**n)).reshape((q,) * n)))
    found = fixed_orders(joint, EntropyNoise(Oracle(joint), alpha, lam))
    bounds = order_bound(found.entropies, alpha, lam)
    ok = np.asarray(found.reverse_kl <= bounds + 1e-9)
    assert ok[0]  # the first order is from left to right
    if lam == 0:
        assert ok.all()
        np.testing.assert_allclose(found.reverse_kl, bounds, rtol=1e-7, atol=1e-9)


def test_the_bound_is_reached_from_left_to_right():
    table = np.random.default_rng(0).dirichlet(np.full(16, 2.0)).reshape((2,) * 4)
    joint = Joint(jnp.asarray(table))
    found = fixed_orders(joint, EntropyNoise(Oracle(joint), 0.02, 0.5))
    np.testing.assert_allclose(found.reverse_kl[0], order_bound(found.entropies[0], 0.02, 0.5), rtol=1e-7)
    # The geometric weights are those of another recursion, and are too small here.
    small = order_bound(found.entropies[0], 0.02, 0.5, weights=last_error_weights)
    assert float(found.reverse_kl[0]) > float(small) + 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.1, 0.0), "alpha is 0.0"),
        ((1.0, -0.1, 0.0), "lam is -0.1"),
        ((1.0, 0.1, float("nan")), "b is nan"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        order_bound(jnp.zeros(2), *arguments)
    with pytest.raises(InvalidInputError, match="steps is 0"):
        sum_error_weights(1.0, 0.0, 0)
