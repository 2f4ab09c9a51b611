"""One budget over levels, against every split and every schedule of each level."""

import itertools

import numpy as np
import pytest
from _oracles import all_compositions, step_gap_by_loops
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, LossCurve, optimal_schedule, permutation_curve
from mdmjax.schedules.levels import split_steps
from mdmjax.schedules.schedule import step_gap

LOSSES = st.lists(st.sampled_from([0.0, 0.25, 1.0, 1.5, 4.0]), min_size=1, max_size=4)


def least_total(losses, steps):
    """The least sum over levels, by every split and every composition."""
    least = np.inf
    for split in itertools.product(*(range(1, len(loss) + 1) for loss in losses)):
        if sum(split) == steps:
            total = 0.0
            for loss, own in zip(losses, split, strict=True):
                values = [-x for x in loss]
                total += min(step_gap_by_loops(values, c) for c in all_compositions(len(loss), own))
            least = min(least, total)
    return least


@settings(deadline=None, max_examples=40)
@given(st.lists(LOSSES, min_size=1, max_size=4), st.data())
def test_the_split_is_the_best_of_all(losses, data):
    """Curves that rise and fall, of unequal lengths."""
    total = sum(map(len, losses))
    steps = data.draw(st.integers(len(losses), total))
    found = split_steps([LossCurve(loss) for loss in losses], steps)
    assert sum(level.steps for level in found) == steps
    assert [level.n for level in found] == [len(loss) for loss in losses]
    paid = sum(
        step_gap_by_loops([-x for x in loss], level.counts)
        for loss, level in zip(losses, found, strict=True)
    )
    assert paid == pytest.approx(least_total(losses, steps), abs=1e-12)


def codebooks(n=64, levels=8):
    """Level `l` has the curve of a permutation over `l`: the later, the less is left to know."""
    whole = permutation_curve(n).loss * (np.log(1024) / np.log(n))
    return [LossCurve(whole / level) for level in range(1, levels + 1)]


def test_eight_codebooks_share_their_steps():
    """16 steps for the first and one for each of the others, as is usual, costs 70 nats more."""
    curves = codebooks()
    found = split_steps(curves, 23)
    assert [level.steps for level in found] == [6, 4, 3, 2, 2, 2, 2, 2]
    usual = [optimal_schedule(c, 16 if level == 0 else 1) for level, c in enumerate(curves)]
    paid, before = (
        sum(float(step_gap(c, s)) for c, s in zip(curves, side, strict=True)) for side in (found, usual)
    )
    assert before - paid == pytest.approx(70.5, abs=0.05)


def test_steps_that_only_help_together_are_given_together():
    """Gaps that are not convex: the second step of a level gains nothing, the third everything."""
    jump = LossCurve([0.0, 4.0, 0.0, 0.0])
    late = LossCurve([1.0, 1.0, 0.5])
    found = split_steps([jump, late], 3)
    assert [level.steps for level in found] == [1, 2]


def test_one_level_is_the_optimal_schedule():
    curve = permutation_curve(12)
    (only,) = split_steps([curve], 5)
    assert only.counts.tolist() == optimal_schedule(curve, 5).counts.tolist()


@pytest.mark.parametrize(
    ("curves", "steps", "line"),
    [
        ([], 3, "curves is empty"),
        ([LossCurve([2.0, 1.0])] * 3, 2, r"steps is 2: want an integer in 3\.\.6"),
        ([LossCurve([2.0, 1.0])] * 3, 7, r"steps is 7: want an integer in 3\.\.6"),
        ([LossCurve([2.0, np.nan])], 1, "curve is nan at index 1"),
        ([LossCurve([2.0, 1.0])], 0, "steps is 0: want an integer >= 1"),
    ],
)
def test_bad_levels_are_refused(curves, steps, line):
    with pytest.raises(InvalidInputError, match=f"^{line}"):
        split_steps(curves, steps)
