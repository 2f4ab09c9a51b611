import math
from fractions import Fraction

import numpy as np
import pytest

from mdmjax import NAMED, InformationCurve, InvalidInputError, Schedule
from mdmjax.schedules.named import dllm_counts
from mdmjax.schedules.schedule import step_gap

# What these samplers were seen to do, as (n, steps) -> counts.
PEERS = {
    "llada_uniform": {(10, 4): [3, 3, 2, 2], (100, 7): [15, 15, 14, 14, 14, 14, 14]},
    "dllm_linear": {
        (10, 4): [2, 3, 2, 3],
        (100, 7): [14, 14, 14, 14, 15, 14, 15],
        (128, 16): [8] * 16,
    },
    "dllm_cosine": {
        (10, 4): [1, 2, 3, 4],
        (100, 7): [3, 7, 12, 16, 19, 21, 22],
        (128, 16): [1, 2, 3, 4, 5, 6, 8, 8, 9, 10, 11, 11, 12, 12, 13, 13],
    },
    "dream": {(10, 4): [2, 2, 2, 4], (100, 7): [14] * 6 + [16], (128, 16): [7] + [8] * 14 + [9]},
}

# Expected KL in nats of 128 tokens in 16 steps, to the digits known.
M = np.arange(128)
CURVES = {
    "parity": np.where(M == 127, math.log(2), 0.0),
    "pairs": M / 127 * math.log(2),
    "permutation": math.log(128) - np.log(128 - M),
    "mds": np.where(M >= 64, math.log(256), 0.0),
}
TABLE = {
    "llada_uniform": {"parity": 0.693, "pairs": 2.445, "permutation": 15.14, "mds": 0.0},
    "pyramid": {"parity": 0.693, "pairs": 3.275, "permutation": 23.17, "mds": 49.9},
    "dllm_cosine": {"parity": 0.693, "pairs": 3.111, "permutation": 21.42, "mds": 16.6},
}
DIGITS = {"parity": 3, "pairs": 3, "permutation": 2, "mds": 1}


@pytest.mark.parametrize("name", PEERS)
def test_the_counts_of_the_peers(name):
    for (n, steps), counts in PEERS[name].items():
        assert NAMED[name](n, steps).counts.tolist() == counts


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("curve", CURVES)
def test_the_table_of_128_tokens_in_16_steps(name, curve):
    gap = float(step_gap(InformationCurve(CURVES[curve], math.log(256)), NAMED[name](128, 16)))
    assert round(gap, DIGITS[curve]) == TABLE[name][curve]


@pytest.mark.parametrize("name", NAMED)
def test_every_builder_reveals_n_tokens_in_at_most_the_steps_asked(name):
    for n in range(1, 41):
        for steps in range(1, n + 1):
            schedule = NAMED[name](n, steps)
            assert schedule.n == n
            assert schedule.steps <= steps
        assert NAMED[name](n, 1).counts.tolist() == [n]


@pytest.mark.parametrize("name", NAMED)
def test_steps_that_fill_the_memory_are_refused(name):
    with pytest.raises(InvalidInputError, match="steps is 100000000000: want at most 16777216"):
        NAMED[name](10**18, 10**11)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("n", "steps"), [(4, 0), (4, -1), (4, 5), (0, 1)])
def test_steps_outside_1_to_n_are_refused(name, n, steps):
    with pytest.raises(InvalidInputError, match=f"steps is {steps}: want an integer in 1..n"):
        NAMED[name](n, steps)


def test_dream_with_n_steps_drops_an_empty_step_and_ends_with_two():
    assert NAMED["dream"](16, 16).counts.tolist() == [1] * 14 + [2]


def test_maskgit_masks_the_floor_of_the_cosine():
    n, steps = 1000, 10
    masked = [math.floor(n * math.cos(math.pi / 2 * i / steps)) for i in range(1, steps)]
    assert NAMED["maskgit_cosine"](n, steps).boundaries.tolist() == [
        0,
        *(n - left for left in masked),
        n,
    ]
    # At least one token a step, although the floors of the first steps are all 9.
    assert NAMED["maskgit_cosine"](10, 10).counts.tolist() == [1] * 10


def nearest(x):
    return math.floor(x + Fraction(1, 2))


@pytest.mark.parametrize(("n", "steps"), [(7, 3), (10, 4), (100, 7), (50, 50), (10**6, 999)])
def test_log_linear_and_pyramid_are_the_nearest_integers(n, steps):
    line = {nearest(Fraction(n * i, steps)) for i in range(steps + 1)}
    assert NAMED["log_linear"](n, steps).boundaries.tolist() == sorted(line)
    whole = steps * (steps + 1)
    triangle = {nearest(Fraction(n * i * (i + 1), whole)) for i in range(steps + 1)}
    assert NAMED["pyramid"](n, steps).boundaries.tolist() == sorted(triangle)


def test_geometric_multiplies_the_tokens_revealed():
    assert NAMED["geometric"](81, 5).boundaries.tolist() == [0, 1, 3, 9, 27, 81]
    boundaries = NAMED["geometric"](10**6, 13).boundaries[1:].astype(float)
    ratios = boundaries[1:] / boundaries[:-1]
    # Rounding moves a boundary by half a token, which is at most a sixth of the second one.
    np.testing.assert_allclose(ratios[1:], 10**0.5, rtol=1 / 6)
    assert boundaries[-1] == 10**6


def test_llada_keeps_the_remainder_in_front_and_dllm_rounds_halves_to_even():
    assert NAMED["llada_uniform"](7, 5).counts.tolist() == [2, 2, 1, 1, 1]
    half = np.array([0.0, 0.5, 1.0], np.float32)
    assert dllm_counts(5, half) == [2, 3]
    assert dllm_counts(7, half) == [4, 3]


def test_dllm_steps_that_reveal_nothing_are_dropped():
    late = np.array([0.0, 0.01, 0.02, 1.0], np.float32)
    assert dllm_counts(8, late) == [0, 0, 8]
    early = np.array([0.0, 1.0, 1.0], np.float32)
    assert dllm_counts(8, early) == [8, 0]
    cosine = NAMED["dllm_cosine"](10, 10)
    assert cosine.steps < 10
    assert isinstance(cosine, Schedule)
