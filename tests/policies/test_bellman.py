"""Every class of policies against brute force; random orders lie between schedules and policies."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_compositions, best_tree_of_rows, partial_assignments
from _strategies import SEEDS, any_denoiser, counts_of, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InvalidInputError,
    Joint,
    Oracle,
    Schedule,
    any_policy,
    decode,
    exact_law,
    expected_kl,
    fixed_partition,
    frontier,
    information_curve,
    kl,
    noisy_repeated_bit,
    optimal_order,
    optimal_policy,
    optimal_policy_calls,
    optimal_policy_frontier,
    random_order,
    tabulate,
    tabulate_denoiser,
)
from mdmjax.denoisers.perturbed import Argmax
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.policies.bellman import Policies, given_sizes
from mdmjax.policies.regret import teacher_forced_calls

SKEWED = np.random.default_rng(0).dirichlet(np.full(16, 0.3)).reshape((2,) * 4)


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=10)
def test_the_least_of_all_trees_of_sizes(data, seed):
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    denoiser, rows_of = any_denoiser(table, seed)
    joint = Joint(jnp.asarray(table))
    for steps in (n - 1, n):
        best = optimal_policy(joint, steps, among=random_order, denoiser=denoiser)
        slow = best_tree_of_rows(table, rows_of, steps, only_sizes=True)
        np.testing.assert_allclose(best.expected_kl, slow, rtol=0, atol=1e-12)
    for price in (0.0, 0.05, 0.4):
        best = optimal_policy_calls(joint, price, among=random_order, denoiser=denoiser)
        total = float(best.expected_kl) + price * float(best.expected_calls)
        slow = best_tree_of_rows(table, rows_of, n, price, only_sizes=True)
        np.testing.assert_allclose(total, slow, rtol=0, atol=1e-12)


def test_between_the_best_policy_and_the_best_schedule():
    joint = Joint(jnp.asarray(SKEWED))
    schedules = frontier(information_curve(joint), 4).gaps
    policies = optimal_policy_frontier(joint, 4)
    sizes = np.asarray(optimal_policy_frontier(joint, 3, among=random_order))[1:]
    assert np.all(np.asarray(policies)[1:3] <= sizes + 1e-14)
    np.testing.assert_allclose(sizes[0], schedules[1], rtol=0, atol=1e-14)  # two steps cannot adapt
    assert sizes[1] <= schedules[2] + 1e-14
    # At a price they can: most words need fewer steps than the worst.
    priced = optimal_policy_calls(joint, 0.025, among=random_order)
    least = float(priced.expected_kl) + 0.025 * float(priced.expected_calls)
    assert least < np.min(schedules + 0.025 * np.arange(1, 5)) - 1e-3


def test_positions_do_not_matter_where_they_are_exchangeable():
    bits = tabulate(noisy_repeated_bit(4, 0.1))
    sizes = [float(optimal_policy(bits, steps, among=random_order).expected_kl) for steps in (2, 3)]
    np.testing.assert_allclose(sizes, optimal_policy_frontier(bits, 4)[1:3], rtol=0, atol=1e-14)


def test_the_decoder_does_what_is_promised():
    """No more calls than asked for, and a law no worse than the mean; at price 0 one exact token a call."""
    joint = Joint(jnp.asarray(SKEWED))
    best = optimal_policy(joint, 3, among=random_order)
    law = exact_law(Oracle(joint), best.decoder)
    assert law.calls.size <= 4
    assert float(kl(joint, law)) <= float(best.expected_kl) + 1e-14  # Jensen
    one_by_one = optimal_policy_calls(joint, 0.0, among=random_order)
    law = exact_law(Oracle(joint), one_by_one.decoder)
    np.testing.assert_allclose(law.probs, joint.probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.expected_calls, one_by_one.expected_calls, rtol=1e-14)


@pytest.mark.parametrize("among", [any_policy, random_order])
def test_draws_follow_the_law(among, key):
    joint, draws = Joint(jnp.asarray(SKEWED)), 20000
    oracle, decoder = tabulate_denoiser(Oracle(joint)), optimal_policy(joint, 3, among=among).decoder
    law = exact_law(oracle, decoder)
    found = eqx.filter_jit(jax.vmap(lambda k: decode(k, oracle, decoder)))(jax.random.split(key, draws))
    words = np.asarray(found.tokens) @ np.array([8, 4, 2, 1])
    for values, p in [(words, law.probs), (np.asarray(found.calls), law.calls)]:
        p = np.asarray(p).reshape(-1)
        seen = np.bincount(values, minlength=p.size) / draws
        assert np.all(np.abs(seen - p) <= 5 * np.sqrt(p * np.maximum(1 - p, 0) / draws) + 1e-4)


def test_an_infinite_cost_is_infinite_and_ends():
    joint = Joint(jnp.asarray([[0.5, 0.2], [0.2, 0.1]]))
    best = optimal_policy(joint, 1, among=random_order, denoiser=Argmax(Oracle(joint)))
    assert float(best.expected_kl) == np.inf
    assert float(exact_law(Oracle(joint), best.decoder).expected_calls) == 1


def dense_denoiser(n, q, seed, zeros):
    """Rows of no distribution in every context, also where the data have none."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(q), ((q + 1) ** n, n))
    rows = np.where(rng.random(rows.shape) < zeros, 0, rows) + 1e-300
    seen = np.eye(q + 1)[partial_assignments(n, q)][:, :, :q]
    rows = np.where(seen.any(-1, keepdims=True), seen, rows / rows.sum(-1, keepdims=True))
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


@pytest.mark.slow
@given(st.data(), SEEDS, st.sampled_from([0.0, 0.3]))
@settings(deadline=None, max_examples=25)
def test_it_ends_in_as_many_calls_as_asked_for_everywhere(data, seed, zeros):
    """Whatever the denoiser writes: also in contexts that the data never have."""
    n, q = data.draw(st.sampled_from([(3, 3), (3, 2), (4, 2)]))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    # The last symbol never occurs at one position.
    never = np.take(table, range(q - 1), axis=data.draw(st.integers(0, n - 1)))
    padded = np.zeros_like(table)
    padded[tuple(slice(0, size) for size in never.shape)] = never
    joint = Joint(jnp.asarray(padded / padded.sum() if padded.sum() > 0 else table))
    denoiser = dense_denoiser(n, q, seed, zeros)
    schedule = Schedule(data.draw(counts_of(n)))
    classes = [any_policy, fixed_partition, random_order, given_sizes(schedule)]
    among = data.draw(st.sampled_from(classes))
    steps = schedule.steps if among.counts else data.draw(st.integers(1, n))
    made = data.draw(st.sampled_from([None, denoiser]))
    policy = optimal_policy(joint, steps, among=among, denoiser=made)
    law = exact_law(denoiser, policy.decoder)
    assert law.calls.shape[0] <= steps + 1
    if among.counts:
        np.testing.assert_allclose(law.calls[steps], 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("among", [any_policy, random_order, given_sizes(Schedule([1, 2]))])
def test_a_symbol_that_the_data_never_have_takes_no_more_calls(among):
    """The first token says what the others are; a denoiser writes a third symbol there."""
    table = np.zeros((3, 3, 3))
    table[0, 0, 0] = table[1, 1, 1] = 0.5
    joint = Joint(jnp.asarray(table))
    policy = optimal_policy(joint, 2, among=among)
    law = exact_law(dense_denoiser(3, 3, 0, 0.0), policy.decoder)
    np.testing.assert_allclose(law.calls, [0, 0, 1], rtol=0, atol=1e-12)


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=10)
def test_given_sizes_are_the_least_of_all_trees_of_these_sizes(data, seed):
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2), (4, 2)]))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    denoiser, rows_of = any_denoiser(table, seed)
    joint, schedule = Joint(jnp.asarray(table)), Schedule(data.draw(counts_of(n)))
    steps, counts = schedule.steps, schedule.counts.tolist()
    best = optimal_policy(joint, steps, among=given_sizes(schedule), denoiser=denoiser)
    slow = best_tree_of_rows(table, rows_of, steps, counts=counts)
    np.testing.assert_allclose(best.kl, slow, rtol=0, atol=1e-12)
    np.testing.assert_allclose(best.expected_calls, steps, rtol=1e-12)
    if np.all(table > 0):
        np.testing.assert_allclose(kl(joint, exact_law(denoiser, best.decoder)), slow, rtol=0, atol=1e-12)
    every = optimal_policy_frontier(joint, n, among=given_sizes(schedule), denoiser=denoiser)
    assert np.all(np.isinf(np.asarray(every)[: steps - 1]))
    np.testing.assert_allclose(every[steps - 1 :], slow, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_the_classes_are_ordered_and_the_sizes_are_those_of_a_schedule():
    """The best of all sizes is the best policy; without looking, random orders are schedules."""
    joint = Joint(jnp.asarray(SKEWED))
    curve = information_curve(joint)
    plans = Policies(adaptive=False, random=True)
    best = optimal_policy_frontier(joint, 4, among=plans)
    np.testing.assert_allclose(best, frontier(curve, 4).gaps, rtol=0, atol=1e-13)
    fixed = optimal_policy_frontier(joint, 4, among=fixed_partition)
    for steps in (1, 2, 3, 4):
        schedules = [Schedule(counts) for counts in all_compositions(4, steps)]
        rigid = [optimal_policy(joint, steps, among=given_sizes(s, adaptive=False)).kl for s in schedules]
        np.testing.assert_allclose(min(rigid), fixed[steps - 1], rtol=0, atol=1e-13)
        for schedule, one in zip(schedules, rigid, strict=True):
            free = optimal_policy(joint, steps, among=given_sizes(schedule))
            mean = Policies(adaptive=False, random=True, counts=tuple(schedule.counts.tolist()))
            drawn = optimal_policy(joint, steps, among=mean).expected_kl
            np.testing.assert_allclose(drawn, expected_kl(curve, schedule), rtol=0, atol=1e-13)
            assert float(free.kl) <= float(one) + 1e-14 <= float(drawn) + 2e-14


@pytest.mark.parametrize("log_prob", [-690.0, -740.0, -2000.0])
def test_rows_too_small_for_a_probability_are_finite(log_prob):
    """A row whose symbol has probability e^-690, or one that float64 cannot hold, costs its logarithm."""
    joint = Joint(jnp.asarray([0.25, 0.75]))
    denoiser = TableDenoiser(jnp.asarray([[[0.0, -jnp.inf]], [[-jnp.inf, 0.0]], [[log_prob, 0.0]]]))
    wanted = 0.25 * (np.log(0.25) - log_prob) + 0.75 * np.log(0.75)
    for among in (any_policy, fixed_partition, random_order, given_sizes(Schedule([1]))):
        best = optimal_policy(joint, 1, among=among, denoiser=denoiser)
        np.testing.assert_allclose(best.expected_kl, wanted, rtol=1e-14)
    made = teacher_forced_calls(joint, denoiser, optimal_policy(joint, 1).decoder)
    np.testing.assert_allclose(made.kl, wanted, rtol=1e-14)
    np.testing.assert_allclose(optimal_order(joint, denoiser).kl, wanted, rtol=1e-14)


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    with pytest.raises(InvalidInputError, match=r"steps is 3: want an integer in 1\.\.2"):
        optimal_policy(joint, 3, among=random_order)
    two = given_sizes(Schedule([1, 1]))
    with pytest.raises(InvalidInputError, match="steps is 1: want at least 2"):
        optimal_policy(joint, 1, among=two)
    with pytest.raises(InvalidInputError, match="counts"):
        optimal_policy(joint, 2, among=given_sizes(Schedule([1, 2])))
    with pytest.raises(InvalidInputError, match="kl of random orders is not expected_kl"):
        _ = optimal_policy(joint, 1, among=random_order).kl
    with pytest.raises(InvalidInputError, match="price is -1"):
        optimal_policy_calls(joint, -1.0, among=random_order)
    with pytest.raises(InvalidInputError, match=r"random order is of .*: want at most 2\.0 GiB"):
        optimal_policy(Joint(jnp.full((2,) * 12, 2.0**-12)), 1, among=random_order)
