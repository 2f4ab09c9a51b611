"""The driver, and the exact laws of its decoders, against decision trees in plain Python."""

import itertools

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    best_first,
    decoder_traces,
    early_commit_choice,
    entropy_bounded_choice,
    entropy_by_loop,
    entropy_sum_choice,
    factor_choice,
    margin_by_loop,
    table_conditionals,
    threshold_choice,
)
from _rules import Idle
from _strategies import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    ConfidenceFactor,
    ConfidenceThreshold,
    EarlyCommit,
    EntropyBounded,
    EntropySum,
    FixedPartition,
    InvalidInputError,
    Joint,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    SemiAutoregressive,
    Tempered,
    confidence,
    decode,
    dilated,
    exact_law,
    margin,
    negative_entropy,
    right_to_left,
    row_entropy,
    tabulate_denoiser,
)
from mdmjax.denoisers.perturbed import Argmax
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.laws.random_order import random_order_law
from mdmjax.schedules.named import ascending_steps

SCORES = {
    negative_entropy: lambda row: -entropy_by_loop(row),
    row_entropy: entropy_by_loop,
    confidence: max,
    margin: margin_by_loop,
}

TABLE = np.random.default_rng(4).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
MODEL = Oracle(Joint(jnp.asarray(TABLE)))
TABULATED = tabulate_denoiser(MODEL)  # compiles faster
OTHER = np.random.default_rng(5).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
OTHER_MODEL = tabulate_denoiser(Oracle(Joint(jnp.asarray(OTHER))))


def fixed(rule):
    return lambda rows, masked, tokens: [(1.0, rule(rows, masked, tokens))]


def sizes(counts, n, masked):
    return next(e for e in np.cumsum(counts) if e > n - len(masked)) - (n - len(masked))


def ranked_rule(score, counts):
    def rule(rows, masked, tokens):
        order = best_first([SCORES[score](row) for row in rows], masked)
        return set(order[: sizes(counts, len(rows), masked)])

    return fixed(rule)


def random_rule(counts):
    def rule(rows, masked, tokens):
        sets = list(itertools.combinations(masked, sizes(counts, len(rows), masked)))
        return [(1 / len(sets), set(s)) for s in sets]

    return rule


def entropy_sum_rule(threshold):
    def rule(rows, masked, tokens):
        orders = list(itertools.permutations(masked))
        return [(1 / len(orders), entropy_sum_choice(rows, masked, threshold, o)) for o in orders]

    return rule


def level_rule(levels):
    return fixed(lambda rows, masked, _: {i for i in masked if levels[i] == min(levels[j] for j in masked)})


def commit_rule(level, thresholds):
    return fixed(
        lambda rows, masked, _: early_commit_choice(
            rows, masked, threshold_choice(rows, masked, level), thresholds
        )
    )


def random_commit_rule(counts, thresholds):
    return lambda rows, masked, tokens: [
        (share, early_commit_choice(rows, masked, chosen, thresholds))
        for share, chosen in random_rule(counts)(rows, masked, tokens)
    ]


CASES = {
    "easy-first": (Ranked(negative_entropy, Schedule([1, 2])), ranked_rule(negative_entropy, [1, 2])),
    "hard-first": (Ranked(row_entropy, Schedule([2, 1])), ranked_rule(row_entropy, [2, 1])),
    "margin": (Ranked(margin, Schedule([1, 1, 1])), ranked_rule(margin, [1, 1, 1])),
    "ascending": (Ranked(confidence, ascending_steps(3)), ranked_rule(confidence, [1, 2])),
    "threshold": (ConfidenceThreshold(0.7), fixed(lambda r, m, _: threshold_choice(r, m, 0.7))),
    "factor": (ConfidenceFactor(0.9), fixed(lambda r, m, _: factor_choice(r, m, 0.9))),
    "entropy-bounded": (EntropyBounded(0.5), fixed(lambda r, m, _: entropy_bounded_choice(r, m, 0.5))),
    "entropy-sum": (
        EntropySum(0.6, [2, 0, 1]),
        fixed(lambda r, m, _: entropy_sum_choice(r, m, 0.6, [2, 0, 1])),
    ),
    "early-commit": (
        EarlyCommit(ConfidenceThreshold(0.95), (2.0, 1.0, 0.5)),
        commit_rule(0.95, (2.0, 1.0, 0.5)),
    ),
    "dilated": (dilated(3), level_rule([0, 1, 0])),
    "right-to-left": (right_to_left(Schedule([1, 2])), level_rule([1, 1, 0])),
    "random": (RandomSubset(Schedule([2, 1])), random_rule([2, 1])),
    "random-entropy-sum": (EntropySum(0.6), entropy_sum_rule(0.6)),
    "random-early-commit": (
        EarlyCommit(RandomSubset(Schedule([1, 1, 1])), (2.0, 1.0, 0.5)),
        random_commit_rule([1, 1, 1], (2.0, 1.0, 0.5)),
    ),
    "judged": (
        Reveal(Ranked(margin, Schedule([1, 2])), judge=OTHER_MODEL),
        lambda _, masked, tokens: ranked_rule(margin, [1, 2])(
            table_conditionals(OTHER, tokens), masked, tokens
        ),
    ),
    "random-judged": (
        Reveal(EntropySum(0.6), judge=OTHER_MODEL),
        lambda _, masked, tokens: entropy_sum_rule(0.6)(table_conditionals(OTHER, tokens), masked, tokens),
    ),
}


RULES = {name: rule for name, (rule, _) in CASES.items() if not isinstance(rule, Reveal)}


def decoder_of(rule):
    return rule if isinstance(rule, Reveal) else Reveal(rule)


def law_of(traces, n, q):
    law = np.zeros((q,) * n)
    for (word, _), mass in traces.items():
        law[word] += mass
    return law


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_exact_laws_of_all_rules(data):
    table = data.draw(probabilities(8)).reshape(2, 2, 2)
    denoiser = Oracle(Joint(jnp.asarray(table)))
    name = data.draw(st.sampled_from(list(CASES)))
    decoder, rule = decoder_of(CASES[name][0]), CASES[name][1]

    def rows_of(tokens):
        rows = table_conditionals(table, tokens)
        if np.isnan(rows).any():
            raise ZeroDivisionError
        return rows

    try:
        traces = decoder_traces(3, 2, rows_of, rule)
    except ZeroDivisionError:  # a context of probability zero is drawn
        with pytest.raises(InvalidInputError, match="is NaN"):
            exact_law(denoiser, decoder)
        return
    law = exact_law(denoiser, decoder)
    np.testing.assert_allclose(law.probs, law_of(traces, 3, 2), rtol=0, atol=1e-14)
    calls, finalised = np.zeros(law.calls.shape[0]), np.zeros(law.finalised.shape)
    for (_, steps), mass in traces.items():
        calls[max(steps) + 1] += mass
        finalised[range(3), steps] += mass
    np.testing.assert_allclose(law.calls, calls, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.finalised, finalised, rtol=0, atol=1e-14)


def in_blocks(rule, block):
    """The rule on the rows and tokens of the first block with masked positions."""

    def of_all(rows, masked, tokens):
        start = masked[0] // block * block
        here = slice(start, start + block)
        inside = [i - start for i in masked if i < start + block]
        return [(p, {i + start for i in s}) for p, s in rule(rows[here], inside, tokens[here])]

    return of_all


FOUR = {
    "semi-autoregressive": (
        SemiAutoregressive(ConfidenceThreshold(0.6), 2),
        in_blocks(fixed(lambda r, m, _: threshold_choice(r, m, 0.6)), 2),
    ),
    "random-semi-autoregressive": (
        SemiAutoregressive(EntropySum(0.7), 2),
        in_blocks(entropy_sum_rule(0.7), 2),
    ),
    "easy-first": (Ranked(negative_entropy, Schedule([1, 3])), ranked_rule(negative_entropy, [1, 3])),
    "hard-first": (Ranked(row_entropy, Schedule([2, 2])), ranked_rule(row_entropy, [2, 2])),
    "ascending": (Ranked(confidence, ascending_steps(4)), ranked_rule(confidence, [1, 3])),
    "factor": (ConfidenceFactor(1.5), fixed(lambda r, m, _: factor_choice(r, m, 1.5))),
    "entropy-bounded": (EntropyBounded(0.9), fixed(lambda r, m, _: entropy_bounded_choice(r, m, 0.9))),
    "random-entropy-sum": (EntropySum(1.4), entropy_sum_rule(1.4)),
    "random-early-commit": (
        EarlyCommit(RandomSubset(Schedule([1, 1, 2])), (1.5, 1.0, 0.5)),
        random_commit_rule([1, 1, 2], (1.5, 1.0, 0.5)),
    ),
    "dilated": (dilated(4), level_rule([0, 1, 0, 1])),
}


@pytest.mark.parametrize("name", FOUR)
def test_four_positions_of_three_symbols(name):
    table = np.random.default_rng(6).dirichlet(np.full(81, 0.3)).reshape((3,) * 4)
    decoder, rule = Reveal(FOUR[name][0]), FOUR[name][1]
    traces = decoder_traces(4, 3, lambda tokens: table_conditionals(table, tokens), rule)
    law = exact_law(Oracle(Joint(jnp.asarray(table))), decoder)
    np.testing.assert_allclose(law.probs, law_of(traces, 4, 3), rtol=0, atol=1e-14)
    calls = np.zeros(law.calls.size)
    for (_, steps), mass in traces.items():
        calls[max(steps) + 1] += mass
    np.testing.assert_allclose(law.calls, calls, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (i >= 5)) for i, name in enumerate(CASES)]
)
def test_draws_follow_the_law(name, key):
    """Output and steps together: words and their finalisation, within 5 standard errors."""
    decoder, rule = decoder_of(CASES[name][0]), CASES[name][1]
    traces = decoder_traces(3, 2, lambda tokens: table_conditionals(TABLE, tokens), rule)
    assert_draws(key, TABULATED, decoder, traces)


@pytest.mark.parametrize("name", ["semi-autoregressive", "random-semi-autoregressive"])
def test_draws_in_blocks_follow_the_law(name, key):
    table = np.random.default_rng(7).dirichlet(np.full(16, 2.0)).reshape((2,) * 4)
    decoder, rule = Reveal(FOUR[name][0]), FOUR[name][1]
    traces = decoder_traces(4, 2, lambda tokens: table_conditionals(table, tokens), rule)
    assert_draws(key, tabulate_denoiser(Oracle(Joint(jnp.asarray(table)))), decoder, traces)


def test_tempered_writing_with_the_models_confidences(key):
    """The rows that are drawn from are sharper than those that choose: the law, and draws of it."""

    def tempered(tokens):
        power = table_conditionals(TABLE, tokens) ** 2
        return power / power.sum(1, keepdims=True)

    def rule(_, masked, tokens):
        return [(1.0, threshold_choice(table_conditionals(TABLE, tokens), masked, 0.7))]

    threshold = ConfidenceThreshold(0.7)
    traces = decoder_traces(3, 2, tempered, rule)
    for denoiser, decoder in (
        (TABULATED, Reveal(threshold, temperature=0.5)),
        (Tempered(TABULATED, 0.5), Reveal(threshold, judge=TABULATED)),
    ):
        law = exact_law(denoiser, decoder)
        np.testing.assert_allclose(law.probs, law_of(traces, 3, 2), rtol=0, atol=1e-14)
        assert_draws(key, denoiser, decoder, traces)
        assert chex.assert_trees_all_equal(decoder.writer(denoiser), Tempered(TABULATED, 0.5)) is None


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.is_random])
def test_where_nothing_is_masked_nothing_is_chosen(name):
    """So that a decoder may idle: the empty set is certain."""
    law = RULES[name].choice_law(TABULATED(jnp.array([0, 1, 0])), jnp.array([0, 1, 0]), jnp.array(2))
    assert law.tolist() == [1.0] + [0.0] * 7


def assert_draws(key, denoiser, decoder, traces):
    draws = 20000
    assert abs(sum(traces.values()) - 1) < 1e-12
    found = many(jax.random.split(key, draws), denoiser, decoder)
    tokens, steps = np.asarray(found.tokens), np.asarray(found.finalised)
    np.testing.assert_array_equal(found.calls, steps.max(1) + 1)
    counts = {}
    for word, when in zip(tokens.tolist(), steps.tolist(), strict=True):
        pair = (tuple(word), tuple(when))
        counts[pair] = counts.get(pair, 0) + 1
    assert set(counts) <= set(traces)
    for pair, p in traces.items():
        assert abs(counts.get(pair, 0) / draws - p) <= 5 * np.sqrt(p * (1 - p) / draws) + 1e-12


@eqx.filter_jit
def many(keys, denoiser, decoder):
    return jax.vmap(decode, (0, None, None))(keys, denoiser, decoder)


def test_a_step_draws_from_the_state_before_it(key):
    """Two equal bits in one step are independent; one after another they would be equal."""
    same = tabulate_denoiser(Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))))
    for rule in (RandomSubset(Schedule([2])), EntropyBounded(9.0)):
        tokens = np.asarray(many(jax.random.split(key, 4000), same, Reveal(rule)).tokens)
        assert abs((tokens[:, 0] != tokens[:, 1]).mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)


def test_random_subset_against_the_exact_mixture():
    law = random_order_law(MODEL, Schedule([2, 1]))
    traces = decoder_traces(3, 2, lambda tokens: table_conditionals(TABLE, tokens), random_rule([2, 1]))
    np.testing.assert_allclose(law.probs, law_of(traces, 3, 2), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "rules",
    [
        [ConfidenceThreshold(x) for x in (0.1, 0.5, 1.0)],
        [RandomSubset(Schedule(counts)) for counts in ([3], [1, 2], [1, 1, 1])],
        [Ranked(margin, Schedule(counts)) for counts in ([3], [2, 1])],
        [FixedPartition(blocks) for blocks in ([[0, 1, 2]], [[2], [1], [0]])],
    ],
    ids=["threshold", "random", "ranked", "partition"],
)
def test_one_compilation_for_all_keys_thresholds_and_schedules(rules, key):
    chex.clear_trace_counter()
    run = jax.jit(chex.assert_max_traces(lambda key, decoder: decode(key, TABULATED, decoder), n=1))
    for i, rule in enumerate(rules):
        trace = run(jax.random.fold_in(key, i), Reveal(rule))
        assert int(trace.calls) == len(set(trace.finalised.tolist()))


def test_argmax_writes_the_first_maximum():
    rows = jnp.log(jnp.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))[:, None]
    greedy = Argmax(TableDenoiser(rows))
    assert jnp.exp(greedy(jnp.array([2]))).tolist() == [[1.0, 0.0]]
    assert jnp.exp(greedy(jnp.array([1]))).tolist() == [[0.0, 1.0]]
    level = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.5 - 1e-15, 0.5 + 1e-15]]]))
    assert jnp.exp(Argmax(TableDenoiser(level))(jnp.array([2]))).tolist() == [[1.0, 0.0]]


def test_greedy_writing_with_the_models_confidences(key):
    """Argmax rows alone make every position certain; at temperature 0 the rule sees the model's rows."""
    model = TABULATED
    rule = Ranked(confidence, Schedule([1, 1, 1]))
    tokens, when = [2, 2, 2], [3, 3, 3]
    for step in range(3):
        rows = table_conditionals(TABLE, tokens)
        i = best_first([max(row) for row in rows], [i for i in range(3) if tokens[i] == 2])[0]
        tokens[i], when[i] = int(np.argmax(rows[i])), step
    greedy, judged = (model, Reveal(rule, temperature=0)), (Argmax(model), Reveal(rule, judge=model))
    for denoiser, decoder in (greedy, judged):
        trace = decode(key, denoiser, decoder)
        assert (trace.tokens.tolist(), trace.finalised.tolist()) == (tokens, when)
        assert float(exact_law(denoiser, decoder).probs[tuple(tokens)]) == 1
    sure = ConfidenceThreshold(1.0)
    assert int(decode(key, Argmax(model), Reveal(sure)).calls) == 1
    assert int(decode(key, Argmax(model), Reveal(sure, judge=model)).calls) == 3
    assert int(decode(key, model, Reveal(sure, temperature=0)).calls) == 3


def test_a_rule_that_chooses_nothing_stops(key):
    trace = decode(key, TABULATED, Reveal(Idle()))
    assert (trace.tokens.tolist(), trace.finalised.tolist()) == ([2, 2, 2], [3, 3, 3])
    assert int(trace.calls) == 3


@pytest.mark.parametrize("name", RULES)
def test_rows_of_nan_still_make_progress(name, key):
    rows, masked = jnp.full((3, 2), jnp.nan), jnp.array([2, 2, 2])
    assert RULES[name].choose(key, rows, masked, jnp.array(0)).any()
