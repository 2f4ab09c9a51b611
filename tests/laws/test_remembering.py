"""Laws of decoders that remember, against dicts of states in plain Python; and what takes such decoders."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _memory_oracles import coral_step, credit_step, remembering_law, rows_of_table
from _oracles import best_first, sweeps_step, threshold_choice
from _strategies import random_denoiser

from mdmjax import (
    ConfidenceThreshold,
    Edited,
    FixedPartition,
    InvalidInputError,
    Joint,
    Oracle,
    Ranked,
    Reveal,
    Schedule,
    Sweeps,
    Tempered,
    confidence,
    decode,
    exact_law,
)
from mdmjax.decoders.base import Branches, revealed_rows
from mdmjax.decoders.coral import SlidingBlock
from mdmjax.decoders.credit import Credited
from mdmjax.decoders.reveal import AtTemperature
from mdmjax.decoders.run import remembered
from mdmjax.laws import frontier
from mdmjax.laws.dense import dense_law
from mdmjax.laws.frontier import Stepper
from mdmjax.laws.likelihood import exact_nll
from mdmjax.policies.regret import regret, teacher_forced_calls
from mdmjax.studies.law_report import Named
from mdmjax.studies.likelihood import at_temperature_one

N, Q = 3, 2
FEW_OR_ALL = [6, pytest.param(100, marks=pytest.mark.slow)]
NO_CREDIT = ((0.0,) * Q,) * N


def joints(count):
    for seed in range(count):
        table = np.random.default_rng(seed).dirichlet(np.full(Q**N, 0.5)).reshape((Q,) * N) + 1e-6
        yield table / table.sum()


def check_law(law, expected, calls=None):
    probs, steps, last, unfinished = expected
    np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(law.unfinished, unfinished, rtol=0, atol=1e-12)
    if calls is None:
        np.testing.assert_allclose(law.calls, steps[: law.calls.size], rtol=0, atol=1e-12)
        assert steps[law.calls.size :].sum() < 1e-12
    for row, when in zip(np.asarray(law.finalised), last, strict=True):
        np.testing.assert_allclose(row, [when.get(t, 0.0) for t in range(row.size)], rtol=0, atol=1e-12)


def ranked(rows, masked):
    return set(best_first([max(row) for row in rows], masked)[: 2 if len(masked) == N else 1])


@pytest.mark.parametrize("count", FEW_OR_ALL)
def test_the_law_of_credits_from_the_definition(count):
    for place, table in enumerate(joints(count)):
        threshold, strength = (0.6, 0.8, 0.95)[place % 3], (0.7, 2.0)[place % 2]
        choose = lambda rows, masked, threshold=threshold: threshold_choice(rows, masked, threshold)
        knobs = {"strength": strength, "decay": 0.8, "boost": 0.2}
        step_of = credit_step(Q, rows_of_table(table), choose, **knobs)
        law = exact_law(
            Oracle(Joint(jnp.asarray(table))),
            Credited(Reveal(ConfidenceThreshold(threshold)), N, Q, **knobs),
        )
        check_law(law, remembering_law(N, Q, step_of, NO_CREDIT))


@pytest.mark.parametrize("seed", range(4))
def test_credits_with_ties_and_zeros(seed):
    """Any decoder may be wrapped; of the best symbols that are equal the lowest has the credit."""
    denoiser, rows_of = random_denoiser(N, Q, seed)
    step_of = credit_step(Q, rows_of, ranked, 1.5, 0.5, 0.4)
    decoder = Credited(
        Reveal(Ranked(confidence, Schedule([2, 1]))), N, Q, strength=1.5, decay=0.5, boost=0.4
    )
    check_law(exact_law(denoiser, decoder), remembering_law(N, Q, step_of, NO_CREDIT))


MODEL, MODEL_ROWS = random_denoiser(N, Q, 7)
PLAIN = Reveal(ConfidenceThreshold(0.7))
CREDITED = Credited(PLAIN, N, Q, strength=2.0)


@pytest.mark.slow
def test_without_strength_it_is_the_decoder():
    for temperature in (1.0, 0.5, 0):
        plain = Reveal(ConfidenceThreshold(0.7), temperature=temperature)
        mine, theirs = exact_law(MODEL, Credited(plain, N, Q, strength=0)), exact_law(MODEL, plain)
        np.testing.assert_allclose(mine.probs, theirs.probs, rtol=0, atol=1e-15)
        np.testing.assert_allclose(mine.finalised, theirs.finalised, rtol=0, atol=1e-15)
    assert np.abs(exact_law(MODEL, CREDITED).probs - exact_law(MODEL, PLAIN).probs).max() > 1e-3


def test_a_temperature_around_a_memory_is_that_of_its_denoiser():
    warm = exact_law(MODEL, AtTemperature(CREDITED, 2.0))
    np.testing.assert_allclose(warm.probs, exact_law(Tempered(MODEL, 2.0), CREDITED).probs, atol=1e-15)
    assert np.abs(warm.probs - exact_law(MODEL, CREDITED).probs).max() > 1e-3


def test_edited_keeps_what_its_decoder_remembers():
    choose = lambda rows, masked: threshold_choice(rows, masked, 0.7)
    write = credit_step(Q, MODEL_ROWS, choose, 2.0, 0.8, 0.2)
    edit = sweeps_step(Q, MODEL_ROWS, [[1], [0, 2]], 1)

    def step_of(tokens, credits, step):
        if step < N:
            return write(tokens, credits, step) or [(1.0, tokens, credits)]
        outcomes = edit(tokens, step - N)
        return outcomes and [(share, after, credits) for share, after in outcomes]

    law = exact_law(MODEL, Edited(CREDITED, Sweeps([[1], [0, 2]], 1)))
    check_law(law, remembering_law(N, Q, step_of, NO_CREDIT), calls="not those of idle steps")


CORAL = [(2, 1, 0, 1), (3, 2, 1, 1), (2, 2, 2, 2), (16, 4, 8, 8)]


@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_the_law_of_a_sliding_block_from_the_definition(count):
    for place, table in enumerate(joints(count)):
        sizes = dict(zip(("block", "forward", "backward", "repeats"), CORAL[place % 4], strict=True))
        step_of = coral_step(N, Q, rows_of_table(table), **sizes, greedy=True)
        law = exact_law(Oracle(Joint(jnp.asarray(table))), SlidingBlock(N, **sizes), max_steps=20)
        check_law(law, remembering_law(N, Q, step_of, (0,) * N, max_steps=20))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", CORAL[:3])
def test_the_law_of_a_sliding_block_that_draws(sizes):
    sizes = dict(zip(("block", "forward", "backward", "repeats"), sizes, strict=True))
    for table in joints(10):
        step_of = coral_step(N, Q, rows_of_table(table), **sizes, greedy=False)
        decoder = SlidingBlock(N, **sizes, temperature=1)
        law = exact_law(Oracle(Joint(jnp.asarray(table))), decoder, max_steps=6)
        check_law(law, remembering_law(N, Q, step_of, (0,) * N, max_steps=6))
        assert float(law.unfinished) > 0


class Turning(Reveal):
    """A `Reveal` with a memory: after a 1 it goes on from the right, else by its rule."""

    turned: jax.Array
    remembers = True

    def branches(self, denoiser, tokens, step):
        last = jnp.arange(N) == N - 1 - jnp.argmax((tokens == Q)[::-1])
        other = Reveal(self.rule).branches(denoiser, tokens, step)
        right = revealed_rows(denoiser(tokens), tokens, last)
        return Branches(other.weights, jnp.where(self.turned, right[None], other.rows))

    def then(self, denoiser, tokens, after, step):
        ones = jnp.any((after == 1) & (tokens == Q))
        return eqx.tree_at(lambda one: one.turned, self, ones)


def test_no_faster_way_ignores_a_memory():
    """The rule alone would be a fixed order or a tree; states that differ in memory alone are two."""

    def step_of(tokens, turned, step):
        masked = [i for i in range(N) if tokens[i] == Q]
        if not masked:
            return None
        i = masked[-1] if turned else masked[0]
        row = MODEL_ROWS(tokens)[i]
        return [(row[a], (*tokens[:i], a, *tokens[i + 1 :]), a == 1) for a in range(Q)]

    rule = FixedPartition([[0], [1], [2]])
    decoder = Turning(rule, jnp.array(False))
    law = exact_law(MODEL, decoder)
    assert law.way == "frontier"
    check_law(law, remembering_law(N, Q, step_of, False))
    assert np.abs(law.probs - exact_law(MODEL, Reveal(rule)).probs).max() > 1e-3
    joint = next(joints(1))
    for refused in (
        lambda: dense_law(MODEL, decoder),
        lambda: teacher_forced_calls(Joint(jnp.asarray(joint)), MODEL, decoder),
    ):
        with pytest.raises(InvalidInputError, match="decoder is"):
            refused()


def test_only_what_changes_is_memory():
    """A judge's table is not copied to every state; the credits are."""
    judged = Credited(Reveal(ConfidenceThreshold(0.7), judge=MODEL), N, Q)
    for decoder in (judged, AtTemperature(judged, 0.5), Edited(judged, Sweeps([[0], [1, 2]], 1))):
        kept = remembered(MODEL, decoder)
        memory = jax.tree.leaves(eqx.filter(decoder, kept))
        assert [leaf.shape for leaf in memory] == [(N, Q)]


class Forgetful(Turning):
    def then(self, denoiser, tokens, after, step):
        return eqx.tree_at(lambda one: one.turned, self, jnp.zeros((), int))


def test_a_memory_of_another_kind_is_refused():
    decoder = Forgetful(FixedPartition([[0], [1], [2]]), jnp.array(False))
    with pytest.raises(InvalidInputError, match="same shapes and types"):
        exact_law(MODEL, decoder)


def test_a_memory_too_large_is_refused_before_it_is_made(monkeypatch):
    stepper = Stepper(MODEL, CREDITED, 2**22, 2**12)
    stepper._check(2**22)  # 48 bytes a state
    monkeypatch.setattr(frontier, "MAX_TABLE_BYTES", 48 * 4 * 100)
    stepper._check(100)
    with pytest.raises(InvalidInputError, match="what the states remember"):
        stepper._check(101)
    monkeypatch.undo()
    with pytest.raises(InvalidInputError, match="at most 1"):
        exact_law(MODEL, CREDITED, max_states=1)


def test_the_likelihood_of_a_path_with_memory():
    words = np.array(list(itertools.product(range(Q), repeat=N)))
    law = np.asarray(exact_law(MODEL, CREDITED).probs).reshape(-1)
    found = exact_nll(MODEL, CREDITED, jnp.asarray(words), batch=3)  # slots are used again
    np.testing.assert_allclose(np.exp(-found), law, rtol=0, atol=1e-12)


def test_the_tokens_of_a_greedy_memory_are_scored_as_drawn():
    greedy = Credited(Reveal(ConfidenceThreshold(0.7), temperature=0), N, Q)
    scored = at_temperature_one(Named(greedy, "credit"))
    assert isinstance(scored.decoder, Credited)
    assert scored.decoder.decoder.temperature == 1
    assert scored.parameters == {"tokens_at": 1.0}


@pytest.mark.slow
def test_the_regret_of_a_memory_is_that_of_its_law():
    joint = Joint(jnp.asarray(next(joints(1))))
    found = regret(joint, Oracle(joint), Credited(PLAIN, N, Q))
    assert found.over == "the output"
    assert found.calls == exact_law(Oracle(joint), Credited(PLAIN, N, Q)).expected_calls


DRAWN = {
    "credit": CREDITED,
    "tempered": AtTemperature(CREDITED, 2.0),
    "edited": Edited(CREDITED, Sweeps([[1], [0, 2]], 1)),
    "coral": SlidingBlock(N, block=2, forward=1, backward=1, repeats=1, temperature=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_draws_follow_the_law(name, key):
    """Pearson's chi-square of 20000 outputs, and the mean number of calls."""
    decoder, count = DRAWN[name], 20000
    joint = Oracle(Joint(jnp.asarray(next(joints(1)) * 0.5 + 0.5 / 8)))
    model = joint if name == "coral" else MODEL
    law = exact_law(model, decoder, max_steps=60)
    assert float(law.unfinished) < 1e-3
    run = eqx.filter_jit(jax.vmap(lambda k: decode(k, model, decoder)))
    traces = run(jax.random.split(key, count))
    words = np.asarray(traces.tokens) @ np.array([4, 2, 1])
    seen, wanted = np.bincount(words, minlength=8), count * np.asarray(law.probs).reshape(-1)
    assert np.all(seen[wanted == 0] == 0)
    possible = wanted > 0
    square = ((seen - wanted)[possible] ** 2 / wanted[possible]).sum()
    freedom = possible.sum() - 1
    assert square < freedom + 5 * np.sqrt(2 * freedom) + 5
    chances, values = np.asarray(law.calls), np.arange(law.calls.size)
    spread = np.sqrt(max(0.0, chances @ values**2 - (chances @ values) ** 2))
    assert abs(traces.calls.mean() - float(law.expected_calls)) <= 5 * spread / np.sqrt(count) + 1e-2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Credited(PLAIN, 0, 2), "n is 0"),
        (lambda: Credited(PLAIN, 3, 2, decay=1.5), "decay is 1.5"),
        (lambda: Credited(PLAIN, 3, 2, strength=-1), "strength is -1"),
        (lambda: Credited(PLAIN, 3, 2, boost=float("inf")), "boost is inf"),
        (lambda: exact_law(MODEL, Credited(PLAIN, 3, 3)), r"n, q is \(3, 3\)"),
        (lambda: SlidingBlock(3, repeats=0), "repeats is 0"),
        (lambda: SlidingBlock(3, backward=-1), "backward is -1"),
        (lambda: SlidingBlock(3, temperature=-1), "temperature is -1"),
        (lambda: exact_law(MODEL, SlidingBlock(4)), "n is for 4 positions"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
