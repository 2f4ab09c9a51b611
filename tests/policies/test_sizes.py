"""The best random orders against brute force, and between schedules and policies."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import best_sizes_tree
from _strategies import SEEDS, any_denoiser, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    Argmax,
    InvalidInputError,
    Joint,
    Oracle,
    decode,
    exact_law,
    frontier,
    information_curve,
    kl,
    noisy_repeated_bit,
    optimal_policy,
    optimal_policy_frontier,
    optimal_sizes,
    optimal_sizes_calls,
    tabulate,
    tabulate_denoiser,
)

SKEWED = np.random.default_rng(0).dirichlet(np.full(16, 0.3)).reshape((2,) * 4)


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=10)
def test_the_least_of_all_trees_of_sizes(data, seed):
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    denoiser, rows_of = any_denoiser(table, seed)
    joint = Joint(jnp.asarray(table))
    for steps in (n - 1, n):
        best = optimal_sizes(joint, steps, denoiser=denoiser)
        slow = best_sizes_tree(table, rows_of, steps)
        np.testing.assert_allclose(best.expected_kl, slow, rtol=0, atol=1e-12)
    for price in (0.0, 0.05, 0.4):
        best = optimal_sizes_calls(joint, price, denoiser=denoiser)
        total = float(best.expected_kl) + price * float(best.expected_calls)
        slow = best_sizes_tree(table, rows_of, n, price)
        np.testing.assert_allclose(total, slow, rtol=0, atol=1e-12)


def test_between_the_best_policy_and_the_best_schedule():
    joint = Joint(jnp.asarray(SKEWED))
    schedules = frontier(information_curve(joint), 4).gaps
    policies = optimal_policy_frontier(joint, 4)
    sizes = np.array([float(optimal_sizes(joint, steps).expected_kl) for steps in (2, 3)])
    assert np.all(np.asarray(policies)[1:3] <= sizes + 1e-14)
    np.testing.assert_allclose(sizes[0], schedules[1], rtol=0, atol=1e-14)  # two steps cannot adapt
    assert sizes[1] <= schedules[2] + 1e-14
    # At a price they can: most words need fewer steps than the worst.
    priced = optimal_sizes_calls(joint, 0.025)
    least = float(priced.expected_kl) + 0.025 * float(priced.expected_calls)
    assert least < np.min(schedules + 0.025 * np.arange(1, 5)) - 1e-3


def test_positions_do_not_matter_where_they_are_exchangeable():
    bits = tabulate(noisy_repeated_bit(4, 0.1))
    sizes = [float(optimal_sizes(bits, steps).expected_kl) for steps in (2, 3)]
    np.testing.assert_allclose(sizes, optimal_policy_frontier(bits, 4)[1:3], rtol=0, atol=1e-14)


def test_the_decoder_does_what_is_promised():
    """No more calls than asked for, and a law no worse than the mean; at price 0 one exact token a call."""
    joint = Joint(jnp.asarray(SKEWED))
    best = optimal_sizes(joint, 3)
    law = exact_law(Oracle(joint), best.decoder)
    assert law.calls.size <= 4
    assert float(kl(joint, law)) <= float(best.expected_kl) + 1e-14  # Jensen
    one_by_one = optimal_sizes_calls(joint, 0.0)
    law = exact_law(Oracle(joint), one_by_one.decoder)
    np.testing.assert_allclose(law.probs, joint.probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.expected_calls, one_by_one.expected_calls, rtol=1e-14)


@pytest.mark.parametrize("best", [optimal_policy, optimal_sizes])
def test_draws_follow_the_law(best, key):
    joint, draws = Joint(jnp.asarray(SKEWED)), 20000
    oracle, decoder = tabulate_denoiser(Oracle(joint)), best(joint, 3).decoder
    law = exact_law(oracle, decoder)
    found = eqx.filter_jit(jax.vmap(lambda k: decode(k, oracle, decoder)))(jax.random.split(key, draws))
    words = np.asarray(found.tokens) @ np.array([8, 4, 2, 1])
    for values, p in [(words, law.probs), (np.asarray(found.calls), law.calls)]:
        p = np.asarray(p).reshape(-1)
        seen = np.bincount(values, minlength=p.size) / draws
        assert np.all(np.abs(seen - p) <= 5 * np.sqrt(p * np.maximum(1 - p, 0) / draws) + 1e-4)


def test_an_infinite_cost_is_infinite_and_ends():
    joint = Joint(jnp.asarray([[0.5, 0.2], [0.2, 0.1]]))
    best = optimal_sizes(joint, 1, denoiser=Argmax(Oracle(joint)))
    assert float(best.expected_kl) == np.inf
    assert float(exact_law(Oracle(joint), best.decoder).expected_calls) == 1


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    with pytest.raises(InvalidInputError, match=r"steps is 3: want an integer in 1\.\.2"):
        optimal_sizes(joint, 3)
    with pytest.raises(InvalidInputError, match="price is -1"):
        optimal_sizes_calls(joint, -1.0)
    with pytest.raises(InvalidInputError, match=r"random order is of .*: want at most 2\.0 GiB"):
        optimal_sizes(Joint(jnp.full((2,) * 12, 2.0**-12)), 1)
