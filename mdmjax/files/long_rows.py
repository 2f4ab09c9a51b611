"""A table of any layout as rows of a mask count, or ratio, and a loss; of several steps the last."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import refuse, shown
from .._types import Bool, Float, Int
from .cells import Columns, number, numbers
from .loss_columns import Layout

_OF_ROWS = ("count", "sequence", "block", "step")

Values = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class LongRows:
    """Rows that have a place on the axis and a loss; `place` is the row in the file, counted from 1.

    `more` has the cells of `count`, `stderr`, `sequence`, `block` and `step`, where there are such columns.
    """

    axis: Values
    loss: Values
    place: Int[np.ndarray, " rows"]
    more: dict[str, list[Any]]

    def where(self, keep: Bool[np.ndarray, " rows"]) -> "LongRows":
        """Some of the rows."""
        kept = np.flatnonzero(keep)
        more = {role: [cells[at] for at in kept] for role, cells in self.more.items()}
        return LongRows(self.axis[keep], self.loss[keep], self.place[keep], more)

    def numbers(self, role: str) -> Values | None:
        """The numbers of a column of `more`; a cell that is empty, or is none, is refused."""
        if role not in self.more:
            return None
        cells = self.more[role]
        values, filled = numbers(role, cells, self.place)
        if not filled.all():
            place = self.place[int(np.argmin(filled))]
            refuse(role, f"empty in row {place}", "a number in each row that has a loss")
        return values


def long_rows(path: Path, columns: Columns, layout: Layout) -> LongRows:
    """The rows that have both, of a long table; of a wide one the columns of each row below each other."""
    names = layout.names
    size = len(next(iter(columns.values())))
    if layout.wide is None:
        axis, known = numbers(names[layout.axis], columns[names[layout.axis]])
        loss, filled = numbers(names["loss"], columns[names["loss"]])
        cells = {role: columns[name] for role, name in names.items() if role not in (layout.axis, "loss")}
        more = {role: list(column) for role, column in cells.items()}
        return LongRows(axis, loss, np.arange(1, size + 1), more).where(known & filled)
    family = {value: name for value, name in layout.wide["loss"].items() if value > 0}
    parts = [numbers(name, columns[name]) for name in family.values()]
    loss, filled = (np.stack(part, axis=1).reshape(-1) for part in zip(*parts, strict=True))
    axis, place = np.tile(list(family), size), np.repeat(np.arange(1, size + 1), len(family))
    shared = {role: columns[name] for role, name in names.items() if role in _OF_ROWS}
    more = {role: [cell for cell in column for _ in family] for role, column in shared.items()}
    if "stderr" in layout.wide:
        errors = layout.wide["stderr"]
        if missing := [name for value, name in family.items() if value not in errors]:
            refuse("file", f"{path} without a stderr of {shown(missing[0])}", "one for each loss")
        by_row = zip(*(columns[errors[value]] for value in family), strict=True)
        more["stderr"] = [cell for row in by_row for cell in row]
    if not {"step", "sequence", "block"} & more.keys():
        more["step"] = place.tolist()
    return LongRows(axis, loss, place, more).where(filled)


def last_step(rows: LongRows, layout: Layout) -> tuple[LongRows, dict[str, Any] | None]:
    """The rows of the last step, and which it is; all rows if a step has one mask count, in the median.

    A step that was cut off is passed over: the last is read that has as many mask counts as the median,
    or in a wide table as any (our choice).
    """
    if "step" not in rows.more or rows.axis.size == 0:
        return rows, None
    steps, which = _steps(rows.more["step"])
    if len(steps) == 1:
        return rows, None
    pairs = np.unique(np.stack([which.astype(np.float64), rows.axis]), axis=1)
    counts = np.bincount(pairs[0].astype(np.int64), minlength=len(steps))
    enough = counts.max() if layout.wide else float(np.median(counts))
    if enough < 2:
        return rows, {"read": None, "first": steps[0], "last": steps[-1], "of": len(steps)}
    last = int(np.flatnonzero(counts >= enough)[-1])
    return rows.where(which == last), {"read": steps[last], "of": len(steps)}


def _steps(cells: Sequence[Any]) -> tuple[list[float], Int[np.ndarray, " rows"]]:
    """The steps in order, and the one of each row; a row without one has that of the row before."""
    values: list[float] = []
    for cell in cells:
        try:
            value = number(cell)
        except ValueError:
            value = None
        values.append(value if value is not None and value == value else (values[-1] if values else 0.0))
    steps, which = np.unique(np.array(values), return_inverse=True)
    return steps.tolist(), which
