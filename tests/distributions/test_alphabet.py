"""Symbols of text, there and back; and which files are held out."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.distributions.alphabet import (
    Alphabet,
    ByteAlphabet,
    alphabet_from_json,
    alphabet_to_json,
    common_characters,
)
from mdmjax.files.corpus import held_out_split, read_corpus, standard_library_files


def refused(match):
    return pytest.raises(InvalidInputError, match=match)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_come_back(text):
    assert ByteAlphabet().decode(ByteAlphabet().encode(text)) == text


@settings(deadline=None)
@given(st.text("ab\n \U0001f600xé\ufffd"))
def test_known_characters_come_back_and_others_are_replaced(text):
    alphabet = common_characters(["ab\n \U0001f600"])
    tokens = alphabet.encode(text)
    assert tokens.dtype == np.uint8
    wanted = "".join(c if c in alphabet.symbols else "\ufffd" for c in text)
    assert alphabet.decode(tokens) == wanted


def test_a_large_alphabet_is_uint16_and_may_be_of_jax():
    alphabet = common_characters(["".join(map(chr, range(0x4E00, 0x4E00 + 400)))], most=1000)
    assert alphabet.q == 401
    tokens = alphabet.encode("\u4e00a\u4e05")
    assert tokens.dtype == np.uint16
    assert alphabet.decode(jnp.append(jnp.asarray(tokens), jnp.uint16(401))) == "\u4e00\ufffd\u4e05░"


def test_a_text_that_is_cut_in_a_character_is_shown():
    tokens = ByteAlphabet().encode("é")
    assert ByteAlphabet().decode(np.array([tokens[0], 256, 65])) == "\ufffd░A"


def test_rare_characters_have_no_symbol():
    text = "a" * 150_000 + "b" * 2 + "c"
    assert common_characters([text]).symbols == ("a", "b", "\ufffd")
    assert common_characters([text, "\ufffd" * 9], least_share=0.0).symbols == ("a", "b", "c", "\ufffd")
    assert common_characters([text], most=1).symbols == ("a", "\ufffd")


@pytest.mark.parametrize("alphabet", [ByteAlphabet(), common_characters(['"\\\n\u2028a'])])
def test_json_there_and_back(alphabet):
    assert alphabet_from_json(json.loads(json.dumps(alphabet_to_json(alphabet)))) == alphabet


@pytest.mark.parametrize("document", [None, {}, [], {"bytes": False}, {"characters": 3}])
def test_what_is_no_alphabet_is_refused(document):
    with refused("alphabet is .*: want an object with characters"):
        alphabet_from_json(document)


@pytest.mark.parametrize("symbols", [(), ("a",), ("a", "a", "\ufffd"), ("ab", "\ufffd"), ("", "\ufffd")])
def test_symbols_that_are_none_are_refused(symbols):
    with refused("symbols is"):
        Alphabet(symbols)


TEXTS = [f"file {i}" for i in range(200)]


def test_the_split_goes_by_content_alone():
    split = held_out_split(TEXTS)
    assert 8 <= len(split.held_out) <= 35
    assert set(split.training) | set(split.held_out) == set(TEXTS)
    assert not set(split.training) & set(split.held_out)
    assert split.rule == f"{len(split.held_out)} of 200 files, by the hash of their content"
    assert set(held_out_split(TEXTS[::-1]).held_out) == set(split.held_out)
    grown = held_out_split([*TEXTS, "another", TEXTS[0]])
    assert set(split.held_out) <= set(grown.held_out) <= {*split.held_out, "another"}


def test_a_split_has_two_sides():
    for count in range(2, 30):
        split = held_out_split(TEXTS[:count])
        assert split.training
        assert split.held_out
    assert len(held_out_split(TEXTS[:3]).held_out) == 1


def test_a_single_text_is_cut():
    for texts in (["0123456789" * 3], ["0123456789" * 3] * 2):
        split = held_out_split(texts)
        assert split.training == ("0123456789" * 2 + "0123456",)
        assert split.held_out == ("789",)
        assert "the last tenth of the text, 3 characters" in split.rule


def test_the_fingerprint_tells_texts_apart():
    split = held_out_split(TEXTS)
    assert split.fingerprint == held_out_split(list(TEXTS)).fingerprint
    assert split.fingerprint != held_out_split([*TEXTS[:-1], "changed"]).fingerprint


def test_a_tenth_of_the_standard_library_is_held_out():
    split = held_out_split(read_corpus(standard_library_files()).texts)
    files = len(split.training) + len(split.held_out)
    assert 0.05 < len(split.held_out) / files < 0.15
