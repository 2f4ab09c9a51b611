"""Bellman's recursion against brute force over decision trees, and against every other policy."""

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    best_decision_tree,
    best_tree_of_rows,
    block_decoder_law,
    divergences_by_loops,
    kl_by_sum,
    ordered_partitions,
    partition_law,
)
from _rules import Lookup, Surest
from _strategies import SEEDS, any_denoiser, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InvalidInputError,
    Joint,
    Oracle,
    Reveal,
    any_policy,
    exact_law,
    fixed_partition,
    kl,
    optimal_policy,
    optimal_policy_calls,
    optimal_policy_frontier,
)
from mdmjax.denoisers.perturbed import Argmax
from mdmjax.denoisers.table import TableDenoiser

SHAPES = st.sampled_from([(2, 3), (3, 2), (4, 2)])
CLASSES = st.sampled_from([any_policy, fixed_partition])


def draw_table(data, zeros=False):
    n, q = data.draw(SHAPES)
    return data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_the_least_of_all_decision_trees(data):
    table = draw_table(data, zeros=True)
    frontier = optimal_policy_frontier(Joint(jnp.asarray(table)), table.ndim)
    brute = [best_decision_tree(table, k) for k in range(1, table.ndim + 1)]
    np.testing.assert_allclose(frontier, brute, rtol=0, atol=1e-13)
    assert np.all(np.diff(frontier) <= 1e-13)
    assert abs(float(frontier[-1])) < 1e-13


@pytest.mark.slow
@pytest.mark.parametrize(("n", "q"), [(5, 2), (3, 3)])
def test_five_positions_and_three_symbols(n, q):
    """The largest trees that brute force can do, and all ordered partitions."""
    table = np.random.default_rng(n).dirichlet(np.full(q**n, 0.3)).reshape((q,) * n)
    joint = Joint(jnp.asarray(table))
    brute = [best_decision_tree(table, k) for k in range(1, n + 1)]
    np.testing.assert_allclose(optimal_policy_frontier(joint, n), brute, rtol=0, atol=1e-13)
    fixed = optimal_policy_frontier(joint, n, among=fixed_partition)
    for steps in range(1, n + 1):
        laws = [partition_law(table, p) for p in ordered_partitions(range(n), steps)]
        assert float(fixed[steps - 1]) == pytest.approx(min(kl_by_sum(table, x) for x in laws), abs=1e-13)


@given(st.data(), st.sampled_from([0.001, 0.02, 0.3]))
@settings(deadline=None, max_examples=8)
def test_the_priced_optimum_is_the_least_of_all_decision_trees(data, price):
    table = draw_table(data)
    policy = optimal_policy_calls(Joint(jnp.asarray(table)), price)
    total = float(policy.kl) + price * float(policy.expected_calls)
    assert total == pytest.approx(best_decision_tree(table, table.ndim, price), abs=1e-13)
    law = exact_law(Oracle(Joint(jnp.asarray(table))), policy.decoder)
    assert float(policy.kl) == pytest.approx(kl_by_sum(table, np.asarray(law.probs)), abs=1e-10)


@given(st.data(), CLASSES)
@settings(deadline=None, max_examples=8)
def test_the_policy_does_what_it_promises(data, among):
    table = draw_table(data)
    joint = Joint(jnp.asarray(table))
    steps = data.draw(st.integers(1, table.ndim))
    policy = optimal_policy(joint, steps, among=among)
    law = exact_law(Oracle(joint), policy.decoder)
    assert kl_by_sum(table, np.asarray(law.probs)) == pytest.approx(float(policy.kl), abs=1e-10)
    assert law.calls.shape[0] <= steps + 1
    frontier = optimal_policy_frontier(joint, steps, among=among)
    assert float(frontier[-1]) == pytest.approx(float(policy.kl), abs=1e-14)


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_fixed_partitions(data):
    """The least over all ordered partitions, and never less than the adaptive optimum."""
    table = draw_table(data)
    joint = Joint(jnp.asarray(table))
    fixed = optimal_policy_frontier(joint, table.ndim, among=fixed_partition)
    adaptive = optimal_policy_frontier(joint, table.ndim)
    for steps in range(1, table.ndim + 1):
        brute = min(
            kl_by_sum(table, partition_law(table, p)) for p in ordered_partitions(range(table.ndim), steps)
        )
        assert float(fixed[steps - 1]) == pytest.approx(brute, abs=1e-13)
    assert np.all(np.asarray(adaptive) <= np.asarray(fixed) + 1e-13)
    np.testing.assert_allclose(adaptive[:2], fixed[:2], atol=1e-13)  # two steps cannot adapt


@given(st.data(), st.integers(0, 2**16), st.sampled_from([0.3, 0.6]))
@settings(deadline=None, max_examples=15)
def test_no_policy_is_better(data, seed, density):
    table = draw_table(data)
    joint, n, q = Joint(jnp.asarray(table)), table.ndim, table.shape[0]
    wishes = np.random.default_rng(seed).random((n, (q + 1) ** n, n)) < density
    frontier = optimal_policy_frontier(joint, n)
    for decoder in (Lookup(jnp.asarray(wishes)), Surest(1), Surest(2)):
        law = exact_law(Oracle(joint), Reveal(decoder))
        kl = kl_by_sum(table, np.asarray(law.probs))
        most = int(np.flatnonzero(law.calls)[-1])
        assert float(frontier[most - 1]) <= kl + 1e-13


@pytest.mark.parametrize("price", [0.01, 0.1])
def test_the_priced_optimum_is_below_every_frontier_policy(price):
    table = np.random.default_rng(5).dirichlet(np.full(27, 0.3)).reshape(3, 3, 3)
    joint = Joint(jnp.asarray(table))
    best = optimal_policy_calls(joint, price)
    least = float(best.kl) + price * float(best.expected_calls)
    for steps in (1, 2, 3):
        for among in (any_policy, fixed_partition):
            policy = optimal_policy(joint, steps, among=among)
            assert least <= float(policy.kl) + price * float(policy.expected_calls) + 1e-14
            if not among.adaptive:
                assert float(policy.expected_calls) == pytest.approx(steps)


def test_adapting_helps():
    """The first symbol says which of the three pairings of the others is tied.

    Once it is read, two steps suffice; no one set splits all six pairs, so that a fixed one pays.
    """
    pairings = [((1, 2), (3, 4)), ((1, 3), (2, 4)), ((1, 4), (2, 3))]
    table = np.zeros((3,) * 5)
    for word in np.ndindex(*table.shape):
        table[word] = all(word[i] == word[j] for i, j in pairings[word[0]]) / 27
    joint = Joint(jnp.asarray(table))
    adaptive = np.asarray(optimal_policy_frontier(joint, 3))
    fixed = np.asarray(optimal_policy_frontier(joint, 3, among=fixed_partition))
    assert adaptive[2] == pytest.approx(0, abs=1e-13)
    assert fixed[2] > 0.1


def test_the_price_buys_calls():
    table = np.random.default_rng(3).dirichlet(np.full(64, 0.3)).reshape((2,) * 6)
    joint = Joint(jnp.asarray(table))
    points = [optimal_policy_calls(joint, price) for price in (0.0, 0.003, 0.03, 0.1, 10.0)]
    calls = [float(p.expected_calls) for p in points]
    kls = [float(p.kl) for p in points]
    assert calls == sorted(calls, reverse=True)
    assert kls == sorted(kls)
    assert kls[0] == pytest.approx(0, abs=1e-13)
    assert calls[-1] == 1
    assert len(set(np.round(calls, 6))) >= 4


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    for steps in (0, 3):
        with pytest.raises(InvalidInputError, match=r"want an integer in 1\.\.2"):
            optimal_policy(joint, steps)
        with pytest.raises(InvalidInputError, match=r"max_steps"):
            optimal_policy_frontier(joint, steps)
    for price in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="price"):
            optimal_policy_calls(joint, price)
    with pytest.raises(InvalidInputError, match=r"12\.0 GiB: want at most 2\.0 GiB"):
        optimal_policy_frontier(Joint(jnp.full((2,) * 14, 2.0**-14)), 1)


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=8)
def test_with_any_denoiser_the_least_of_all_decision_trees(data, seed):
    table = draw_table(data, zeros=True)
    joint = Joint(jnp.asarray(table))
    denoiser, rows_of = any_denoiser(table, seed)
    frontier = optimal_policy_frontier(joint, table.ndim, denoiser=denoiser)
    brute = [best_tree_of_rows(table, rows_of, k) for k in range(1, table.ndim + 1)]
    np.testing.assert_allclose(frontier, brute, rtol=0, atol=1e-12)
    fixed = optimal_policy_frontier(joint, table.ndim, among=fixed_partition, denoiser=denoiser)
    for most in range(1, table.ndim + 1):
        brute = min(
            divergences_by_loops(table, block_decoder_law(joint.n, joint.q, rows_of, p))["kl"]
            for steps in range(1, most + 1)
            for p in ordered_partitions(range(table.ndim), steps)
        )
        np.testing.assert_allclose(fixed[most - 1], brute, rtol=0, atol=1e-12)
    best = optimal_policy_calls(joint, 0.05, denoiser=denoiser)
    total = float(best.kl) + 0.05 * float(best.expected_calls)
    brute = best_tree_of_rows(table, rows_of, table.ndim, 0.05)
    np.testing.assert_allclose(total, brute, rtol=0, atol=1e-12)


@given(st.data(), SEEDS, CLASSES)
@settings(deadline=None, max_examples=8)
def test_with_any_denoiser_the_policy_does_what_it_promises(data, seed, among):
    joint = Joint(jnp.asarray(draw_table(data)))
    denoiser, _ = any_denoiser(np.asarray(joint.probs), seed)
    steps = data.draw(st.integers(1, joint.n))
    policy = optimal_policy(joint, steps, among=among, denoiser=denoiser)
    law = exact_law(denoiser, policy.decoder)
    np.testing.assert_allclose(policy.kl, kl(joint, law), rtol=0, atol=1e-12)
    assert law.calls.shape[0] <= steps + 1


def test_the_exact_denoiser_is_no_denoiser():
    table = np.random.default_rng(2).dirichlet(np.full(32, 0.3)).reshape((2,) * 5)
    joint = Joint(jnp.asarray(table))
    for among in (any_policy, fixed_partition):
        plain = optimal_policy_frontier(joint, 5, among=among)
        given_one = optimal_policy_frontier(joint, 5, among=among, denoiser=Oracle(joint))
        np.testing.assert_allclose(given_one, plain, rtol=0, atol=1e-14)


def test_a_denoiser_that_is_wrong_late_is_called_early():
    """Right with nothing revealed and ruinous after: all at once is best."""
    joint = Joint(jnp.full((2, 2), 0.25))
    rows = np.full((9, 2, 2), 0.5)
    for code in range(9):
        for i, token in enumerate((code // 3, code % 3)):
            if token < 2:
                rows[code, i] = np.eye(2)[token]
            elif code != 8:
                rows[code, i] = [1.0, 0.0]
    with np.errstate(divide="ignore"):
        denoiser = TableDenoiser(jnp.asarray(np.log(rows)))
    policy = optimal_policy(joint, 2, denoiser=denoiser)
    assert (float(policy.kl), float(policy.expected_calls)) == (0.0, 1.0)


def test_an_infinite_cost_is_infinite():
    """Where all is infinite the decoder still reveals something."""
    joint = Joint(jnp.asarray([[0.5, 0.2], [0.2, 0.1]]))
    denoiser = Argmax(Oracle(joint))
    for policy in (
        optimal_policy(joint, 2, denoiser=denoiser),
        optimal_policy_calls(joint, 0.1, denoiser=denoiser),
        optimal_policy(joint, 1, among=fixed_partition, denoiser=denoiser),
    ):
        assert float(policy.kl) == np.inf
        assert float(kl(joint, exact_law(denoiser, policy.decoder))) == np.inf


def test_refused_denoisers():
    joint = Joint(jnp.full((2, 2), 0.25))
    other = Oracle(Joint(jnp.full((2, 2, 2), 0.125)))
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 3, 2"):
        optimal_policy(joint, 1, denoiser=other)
    hole = Oracle(Joint(jnp.asarray([[0.5, 0.5], [0.0, 0.0]])))
    with pytest.raises(InvalidInputError, match=r"at the state \[1 _\] is NaN"):
        optimal_policy_frontier(joint, 1, denoiser=hole)
