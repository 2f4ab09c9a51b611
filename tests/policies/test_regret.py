"""The hull against every policy there is; decoders followed on the data against their exact laws."""

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_policies, follow_words, kl_by_sum, least_kl_of_mixtures
from _rules import Idle, Lookup, Random, Surest
from _strategies import SEEDS, any_denoiser, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    AnySubsetSpeculative,
    Argmax,
    ConfidenceThreshold,
    EntropyBounded,
    FixedPartition,
    InvalidInputError,
    Joint,
    LowConfidence,
    Mixed,
    Oracle,
    RandomSubset,
    Schedule,
    TableDenoiser,
    any_policy,
    calls_hull,
    exact_law,
    fixed_partition,
    kl,
    least_kl,
    optimal_policy,
    optimal_policy_calls,
    optimal_policy_frontier,
    random_order,
    regret,
    tabulate_denoiser,
    teacher_forced_calls,
)


def draw_joint(data, zeros=True):
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    return Joint(jnp.asarray(data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)))


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=12)
def test_the_hull_of_all_policies(data, seed):
    joint = draw_joint(data)
    denoiser, rows_of = any_denoiser(np.asarray(joint.probs), seed)
    policies = all_policies(np.asarray(joint.probs), rows_of)
    hull = calls_hull(joint, denoiser)
    for calls in (1.0, 1.2, 1.7, 2.0, 2.4, float(joint.n)):
        slow = least_kl_of_mixtures(policies, calls)
        np.testing.assert_allclose(hull.kl_at(calls), slow, rtol=0, atol=1e-11)
        np.testing.assert_allclose(least_kl(joint, calls, denoiser), slow, rtol=0, atol=1e-11)
    # Convex, and every vertex is a policy.
    slopes = np.diff(hull.kl) / np.diff(hull.calls)
    assert np.all(np.diff(slopes) > 0)
    assert np.all(slopes < 0)
    for vertex in zip(hull.calls.tolist(), hull.kl.tolist(), strict=True):
        if np.isfinite(vertex[1]):
            assert np.min(np.abs(policies - np.array(vertex)).max(axis=1)) < 1e-11


@given(st.data(), SEEDS, st.sampled_from([0.3, 0.6]))
@settings(deadline=None, max_examples=10)
def test_no_decoder_is_below_the_hull(data, seed, density):
    joint = draw_joint(data, zeros=False)
    n, q = joint.n, joint.q
    denoiser, _ = any_denoiser(np.asarray(joint.probs), seed)
    wishes = np.random.default_rng(seed).random((n, (q + 1) ** n, n)) < density
    hull = calls_hull(joint, denoiser)
    for decoder in (
        Lookup(jnp.asarray(wishes)),
        ConfidenceThreshold(0.7),
        EntropyBounded(0.5),
        optimal_policy(joint, 2, denoiser=denoiser).decoder,
    ):
        made = teacher_forced_calls(denoiser, decoder, joint)
        assert float(hull.kl_at(made.expected_calls)) <= float(made.kl) + 1e-11
        assert float(regret(denoiser, decoder, joint)) >= -1e-11
        # The forward KL of the law is the mean over the data along the way.
        law = exact_law(denoiser, decoder)
        np.testing.assert_allclose(made.kl, kl(joint, law), rtol=0, atol=1e-12)


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=12)
def test_followed_word_by_word(data, seed):
    joint = draw_joint(data)
    n, q = joint.n, joint.q
    denoiser, rows_of = any_denoiser(np.asarray(joint.probs), seed)
    wishes = np.random.default_rng(seed).random((n, (q + 1) ** n, n)) < 0.4
    made = teacher_forced_calls(denoiser, Lookup(jnp.asarray(wishes)), joint)
    calls, loss = follow_words(np.asarray(joint.probs), rows_of, wishes)
    np.testing.assert_allclose(made.calls, calls, rtol=0, atol=1e-14)
    np.testing.assert_allclose(made.kl, loss, rtol=0, atol=1e-13)
    np.testing.assert_allclose(made.expected_calls, calls @ np.arange(n + 1), rtol=1e-14)


def test_a_policy_of_the_hull_has_no_regret():
    table = np.random.default_rng(3).dirichlet(np.full(32, 0.3)).reshape((2,) * 5)
    joint = Joint(jnp.asarray(table))
    for denoiser in (Oracle(joint), Mixed(Oracle(joint), 0.1)):
        for price in (0.001, 0.02, 0.2):
            best = optimal_policy_calls(joint, price, denoiser=denoiser)
            made = teacher_forced_calls(denoiser, best.decoder, joint)
            np.testing.assert_allclose(made.expected_calls, best.expected_calls, rtol=1e-13)
            np.testing.assert_allclose(made.kl, best.kl, rtol=0, atol=1e-13)
            assert abs(float(regret(denoiser, best.decoder, joint))) < 1e-12
    one_by_one = regret(Oracle(joint), Surest(1), joint)
    assert abs(float(one_by_one)) < 1e-12  # no KL at all, and more calls than needed do not count
    assert float(regret(Mixed(Oracle(joint), 0.1), Surest(2), joint)) > 1e-3


def test_every_kind_of_decoder_has_a_regret_in_every_class():
    """Positive at one step; the law's own numbers for what is random, revised or verified."""
    table = np.random.default_rng(0).dirichlet(np.full(8, 0.3)).reshape((2,) * 3)
    joint = Joint(jnp.asarray(table))
    oracle = tabulate_denoiser(Oracle(joint))
    classes = any_policy, fixed_partition, random_order
    hulls = [calls_hull(joint, oracle, among=among) for among in classes]
    # The fewer policies, the higher the hull; a fixed partition takes as many calls for every word.
    at = jnp.linspace(1.0, 3.0, 21)
    assert np.all(np.asarray(hulls[0].kl_at(at)) <= np.asarray(hulls[1].kl_at(at)) + 1e-13)
    assert np.all(np.asarray(hulls[0].kl_at(at)) <= np.asarray(hulls[2].kl_at(at)) + 1e-13)
    np.testing.assert_allclose(hulls[1].calls, np.round(hulls[1].calls), rtol=0, atol=1e-13)
    for hull, adaptive in zip(hulls, (True, False), strict=False):
        worst = optimal_policy_frontier(joint, 3, adaptive=adaptive)
        assert np.all(np.asarray(hull.kl_at(jnp.arange(1.0, 4.0))) <= np.asarray(worst) + 1e-13)
    for decoder in (
        RandomSubset(Schedule([1, 2])),
        LowConfidence(Schedule([1, 2])),
        AnySubsetSpeculative([2, 0, 1], 3),
        Lookup(jnp.ones((3, 27, 3), bool)),
    ):
        law = exact_law(oracle, decoder)
        for among, hull in zip(classes, hulls, strict=True):
            wanted = float(kl(joint, law)) - float(hull.kl_at(law.expected_calls))
            found = regret(oracle, decoder, joint, among=among)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    # All at once is the only policy of one call; verified drafts have no KL.
    assert abs(float(regret(oracle, Lookup(jnp.ones((3, 27, 3), bool)), joint))) < 1e-13
    assert float(regret(oracle, AnySubsetSpeculative([2, 0, 1], 3), joint, among=random_order)) <= 1e-13


def test_the_hull_from_its_vertices():
    """Two equal bits: one call costs log 2, two calls nothing, and a mixture of the two is a line."""
    hull = calls_hull(Joint(jnp.asarray([[0.5, 0.0], [0.0, 0.5]])))
    np.testing.assert_allclose(hull.calls, [1, 2])
    np.testing.assert_allclose(hull.kl, [np.log(2), 0], rtol=1e-15)
    assert hull.kl_at(0.5) == np.inf
    assert hull.kl_at(7.0) == 0
    np.testing.assert_allclose(hull.kl_at(jnp.array([1.25, 1.75])), np.log(2) * np.array([0.75, 0.25]))
    independent = calls_hull(Joint(jnp.full((2, 2, 2), 0.125)))
    assert (independent.calls.tolist(), independent.kl.tolist()) == ([1.0], [0.0])


def test_infinite_hulls():
    """All policies infinite; and one call infinite, more of them not."""
    joint = Joint(jnp.asarray([[0.5, 0.2], [0.2, 0.1]]))
    everywhere = calls_hull(joint, Argmax(Oracle(joint)))
    assert (everywhere.calls.tolist(), everywhere.kl.tolist()) == ([1.0], [np.inf])
    assert np.isinf(float(least_kl(joint, 2.0, Argmax(Oracle(joint)))))

    rows = np.exp(np.asarray(tabulate_denoiser(Oracle(joint)).log_probs))
    rows[8, 1] = [1.0, 0.0]  # the second bit is only known once the first is
    with np.errstate(divide="ignore"):
        late = TableDenoiser(jnp.asarray(np.log(rows)))
    hull = calls_hull(joint, late)
    np.testing.assert_allclose(hull.calls, [2.0])
    np.testing.assert_allclose(hull.kl, [0.0], atol=1e-15)
    assert np.isinf(float(least_kl(joint, 1.5, late)))


def test_float32():
    """Tables of float32 are solved in it: the recursion, the hull and the regret."""
    joint = Joint(jnp.asarray([[0.4, 0.1], [0.3, 0.2]], jnp.float32))
    oracle, nats = Oracle(joint), np.array([[0.4, 0.1], [0.3, 0.2]])
    wanted = kl_by_sum(nats, np.outer(nats.sum(1), nats.sum(0)))
    for among in (any_policy, fixed_partition, random_order):
        hull = calls_hull(joint, oracle, among=among)
        assert hull.kl.dtype == jnp.float32
        np.testing.assert_allclose(hull.kl, [wanted, 0], rtol=0, atol=1e-6)
        found = regret(oracle, RandomSubset(Schedule([2])), joint, among=among)
        np.testing.assert_allclose(found, 0, rtol=0, atol=1e-6)
    # A table whose sum is below one by rounding still takes one call.
    table = jnp.asarray(np.random.default_rng(9).dirichlet(np.ones(9)).reshape(3, 3), jnp.float32)
    short, once = Joint(table), FixedPartition([[0, 1]])
    np.testing.assert_allclose(
        teacher_forced_calls(Oracle(short), once, short).expected_calls, 1, atol=1e-6
    )
    np.testing.assert_allclose(regret(Oracle(short), once, short), 0, rtol=0, atol=1e-6)


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    oracle = Oracle(joint)
    with pytest.raises(InvalidInputError, match=r"the choice of Idle at \[_ _\] is empty"):
        teacher_forced_calls(oracle, Idle(), joint)
    with pytest.raises(InvalidInputError, match="decoder is Random"):
        teacher_forced_calls(oracle, Random(), joint)
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 2, 2"):
        teacher_forced_calls(oracle, Surest(), Joint(jnp.full((2, 2, 2), 0.125)))
    hole = Oracle(Joint(jnp.asarray([[0.5, 0.5], [0.0, 0.0]])))
    with pytest.raises(InvalidInputError, match=r"row of position 1 at the state \[1 _\] is NaN"):
        teacher_forced_calls(hole, Surest(), joint)
    for calls in (0.5, float("nan")):
        with pytest.raises(InvalidInputError, match="want a number >= 1"):
            least_kl(joint, calls)
