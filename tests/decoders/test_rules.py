"""Every reveal-only rule against a loop from its definition."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    best_first,
    early_commit_choice,
    entropy_bounded_choice,
    entropy_by_loop,
    entropy_sum_choice,
    factor_choice,
    margin_by_loop,
    threshold_choice,
)
from _strategies import counts_of, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

import mdmjax as mj
from mdmjax import (
    ConfidenceFactor,
    ConfidenceThreshold,
    EarlyCommit,
    EntropyBounded,
    EntropySum,
    FixedPartition,
    InvalidInputError,
    RandomSubset,
    Ranked,
    Schedule,
    SemiAutoregressive,
    confidence,
    dilated,
    left_to_right,
    margin,
    negative_entropy,
    right_to_left,
    row_entropy,
)
from mdmjax.schedules.named import ascending_steps

SHAPES = st.sampled_from([(1, 3), (5, 2), (4, 3), (3, 1)])
SCORES = {
    negative_entropy: lambda row: -entropy_by_loop(row),
    row_entropy: entropy_by_loop,
    confidence: max,
    margin: margin_by_loop,
}


@eqx.filter_jit
def choose(rule, key, probs, tokens):
    return rule.choose(key, jnp.log(probs), tokens, jnp.array(0))


def chosen(rule, probs, tokens, key=None):
    key = jax.random.key(0) if key is None else key
    return set(np.flatnonzero(choose(rule, key, jnp.asarray(probs), jnp.asarray(tokens))).tolist())


def states(data):
    """Rows with many ties, and a state with at least one masked position."""
    n, q = data.draw(SHAPES)
    rows = data.draw(probabilities(n, q))
    masked = data.draw(st.sets(st.integers(0, n - 1), min_size=1))
    tokens = np.array([q if i in masked else data.draw(st.integers(0, q - 1)) for i in range(n)])
    return rows, sorted(masked), tokens


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_threshold_and_factor(data):
    rows, masked, tokens = states(data)
    level = data.draw(st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 1.0]))
    assert chosen(ConfidenceThreshold(level), rows, tokens) == threshold_choice(rows, masked, level)
    factor = data.draw(st.sampled_from([1e-3, 0.3, 0.6, 1.0, 2.0, 9.0]))
    assert chosen(ConfidenceFactor(factor), rows, tokens) == factor_choice(rows, masked, factor)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_entropy_rules(data):
    rows, masked, tokens = states(data)
    bound = data.draw(st.sampled_from([0.0, 0.3, 0.7, float(np.log(2)), 2.0, 50.0]))
    expected = entropy_bounded_choice(rows, masked, bound)
    assert chosen(EntropyBounded(bound), rows, tokens) == expected
    order = data.draw(st.permutations(range(len(tokens))))
    expected = entropy_sum_choice(rows, masked, bound, order)
    assert chosen(EntropySum(bound, order), rows, tokens) == expected


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_ranked_takes_the_best_of_the_schedules_size(data):
    rows, masked, tokens = states(data)
    counts = data.draw(counts_of(len(tokens)))
    revealed = len(tokens) - len(masked)
    size = next(end for end in np.cumsum(counts) if end > revealed) - revealed
    for score, by_loop in SCORES.items():
        order = best_first([by_loop(row) for row in rows], masked)
        assert chosen(Ranked(score, Schedule(counts)), rows, tokens) == set(order[:size])


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_early_commit(data):
    rows, masked, tokens = states(data)
    if rows.shape[1] == 1:
        return
    thresholds = data.draw(st.sampled_from([(7.5, 5.0, 2.5), (1.0, 0.5, 0.1), (0.1, 0.9, 3.0)]))
    rule = EarlyCommit(ConfidenceThreshold(0.9), thresholds)
    expected = early_commit_choice(rows, masked, threshold_choice(rows, masked, 0.9), thresholds)
    assert chosen(rule, rows, tokens) == expected


@given(st.data())
@settings(deadline=None, max_examples=20)
def test_random_rules_choose_only_masked_positions(data):
    rows, masked, tokens = states(data)
    n, key = len(tokens), jax.random.key(data.draw(st.integers(0, 99)))
    found = chosen(RandomSubset(Schedule([n])), rows, tokens, key)
    assert found == set(masked)
    found = chosen(RandomSubset(Schedule([1] * n)), rows, tokens, key)
    assert len(found) == 1
    assert found <= set(masked)
    possible = [entropy_sum_choice(rows, masked, 0.7, o) for o in itertools.permutations(range(n))]
    assert chosen(EntropySum(0.7), rows, tokens, key) in possible


def test_random_subsets_are_uniform():
    keys, tokens = jax.random.split(jax.random.key(1), 20000), jnp.array([2, 0, 2, 2, 2])
    rule = RandomSubset(Schedule([1, 2, 2]))
    sets = jax.vmap(lambda key: rule.choose(key, jnp.zeros((5, 2)), tokens, jnp.array(1)))(keys)
    counts = np.bincount(np.asarray(sets) @ (1 << np.arange(5)), minlength=32)
    pairs = [(1 << i) + (1 << j) for i, j in itertools.combinations([0, 2, 3, 4], 2)]
    assert counts[pairs].sum() == 20000
    np.testing.assert_allclose(counts[pairs] / 20000, 1 / 6, atol=5 * np.sqrt(5 / 36 / 20000))


def test_ties_and_cancellation_do_not_turn_on_rounding():
    """0.1 + 0.2 and 0.3, and the margins of rows that are level but for rounding."""
    rows = np.array([[0.7, 0.3], [0.7, 0.1 + 0.2], [0.5, 0.5], [0.5 + 1e-16, 0.5]])
    rows[1, 0], masked = 1 - rows[1, 1], np.full(4, 2)
    for score in SCORES:
        for order in itertools.permutations(range(4)):
            first = min(i for i in range(4) if (order[i] < 2) == (score is not row_entropy))
            assert chosen(Ranked(score, Schedule([1] * 4)), rows[list(order)], masked) == {first}
    assert chosen(ConfidenceThreshold(0.1 + 0.7 - 0.1), rows, masked) == {0, 1}
    assert chosen(ConfidenceThreshold(0.7 + 1e-15), rows, masked) == {0, 1}
    assert chosen(ConfidenceFactor(0.9), rows[:2], masked[:2]) == {0}  # (1 + 2) 0.3 is not below 0.9


def test_fixed_orders():
    assert dilated(16).levels.tolist() == [0, 3, 2, 3, 1, 3, 2, 3, 0, 3, 2, 3, 1, 3, 2, 3]
    assert np.bincount(dilated(32).levels).tolist() == [2, 2, 4, 8, 16]
    assert np.bincount(dilated(10).levels).tolist() == [2, 1, 2, 5]
    assert [dilated(n).levels.tolist() for n in (1, 2)] == [[0], [0, 0]]
    assert ascending_steps(10).counts.tolist() == [1, 2, 4, 3]
    assert [ascending_steps(n).counts.tolist() for n in (1, 2, 3)] == [[1], [2], [1, 2]]
    rows, schedule = np.full((5, 2), 0.5), Schedule([2, 3])
    assert chosen(left_to_right(schedule), rows, [2, 2, 2, 2, 2]) == {0, 1}
    assert chosen(left_to_right(schedule), rows, [0, 1, 2, 2, 2]) == {2, 3, 4}
    assert chosen(right_to_left(schedule), rows, [2, 2, 2, 2, 2]) == {3, 4}
    assert chosen(FixedPartition([[4, 1], [0], [2, 3]]), rows, [2, 0, 2, 2, 0]) == {0}


def test_semi_autoregressive_sees_its_block_only():
    rows = np.array([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1], [0.8, 0.2], [1.0, 0.0], [0.7, 0.3]])
    rule = SemiAutoregressive(Ranked(confidence, Schedule([2, 1])), 3)
    assert chosen(rule, rows, [2] * 6) == {0, 2}
    assert chosen(rule, rows, [0, 2, 0, 2, 2, 2]) == {1}
    assert chosen(rule, rows, [0, 0, 0, 2, 2, 2]) == {3, 4}
    assert not rule.is_random
    assert SemiAutoregressive(RandomSubset(Schedule([2, 1])), 3).is_random


def test_float32():
    rows = np.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]], np.float32)
    masked = [2, 2, 2]
    assert chosen(ConfidenceThreshold(0.8), rows, masked) == {1, 2}
    assert chosen(ConfidenceFactor(0.61), rows, masked) == {1, 2}
    assert chosen(EntropyBounded(0.4), rows, masked) == {1, 2}
    assert chosen(EntropySum(0.6, [2, 0, 1]), rows, masked) == {0, 2}
    assert chosen(Ranked(margin, Schedule([2, 1])), rows, masked) == {1, 2}
    assert chosen(EarlyCommit(ConfidenceThreshold(1.0)), rows, masked) == {1}


def test_refusals():
    rows, masked = np.full((3, 2), 0.5), [2, 2, 2]
    for make, line in [
        (lambda: ConfidenceThreshold(1.5), "threshold is 1.5: want a probability"),
        (lambda: ConfidenceFactor(0), "factor is 0: want a finite number > 0"),
        (lambda: EntropyBounded(-1), "bound is -1: want a finite number of nats >= 0"),
        (lambda: EntropySum(float("nan")), "threshold is nan"),
        (lambda: EntropySum(1.0, [0, 0, 1]), r"order is \[0, 0, 1\]: want a permutation of 0..2"),
        (lambda: EarlyCommit(ConfidenceThreshold(1), (1.0, 2.0)), r"thresholds is of shape \(2,\)"),
        (lambda: EarlyCommit(ConfidenceThreshold(1), (1.0, 2.0, np.nan)), "want three gaps in nats"),
        (lambda: FixedPartition([[0], [0, 1]]), r"blocks is \[\[0\], \[0, 1\]\]: want each of 0..n-1 once"),
        (lambda: FixedPartition([[0], []]), "no empty block"),
        (lambda: FixedPartition([[0], [2]]), "each of 0..n-1 once"),
        (lambda: FixedPartition([]), "no empty block"),
        (lambda: dilated(0), "n is 0"),
        (lambda: ascending_steps(0), "n is 0"),
        (lambda: SemiAutoregressive(ConfidenceThreshold(1), 0), "block is 0"),
        (lambda: chosen(SemiAutoregressive(ConfidenceThreshold(1), 2), rows, masked), "a divisor of n = 3"),
        (
            lambda: chosen(RandomSubset(Schedule([4])), rows, masked),
            "counts is for 4 positions: want n",
        ),
        (lambda: chosen(Ranked(margin, Schedule([2])), rows, masked), "counts is for 2 positions"),
        (lambda: chosen(left_to_right(Schedule([4])), rows, masked), "blocks is for 4 positions"),
        (lambda: chosen(EntropySum(1.0, [1, 0]), rows, masked), "order is for 2 positions"),
    ]:
        with pytest.raises(InvalidInputError, match=line):
            make()


class Mine(mj.AbstractRule):
    """A rule as a user writes it: every position that is sure, and the surest."""

    level: float = 0.7
    is_random = False

    def choose(self, key, log_probs, tokens, step):
        masked = tokens == log_probs.shape[1]
        best = jnp.where(masked, jnp.exp(log_probs.max(axis=1)), -1.0)
        return (best >= self.level) | (jnp.arange(tokens.size) == jnp.argmax(best))


@pytest.mark.parametrize("draws", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_rule_of_ones_own(draws, key):
    """Its law is that of the built-in rule that it copies, and of its draws within 5 standard errors."""
    table = np.random.default_rng(4).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
    model = mj.tabulate_denoiser(mj.Oracle(mj.Joint(jnp.asarray(table))))
    law = mj.exact_law(model, mj.Reveal(Mine()))
    built_in = mj.exact_law(model, mj.Reveal(mj.ConfidenceThreshold(0.7)))
    np.testing.assert_array_equal(law.probs, built_in.probs)
    np.testing.assert_array_equal(law.calls, built_in.calls)
    assert 1 < float(law.expected_calls) < 3
    found = mj.decode_many(key, model, mj.Reveal(Mine()), draws, batch=10_000)
    words = np.asarray(found.tokens) @ np.array([4, 2, 1])
    for values, p in [(words, np.asarray(law.probs).reshape(-1)), (found.calls, np.asarray(law.calls))]:
        counts = np.bincount(np.asarray(values), minlength=p.size) / draws
        assert np.all(np.abs(counts - p) <= 5 * np.sqrt(p * np.maximum(1 - p, 0) / draws))
