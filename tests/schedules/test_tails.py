import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, LossCurve, noisy_bit_curve, optimal_schedule, permutation_curve
from mdmjax.schedules import tails
from mdmjax.schedules.plan import FEW, blocks_of, rows_of
from mdmjax.schedules.schedule import Schedule, step_gap

HEIGHTS = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.integers(0, 9), min_size=n, max_size=n).map(lambda v: np.array(v, float) / 8)
)


def cost(heights, counts, start):
    """What a row pays that has `start` tokens: every reveal against its step's first."""
    total, at = 0.0, start
    for count in counts:
        total += sum(heights[i] - heights[at] for i in range(at, at + count))
        at += count
    return total


def least(heights, masks, steps):
    """The least cost of all ways to reveal `masks` tokens in `steps` steps."""
    n, found = len(heights), []
    for inner in itertools.combinations(range(1, masks), steps - 1):
        found.append(cost(heights, np.diff([0, *inner, masks]), n - masks))
    return min(found)


@settings(deadline=None)
@given(HEIGHTS, st.integers(1, 7), st.booleans())
def test_every_tail_is_the_best_of_all(heights, steps, rising):
    heights = np.sort(heights) if rising else heights
    n = heights.size
    steps = min(steps, n)
    found = tails.tail_schedules(LossCurve(9.0 - heights), steps, range(1, n + 1))
    assert sorted(found) == list(range(1, n + 1))
    for masks, schedule in found.items():
        assert (schedule.n, schedule.steps) == (masks, min(steps, masks))
        assert cost(heights, schedule.counts.tolist(), n - masks) == pytest.approx(
            least(heights, masks, min(steps, masks)), abs=1e-12
        )


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("steps", [1, 2, 9, 100, 300])
def test_the_tail_of_all_masks_is_the_optimum(steps, noise):
    curve = permutation_curve(300)
    curve = LossCurve(9 - curve.information + noise * np.random.default_rng(0).random(300))
    found = tails.tail_schedules(curve, steps, [300])[300]
    best = step_gap(curve, optimal_schedule(curve, steps))
    np.testing.assert_allclose(step_gap(curve, found), best, rtol=1e-9, atol=1e-9)


def test_no_plan_is_a_rescaled_one():
    """Half of the masks of a noisy bit: half of each count would pay more."""
    curve = noisy_bit_curve(32, 0.1)
    whole, half = (tails.tail_schedules(curve, 6, [32, 16])[m] for m in (32, 16))
    heights = np.asarray(curve.heights)
    rescaled = np.diff(np.round(np.array(whole.boundaries) / 2))
    assert whole.counts.tolist() != half.counts.tolist()
    assert cost(heights, half.counts, 16) < cost(heights, rescaled[rescaled > 0].astype(int), 16)


def test_all_rows_of_4096_take_less_than_a_second():
    curve = np.asarray(noisy_bit_curve(4096, 0.1).heights)
    start = time.perf_counter()
    assert len(tails.tails(curve, 16, range(1, 4097))) == 4096
    assert time.perf_counter() - start < 1


def test_rows_are_exported_where_they_are_few():
    curve = noisy_bit_curve(64, 0.1)
    assert sorted(rows_of(curve, Schedule([32, 32])).by_masks) == list(range(1, 64))
    long = noisy_bit_curve(FEW // 2 + 1, 0.1)
    schedule = Schedule([FEW // 2, 1])
    assert rows_of(long, schedule).by_masks == {}
    assert sorted(rows_of(long, schedule, [3, 5]).by_masks) == [3, 5]


def test_the_plan_of_a_block_is_the_best_of_its_stretch():
    curve = noisy_bit_curve(12, 0.1)
    heights = np.asarray(curve.heights)
    plan = blocks_of(curve, 6, 4)
    assert (plan.block_length, plan.every_block, len(plan.blocks)) == (4, False, 3)
    assert plan.schedule.counts.tolist() == [c for b in plan.blocks for c in b.schedule.counts.tolist()]
    for first, block in zip((0, 4, 8), plan.blocks, strict=True):
        stretch = heights[first : first + 4]
        for masks, schedule in {4: block.schedule, **block.by_masks}.items():
            assert cost(stretch, schedule.counts, 4 - masks) == pytest.approx(
                least(stretch, masks, min(2, masks))
            )


def test_a_curve_of_one_block_plans_every_block():
    plan = blocks_of(permutation_curve(8), 3, 8, [2])
    assert plan.every_block
    assert plan.schedule.counts.tolist() == [3, 3, 2]
    assert {m: s.counts.tolist() for m, s in plan.blocks[0].by_masks.items()} == {2: [1, 1]}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: tails.tail_schedules(c, 3, [0]), "infill is 0: want numbers of masks in 1..8"),
        (lambda c: tails.tail_schedules(c, 3, [9]), "infill is 9: want numbers of masks in 1..8"),
        (lambda c: tails.tail_schedules(c, 9, [3]), "steps is 9: want an integer in 1..8"),
        (lambda c: blocks_of(c, 4, 3), "block-length is 3: want a divisor of n = 8"),
        (lambda c: blocks_of(c, 4, 0), "block-length is 0: want a divisor of n = 8"),
        (lambda c: blocks_of(c, 3, 4), "steps is 3: want a multiple of 2, in 2..8"),
        (lambda c: blocks_of(c, 9, 8), "steps is 9: want a multiple of 1, in 1..8"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(InvalidInputError) as refusal:
        call(permutation_curve(8))
    assert str(refusal.value).startswith(said)


def test_a_long_curve_that_falls_is_refused():
    falling = LossCurve(np.arange(1.0, 2**13 + 1))
    with pytest.raises(InvalidInputError, match="want a curve that never rises; --fit isotonic"):
        tails.tail_schedules(falling, 64, [100])
