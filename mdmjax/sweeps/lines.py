"""Lines through the rows of a sweep: which rows are drawn, what is said of each x, and what is left out.

Rows that share x, color and panel differ in other axes, as seeds: of them a line has the mean, the least
and the most, and the report says over which axes. If x is measured itself, every row is on its own.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from .._errors import perhaps, refuse
from ..studies.report import AbstractReport
from ..studies.table import Part
from .codes import coded, coded_together, differing, is_numeric, joint, shown_value
from .studies import STUDIES

MOST = {"color": 9, "panel": 16}
"""Lines of a panel, and panels, that can be told apart (our choice)."""

NUMBERS = {name for study in STUDIES.values() for name in study.known}
"""Columns that are measured; the others are a point's."""

ROUNDING = 1e-12
"""A number of at most this is 0 but for rounding, as in every table: a log axis would show little else."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """What is drawn against what: columns, of which `color` and `panel` may be several; `log` has x, y."""

    x: str
    y: str
    color: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    log: str = ""


class Line(NamedTuple):
    """Of one color and panel: each x, the mean of its rows, the least and the most, and how many they are.

    Where rows are, but none that can be drawn, there is a NaN, and no row.
    """

    panel: str
    color: str
    x: list[Any]
    mean: list[float]
    least: list[float]
    most: list[float]
    rows: list[int]


@dataclasses.dataclass(frozen=True, eq=False)
class LinesReport(AbstractReport):
    """The lines of a picture; `names` are those of x, in their order, if it has no numbers.

    `over` are the axes in which rows of one x differ, and `file` is the picture.
    """

    schema: ClassVar[str] = "mdmjax.report.sweep_lines"
    plot: Plot
    points: int
    drawn: int
    left_out: dict[str, int]
    over: list[str]
    names: list[str]
    colors: list[str]
    panels: list[str]
    lines: list[Line]
    file: str | None = None

    def notes(self) -> list[str]:
        """What a reader of the picture must know: of how many rows a mean is, and what is not drawn."""
        counts = [count for line in self.lines for count in line.rows if count]
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        some = f"{self.drawn} of {self.points} points drawn; left out: {reasons}"
        drawn = some if reasons else f"all {self.points} points drawn"
        if max(counts) == 1:
            return [drawn]
        several = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
        return [f"mean and range of {several} rows, over {', '.join(self.over)}", drawn]

    def tables(self) -> list[Part]:
        """What is printed."""
        return ["; ".join([*([f"in {self.file}"] if self.file else []), *self.notes()])]


def lines_of(rows: pa.Table, points: int, plot: Plot) -> LinesReport:
    """The lines of a plot through the rows of a sweep of so many `points`.

    Raises:
        InvalidInputError: a column that is not there, or has no numbers where they are needed; no row that
            can be drawn; more colors or panels than can be told apart.

    >>> columns = {"mix": [0.0, 0.1, 0.1], "seed": [0, 0, 1], "forward_kl": [1.0, 2.0, 3.0]}
    >>> report = lines_of(pa.table(columns), 4, Plot("mix", "forward_kl"))
    >>> report.lines[0].x, report.lines[0].mean, report.notes()[0]
    ([0.0, 0.1], [1.0, 2.5], 'mean and range of 1 to 2 rows, over seed')
    """
    _check_columns(rows.schema, plot)
    if not len(rows):
        refuse("plot", "of no row", "a sweep with rows", "run it without --plot first")
    without_place, without_number = (_unfit(rows, getattr(plot, key), key in plot.log) for key in "xy")
    failed = {"failed": _is_valid(rows["failed"])} if "failed" in rows.column_names else {}
    reasons = failed | without_place | without_number
    why = np.select([*reasons.values()], [*range(len(reasons))], len(reasons))
    counts = np.bincount(why, minlength=len(reasons))
    left_out = {"not measured yet": points - len(rows), **dict(zip(reasons, counts.tolist(), strict=False))}
    left_out = {reason: count for reason, count in left_out.items() if count}
    drawn = why == len(reasons)
    if not drawn.any():
        told = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        refuse("plot", f"y={plot.y}", "a column with numbers to draw", f"of {points} points: {told}")

    placed = ~np.any([*without_place.values()], axis=0)
    rows, drawn = rows.filter(pa.array(placed)), drawn[placed]
    colors, panels = (_names(rows, kind, getattr(plot, kind)) for kind in ("color", "panel"))
    line, x = joint(panels[0], colors[0]), coded(rows, plot.x)
    group = joint(line, x.code)
    if plot.x in NUMBERS:
        group = np.argsort(np.argsort(group, kind="stable"))
    first = np.unique(group, return_index=True)[1]
    found = _summed(rows[plot.y].cast(pa.float64()).to_numpy(), drawn, group)
    lines = []
    for places in np.split(np.arange(len(first)), np.flatnonzero(np.diff(line[first])) + 1):
        row = first[places[0]]
        columns = (part[places].tolist() for part in found)
        at = [x.values[code] for code in x.code[first[places]]]
        lines.append(Line(panels[1][panels[0][row]], colors[1][colors[0][row]], at, *columns))
    axes = [name for name in rows.column_names if name not in NUMBERS | {"point", "failed"}]
    over = differing(rows.filter(pa.array(drawn)), group[drawn], axes)
    names = [] if is_numeric(rows.schema.field(plot.x)) else x.values
    return LinesReport(plot, points, int(drawn.sum()), left_out, over, names, colors[1], panels[1], lines)


def _check_columns(schema: pa.Schema, plot: Plot) -> None:
    """Refuse a column that is not there, or is one of names where numbers are needed."""
    known = [name for name in schema.names if name != "failed"]
    numbers = [name for name in known if is_numeric(schema.field(name))]
    named = [("x", plot.x), ("y", plot.y)]
    named += [(key, name) for key in ("color", "panel") for name in getattr(plot, key)]
    for key, name in named:
        if name not in known:
            refuse("plot", f"{key}={name}", f"a column, one of {', '.join(known)}", perhaps(name, known))
    for key in ("y", *plot.log):
        if (name := getattr(plot, key)) not in numbers:
            refuse("plot", f"{key}={name}", f"a column of numbers, one of {', '.join(numbers)}")


def _unfit(rows: pa.Table, name: str, log: bool) -> dict[str, np.ndarray]:
    """The rows that have no place on an axis, by the reason."""
    found = {f"without {name}": ~_is_valid(rows[name])}
    if is_numeric(rows.schema.field(name)):
        values = rows[name].cast(pa.float64()).to_numpy()
        found[f"without {name}"] |= np.isnan(values)
        found[f"with infinite {name}"] = np.isinf(values)
        if log:
            least = ROUNDING if name in NUMBERS else 0.0
            found[f"with {name} <= {least:g} on a log axis"] = values <= least
    return found


def _names(rows: pa.Table, kind: str, columns: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """What the rows are told apart by: the code of each, and what the codes are called."""
    found = coded_together(rows, columns)
    if len(found.values) > MOST[kind]:
        wanted = f"columns of at most {MOST[kind]} values"
        refuse("plot", f"{kind}={'+'.join(columns)}", wanted, f"there are {len(found.values)}")
    for digits in (4, 17):  # as few as tell them apart
        names = [", ".join(_told(columns, values, digits)) for values in found.values]
        if len(set(names)) == len(names):
            break
    return found.code, names


def _told(columns: Sequence[str], values: Sequence[Any], digits: int) -> Iterator[str]:
    """What a legend says of values: a name as it is, a number with its column where there are several."""
    for column, value in zip(columns, values, strict=True):
        text = shown_value(value, digits)
        if len(columns) == 1:
            yield "none" if value is None else text
        elif value is not None:
            yield text if isinstance(value, str) else f"{column.rpartition('.')[2]}={text}"


def _summed(y: np.ndarray, drawn: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean, least and most of what is drawn of each group, and how many they are; NaN of none."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    seen = np.where(drawn, y, np.nan)[order]
    least, most = np.fmin.reduceat(seen, starts), np.fmax.reduceat(seen, starts)
    count = np.add.reduceat(drawn[order].astype(int), starts)
    total = np.add.reduceat(np.where(drawn, y, 0.0)[order], starts)
    mean = np.clip(total / np.maximum(count, 1), least, most)  # no further for rounding; NaN of none
    return mean, least, most, count


def _is_valid(column: pa.ChunkedArray) -> np.ndarray:
    return column.is_valid().to_numpy()
