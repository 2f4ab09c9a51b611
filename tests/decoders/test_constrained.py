"""DINGO and what draws in its place, against sums over every completion of every state."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import accepted_words, best_first, constrained_step, remasking_law, table_conditionals
from _strategies import random_denoiser

from mdmjax import (
    FixedPartition,
    InvalidInputError,
    Joint,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    confidence,
    decode,
    decode_many,
    exact_law,
    left_to_right,
)
from mdmjax.decoders.automaton import Automaton, accepted_table, given_accepted, padded
from mdmjax.decoders.constrained import Completable, Constrained, Dingo
from mdmjax.decoders.languages import remainder
from mdmjax.laws.likelihood import exact_nll

KINDS = {"dingo": Dingo, "constrained": Constrained, "completable": Completable}
N, Q, STATES = 3, 2, 3
BLOCKS = [[2, 0], [1]]


def uniform_pairs(rows, masked):
    size = 2 if len(masked) == N else len(masked)
    sets = list(itertools.combinations(masked, size))
    return [(1 / len(sets), chosen) for chosen in sets]


RULES = {
    "fixed": (
        FixedPartition(BLOCKS),
        lambda rows, masked: [(1.0, next(b for b in BLOCKS if b[0] in masked))],
    ),
    "random": (RandomSubset(Schedule([2, 1])), uniform_pairs),
    "confidence": (
        Ranked(confidence, Schedule([1, 2])),
        lambda rows, masked: [
            (1.0, best_first([max(row) for row in rows], masked)[: 1 if len(masked) == N else 2])
        ],
    ),
}


def automata(seed):
    """A random automaton that accepts some word, and its parts as lists."""
    rng = np.random.default_rng(seed)
    while True:
        table = rng.integers(0, STATES, (STATES, Q)).tolist()
        accepting = (rng.random(STATES) < 0.4).tolist()
        words = accepted_words(table, 0, accepting, N)
        if words:
            return Automaton(table, 0, accepting), words


def made(kind, rule, automaton):
    """The decoder, of one shape for all automata of as many states."""
    decoder = KINDS[kind](rule, automaton, N)
    if kind == "completable":
        return eqx.tree_at(lambda one: one.masked, decoder, padded(decoder.masked, 2**STATES))
    return decoder


CASES = [("random", 10), *(pytest.param(rule, 100, marks=pytest.mark.slow) for rule in RULES)]
FEW = [kind if kind == "constrained" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.mark.parametrize(("rule", "count"), CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_laws_of_random_joints_and_automata(kind, rule, count):
    for seed in range(count):
        automaton, words = automata(seed)
        table = np.random.default_rng(seed).dirichlet(np.full(Q**N, 0.5)).reshape((Q,) * N)
        law = exact_law(Oracle(Joint(jnp.asarray(table))), made(kind, RULES[rule][0], automaton))
        step_of = constrained_step(
            Q, lambda t, p=table: table_conditionals(p, t), RULES[rule][1], words, kind
        )
        wanted, steps, _ = remasking_law(N, Q, step_of)
        np.testing.assert_allclose(law.probs, wanted, rtol=0, atol=1e-12)
        np.testing.assert_allclose(law.calls[: steps.size], steps, rtol=0, atol=1e-12)
        assert {tuple(word) for word in np.argwhere(np.asarray(law.probs) > 0).tolist()} <= set(words)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rule"), [*itertools.product(KINDS, RULES)])
def test_rows_with_zeros_and_ties(kind, rule):
    """Where the rows rule out all that is accepted, as few of their zeros are written as can be."""
    for seed in range(40):
        automaton, words = automata(seed)
        denoiser, rows_of = random_denoiser(N, Q, seed)
        law = exact_law(denoiser, made(kind, RULES[rule][0], automaton))
        wanted, _, _ = remasking_law(N, Q, constrained_step(Q, rows_of, RULES[rule][1], words, kind))
        np.testing.assert_allclose(law.probs, wanted, rtol=0, atol=1e-9)  # weights are 1e5 apart


MODEL = random_denoiser(4, 2, 5)[0]
THREES = Automaton([[1, 0], [2, 1], [0, 2]], 0, [False, False, True])  # zeros: 2 modulo 3


@pytest.mark.parametrize("kind", FEW)
def test_draws_follow_the_law(kind, key):
    """Pearson's chi-square of 20000 outputs, from draws that enumerate no words."""
    decoder, count = KINDS[kind](RandomSubset(Schedule([1, 2, 1])), THREES, 4), 20000
    law = exact_law(MODEL, decoder)
    traces = eqx.filter_jit(jax.vmap(lambda k: decode(k, MODEL, decoder)))(jax.random.split(key, count))
    words = np.asarray(traces.tokens) @ np.array([8, 4, 2, 1])
    seen, wanted = np.bincount(words, minlength=16), count * np.asarray(law.probs).reshape(-1)
    assert np.all(seen[wanted < 1e-9] == 0)
    possible = wanted >= 1e-9
    square = ((seen - wanted)[possible] ** 2 / wanted[possible]).sum()
    freedom = possible.sum() - 1
    assert square < freedom + 5 * np.sqrt(2 * freedom) + 5
    assert np.all(np.asarray(traces.calls) == 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_path_has_the_probability_of_its_branches(kind, key):
    """`follow` of every word from every state, by the branches of the step."""
    decoder = KINDS[kind](left_to_right(Schedule([2, 2])), THREES, 4)
    targets = jnp.asarray(np.indices((2,) * 4).reshape(4, -1).T)
    for state in ([2, 2, 2, 2], [0, 1, 2, 2]):
        start = jnp.array(state)
        follow = jax.vmap(lambda word, start=start: decoder.follow(key, MODEL, start, word, jnp.array(0)))
        chosen, log_weight = follow(targets)
        weights, rows = decoder.branches(MODEL, start, jnp.array(0))
        after = np.where(chosen, targets, start[None, :])
        chances = np.asarray(rows)[:, np.arange(4), after].prod(-1)  # by branch and target
        np.testing.assert_allclose(np.exp(log_weight), weights @ chances, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[4], [1, 1, 1, 1], [2, 1, 1]])
def test_constrained_draws_of_independent_positions_are_the_law_given_acceptance(counts):
    """In any order and number of steps; what only looks at what is possible is not."""
    rows = np.random.default_rng(1).dirichlet(np.ones(2), 4)
    joint = Joint(jnp.asarray(np.einsum("a,b,c,d->abcd", *rows)))
    wanted, mass = given_accepted(joint, THREES)
    np.testing.assert_allclose(mass, np.asarray(joint.probs)[np.asarray(accepted_table(THREES, 4))].sum())
    rule = RandomSubset(Schedule(counts))
    law = exact_law(Oracle(joint), Constrained(rule, THREES, 4))
    np.testing.assert_allclose(law.probs, wanted.probs, rtol=0, atol=1e-14)
    other = exact_law(Oracle(joint), Completable(rule, THREES, 4))
    assert (np.abs(other.probs - wanted.probs).max() > 1e-3) == (len(counts) > 1)


@pytest.mark.slow
def test_without_a_constraint_they_reveal():
    every, rule = Automaton([[0, 0]], 0, [True]), RandomSubset(Schedule([2, 1]))
    model = random_denoiser(3, 2, 3)[0]
    revealed = exact_law(model, Reveal(rule)).probs
    for decoder in (Constrained(rule, every, 3), Completable(rule, every, 3)):
        np.testing.assert_allclose(exact_law(model, decoder).probs, revealed, rtol=0, atol=1e-14)


def test_what_no_word_satisfies_is_refused():
    odd = remainder([0, 2], 4, 1)
    for decoder in KINDS.values():
        with pytest.raises(InvalidInputError, match="automaton is one that no word of length 4 satisfies"):
            decoder(left_to_right(Schedule([4])), odd, 4)
    decoder = Dingo(left_to_right(Schedule([4])), THREES, 4)
    with pytest.raises(InvalidInputError, match="no word of length 4 with these tokens satisfies"):
        decode(jax.random.key(0), MODEL, decoder, given=jnp.array([1, 1, 1, 2]))
    with pytest.raises(InvalidInputError, match="no word of length 4 with these tokens satisfies"):
        decode_many(jax.random.key(0), MODEL, decoder, 2, given=jnp.array([[2, 2, 2, 2], [1, 1, 1, 2]]))
    three = Automaton([[0, 0, 0]], 0, [True])
    with pytest.raises(InvalidInputError, match=r"automaton is of 3 symbols: want one of q = 2 symbols"):
        exact_law(MODEL, Dingo(left_to_right(Schedule([4])), three, 4))


def test_dingo_is_the_best_accepted_word():
    """One step of many positions, against the maximum over all accepted words."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(2), 10)
    words = accepted_words(THREES.transition.tolist(), 0, THREES.accepting.tolist(), 10)
    best = max(words, key=lambda word: math.prod(rows[i][a] for i, a in enumerate(word)))
    decoder = Dingo(left_to_right(Schedule([10])), THREES, 10)
    found = decoder.write(
        jax.random.key(0), jnp.log(jnp.asarray(rows)), jnp.full(10, 2), jnp.ones(10, bool)
    )
    assert tuple(found.tolist()) == best


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_of_words_are_their_probabilities(kind):
    decoder = KINDS[kind](left_to_right(Schedule([2, 2])), THREES, 4)
    words = jnp.asarray(np.indices((2,) * 4).reshape(4, -1).T)
    law = exact_law(MODEL, decoder).probs.reshape(-1)
    np.testing.assert_allclose(np.exp(-exact_nll(MODEL, decoder, words)), law, rtol=0, atol=1e-9)
