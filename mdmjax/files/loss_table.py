"""The masked-loss table of a trained model from a CSV, JSONL or NPZ file."""

import csv
import json
from pathlib import Path

import numpy as np

from .._errors import refuse, shown
from ..information.loss_curve import LossTable, masked_from_ratio
from .arrays import MAX_TEXT_BYTES, check_readable, read_npz, read_text
from .atomic import write_bytes

COLUMNS = ("n_masked", "mask_ratio", "loss", "count", "stderr")
"""Every column there is; `loss` and one of the first two are needed."""


def read_loss_table(path: Path, length: int | None = None) -> LossTable:
    """The `LossTable` of a `.csv` with a header, a `.jsonl` of one object a line, an `.npz` of `COLUMNS`.

    `length` is the number of positions: needed with `mask_ratio`, else the largest `n_masked` by default.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".npz": _read_npz}
    check_readable("file", path)
    if path.suffix.lower() not in readers:
        refuse("file", path, "a name that ends in .csv, .jsonl or .npz")
    columns = readers[path.suffix.lower()](path)
    _check_columns(path, tuple(columns))
    if columns["loss"].size == 0:
        refuse("file", f"{path} without rows", "at least two rows")
    if length is not None and length < 1:
        refuse("length", length, "an integer >= 1")
    if "mask_ratio" in columns:
        if length is None:
            refuse("length", "not given", "the number of positions", "mask_ratio needs --length N")
        n, n_masked = length, masked_from_ratio(columns["mask_ratio"], length)
    else:
        found = columns["n_masked"]
        whole = np.isfinite(found) & (found == np.floor(found)) & (np.abs(found) < 2**31)
        if not whole.all():
            row = int(np.argmin(whole))
            refuse("n_masked", f"{found[row]:g} in row {row + 1}", "a whole number below 2^31")
        n_masked = found.astype(np.int64)
        n = int(n_masked.max()) if length is None else length
        if n < 1:
            refuse("n_masked", n, "at least 1 in some row")
    return LossTable(n, n_masked, columns["loss"], count=columns.get("count"), stderr=columns.get("stderr"))


def write_loss_table(path: Path, table: LossTable) -> None:
    """Write the table as CSV, every digit of it, whole or not at all; `read_loss_table` reads it back."""
    columns = {"n_masked": table.n_masked, "loss": table.loss, "count": table.count}
    columns |= {} if table.stderr is None else {"stderr": table.stderr}
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows), ""]
    write_bytes(path, "\n".join(lines).encode())


def _check_columns(path: Path, names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        refuse("columns", f"{shown(', '.join(unknown))} in {path}", f"only {', '.join(COLUMNS)}")
    if "loss" not in names:
        found = f"{', '.join(names) or 'none'} in {path}"
        refuse("columns", found, "a column loss, in nats a masked token")
    if ("n_masked" in names) == ("mask_ratio" in names):
        refuse("columns", f"{', '.join(names)} in {path}", "one of n_masked and mask_ratio")


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    try:
        lines = csv.reader(read_text("file", path).splitlines(), strict=True)
        rows = [row for row in lines if any(map(str.strip, row))]
    except csv.Error as error:
        refuse("file", path, "comma-separated values", str(error))
    if not rows:
        refuse("file", f"{path}, empty", "a header line and rows")
    names = [name.strip() for name in rows[0]]
    if len(set(names)) < len(names):
        refuse("columns", f"{shown(', '.join(names))} in {path}", "each column once")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(names):
            refuse(f"row {number}", f"of {len(row)} cells in {path}", f"{len(names)} cells")
    cells = list(zip(*rows[1:], strict=True)) or [()] * len(names)
    return {name: _numbers(name, column) for name, column in zip(names, cells, strict=True)}


def _read_jsonl(path: Path) -> dict[str, np.ndarray]:
    rows = []
    for number, line in enumerate(read_text("file", path).splitlines(), 1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            refuse(place, f"not a JSON object in {path}", 'such as {"n_masked": 8, "loss": 1.5}')
        if rows and row.keys() != rows[0].keys():
            refuse(place, f"of keys {shown(', '.join(row))} in {path}", shown(", ".join(rows[0])))
        rows.append(row)
    if not rows:
        refuse("file", f"{path}, empty", "one JSON object a line")
    return {name: _numbers(name, [row[name] for row in rows]) for name in rows[0]}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    columns = read_npz("file", path, limit=MAX_TEXT_BYTES)
    shapes = {name: values.shape for name, values in columns.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        described = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        refuse("file", f"{path} with {shown(described)}", "one-dimensional arrays of one length")
    return {name: values.astype(np.float64) for name, values in columns.items()}


def _numbers(name: str, cells: tuple[object, ...] | list[object]) -> np.ndarray:
    """Cells as float64; a cell that is not a number is refused with its row."""
    values = []
    for row, cell in enumerate(cells, 1):
        try:
            if isinstance(cell, bool) or not isinstance(cell, str | int | float):
                raise ValueError
            values.append(float(cell))
        except (ValueError, OverflowError):
            refuse(shown(name), f"{shown(repr(cell))} in row {row}", "a number")
    return np.array(values, dtype=np.float64)
