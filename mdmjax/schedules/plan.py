"""A plan: the schedule for `n` masks, and what else a sampler asks for."""

import dataclasses
from collections.abc import Iterable, Mapping

from .._errors import refuse
from ..information.curve import AbstractCurve
from .optimal import check_heights
from .schedule import Schedule
from .tails import tail_schedules, tails

FEW = 4096
"""Counts that the plans of all shorter rows may have in all to be exported unasked (our choice)."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A schedule for `n` masks; for rows of fewer; for blocks from left to right; for other lengths.

    `by_masks[m]` is for a row of `n` positions with `m` masks. `blocks` are for a sampler that ends one
    block before the next, of `block_length` positions; with `every_block` there is one, and all blocks
    follow it. `lengths` are plans for generations of other lengths, each of its own curve. `models` says
    which model takes each step, where there are several.

    >>> Plan(Schedule([1, 3])).schedule.counts.tolist()
    [1, 3]
    """

    schedule: Schedule
    by_masks: Mapping[int, Schedule] = dataclasses.field(default_factory=dict)
    block_length: int | None = None
    every_block: bool = False
    blocks: tuple["Plan", ...] = ()
    lengths: tuple["Plan", ...] = ()
    models: tuple[int, ...] = ()


def rows_of(curve: AbstractCurve, schedule: Schedule, infill: Iterable[int] | None = None) -> Plan:
    """The plan of a schedule, and of rows with fewer masks, as many steps or fewer, from its curve's tail.

    `infill` are their numbers of masks. Without them all below `n`, if `n` times the steps is at most
    `FEW`; else none. Errors as `tail_schedules`.

    >>> from mdmjax import permutation_curve
    >>> plan = rows_of(permutation_curve(8), Schedule([3, 3, 2]), [4])
    >>> plan.by_masks[4].counts.tolist()
    [2, 1, 1]
    """
    n = schedule.n
    if infill is None:
        infill = range(1, n) if n * schedule.steps <= FEW else ()
    return Plan(schedule, tail_schedules(curve, schedule.steps, [m for m in infill if m != n]))


def blocks_of(
    curve: AbstractCurve, steps: int, block_length: int, infill: Iterable[int] | None = None
) -> Plan:
    """The plan for blocks of `block_length` that are finished from left to right, `steps` steps in all.

    Where the curve is of one block, every block follows its best schedule of `steps` steps. Where it is of
    `b` blocks, each has `steps / b` steps: the best on its own stretch of the curve, with the blocks
    before it revealed. (The curve is a mean over random sets of revealed tokens. That the blocks before
    are as good as such a set is an assumption; a curve that is measured by blocks has no need of it.) The
    plan's schedule is theirs, one after the other. `infill` are numbers of masks of blocks that are begun,
    as in `rows_of`. Refuses a length that is no multiple of the block's, and steps that are none of `b`.

    >>> from mdmjax import noisy_bit_curve
    >>> [plan.schedule.counts.tolist() for plan in blocks_of(noisy_bit_curve(8, 0.1), 4, 4).blocks]
    [[1, 3], [1, 3]]
    """
    heights = check_heights(curve, 1, "steps")
    n = heights.size
    if not 1 <= block_length <= n or n % block_length:
        refuse("block-length", block_length, f"a divisor of n = {n}", "samplers cut equal blocks")
    number = n // block_length
    if steps % number or not number <= steps <= n:
        wanted = f"a multiple of {number}, in {number}..{n}"
        refuse("steps", steps, wanted, f"each of {number} blocks takes as many")
    each = steps // number
    if infill is None:
        infill = range(1, block_length) if n * each <= FEW else ()
    masks = {*infill, block_length}
    blocks = []
    for stretch in heights.reshape(number, block_length):
        found = tails(stretch, each, masks)
        blocks.append(Plan(found.pop(block_length), found))
    whole = Schedule([count for block in blocks for count in block.schedule.counts.tolist()])
    return Plan(whole, blocks[0].by_masks if number == 1 else {}, block_length, number == 1, tuple(blocks))
