"""Laws as pure functions of arrays: against decision trees, other ways, loops, differences."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    all_compositions,
    best_first,
    decoder_traces,
    entropy_by_loop,
    partial_assignments,
    partition_law,
    partitions_of_sizes,
    table_conditionals,
    threshold_choice,
)
from _rules import Idle, Lookup
from _strategies import any_denoiser, counts_of, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    ConfidenceThreshold,
    InvalidInputError,
    Joint,
    LowConfidence,
    Mixed,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    Tempered,
    exact_law,
    left_to_right,
    negative_entropy,
    noisy_repeated_bit,
    tabulate,
    tabulate_denoiser,
)
from mdmjax.decoders.reveal import AtTemperature
from mdmjax.denoisers.perturbed import Fallback
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.laws import dense, frontier
from mdmjax.laws.dense import dense_law
from mdmjax.laws.random_order import random_order_law

SIZES = [1, 2]
DECODERS = {
    "easy first": Reveal(Ranked(negative_entropy, Schedule(SIZES))),
    "threshold": Reveal(ConfidenceThreshold(0.7)),
    "fixed order": Reveal(left_to_right(Schedule(SIZES))),
    "random order": Reveal(RandomSubset(Schedule(SIZES))),
}


def tables(count, n=3, q=2, seed=0, concentration=0.6):
    return (
        np.random.default_rng(seed).dirichlet(np.full(q**n, concentration), count).reshape(count, *(q,) * n)
    )


def choices(name):
    def sets(rows, masked, tokens):
        size = SIZES[0] if len(masked) == len(rows) else SIZES[1]
        if name == "random order":
            found = list(itertools.combinations(masked, size))
            return [(1 / len(found), one) for one in found]
        if name == "threshold":
            return [(1.0, threshold_choice(rows, masked, 0.7))]
        ranks = [-entropy_by_loop(row) for row in rows]
        return [(1.0, (masked if name == "fixed order" else best_first(ranks, masked))[:size])]

    return sets


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_every_law_is_that_of_its_decision_tree(name, wrong):
    denoiser = lambda table: Mixed(Oracle(Joint(table)), wrong) if wrong else Oracle(Joint(table))
    many = jax.jit(jax.vmap(lambda table: dense_law(denoiser(table), DECODERS[name])))
    joints = tables(6)
    laws = many(jnp.asarray(joints))
    for table, probs, calls, finalised in zip(joints, laws.probs, laws.calls, laws.finalised, strict=True):
        rows_of = lambda tokens, table=table: [
            row if (np.asarray(tokens) != 2)[i] else [(1 - wrong) * p + wrong / 2 for p in row]
            for i, row in enumerate(table_conditionals(table, tokens))
        ]
        expected, counted, last = np.zeros((2, 2, 2)), np.zeros(4), np.zeros((3, 3))
        for (word, steps), mass in decoder_traces(3, 2, rows_of, choices(name)).items():
            expected[word] += mass
            counted[max(steps) + 1] += mass
            last[range(3), steps] += mass
        np.testing.assert_allclose(probs, expected, rtol=0, atol=1e-14)
        np.testing.assert_allclose(calls, counted[: calls.size], rtol=0, atol=1e-14)
        np.testing.assert_allclose(finalised, last[:, : finalised.shape[1]], rtol=0, atol=1e-14)


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_any_rule_of_any_denoiser(data):
    table = data.draw(probabilities(9)).reshape(3, 3)
    denoiser, _ = any_denoiser(table, data.draw(st.integers(0, 2**16)))
    seed = data.draw(st.integers(0, 2**16))
    wishes = jnp.asarray(np.random.default_rng(seed).random((2, 16, 2)) < 0.5)
    decoder, denoiser = Reveal(Lookup(wishes)), Fallback(denoiser)
    law, other = dense_law(denoiser, decoder), exact_law(denoiser, decoder)
    np.testing.assert_allclose(law.probs, other.probs, rtol=0, atol=1e-14)
    steps = other.calls.size - 1
    np.testing.assert_allclose(law.calls[: steps + 1], other.calls, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.finalised[:, :steps], other.finalised, rtol=0, atol=1e-14)


@given(st.data())
@settings(deadline=None, max_examples=10)
def test_levels_are_the_mixture_over_partitions(data):
    table = data.draw(probabilities(16, zeros=False)).reshape((2,) * 4)
    counts = data.draw(counts_of(4))
    laws = [partition_law(table, one) for one in partitions_of_sizes(range(4), counts)]
    law = dense_law(Oracle(Joint(jnp.asarray(table))), Reveal(RandomSubset(Schedule(counts))))
    np.testing.assert_allclose(law.probs, np.mean(laws, axis=0), rtol=0, atol=1e-14)
    assert float(law.expected_calls) == len(counts)


@pytest.mark.parametrize("name", DECODERS)
def test_mapped_is_looped(name):
    """Over joints, over the errors of their denoisers and over temperatures, at once."""

    def numbers(table, error, temperature):
        law = dense_law(Tempered(Mixed(Oracle(Joint(table)), error), temperature), DECODERS[name])
        return law.kl(table), law.reverse_kl(table), law.expected_calls

    axes = jnp.asarray(tables(5)), jnp.linspace(0.01, 0.2, 5), jnp.linspace(0.5, 1.5, 5)
    together, one = jax.jit(jax.vmap(numbers))(*axes), jax.jit(numbers)
    for which in range(5):
        alone = one(*(axis[which] for axis in axes))
        np.testing.assert_allclose([part[which] for part in together], alone, rtol=1e-13, atol=1e-13)


def test_rules_may_be_mapped_and_compile_once():
    traced = []

    def expected(table, threshold):
        traced.append(1)
        return dense_law(Oracle(Joint(table)), Reveal(ConfidenceThreshold(threshold))).expected_calls

    one, table = jax.jit(expected), jnp.asarray(tables(1)[0])
    alone = [float(one(table, jnp.asarray(bar))) for bar in (0.0, 0.6, 0.7, 1.0)]
    assert len(traced) == 1
    together = jax.jit(jax.vmap(expected, (None, 0)))(table, jnp.array([0.0, 0.6, 0.7, 1.0]))
    np.testing.assert_allclose(together, alone, rtol=1e-14)
    assert (alone[0], alone[-1]) == pytest.approx((1, 3))


def test_the_general_way_compiles_once_for_all_parameters():
    """Decoders and denoisers that differ only in numbers are one program."""
    traced = []

    class Counted(ConfidenceThreshold):
        def choose(self, key, log_probs, tokens, step):
            traced.append(1)
            return super().choose(key, log_probs, tokens, step)

    calls = []
    for table, error, bar in zip(tables(3), (0.1, 0.2, 0.3), (0.6, 0.7, 0.8), strict=True):
        model = Mixed(Oracle(Joint(jnp.asarray(table))), error)
        law = exact_law(model, Reveal(Counted(bar)))
        calls.append(len(traced))
    assert law.way == "frontier"
    assert calls[0] > 0
    assert calls == calls[:1] * 3


def random_orders(n):
    """A random order for every schedule, as one decoder with a first axis."""
    schedules = [Schedule(counts) for steps in range(1, n + 1) for counts in all_compositions(n, steps)]
    decoders = [Reveal(RandomSubset(schedule)) for schedule in schedules]
    return schedules, decoders, jax.tree.map(lambda *leaves: jnp.stack(leaves), *decoders)


def test_one_program_for_all_schedules():
    """Traced counts: mapped as looped, as the mean of all partitions' laws, compiled once a float type."""
    traced = []

    def law_of(table, decoder):
        traced.append(1)
        return dense_law(Oracle(Joint(table)), decoder)

    table = tables(1, seed=7, concentration=1.0)[0]
    schedules, decoders, stacked = random_orders(3)
    one, many = jax.jit(law_of), jax.jit(jax.vmap(law_of, (None, 0)))
    alone = [one(jnp.asarray(table), decoder) for decoder in decoders]
    assert len(traced) == 1
    together, single = (many(jnp.asarray(table, dtype), stacked) for dtype in (jnp.float64, jnp.float32))
    assert single.probs.dtype == jnp.float32
    for which, schedule in enumerate(schedules):
        laws = [
            partition_law(table, some) for some in partitions_of_sizes(range(3), schedule.counts.tolist())
        ]
        np.testing.assert_allclose(alone[which].probs, np.mean(laws, axis=0), rtol=0, atol=1e-14)
        padded = np.pad(schedule.counts / 3, (0, 3 - schedule.steps))
        np.testing.assert_allclose(alone[which].finalised, np.tile(padded, (3, 1)), rtol=1e-15)
        assert alone[which].calls.tolist() == [steps == schedule.steps for steps in range(4)]
        for name in ("probs", "calls", "finalised"):
            expected = getattr(alone[which], name)
            np.testing.assert_allclose(getattr(together, name)[which], expected, rtol=0, atol=1e-13)
            np.testing.assert_allclose(getattr(single, name)[which], expected, rtol=0, atol=1e-6)


def test_counts_of_ranked_rules_are_mapped_too():
    table = jnp.asarray(tables(1, n=2, seed=8)[0])
    decoders = [Reveal(Ranked(negative_entropy, Schedule(counts))) for counts in ([2], [1, 1])]
    numbers = lambda decoder: (lambda law: (law.kl(table), law.expected_calls))(
        dense_law(Oracle(Joint(table)), decoder)
    )
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *decoders)
    together = jax.jit(jax.vmap(numbers))(stacked)
    for which, decoder in enumerate(decoders):
        law = exact_law(Oracle(Joint(table)), decoder)
        alone = law.kl(table), law.expected_calls
        np.testing.assert_allclose([part[which] for part in together], alone, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("fill", "counts"), [(True, [1, 1]), (False, [2])])
def test_slopes_where_words_are_missing(fill, counts):
    """Of traced counts, in the truth and an error: a context that no step asks about does no harm."""

    def kl(at, decoder):
        truth = jnp.array([[0.6, 0.4], [0.0, 0.0]]) + at[0] * jnp.array([[0.3, -0.3], [0.0, 0.0]])
        oracle = Oracle(Joint(truth))
        return dense_law(Mixed(Fallback(oracle) if fill else oracle, at[1]), decoder).kl(truth)

    run, at = jax.jit(jax.value_and_grad(kl)), jnp.array([0.1, 0.2])
    decoder = Reveal(RandomSubset(Schedule(counts)))
    slopes = run(at, decoder)[1]
    for slope, move in zip(slopes, 1e-5 * jnp.eye(2), strict=True):
        difference = float(run(at + move, decoder)[0] - run(at - move, decoder)[0]) / 2e-5
        assert abs(difference) > 1e-3
        assert float(slope) == pytest.approx(difference, rel=1e-6)
    if not fill:  # the first of two steps may write 1_, which the truth never has
        assert jnp.isnan(run(at, Reveal(RandomSubset(Schedule([1, 1]))))[0])


@pytest.mark.parametrize("name", DECODERS)
def test_gradients_are_differences(name):
    """In the truth, in the denoiser's error and in the temperature: of both KLs."""
    table, move = jnp.asarray(tables(1, seed=3)[0]), np.random.default_rng(1).normal(size=(2, 2, 2))
    move = jnp.asarray(move - move.mean()) * 0.01

    def both(step, error, temperature):
        truth = table + step * move
        law = dense_law(Tempered(Mixed(Oracle(Joint(truth)), error), temperature), DECODERS[name])
        return law.kl(truth) + 2 * law.reverse_kl(truth)

    at, size = (0.0, 0.1, 0.8), 1e-5
    slopes, value = jax.jit(jax.grad(both, (0, 1, 2)))(*at), jax.jit(both)
    for which, slope in enumerate(slopes):
        up, down = ([x + sign * size * (i == which) for i, x in enumerate(at)] for sign in (1, -1))
        difference = float(value(*up) - value(*down)) / (2 * size)
        assert float(slope) == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_gradients_in_the_logits_of_a_table():
    """A table of rows, each moved in its own direction: the KL of its law, in the size of the move."""
    table = jnp.asarray(tables(1, n=2, seed=5)[0])
    rows = tabulate_denoiser(Oracle(Joint(table))).log_probs
    change = jnp.asarray(np.random.default_rng(2).normal(size=rows.shape)) * 0.1
    masked = jnp.asarray((partial_assignments(2, 2) == 2)[:, :, None])

    def kl(size):
        moved = jax.nn.log_softmax(jnp.where(masked, rows + size * change, 0.0))
        denoiser = TableDenoiser(jnp.where(masked, moved, rows))
        return dense_law(denoiser, Reveal(left_to_right(Schedule([1, 1])))).kl(table)

    size, value = 1e-5, jax.jit(kl)
    difference = float(value(0.3 + size) - value(0.3 - size)) / (2 * size)
    assert abs(difference) > 1e-4
    assert float(jax.jit(jax.grad(kl))(0.3)) == pytest.approx(difference, rel=1e-7)


def test_float32_is_as_exact_as_is_said():
    """200 joints, half of them with rare words; the rest of the suite runs in float64."""
    rng = np.random.default_rng(0)
    joints = [rng.dirichlet(np.full(32, 10 ** rng.uniform(-1, 1))) for _ in range(200)]
    joints = np.maximum(joints, np.where(np.arange(200) % 2, 1e-6, 0)[:, None])
    joints = (joints / joints.sum(1, keepdims=True)).reshape(200, *(2,) * 5)
    decoders = {
        "easy first": Reveal(Ranked(negative_entropy, Schedule([2, 2, 1]))),
        "random order": Reveal(RandomSubset(Schedule([2, 2, 1]))),
    }
    for decoder in decoders.values():

        def kls(table, decoder=decoder):
            law = dense_law(Oracle(Joint(table)), decoder)
            return jnp.stack([law.kl(table), law.reverse_kl(table)])

        exact, single = (
            np.asarray(jax.jit(jax.vmap(kls))(jnp.asarray(joints, dtype)), np.float64)
            for dtype in (jnp.float64, jnp.float32)
        )
        assert not np.array_equal(single, exact)
        assert np.all(np.abs(single - exact) <= 1e-9 + 2e-6 * exact)
        assert exact[:, 0].min() > 1e-4


def test_temperatures_of_the_writing_and_of_all():
    table = jnp.asarray(tables(1)[0])
    for decoder in (
        AtTemperature(DECODERS["easy first"], 0.5),
        Reveal(DECODERS["easy first"].rule, temperature=0.5),
        Reveal(DECODERS["random order"].rule, temperature=0),
        Reveal(DECODERS["easy first"].rule, judge=Mixed(Oracle(Joint(table)), 0.2)),
    ):
        law, other = (make(Oracle(Joint(table)), decoder) for make in (dense_law, exact_law))
        np.testing.assert_allclose(law.probs, other.probs, rtol=0, atol=1e-14)


def test_what_depends_on_values_is_nan():
    """Rows that are NaN or no probabilities where they are reached; a rule that chooses nothing."""
    pair = jnp.array([[0.5, 0.0], [0.0, 0.5]])
    for rule in (left_to_right(Schedule([2])), RandomSubset(Schedule([2]))):
        # Both at once draws 01 and 10, which no step asks about any more.
        np.testing.assert_allclose(
            dense_law(Oracle(Joint(pair)), Reveal(rule)).probs, np.full((2, 2), 0.25)
        )
    three = jnp.zeros((2, 2, 2)).at[0, 0, 0].set(0.5).at[1, 1, 1].set(0.5)
    for rule in (left_to_right(Schedule([2, 1])), RandomSubset(Schedule([2, 1]))):
        assert jnp.isnan(dense_law(Oracle(Joint(three)), Reveal(rule)).probs).any()
        filled = dense_law(Fallback(Oracle(Joint(three))), Reveal(rule)).probs
        other = exact_law(Fallback(Oracle(Joint(three))), Reveal(rule)).probs
        np.testing.assert_allclose(filled, other, rtol=0, atol=1e-15)
    assert jnp.isnan(dense_law(Oracle(Joint(pair)), Reveal(Idle())).probs).any()


def test_refusals():
    coin = Oracle(Joint(jnp.array([0.5, 0.5])))
    with pytest.raises(InvalidInputError, match="decoder is LowConfidence: want Reveal"):
        dense_law(coin, LowConfidence(Schedule([1])))
    for counts in ([2, 2], [1, 1]):
        with pytest.raises(InvalidInputError, match="counts is of sum .: want a sum of n = 3"):
            dense_law(Oracle(noisy_repeated_bit(3, 0.1)), Reveal(RandomSubset(Schedule(counts))))
    many = Oracle(noisy_repeated_bit(30, 0.1))
    with pytest.raises(InvalidInputError, match="30, 2"):
        dense_law(many, Reveal(left_to_right(Schedule([30]))))
    wide = Oracle(Joint(jnp.full((2,) * 14, 2.0**-14)))
    with pytest.raises(InvalidInputError, match="the random-order law is of 6.1e\\+09 products"):
        jax.jit(lambda decoder: dense_law(wide, decoder))(Reveal(RandomSubset(Schedule([14]))))


@pytest.mark.slow
def test_it_is_taken_where_marginals_have_no_room(monkeypatch):
    monkeypatch.setattr(dense, "has_table", lambda truth: False)
    truth = tabulate(noisy_repeated_bit(4, 0.1))
    denoiser, decoder = Mixed(Oracle(truth), 0.1), Reveal(ConfidenceThreshold(0.8))
    law = exact_law(denoiser, decoder)
    other = frontier.plan(denoiser, decoder, None, 2**20, 2**12)()
    assert (law.way, other.way) == ("tree", "frontier")
    for name in ("probs", "calls", "finalised", "unfinished"):
        np.testing.assert_allclose(getattr(law, name), getattr(other, name), rtol=0, atol=1e-14)
    assert exact_law(denoiser, decoder, max_steps=1).way == "frontier"
    assert exact_law(tabulate_denoiser(denoiser), decoder).way == "frontier"
    chain = Oracle(noisy_repeated_bit(4, 0.1))  # conditionals of its own, and no table
    assert exact_law(chain, decoder).way == "frontier"
    with pytest.raises(InvalidInputError, match=r"the denoiser or its rule is NaN or chooses nothing"):
        exact_law(denoiser, Reveal(Idle()))


@pytest.mark.slow
def test_eighteen_bits_of_which_no_marginals_are_kept():
    """A mixture that easy-first decodes one by one is exact, and the random order agrees in closed form."""
    n, flip = 18, 0.1
    denoiser = Oracle(tabulate(noisy_repeated_bit(n, flip)))
    law = exact_law(denoiser, Reveal(Ranked(negative_entropy, Schedule([1] * n))))
    assert law.way == "tree"
    assert float(law.expected_calls) == pytest.approx(n)
    assert abs(float(law.kl(denoiser.distribution))) < 1e-12
    two = exact_law(denoiser, Reveal(Ranked(negative_entropy, Schedule([1, n - 1]))))
    ones = np.arange(n)
    # After one token each other one agrees with probability a.
    agree = flip**2 + (1 - flip) ** 2
    made = [math.comb(n - 1, k) * agree ** (n - 1 - k) * (1 - agree) ** k for k in ones]
    true = [
        math.comb(n - 1, k) * ((1 - flip) ** (n - k) * flip**k + flip ** (n - k) * (1 - flip) ** k)
        for k in ones
    ]
    expected = sum(p * math.log(p / m) for p, m in zip(true, made, strict=True))
    assert float(two.kl(denoiser.distribution)) == pytest.approx(expected, rel=1e-10)


def test_the_numpy_way_agrees():
    denoiser, sizes = Mixed(Oracle(Joint(jnp.asarray(tables(1, n=5)[0]))), 0.1), Schedule([2, 1, 2])
    law = random_order_law(denoiser, sizes)
    np.testing.assert_allclose(
        dense_law(denoiser, Reveal(RandomSubset(sizes))).probs, law.probs, rtol=0, atol=1e-14
    )
