"""Lines through the rows of a sweep: which rows are drawn, what is said of each x, and what is left out.

Rows that share x, color and panel differ in other axes, as seeds: of them a line has the mean, the least and
the most, and the report says over which axes.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._errors import perhaps, refuse
from ..studies.report import AbstractReport
from ..studies.table import Part
from .cases import STUDIES

MOST = {"color": 9, "panel": 16}
"""Lines of a panel, and panels, that can be told apart (our choice)."""

NUMBERS = {name for study in STUDIES.values() for name in study.names}
"""Columns that are measured; the others are a point's."""


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

    Where rows are, but none that can be drawn, there is a NaN.
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
    """The lines of a picture; `over` are the axes in which rows of one x differ, and `file` the picture."""

    schema: ClassVar[str] = "mdmjax.report.sweep_lines"
    plot: Plot
    points: int
    drawn: int
    left_out: dict[str, int]
    over: list[str]
    colors: list[str]
    panels: list[str]
    lines: list[Line]
    file: str | None = None

    def notes(self) -> list[str]:
        """What a reader of the picture must know: of how many rows a mean is, and what is not drawn."""
        counts = [count for line in self.lines for count in line.rows if count]
        found = []
        if max(counts) > 1:
            some = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
            found.append(f"mean and range of {some} rows, over {', '.join(self.over)}")
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        left_out = f"; left out: {reasons}" if reasons else ""
        found.append(f"{self.drawn} of {self.points} points{left_out}")
        return found

    def tables(self) -> list[Part]:
        """What is printed."""
        return ["; ".join([*([f"in {self.file}"] if self.file else []), *self.notes()])]


def lines_of(rows: pa.Table, points: int, plot: Plot) -> LinesReport:
    """The lines of a plot through the rows of a sweep of so many `points`.

    Raises:
        InvalidInputError: a column that is not there, or has no numbers where they are needed; no row that
            can be drawn; more colors or panels than can be told apart.

    >>> rows = pa.table({"point": [0, 1, 2], "mix": [0.0, 0.1, 0.1], "seed": [0, 0, 1], "kl": [1.0, 2.0, 3.0]})
    >>> report = lines_of(rows, 4, Plot("mix", "kl"))
    >>> report.lines[0].x, report.lines[0].mean, report.notes()[0]
    ([0.0, 0.1], [1.0, 2.5], 'mean and range of 1 to 2 rows, over seed')
    """
    _check_columns(rows.schema, plot)
    if not len(rows):
        refuse("plot", "of no row", "rows to draw", "run the sweep without --plot first")
    reasons, usable = {"not measured yet": points - len(rows)}, np.ones(len(rows), bool)

    def leave_out(reason: str, which: np.ndarray) -> None:
        reasons[reason] = int((which & usable).sum())
        usable[which] = False

    if "failed" in rows.column_names:
        leave_out("failed", _is_valid(rows["failed"]))
    has_x, numeric = _is_valid(rows[plot.x]), is_numeric(rows.schema.field(plot.x))
    leave_out(f"without {plot.x}", ~has_x)
    y = rows[plot.y].cast(pa.float64()).to_numpy(zero_copy_only=False)
    leave_out("undefined", np.isnan(y))
    leave_out("infinite", np.isinf(y))
    x = rows[plot.x].cast(pa.float64()).to_numpy() if numeric else None
    if x is not None:
        leave_out("infinite", np.isinf(x))
    for name, values in (("x", x), ("y", y)):
        if name in plot.log and values is not None:
            leave_out(f"{name} <= 0 on a log axis", values <= 0)
    left_out = {reason: count for reason, count in reasons.items() if count}
    if not usable.any():
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        refuse("plot", f"y={plot.y}", "a column with numbers to draw", f"of {points} points: {why}")

    placed = has_x if x is None else has_x & np.isfinite(x) & ((x > 0) | ("x" not in plot.log))
    rows, y, usable = rows.filter(pa.array(placed)), y[placed], usable[placed]
    colors, panels = (_named(rows, kind, getattr(plot, kind)) for kind in MOST)
    places, values = _codes(rows, plot.x)
    group = _joint(_joint(panels.code, colors.code), places)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    seen, first = np.where(usable, y, np.nan)[order], order[starts]
    count = np.add.reduceat(usable[order].astype(int), starts)
    least, most = (f.reduceat(seen, starts) for f in (np.fmin, np.fmax))
    total = np.add.reduceat(np.where(usable, y, 0.0)[order], starts)
    mean = np.clip(np.where(count, total / np.maximum(count, 1), np.nan), least, most)
    lines = []
    for panel, color in sorted({(int(panels.code[i]), int(colors.code[i])) for i in first}):
        mine = np.flatnonzero((panels.code[first] == panel) & (colors.code[first] == color))
        mine = mine[np.argsort(places[first[mine]], kind="stable")]
        columns = (part[mine].tolist() for part in (mean, least, most, count))
        at = [values[place] for place in places[first[mine]]]
        lines.append(Line(panels.names[panel], colors.names[color], at, *columns))
    drawn = int(usable.sum())
    over = _differing(rows.filter(pa.array(usable)), group[usable])
    return LinesReport(plot, points, drawn, left_out, over, colors.names, panels.names, lines)


def is_numeric(field: pa.Field) -> bool:
    """Whether a column is one of numbers, which have places on an axis."""
    return pa.types.is_integer(field.type) or pa.types.is_floating(field.type)


def _check_columns(schema: pa.Schema, plot: Plot) -> None:
    """Refuse a column that is not there, or is one of names where numbers are needed."""
    known = [name for name in schema.names if name != "failed"]
    numbers = [name for name in known if is_numeric(schema.field(name))]
    for key in ("x", "y", "color", "panel"):
        given = getattr(plot, key)
        for name in (given,) if isinstance(given, str) else given:
            if name not in known:
                refuse("plot", f"{key}={name}", f"a column, one of {', '.join(known)}", perhaps(name, known))
    for key in ("y", *plot.log):
        name = getattr(plot, key)
        if name not in numbers:
            refuse("plot", f"{key}={name}", f"a column of numbers, one of {', '.join(numbers)}")


class _Named(NamedTuple):
    """Which of several names each row has."""

    code: np.ndarray
    names: list[str]


def _named(rows: pa.Table, kind: str, columns: Sequence[str]) -> _Named:
    """What the rows are told apart by: numbers in their order, all else in the order of the points."""
    if not columns:
        return _Named(np.zeros(len(rows), int), [""])
    parts = [_codes(rows, name) for name in columns]
    code = parts[0][0]
    for other, _ in parts[1:]:
        code = _joint(code, other)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    rank = np.arange(len(first)) if len(parts) == 1 else np.argsort(np.argsort(first))
    if len(first) > MOST[kind]:
        wanted = f"a column of at most {MOST[kind]} values"
        refuse("plot", f"{kind}={'+'.join(columns)}", wanted, f"there are {len(first)}")
    names = [""] * len(first)
    for place, row in zip(rank, first, strict=True):
        names[place] = ", ".join(_told(columns, [values[codes[row]] for codes, values in parts]))
    return _Named(rank[inverse], names)


def _told(columns: Sequence[str], values: Sequence[Any]) -> Iterator[str]:
    """What a legend says of values: a name as it is, a number with its column where there are several."""
    for column, value in zip(columns, values, strict=True):
        if len(columns) == 1:
            yield "none" if value is None else shown_value(value)
        elif value is not None:
            name = column.rpartition(".")[2]
            yield value if isinstance(value, str) else f"{name}={shown_value(value)}"


def shown_value(value: Any) -> str:
    """A value as a tick or a legend has it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _codes(rows: pa.Table, name: str) -> tuple[np.ndarray, list[Any]]:
    """The values of a column, numbers sorted and all else as they come, and which one each row has."""
    column = rows[name].combine_chunks()
    if not (pa.types.is_string(column.type) or is_numeric(rows.schema.field(name))):
        texts = [None if value is None else _listed(value) for value in column.to_pylist()]
        column = pa.array(texts, pa.string())
    encoded = column.dictionary_encode(null_encoding="encode")
    codes, values = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    if pa.types.is_string(column.type):
        return codes, values
    rank = sorted(range(len(values)), key=lambda k: (values[k] is None, values[k] or 0))
    return np.argsort(rank)[codes], [values[k] for k in rank]


def _listed(value: Any) -> str:
    return "/".join(map(shown_value, value)) if isinstance(value, Iterable) else str(value)


def _joint(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Codes of pairs, from 0 on, in the order of the first and then of the second."""
    return np.unique(one * (other.max(initial=0) + 1) + other, return_inverse=True)[1]


def _differing(rows: pa.Table, group: np.ndarray) -> list[str]:
    """The axes that tell rows of one group apart, in the order of the columns; none that follows."""
    found, group = [], _joint(group, np.zeros_like(group))
    for name in rows.column_names:
        if name in NUMBERS or name in ("point", "failed"):
            continue
        finer = _joint(group, _codes(rows, name)[0])
        if finer.max(initial=0) > group.max(initial=0):
            found.append(name)
            group = finer
    return found


def _is_valid(column: pa.ChunkedArray) -> np.ndarray:
    return pc.is_valid(column).to_numpy()
