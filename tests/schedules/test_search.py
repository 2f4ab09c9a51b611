import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_compositions, step_gap_by_loops

from mdmjax import (
    InvalidInputError,
    Joint,
    exhaustive_search,
    frontier,
    information_curve,
    optimal_schedule,
    random_search,
    step_gap,
)
from mdmjax.schedules import search

SIZES = [(1, 1), (2, 1), (2, 2), (5, 3), (7, 7), (9, 4)]


def noisy(n, seed):
    """Values that go up and down, so that the best schedule can have any rank."""
    return np.random.default_rng([n, seed]).normal(size=n)


def rising(n, seed):
    return np.cumsum(np.random.default_rng([n, seed]).exponential(size=n) ** 3)


@pytest.mark.parametrize(("n", "steps"), SIZES)
@pytest.mark.parametrize("make", [noisy, rising])
def test_exhaustive_search_is_the_best_composition(n, steps, make):
    for seed in range(4):
        values = make(n, seed)
        best = min(step_gap_by_loops(values, c) for c in all_compositions(n, steps))
        schedule, gap = exhaustive_search(jnp.asarray(values), steps)
        assert schedule.steps == steps
        assert float(gap) == pytest.approx(best, abs=1e-12)
        assert step_gap_by_loops(values, schedule.counts) == pytest.approx(best, abs=1e-12)


def test_every_rank_is_another_schedule():
    """Each schedule of 6 tokens in 3 steps is the unique best of some values, and is found."""
    for counts in all_compositions(6, 3):
        values = -np.ones(6)
        values[np.cumsum([0, *counts[:-1]])] = 1.0  # a start is worth its count
        values[0] = 0.0
        costs = {tuple(c): step_gap_by_loops(values, c) for c in all_compositions(6, 3)}
        best = min(costs, key=costs.get)
        assert list(costs.values()).count(costs[best]) == 1
        assert exhaustive_search(jnp.asarray(values), 3)[0].counts.tolist() == list(best)


def test_blocks_of_any_size_give_the_same_answer(monkeypatch):
    values = jnp.asarray(noisy(11, 0))
    whole = exhaustive_search(values, 5)
    # 23 does not divide the 210 schedules; another dtype avoids the compiled program.
    monkeypatch.setattr(search, "BLOCK_ENTRIES", 11 * 23)
    blocks = exhaustive_search(values.astype(jnp.float32), 5)
    assert whole[0].counts.tolist() == blocks[0].counts.tolist()
    assert blocks[1].dtype == jnp.float32
    assert float(blocks[1]) == pytest.approx(float(whole[1]), rel=1e-5)


def test_the_dynamic_programme_is_never_beaten(key):
    table = np.random.default_rng(0).dirichlet(np.full(2**8, 0.1)).reshape((2,) * 8)
    values = information_curve(Joint(jnp.asarray(table))).information
    optimum = frontier(values, 8).gaps
    for steps in (2, 5):
        _, exact = exhaustive_search(values, steps)
        assert float(optimum[steps - 1]) == pytest.approx(float(exact), abs=1e-13)
    found = random_search(key, values, 4, candidates=16)[1]
    assert float(optimum[3]) - 1e-13 <= float(found) <= float(optimum[3]) * 1.05


M = np.arange(128)
CURVES = {
    "parity": (np.where(M == 127, math.log(2), 0.0), 0.0),
    "pairs": (M / 127 * math.log(2), 2.445),
    "permutation": (math.log(128) - np.log(128 - M), 11.11),
    "mds": (np.where(M >= 64, math.log(256), 0.0), 0.0),
}


@pytest.mark.parametrize("name", CURVES)
def test_random_search_reaches_the_optima_of_128_tokens_in_16_steps(name, key):
    values, known = CURVES[name]
    values = jnp.asarray(values)
    schedule, gap = random_search(key, values, 16, candidates=16)
    assert (schedule.n, schedule.steps) == (128, 16)
    assert float(gap) == pytest.approx(known, abs=5e-3)
    best = float(step_gap(values, optimal_schedule(values, 16)))
    assert float(gap) == pytest.approx(best, abs=1e-12)
    assert float(step_gap(values, schedule)) == pytest.approx(float(gap), abs=1e-12)


@pytest.mark.parametrize("make", [noisy, rising])
def test_random_search_reaches_the_exhaustive_optimum_of_small_ones(make):
    for seed in range(5):
        values = jnp.asarray(make(12, seed))
        schedule, gap = random_search(jax.random.key(seed), values, 5, candidates=32)
        assert float(gap) == pytest.approx(float(exhaustive_search(values, 5)[1]), abs=1e-12)
        assert step_gap_by_loops(values, schedule.counts) == pytest.approx(float(gap), abs=1e-12)


def test_random_search_takes_the_best_candidate_and_its_key(key):
    values = jnp.asarray(noisy(12, 9))
    one = float(random_search(jax.random.split(key, 32)[0], values, 5, candidates=1)[1])
    many = random_search(key, values, 5, candidates=32)
    again = random_search(key, values, 5, candidates=32)
    assert float(many[1]) <= one
    assert many[0].counts.tolist() == again[0].counts.tolist()


def test_random_search_in_float32(key):
    values = jnp.asarray(rising(9, 1), jnp.float32)
    _, gap = random_search(key, values, 4, candidates=16)
    assert gap.dtype == jnp.float32
    best = min(step_gap_by_loops(values, c) for c in all_compositions(9, 4))
    assert float(gap) == pytest.approx(best, rel=1e-5)


def test_one_and_n_steps_leave_no_choice(key):
    values = jnp.asarray(rising(9, 0))
    assert random_search(key, values, 1, candidates=3)[0].counts.tolist() == [9]
    assert random_search(key, values, 9, candidates=3)[0].counts.tolist() == [1] * 9


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda v: exhaustive_search(v, 20),
            f"n, steps is 40, 20: want at most 4194304 schedules, not {math.comb(39, 19)}; "
            "use random_search or optimal_schedule",
        ),
        (lambda v: exhaustive_search(v, 0), "steps is 0: want an integer in 1..n with n = 40"),
        (
            lambda v: random_search(jax.random.key(0), v, 41, candidates=1),
            "steps is 41: want an integer in 1..n with n = 40",
        ),
        (
            lambda v: random_search(jax.random.key(0), v, 4, candidates=0),
            "candidates is 0: want an integer >= 1",
        ),
    ],
)
def test_bad_input_is_refused(call, said):
    with pytest.raises(InvalidInputError) as refusal:
        call(jnp.zeros(40))
    assert str(refusal.value).startswith(said)
