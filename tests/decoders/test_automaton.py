"""Automata against every word walked, and patterns against Python's regular expressions."""

import itertools
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import accepted_words
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, Joint
from mdmjax.decoders.automaton import (
    Automaton,
    accepted_table,
    check_satisfiable,
    given_accepted,
    live,
    padded,
    with_masks,
    word_count,
)
from mdmjax.decoders.languages import both, brackets, no_two_alike, one_of, remainder, symbol_counts
from mdmjax.decoders.patterns import pattern


def words_of(automaton, n):
    """The accepted words by a walk in Python."""
    parts = automaton.transition.tolist(), int(automaton.start), automaton.accepting.tolist()
    return accepted_words(*parts, n)


def every(q, n):
    return itertools.product(range(q), repeat=n)


def balanced(word, depth):
    level = [0]
    for symbol in word:
        level.append(level[-1] + {0: 1, 1: -1}.get(symbol, 0))
    return min(level) >= 0 and max(level) <= depth and level[-1] == 0


MADE = {
    "counts": (symbol_counts([None, 2, 1]), lambda w: w.count(1) == 2 and w.count(2) == 1),
    "permutation": (symbol_counts([1, 1, 1, 1]), lambda w: sorted(w) == [0, 1, 2, 3]),
    "remainder": (remainder([1, 5, -2], 7, 5), lambda w: sum([1, 5, -2][a] for a in w) % 7 == 5),
    "no two alike": (no_two_alike(3), lambda w: all(a != b for a, b in itertools.pairwise(w))),
    "words": (one_of([[0, 1, 2, 0], [2, 2, 1, 1], [1, 0]], 3), lambda w: w in {(0, 1, 2, 0), (2, 2, 1, 1)}),
    "brackets": (brackets(3, 1), lambda w: balanced(w, 1)),
    "both": (both(brackets(3, 2), no_two_alike(3)), lambda w: w in BOTH),
}
BOTH = [w for w in every(3, 4) if balanced(w, 2) and all(a != b for a, b in itertools.pairwise(w))]


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_accepts_what_it_says(name):
    automaton, wanted = MADE[name]
    words = [word for word in every(automaton.q, 4) if wanted(word)]
    assert words_of(automaton, 4) == words
    assert word_count(automaton, [automaton.q] * 4) == len(words) > 0


@given(st.integers(0, 2**16))
@settings(deadline=None, max_examples=6)
def test_counts_tables_and_live_states(seed):
    rng = np.random.default_rng(seed)
    automaton = Automaton(rng.integers(0, 3, (3, 2)), rng.integers(0, 3), rng.random(3) < 0.5)
    words, tokens = words_of(automaton, 4), rng.integers(0, 3, 4)
    agree = [w for w in words if all(t in (2, a) for t, a in zip(tokens, w, strict=True))]
    assert word_count(automaton, tokens) == len(agree)
    if not agree:
        with pytest.raises(InvalidInputError, match="automaton is one that no word of length 4"):
            check_satisfiable(automaton, tokens)
    assert [tuple(w) for w in np.argwhere(np.asarray(accepted_table(automaton, 4))).tolist()] == words
    for state in range(3):
        begun = Automaton(automaton.transition, state, automaton.accepting)
        assert [bool(words_of(begun, k)) for k in range(4)] == live(automaton, 3)[:, state].tolist()
    masked = padded(with_masks(automaton), 8)
    assert (tuple(tokens.tolist()) in words_of(masked, 4)) == bool(agree)


def test_a_joint_given_that_its_word_is_accepted():
    table = np.random.default_rng(0).dirichlet(np.ones(9)).reshape(3, 3)
    given_that, mass = given_accepted(Joint(jnp.asarray(table)), no_two_alike(3))
    kept = table * (1 - np.eye(3))
    np.testing.assert_allclose(mass, kept.sum(), rtol=1e-14)
    np.testing.assert_allclose(given_that.probs, kept / kept.sum(), rtol=1e-14)


PATTERNS = st.recursive(
    st.sampled_from(["0", "1", "2", ".", "[01]", "[^1]", "[0-2]", "[2]", "()"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"{two[0]}{two[1]}"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{1,}", "{0}"])).map(
            lambda two: f"({two[0]}){two[1]}"
        ),
    ),
    max_leaves=6,
)


@given(PATTERNS)
@settings(deadline=None, max_examples=30)
def test_patterns_are_regular_expressions(text):
    automaton, known = pattern(text, 3), re.compile(text)
    transition, accepting = automaton.transition.tolist(), automaton.accepting.tolist()
    for n in range(5):
        wanted = [w for w in every(3, n) if known.fullmatch("".join(map(str, w)))]
        assert accepted_words(transition, 0, accepting, n) == wanted


def test_letters_and_long_words():
    assert word_count(pattern("a(b|9)*", 12), [12] * 50) == 2**49
    assert word_count(brackets(2, 100), [2] * 200) == math.comb(200, 100) // 101


@pytest.mark.parametrize(
    ("text", "wanted"),
    {
        "(01": r"want \) at character 4",
        "01)": "want the end at character 3",
        "02": r"want a symbol 0\.\.1 at character 2",
        "*": r"want a symbol 0\.\.1 at character 1",
        "[0": r"want a symbol 0\.\.1 at character 3",
        "0{,2}": "want a number at character 3",
        "0{2,1}": r"want \{m,n\} with m <= n",
        "0{999}": "want at most 256 repeats",
        "0 1": r"want a symbol 0\.\.1 at character 2",
    }.items(),
)
def test_what_is_no_pattern(text, wanted):
    with pytest.raises(InvalidInputError, match=wanted):
        pattern(text, 2)


@pytest.mark.slow
def test_a_pattern_of_too_many_states():
    with pytest.raises(InvalidInputError, match="want a pattern of at most 4096 states"):
        pattern("(0|1)*1(0|1){12}", 2)
    with pytest.raises(InvalidInputError, match="want one of at most 4096 sets of states that masks reach"):
        with_masks(remainder([2**i for i in range(14)], 2**14))


def test_what_is_no_automaton():
    for parts, wanted in [
        (([[0, 2], [0, 0]], 0, [True, False]), r"transition is 2: want states among 0\.\.1"),
        (([[0, 1], [0, 0]], 2, [True, False]), r"start is 2: want states among 0\.\.1"),
        (([[0, 1], [0, 0]], 0, [True]), r"accepting is of shape \(1,\), bool: want 2 booleans"),
        (([0, 1], 0, [True]), r"transition is of shape \(2,\)"),
        (([[0.5]], 0, [True]), "want integers of shape"),
    ]:
        with pytest.raises(InvalidInputError, match=wanted):
            Automaton(*parts)
    for make, wanted in [
        (lambda: symbol_counts([2**11, 2**11]), "counts is .*: want an automaton of 1..1048576 moves"),
        (lambda: one_of([[0, 3]], 3), r"words is 3: want words of the symbols 0\.\.2"),
        (lambda: one_of([], 3), "words is empty"),
        (lambda: remainder([0, 1], 0), "modulus is 0: want an integer >= 1"),
        (lambda: brackets(1, 1), "q is 1: want an integer >= 2"),
        (lambda: both(no_two_alike(2), no_two_alike(3)), "other is of 3 symbols: want the 2 of the first"),
    ]:
        with pytest.raises(InvalidInputError, match=wanted):
            make()
