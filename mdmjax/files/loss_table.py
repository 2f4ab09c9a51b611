"""The masked-loss table of a trained model from a file, as trainers, loggers and spreadsheets write it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._errors import refuse, shown
from .._types import Bool, Float, Int
from ..information.loss_blocks import BlockTables, mean_table
from ..information.loss_curve import LossTable, masked_from_ratio
from ..information.loss_rows import Per, Unit, masked_token_nats, merged_rows
from .atomic import write_bytes
from .cells import number, read_columns
from .long_rows import LongRows, last_step, long_rows
from .loss_columns import Layout, find_columns, typed


class LossFile(NamedTuple):
    """A table, the layout of its file, and what was read of its rows, for a report.

    Where the file has a column `block`, `blocks` are the tables of the blocks, and `table` is their mean.
    """

    table: LossTable
    layout: Layout
    facts: dict[str, Any]
    blocks: BlockTables = {}

    def whole(self) -> LossTable:
        """The table, if it is of whole sequences; one of blocks is refused."""
        if self.blocks:
            found = f"with a column {shown(self.layout.names['block'])}"
            refuse("file", found, "losses of whole sequences", "`mdmjax schedule` reads those of blocks")
        return self.table


def read_loss_table(path: Path, length: int | None = None, **how: Any) -> LossTable:
    """The table of `read_loss_file`, which takes the same arguments; one of blocks is refused."""
    return read_loss_file(path, length, **how).whole()


def read_loss_file(
    path: Path,
    length: int | None = None,
    *,
    columns: str | None = None,
    unit: Unit = "nats",
    per: Per = "token",
    weighted: bool = False,
) -> LossFile:
    """The `LossTable` of a file that `read_columns` reads, whose columns `find_columns` tells apart.

    `length` is the number of positions: needed with ratios and where the unit depends on it, else the
    largest `n_masked` by default. `unit`, `per` and `weighted` say what a loss is (`masked_token_nats`).
    Rows without a mask count or a loss are left out; of several steps the last is read (`last_step`).
    Rows of one mask count that have standard errors are merged (`merged_rows`); with a `sequence` they are
    kept, and standard errors are left out, as rows of one sequence are not independent. With a `block`,
    a whole number, each block has a table of its own, and `length` is that of a block.

    Raises:
        InvalidInputError: a file, a layout or a number that cannot be used, with what to type.
    """
    if length is not None and length < 1:
        refuse("length", length, "an integer >= 1")
    cells = read_columns(path)
    layout = find_columns(path, cells, columns)
    rows, steps = last_step(long_rows(path, cells, layout), layout)
    if rows.axis.size == 0:
        names = [shown(layout.names[role]) for role in (layout.axis, "loss")]
        refuse("file", f"{path} without rows that have {' and '.join(names)}", "at least two rows")
    n, n_masked, masked = _masked(rows, layout, length)
    _check(rows, "loss", rows.loss, np.isfinite(rows.loss) & (rows.loss >= 0), "a finite number >= 0")
    loss, stderr, count = rows.loss, rows.numbers("stderr"), rows.numbers("count")
    sequence = _numbered(rows) if "sequence" in rows.more else None
    if stderr is not None:
        _check(rows, "stderr", stderr, np.isfinite(stderr) & (stderr >= 0), "a finite number >= 0")
    if count is not None:
        _check(rows, "count", count, np.isfinite(count) & (count > 0), "a count > 0")
    loss, stderr = masked_token_nats(loss, stderr, masked, n, unit=unit, per=per, weighted=weighted)
    if length is None and (per == "position" or weighted) and (per, weighted) != ("position", True):
        how = f"--per {per}" + " --weighted" * weighted
        refuse("length", "not given", "the number of positions", f"{how} needs --length N")
    for name, values in (("loss", loss), ("stderr", np.zeros(loss.size) if stderr is None else stderr)):
        _check(rows, name, values, np.isfinite(values), "finite nats a masked token", "of so few masked")
    block = _blocks(rows)

    def table_of(keep: Any) -> LossTable:
        given = (None if x is None else x[keep] for x in (n_masked, loss, stderr, count, sequence))
        return _table(n, *given)

    blocks = {} if block is None else {int(one): table_of(block == one) for one in np.unique(block)}
    table = mean_table(blocks) if blocks else table_of(slice(None))
    kept = sum(one.loss.size for one in blocks.values()) if blocks else table.loss.size
    facts = {"columns": layout.names, "logged_steps": steps, "rows_merged": rows.loss.size - kept}
    return LossFile(table, layout, facts, blocks)


def write_loss_table(path: Path, table: LossTable, block: Int[np.ndarray, " rows"] | None = None) -> None:
    """Write the table as CSV, every digit of it, whole or not at all; `read_loss_file` reads it back.

    With a `sequence` there is no column `stderr`: rows of one sequence are not independent. `block` is that
    of every row.
    """
    columns = {"n_masked": table.n_masked, "loss": table.loss, "count": table.count}
    if block is not None:
        columns["block"] = block
    if table.sequence is not None:
        columns["sequence"] = table.sequence
    elif table.stderr is not None:
        columns["stderr"] = table.stderr
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows), ""]
    write_bytes(path, "\n".join(lines).encode())


def _table(n: int, n_masked: Any, loss: Any, stderr: Any, count: Any, sequence: Any) -> LossTable:
    """The table of some rows; of those that have a standard error one a mask count."""
    if stderr is not None and sequence is None:
        n_masked, loss, stderr, count = merged_rows(n_masked, loss, stderr, count)
    stderr = stderr if sequence is None else None
    return LossTable(n, n_masked, loss, count=count, stderr=stderr, sequence=sequence)


def _blocks(rows: LongRows) -> Int[np.ndarray, " rows"] | None:
    """The block of every row, if there is a column of them."""
    block = rows.numbers("block")
    if block is None:
        return None
    whole = np.isfinite(block) & (block == np.floor(block)) & (block >= 0) & (block < 2**31)
    _check(rows, "block", block, whole, "a whole number >= 0, the number of the block")
    return block.astype(np.int64)


class Masked(NamedTuple):
    """The number of positions, how many are masked in each row, and the same of a ratio as a fraction."""

    n: int
    counts: Int[np.ndarray, " rows"]
    exact: Float[np.ndarray, " rows"]


def _masked(rows: LongRows, layout: Layout, length: int | None) -> Masked:
    """What the axis says; refused with what it probably is where it cannot be what it is called."""
    kind = layout.axis
    if kind != "n_masked" and length is None:
        refuse("length", "not given", "the number of positions", f"{kind} needs --length N")
    if "ratio" in kind:
        return _of_ratios(rows, layout, int(length or 0))
    axis, name = rows.axis, layout.names[kind]
    whole = np.isfinite(axis) & (axis == np.floor(axis)) & (np.abs(axis) < 2**31)
    ratios = bool(((axis > 0) & (axis <= 1)).all())
    remedy = f"are these ratios? {typed(mask_ratio=name, loss=layout.names['loss'])} --length N"
    _check(rows, kind, axis, whole, "a whole number below 2^31", remedy if ratios else "")
    n = int(axis.max()) if length is None else length
    if n < 1:
        refuse("n_masked", n, "at least 1 in some row")
    masked = axis if kind == "n_masked" else n - axis
    remedy = "is --length less than the positions of a sequence, or are these the masked of a whole batch?"
    remedy = remedy if kind == "n_masked" and axis.max() > n else ""
    wanted = f"1..n with n = {n}" if kind == "n_masked" else f"0..n-1 with n = {n}"
    _check(rows, kind, axis, (masked >= 1) & (masked <= n), wanted, remedy)
    return Masked(n, masked.astype(np.int64), masked)


def _of_ratios(rows: LongRows, layout: Layout, n: int) -> Masked:
    kind, axis, remedy = layout.axis, rows.axis, ""
    share = axis if kind == "mask_ratio" else 1 - axis
    if kind == "mask_ratio" and axis.max() > 1:
        percent = axis.max() == 100 or not (axis == np.floor(axis)).all()
        counts = typed(n_masked=layout.names[kind], loss=layout.names["loss"])
        counts = f"are these counts, {counts}, or times to be divided by their number?"
        remedy = "a percentage is to be divided by 100" if percent else counts
    elif kind == "mask_ratio" and axis.min() == 0:
        remedy = "leave out rows where nothing is masked"
    wanted = "a ratio in (0, 1]" if kind == "mask_ratio" else "a ratio in [0, 1)"
    _check(rows, kind, axis, (share > 0) & (share <= 1), wanted, remedy)
    return Masked(n, masked_from_ratio(share, n), share * n)


def _check(
    rows: LongRows,
    name: str,
    values: np.ndarray,
    good: Bool[np.ndarray, " rows"],
    wanted: str,
    remedy: str = "",
) -> None:
    """Refuse the first row whose value is not as wanted, by its place in the file."""
    if not good.all():
        row = int(np.argmin(good))
        refuse(name, f"{values[row]:g} in row {rows.place[row]}", wanted, remedy)


def _numbered(rows: LongRows) -> Int[np.ndarray, " rows"]:
    """Sequences as integers: as they are if all are whole numbers, else by their first appearance."""
    cells: Sequence[Any] = [
        cell.strip() if isinstance(cell, str) else cell for cell in rows.more["sequence"]
    ]
    for place, cell in zip(rows.place, cells, strict=True):
        if cell is None or cell == "" or not isinstance(cell, str | int | float):
            refuse(
                "sequence", f"{shown(repr(cell))} in row {place}", "what tells sequences apart in each row"
            )
    try:
        values = np.array([number(cell) for cell in cells], np.float64)
        if (np.abs(values) < 2**53).all() and (values == np.floor(values)).all():
            return values.astype(np.int64)
    except ValueError:
        pass
    order = {cell: place for place, cell in enumerate(dict.fromkeys(map(str, cells)))}
    return np.array([order[str(cell)] for cell in cells], np.int64)
