import re
import string

import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import assert_matches_table, assert_samples, conditionals, marginals
from _oracles import count_windows
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError
from mdmjax.distributions.empirical import Empirical, empirical_joint
from mdmjax.distributions.text import CharacterClasses, text_joint, text_windows

SAMPLES = np.array([[0, 1, 2], [2, 2, 2], [0, 1, 2], [0, 0, 1], [1, 1, 0]])
COUNTS = np.array([3, 1, 2, 4, 0])


def sample_table():
    table = np.zeros((3,) * 3)
    for row, count in zip(SAMPLES, COUNTS, strict=True):
        table[tuple(row)] += count / COUNTS.sum()
    return table


def test_empirical_every_context():
    assert_matches_table(Empirical(SAMPLES, COUNTS, 3), sample_table())


def test_empirical_joint():
    joint = empirical_joint(SAMPLES, COUNTS, 3)
    np.testing.assert_allclose(joint.probs, sample_table(), rtol=1e-15)
    halves = empirical_joint(SAMPLES.astype(np.uint8), COUNTS / 2, 3)
    np.testing.assert_allclose(halves.probs, sample_table(), rtol=1e-15)


def test_empirical_samples(key):
    assert_samples(Empirical(SAMPLES, COUNTS, 3), sample_table(), key)


def test_empirical_in_float32_and_far_past_enumeration():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (1000, 200))
    counts = rng.integers(1, 10, 1000).astype(np.float32)
    empirical = Empirical(rows, counts, 2)
    context = np.full(200, 2)
    context[[3, 50, 120]] = [1, 0, 1]
    agrees = (rows[:, 3] == 1) & (rows[:, 50] == 0) & (rows[:, 120] == 1)
    found = conditionals(empirical, jnp.asarray(context)[None])[0]
    assert found.dtype == jnp.float32
    ones = (counts * agrees) @ rows / (counts @ agrees)
    np.testing.assert_allclose(np.exp(found[:, 1]), ones, rtol=1e-5)
    evidence = marginals(empirical, jnp.asarray(context)[None])
    np.testing.assert_allclose(np.exp(evidence), [counts @ agrees / counts.sum()], rtol=1e-5)


def test_default_classes_by_regular_expressions():
    text = string.printable + "é中𝒳\u2003\x00" + "\udcff"
    expected = [
        next(
            i
            for i, pattern in enumerate(["[A-Za-z_]", "[0-9]", r"\s", "(?s:.)"])
            if re.match(pattern, character)
        )
        for character in text
    ]
    classes = CharacterClasses()
    assert (classes.q, classes.names) == (4, ("letter", "digit", "space", "other"))
    symbols = classes.classify(text)
    assert symbols.dtype == np.uint8
    assert symbols.tolist() == expected
    assert classes.classify("").shape == (0,)


def test_chosen_classes_in_their_order():
    classes = CharacterClasses((("vowel", "aeiou"), ("word", r"\w"), ("not newline", r"^\n")))
    assert classes.classify("a b\ne").tolist() == [0, 2, 1, 3, 0]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_windows_by_a_loop(data):
    q, window = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    arrays = [
        np.array(symbols, np.uint8)
        for symbols in data.draw(st.lists(st.lists(st.integers(0, q - 1), max_size=30), max_size=4))
    ]
    expected = count_windows(arrays, window)
    if not expected:
        with pytest.raises(InvalidInputError, match=f"window is {window}"):
            text_windows(arrays, window, q)
        return
    samples, counts = text_windows(arrays, window, q)
    assert samples.shape == (len(expected), window)
    rows = [tuple(row) for row in samples.tolist()]
    assert rows == sorted(rows)
    assert dict(zip(rows, counts.tolist(), strict=True)) == expected


@pytest.mark.parametrize("window", [15, 16, 17, 31])
def test_long_windows(window):
    """Codes past the small table, past 32 bits, and next to 63."""
    arrays = [np.random.default_rng(0).integers(0, 4, 400).astype(np.uint8) for _ in range(2)]
    arrays[1][:] = 3
    samples, counts = text_windows(arrays, window, 4)
    rows = [tuple(row) for row in samples.tolist()]
    assert dict(zip(rows, counts.tolist(), strict=True)) == count_windows(arrays, window)


def test_text_joint():
    arrays = [CharacterClasses().classify(text) for text in ("ab 12, c", "x", "7 + y = (zz)")]
    joint = text_joint(arrays, 3, 4)
    counts = count_windows(arrays, 3)
    table = np.zeros((4,) * 3)
    for row, count in counts.items():
        table[row] = count / sum(counts.values())
    np.testing.assert_allclose(joint.probs, table, rtol=1e-15)
    np.testing.assert_allclose(empirical_joint(*text_windows(arrays, 3, 4), 4).probs, table)


SYMBOLS = [np.array([0, 1, 2, 3])]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Empirical(SAMPLES[0], COUNTS, 3), "samples is of shape"),
        (lambda: Empirical(SAMPLES, COUNTS[:2], 3), "counts is of shape"),
        (lambda: Empirical(SAMPLES, COUNTS, 2), "samples is 2 at an entry: want symbols 0..1"),
        (lambda: Empirical(SAMPLES - 1, COUNTS, 3), "samples is -1 at an entry"),
        (lambda: Empirical(SAMPLES / 2, COUNTS, 3), "samples is of type float64"),
        (lambda: Empirical(SAMPLES, COUNTS - 1, 3), "counts is -1 at an entry"),
        (lambda: Empirical(SAMPLES, COUNTS * np.nan, 3), "counts is nan at an entry"),
        (lambda: Empirical(SAMPLES, COUNTS * 0, 3), "counts is 0 at every entry"),
        (lambda: empirical_joint(np.zeros((1, 40), int), np.ones(1), 2), "n, q is 40, 2.*8.0 TiB"),
        (
            lambda: text_joint(SYMBOLS, 20, 4),
            "window, q is 20, 4: want a table .* 8.0 TiB are needed",
        ),
        (lambda: text_joint(SYMBOLS, 2, 3), "symbol_arrays is holding 3: want symbols 0..2"),
        (lambda: text_windows(SYMBOLS, 5, 4), "window is 5: want at most the length"),
        (lambda: text_windows(SYMBOLS, 0, 4), "window is 0"),
        (lambda: text_windows(SYMBOLS, 32, 4), "window, q is 32, 4"),
        (lambda: CharacterClasses(()), "classes is 0 pairs"),
        (lambda: CharacterClasses((("other", "a"),)), "with the name 'other'"),
        (lambda: CharacterClasses((("a", "a"), ("a", "b"))), "with the name 'a'"),
        (lambda: CharacterClasses((("a", "z-a"),)), "'a': 'z-a'.*bad character range"),
        (lambda: CharacterClasses((("a", ""),)), "'a': ''"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()
