"""Decoders followed on the data against their exact laws; their regret against every policy."""

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
    ConfidenceThreshold,
    EntropyBounded,
    FixedPartition,
    InvalidInputError,
    Joint,
    LowConfidence,
    Mixed,
    Oracle,
    RandomSubset,
    Reveal,
    Schedule,
    Tempered,
    any_policy,
    calls_hull,
    exact_law,
    fixed_partition,
    kl,
    optimal_policy,
    optimal_policy_calls,
    optimal_policy_frontier,
    random_order,
    regret,
    tabulate_denoiser,
)
from mdmjax.denoisers.perturbed import Argmax
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.policies.regret import teacher_forced_calls


def draw_joint(data, zeros=True):
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    return Joint(jnp.asarray(data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)))


@given(st.data(), SEEDS, st.sampled_from([0.3, 0.6]))
@settings(deadline=None, max_examples=10)
def test_no_decoder_is_below_the_hull(data, seed, density):
    joint = draw_joint(data, zeros=False)
    n, q = joint.n, joint.q
    denoiser, _ = any_denoiser(np.asarray(joint.probs), seed)
    wishes = np.random.default_rng(seed).random((n, (q + 1) ** n, n)) < density
    hull = calls_hull(joint, denoiser)
    for decoder in (
        Reveal(Lookup(jnp.asarray(wishes))),
        Reveal(ConfidenceThreshold(0.7)),
        Reveal(EntropyBounded(0.5)),
        optimal_policy(joint, 2, denoiser=denoiser).decoder,
    ):
        made = teacher_forced_calls(joint, denoiser, decoder)
        assert float(hull.kl_at(made.expected_calls)) <= float(made.kl) + 1e-11
        if np.isfinite(hull.kl_at(made.expected_calls)):
            assert float(regret(joint, denoiser, decoder).value) >= -1e-11
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
    made = teacher_forced_calls(joint, denoiser, Reveal(Lookup(jnp.asarray(wishes))))
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
            made = teacher_forced_calls(joint, denoiser, best.decoder)
            np.testing.assert_allclose(made.expected_calls, best.expected_calls, rtol=1e-13)
            np.testing.assert_allclose(made.kl, best.kl, rtol=0, atol=1e-13)
            assert abs(float(regret(joint, denoiser, best.decoder).value)) < 1e-12
    one_by_one = regret(joint, Oracle(joint), Reveal(Surest(1))).value
    assert abs(float(one_by_one)) < 1e-12  # no KL at all, and more calls than needed do not count
    assert float(regret(joint, Mixed(Oracle(joint), 0.1), Reveal(Surest(2))).value) > 1e-3


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
    for among, hull in zip(classes, hulls, strict=True):
        worst = optimal_policy_frontier(joint, 3, among=among)
        assert np.all(np.asarray(hull.kl_at(jnp.arange(1.0, 4.0))) <= np.asarray(worst) + 1e-13)
    for decoder in (
        Reveal(RandomSubset(Schedule([1, 2]))),
        LowConfidence(Schedule([1, 2])),
        AnySubsetSpeculative([2, 0, 1], 3),
        Reveal(Lookup(jnp.ones((3, 27, 3), bool))),
    ):
        law = exact_law(oracle, decoder)
        for among, hull in zip(classes, hulls, strict=True):
            wanted = float(kl(joint, law)) - float(hull.kl_at(law.expected_calls))
            found = regret(joint, oracle, decoder, among=among).value
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    # All at once is the only policy of one call; verified drafts have no KL.
    assert abs(float(regret(joint, oracle, Reveal(Lookup(jnp.ones((3, 27, 3), bool)))).value)) < 1e-13
    assert (
        float(regret(joint, oracle, AnySubsetSpeculative([2, 0, 1], 3), among=random_order).value) <= 1e-13
    )


TEMPERATURES = st.sampled_from([0.0, 0.3, 1.0, 2.0])


@pytest.mark.slow
@given(st.data(), SEEDS, TEMPERATURES, st.booleans())
@settings(deadline=None, max_examples=30)
def test_no_regret_is_negative_at_any_temperature(data, seed, temperature, judged):
    """The best policies write as the decoder does; a judge, or the argmax, makes no decoder better."""
    joint = draw_joint(data, zeros=False)
    table = np.asarray(joint.probs)
    denoiser, _ = any_denoiser(table, seed)
    judge = any_denoiser(table, seed + 1)[0] if judged else None
    rule = data.draw(st.sampled_from([ConfidenceThreshold(0.7), EntropyBounded(0.5), Surest(1), Surest(2)]))
    decoder = Reveal(rule, temperature=temperature, judge=judge)
    found = regret(joint, denoiser, decoder)
    made = teacher_forced_calls(joint, denoiser, decoder)
    law = exact_law(denoiser, decoder)
    np.testing.assert_allclose(made.kl, kl(joint, law), rtol=0, atol=1e-11)
    # The rows that are written, from the definition.
    rows = np.exp(np.asarray(tabulate_denoiser(denoiser).log_probs))
    if temperature == 0:
        rows = np.eye(joint.q)[np.argmax(rows, axis=2)]
    else:
        rows = rows ** (1 / temperature)
        rows = rows / rows.sum(axis=2, keepdims=True)
    place = (joint.q + 1) ** np.arange(joint.n)[::-1]
    policies = all_policies(table, lambda tokens: rows[np.dot(tokens, place)])
    least = least_kl_of_mixtures(policies, float(made.expected_calls))
    if np.isinf(least):
        assert np.isnan(float(found.value))
    else:
        assert float(found.value) >= -1e-11
        np.testing.assert_allclose(found.value, float(made.kl) - least, rtol=0, atol=1e-10)
    assert found.over == "the data"
    assert float(found.calls) == float(made.expected_calls)
    hull = calls_hull(joint, decoder.writer(denoiser))
    passed = regret(joint, denoiser, decoder, law=law, hull=hull)
    np.testing.assert_allclose(passed.value, found.value, rtol=0, atol=1e-11)


def test_the_best_policies_write_at_the_temperature_too():
    """Rows that are too sure, written at a temperature that mends them: nothing is lost."""
    joint = Joint(jnp.asarray([[0.45, 0.1], [0.05, 0.4]]))
    sure, left = Tempered(Oracle(joint), 0.5), Reveal(FixedPartition([[0], [1]]), temperature=2.0)
    assert float(regret(joint, sure, left).value) == pytest.approx(0, abs=1e-14)
    # Policies that write at temperature 1 are worse than it.
    assert float(regret(joint, sure, left, hull=calls_hull(joint, sure)).value) < -0.1


def test_infinite_regret_and_none():
    """A row that the data break: infinite against a finite hull, undefined where all are infinite."""
    joint = Joint(jnp.asarray([[0.5, 0.2], [0.2, 0.1]]))
    rows = np.exp(np.asarray(tabulate_denoiser(Oracle(joint)).log_probs))
    rows[8, 1] = [1.0, 0.0]  # the second bit is only known once the first is
    with np.errstate(divide="ignore"):
        late = TableDenoiser(jnp.asarray(np.log(rows)))
    wrong = Reveal(FixedPartition([[1], [0]]))
    assert float(regret(joint, late, wrong).value) == np.inf
    assert float(regret(joint, late, Reveal(FixedPartition([[0], [1]]))).value) == pytest.approx(
        0, abs=1e-15
    )
    for temperature in (1.0, 0.0):
        argmax = Reveal(Surest(1), temperature=temperature)
        assert np.isnan(float(regret(joint, Argmax(Oracle(joint)), argmax).value))
    random = Reveal(RandomSubset(Schedule([2])), temperature=0.0)
    assert np.isnan(float(regret(joint, Oracle(joint), random).value))


def test_the_law_of_a_random_decoder_is_made_within_max_states():
    joint = Joint(jnp.full((2, 2, 2), 0.125))
    random = Reveal(RandomSubset(Schedule([1, 1, 1])))
    looks = LowConfidence(Schedule([1, 1, 1]))
    with pytest.raises(InvalidInputError, match="frontier of the law is of .* want at most 2"):
        regret(joint, Oracle(joint), looks, max_states=2)
    assert regret(joint, Oracle(joint), looks).over == "the output"
    found = regret(joint, Oracle(joint), random, law=exact_law(Oracle(joint), random))
    assert (float(found.calls), found.over) == (3.0, "the output")


def test_float32():
    """Tables of float32 are solved in it: the recursion, the hull and the regret."""
    joint = Joint(jnp.asarray([[0.4, 0.1], [0.3, 0.2]], jnp.float32))
    oracle, nats = Oracle(joint), np.array([[0.4, 0.1], [0.3, 0.2]])
    wanted = kl_by_sum(nats, np.outer(nats.sum(1), nats.sum(0)))
    for among in (any_policy, fixed_partition, random_order):
        hull = calls_hull(joint, oracle, among=among)
        assert hull.kl.dtype == jnp.float32
        np.testing.assert_allclose(hull.kl, [wanted, 0], rtol=0, atol=1e-6)
        found = regret(joint, oracle, Reveal(RandomSubset(Schedule([2]))), among=among).value
        np.testing.assert_allclose(found, 0, rtol=0, atol=1e-6)
    # A table whose sum is below one by rounding still takes one call.
    table = jnp.asarray(np.random.default_rng(9).dirichlet(np.ones(9)).reshape(3, 3), jnp.float32)
    short, once = Joint(table), Reveal(FixedPartition([[0, 1]]))
    np.testing.assert_allclose(
        teacher_forced_calls(short, Oracle(short), once).expected_calls, 1, atol=1e-6
    )
    np.testing.assert_allclose(regret(short, Oracle(short), once).value, 0, rtol=0, atol=1e-6)


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    oracle = Oracle(joint)
    with pytest.raises(InvalidInputError, match=r"the choice of Idle at \[_ _\] is empty"):
        teacher_forced_calls(joint, oracle, Reveal(Idle()))
    with pytest.raises(InvalidInputError, match="decoder is Random"):
        teacher_forced_calls(joint, oracle, Reveal(Random()))
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 2, 2"):
        teacher_forced_calls(Joint(jnp.full((2, 2, 2), 0.125)), oracle, Reveal(Surest()))
    hole = Oracle(Joint(jnp.asarray([[0.5, 0.5], [0.0, 0.0]])))
    with pytest.raises(InvalidInputError, match=r"row of position 1 at the state \[1 _\] is NaN"):
        teacher_forced_calls(joint, hole, Reveal(Surest()))
    for calls in (0.5, float("nan")):
        with pytest.raises(InvalidInputError, match="want a number >= 1"):
            calls_hull(joint, calls=calls)
