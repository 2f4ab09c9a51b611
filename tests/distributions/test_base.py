"""Sizes that would not fit are refused before anything is made: in no time, in one line."""

import time

import numpy as np
import pytest

from mdmjax import (
    BlockHMM,
    InvalidInputError,
    UniformPermutation,
    noisy_repeated_bit,
    parity_code,
    symmetric_chain,
    tabulate,
)
from mdmjax.distributions.codes import LinearCode, pairs_code, reed_solomon_code, repetition_code
from mdmjax.distributions.empirical import Empirical, empirical_joint
from mdmjax.distributions.markov import MarkovChain
from mdmjax.distributions.text import text_joint, text_windows

SYMBOLS = [np.zeros(5, np.uint8)]
OF_N = {
    "symmetric_chain": (lambda n: symmetric_chain(n, 2, 0.1), "n, q is N, 2: want conditionals of at most"),
    "MarkovChain": (lambda n: MarkovChain([0.5, 0.5], np.eye(2), n), "n, q is N, 2: want conditionals"),
    "repetition_code": (repetition_code, "n is N: want a code's elimination of at most 2.0 GiB"),
    "parity_code": (parity_code, "n is N: want a code's elimination of at most 2.0 GiB"),
    "pairs_code": (pairs_code, "n is N: want a code's elimination of at most 2.0 GiB"),
    "reed_solomon_code": (lambda n: reed_solomon_code(n, 2, n), "q is N: want a prime power in 2..256"),
    "UniformPermutation": (UniformPermutation, "n is N: want conditionals of at most 2.0 GiB"),
    "noisy_repeated_bit": (lambda n: noisy_repeated_bit(n, 0.1), "n is N: want a mixture of at most 2.0"),
    "BlockHMM of blocks": (BlockHMM, "blocks, block_size is N, 8: want conditionals of at most 2.0 GiB"),
    "BlockHMM of bits": (lambda n: BlockHMM(2, n), "blocks, block_size is 2, N: want conditionals"),
    "text_joint": (lambda n: text_joint(SYMBOLS, n, 2), "window, q is N, 2: want at most 64 axes"),
    "text_windows": (lambda n: text_windows(SYMBOLS, n, 2), "window, q is N, 2"),
    "text_windows of one symbol": (lambda n: text_windows(SYMBOLS, n, 1), "window is N: want at most"),
}


@pytest.mark.parametrize("n", [10**11, 10**18])
@pytest.mark.parametrize(("make", "words"), OF_N.values(), ids=OF_N)
def test_too_many_positions(make, words, n):
    before = time.monotonic()
    with pytest.raises(InvalidInputError, match=words.replace("N", str(n))):
        make(n)
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda q: symmetric_chain(3, q, 0.1), "q is 10+: want a transition matrix of at most 2.0 GiB"),
        (lambda q: repetition_code(3, q), "q is 10+: want a prime power in 2..256"),
        (lambda q: parity_code(3, q), "q is 10+: want a prime power in 2..256"),
        (lambda q: pairs_code(4, q), "q is 10+: want a prime power in 2..256"),
        (lambda q: LinearCode(np.ones((1, 2), int), q), "q is 10+: want a prime power in 2..256"),
        (lambda q: text_joint(SYMBOLS, 3, q), "window, q is 3, 10+: want a table of at most 2.0 GiB"),
        (lambda q: Empirical(np.zeros((1, 3), int), np.ones(1), q), "n, q is 3, 10+: want conditionals"),
    ],
)
def test_too_many_symbols(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make(10**9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tabulate(symmetric_chain(10**6, 2, 0.1)), "n, q is 1000000, 2: want at most 64 axes"),
        (lambda: tabulate(BlockHMM()), "n, q is 64, 2: want a table of at most 2.0 GiB; 1.31e.05 PiB are"),
        (lambda: empirical_joint(np.zeros((1, 70), int), np.ones(1), 1), "n, q is 70, 1: want at most 64"),
    ],
)
def test_tables_that_are_too_large(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()
