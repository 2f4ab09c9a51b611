"""Any file of a table as named columns of cells: what is in the file, not yet what it means."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import readable_bytes, refuse, shown
from .arrays import check_readable, read_npz, reading
from .delimited import columns_of_text

Columns = dict[str, Sequence[Any]]
"""Cells by column, as many in each: numbers, texts, None or "" where there is none. Names are stripped."""

MAX_TABLE_BYTES = 2**26
"""The most bytes of a table, unpacked (our choice): the cells of as many take about 1 GiB."""

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".npz", ".npy")

EMPTY = frozenset(("", "na", "n/a", "null", "none"))
"""Cells that say that there is no value, in lower case. NaN is a value, and a bad one."""

WRAPPED = re.compile(
    r"(?:\w+\.)*(?:tensor|array|Array|(?:b?float|u?int)\d+)\(\s*\[?\s*([^][(),\s]+)\s*\]?(?:,.*)?\)"
)
"""A number as a print of torch, NumPy or JAX has it: `tensor(1.31, device='cuda:0')`."""


def read_columns(path: Path) -> Columns:
    """The columns of a file of one of `SUFFIXES`; those of text may be packed with gzip, `.gz`.

    Text is UTF-8, or UTF-16 with its mark. JSON is a list of records, an object of columns, one record, an
    HF `trainer_state.json` (its `log_history`) or a `wandb.Table`; records may have different keys. An
    `.npy` has columns, or fields. Columns that have no names are called 1, 2, ... Nothing is unpickled.
    """
    check_readable("file", path)
    name = path.name.lower().removesuffix(".gz")
    suffix = next((end for end in SUFFIXES if name.endswith(end)), "")
    if not suffix or (suffix in (".npz", ".npy") and path.suffix.lower() == ".gz"):
        wanted = f"a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        refuse("file", path, wanted, "text may be packed as .gz; a spreadsheet can save .csv")
    if suffix == ".npz":
        return _of_arrays(path, read_npz("file", path, limit=MAX_TABLE_BYTES))
    if suffix == ".npy":
        return _of_npy(path)
    text = _text(path)
    if not text.strip():
        refuse("file", f"{path}, empty", "a header line and rows, or records")
    if suffix == ".json":
        return _of_json(path, text)
    return _of_lines(path, text) if suffix == ".jsonl" else columns_of_text(path, text)


def number(cell: Any) -> float | None:
    """The number of a cell, None if it is empty; a `ValueError` if it is neither."""
    if cell is None:
        return None
    if isinstance(cell, str):
        cell = cell.strip()
        if cell.lower() in EMPTY:
            return None
        if "(" in cell and len(cell) <= 200 and (inner := WRAPPED.fullmatch(cell)):
            cell = inner[1]
        if "_" in cell:  # which Python's own numbers may have
            raise ValueError
    elif isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError
    try:
        return float(cell)
    except OverflowError:
        raise ValueError from None


def numbers(
    name: str, cells: Sequence[Any], place: Sequence[int] | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cells as float64, and which are not empty; one that is not a number is refused with its row."""
    values, filled = np.full(len(cells), np.nan), np.zeros(len(cells), bool)
    for row, cell in enumerate(cells):
        try:
            value = number(cell)
        except ValueError:
            at = row + 1 if place is None else int(place[row])
            refuse(shown(name), f"{shown(repr(cell))} in row {at}", "a number such as 1.31")
        if value is not None:
            values[row], filled[row] = value, True
    return values, filled


def _text(path: Path) -> str:
    """The text of a file, unpacked if it is packed; never more than `MAX_TABLE_BYTES` are in memory."""
    most, limit = f"at most {readable_bytes(MAX_TABLE_BYTES)}", MAX_TABLE_BYTES
    with reading("file", path, limit):
        data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(limit + 1)
        except (OSError, EOFError, zlib.error) as error:
            refuse("file", path, "a file that gzip can unpack", str(error))
        if len(data) > limit:
            refuse("file", f"{path}, more than {readable_bytes(limit)} unpacked", most)
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        refuse("file", f"{path}, not text", "UTF-8 text, or UTF-16 with its byte order mark")
    return text


def _of_records(records: Sequence[dict[str, Any]]) -> Columns:
    """Columns of records, which may have different keys: the cell of a key that is not there is None."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name.strip(): [record.get(name) for record in records] for name in names}


def _of_lines(path: Path, text: str) -> Columns:
    records = []
    for place, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                refuse(
                    f"line {place}", f"not a JSON object in {path}", 'such as {"n_masked": 8, "loss": 1.5}'
                )
            records.append(record)
    return _of_records(records)


def _of_json(path: Path, text: str) -> Columns:
    wanted = (
        'records, as [{"n_masked": 8, "loss": 1.5}, ...], or columns, as {"n_masked": [8], "loss": [1.5]}'
    )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        refuse("file", path, f"JSON: {wanted}", str(error).splitlines()[0])
    if isinstance(found, dict) and isinstance(found.get("log_history"), list):
        found = found["log_history"]
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        return _of_records(found)
    if not isinstance(found, dict):
        refuse("file", f"{path} with JSON of another shape", wanted)
    names, rows = found.get("columns"), found.get("data")
    if isinstance(names, list) and isinstance(
        rows, list
    ):  # of wandb.Table, and of pandas by orient="split"
        if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            refuse("file", f"{path} with JSON of another shape", f"rows of {len(names)} cells each")
        return _of_records([dict(zip(map(str, names), row, strict=True)) for row in rows])
    lists = {name: cells for name, cells in found.items() if isinstance(cells, list)}
    maps = {name: cells for name, cells in found.items() if isinstance(cells, dict)}
    if len({len(cells) for cells in lists.values()}) > 1:
        lengths = ", ".join(f"{name} of {len(cells)}" for name, cells in lists.items())
        refuse("file", f"{path} with {shown(lengths)}", "lists of one length")
    if lists:
        return {name.strip(): cells for name, cells in lists.items()}
    if maps:  # of pandas: by column, by the index of the row
        index = dict.fromkeys(key for cells in maps.values() for key in cells)
        return {name.strip(): [cells.get(key) for key in index] for name, cells in maps.items()}
    return _of_records([found])


def _of_npy(path: Path) -> Columns:
    wanted = "an .npy file of numbers with two or more columns, as numpy.save writes it"
    with reading("file", path, MAX_TABLE_BYTES):
        try:
            array = np.array(np.load(path, mmap_mode="r", allow_pickle=False))  # as large as the file is
        except Exception as error:  # on a damaged file numpy raises errors of many types
            objects = "object" in str(error).lower()
            reason = (
                "arrays of objects are never loaded" if objects else "it is damaged, or of another format"
            )
            refuse("file", path, wanted, reason)
    if array.dtype.names and array.ndim == 1:
        return _of_arrays(path, {name: array[name] for name in array.dtype.names})
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] < 2:
        refuse("file", f"{path} of type {shown(array.dtype)} and shape {array.shape}", wanted)
    return {str(place): array[:, place - 1].tolist() for place in range(1, array.shape[1] + 1)}


def _of_arrays(path: Path, arrays: dict[str, np.ndarray]) -> Columns:
    """The one-dimensional arrays of real numbers."""
    columns = {name: values for name, values in arrays.items() if values.ndim == 1}
    if len({values.size for values in columns.values()}) != 1:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
        refuse("file", f"{path} with {shown(shapes) or 'nothing'}", "one-dimensional arrays of one length")
    return {name.strip(): values.tolist() for name, values in columns.items()}
