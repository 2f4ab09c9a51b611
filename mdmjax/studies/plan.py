"""What is exported beside a schedule, and how it is shown: shorter rows, blocks, other lengths."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._errors import refuse
from ..information.curve import AbstractCurve
from ..schedules.plan import Plan, blocks_of, rows_of
from ..schedules.schedule import Schedule
from .report import four_decimals, run_lengths
from .table import Column, Part, Table

BLOCKS = (
    "The plan of a block is the best on its stretch of the curve, with the blocks before it revealed, as "
    "if these were random positions: only a curve that is measured by blocks knows what they tell."
)


def plan_study(
    curve: AbstractCurve,
    schedule: Schedule,
    *,
    infill: Iterable[int] | None = None,
    block_length: int | None = None,
    lengths: Sequence[tuple[AbstractCurve, Schedule]] = (),
) -> Plan:
    """The plan to export: a schedule, with those of rows with fewer masks, of blocks, or of other lengths.

    Refuses blocks beside other lengths, a number of masks that no row of these lengths has, and what
    `rows_of` and `blocks_of` do.
    """
    masks = None if infill is None else sorted(set(infill))
    pairs = [(curve, schedule), *lengths]
    most = max(one.n for one, _ in pairs) if block_length is None else block_length
    wrong = [m for m in masks or () if not 1 <= m <= most]
    if wrong:
        refuse("infill", wrong[0], f"numbers of masks in 1..{most}")
    if block_length is not None:
        if lengths:
            refuse("block-length, lengths", block_length, "only one of the two")
        return blocks_of(curve, schedule.steps, block_length, masks)
    fitting = lambda n: None if masks is None else [m for m in masks if m <= n]
    first, *others = (rows_of(one, of_it, fitting(one.n)) for one, of_it in pairs)
    return Plan(first.schedule, first.by_masks, lengths=tuple(others))


def plan_json(plan: Plan, whole: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as a report has it; `whole` is the entry of a schedule by blocks."""
    rows = {str(m): plan.by_masks[m].counts for m in sorted(plan.by_masks)}
    found: dict[str, Any] = {"by_masks": rows, "lengths": lengths}
    if plan.blocks:
        found |= {"block_length": plan.block_length, "every_block": plan.every_block}
        found |= {"blocks": [block.schedule.counts for block in plan.blocks], **whole}
    return found


def plan_parts(found: dict[str, Any], key: str, unit: str) -> list[Part]:
    """What is exported beside the best schedule: a table of blocks or other lengths, a line on rows."""
    rows = [
        (f"n = {n}", four_decimals(entry[key]), run_lengths(entry["counts"]))
        for n, entry in found["lengths"].items()
    ]
    if "blocks" in found:
        length, score = found["block_length"], four_decimals(found[key])
        if found["every_block"]:
            rows = [(f"every block of {length}", score, run_lengths(found["counts"]))]
        else:
            rows = [
                (f"block {b} of {length}", "", run_lengths(c)) for b, c in enumerate(found["blocks"], 1)
            ]
            rows.append(("all blocks", score, run_lengths(found["counts"])))
    columns = [
        Column("exported", 0, justify="left"),
        Column(unit, 1),
        Column("tokens revealed at each step", 2, justify="left", shorten=True),
    ]
    parts: list[Part] = [Table(columns, rows)] if rows else []
    if "blocks" in found and not found["every_block"]:
        parts.append(BLOCKS)
    masks = list(found["by_masks"])
    if masks:
        which = (
            f"{masks[0]} masks"
            if len(masks) == 1
            else f"{masks[0]} to {masks[-1]} masks ({len(masks)} plans)"
        )
        parts.append(f"Rows of {which} are exported too, each from the tail of this curve.")
    return parts
