"""Tables in lines of text: what parts the cells, which line is the header, how numbers are written."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NoReturn

from .._errors import refuse, shown

SEPARATORS = ("\t", ";", ",", " ")
"""What may part cells, in the order in which they are tried; a space stands for any white space."""

SAMPLE = 20
"""Rows by which a separator is judged (our choice)."""

COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
POINT = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?")

Row = list[str]


def columns_of_text(path: Path, text: str) -> dict[str, Sequence[str]]:
    """The columns of a text with a header, whatever of `SEPARATORS` parts its cells.

    Lines that begin with `#` are comments; the last of them is the header if the first row is of numbers
    and has as many cells (`numpy.savetxt`), without any the columns are called 1, 2, ... Columns without
    a name, an index for one, are left out. Commas in numbers are decimal if no number has a point.
    """
    lines = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    first = next((at for at, line in enumerate(lines) if not _is_comment(line)), len(lines))
    comments = [line.lstrip("# \t") for line in lines[:first]]
    lines = [line for line in lines[first:] if not _is_comment(line)]
    if not lines:
        refuse("file", f"{path}, empty", "a header line and rows")
    separator = _separator(lines)
    try:
        rows = [row for row in _rows(lines, separator) if any(row)]
        heads = [row for line in comments[-1:] for row in _rows([line], separator)]
    except csv.Error as error:
        refuse("file", path, "comma-separated values", str(error))
    if not rows:
        refuse("file", f"{path}, empty", "a header line and rows")
    names = rows[0]
    if all(map(_is_number, names)):  # no header
        named = heads and len(heads[0]) == len(names)
        names = heads[0] if named else [str(place + 1) for place in range(len(names))]
    else:
        rows = rows[1:]
    if separator in "\t " and rows and all(len(row) == len(names) + 1 for row in rows):
        names = ["", *names]  # as R and pandas print a table: their index has no name
    rows = [_fitted(path, names, row, number, separator) for number, row in enumerate(rows, 1)]
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        twice = next(name for at, name in enumerate(named) if name in named[:at])
        refuse("file", f"{path} with two columns {shown(twice)}", "each column once")
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    return _pointed({name: column for name, column in zip(names, cells, strict=True) if name})


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?(?:\d+\.?\d*|\.\d+|\d+,\d+)(?:[eE][-+]?\d+)?", cell) is not None


def _rows(lines: Sequence[str], separator: str) -> Iterator[Row]:
    """The cells of each row; a quoted cell may go on in the next line."""
    if separator == " ":
        lines = [" ".join(line.split()) for line in lines]
    whole = (f"{line}\n" for line in lines)
    for row in csv.reader(whole, delimiter=separator, skipinitialspace=True, strict=True):
        yield [cell.strip() for cell in row]


def _separator(lines: Sequence[str]) -> str:
    """The separator by which the first rows have as many cells as the header; else one that it has."""
    parted = []
    for separator in SEPARATORS:
        try:
            names, *rows = islice(_rows(lines[: 2 * SAMPLE], separator), SAMPLE)
        except (csv.Error, ValueError):
            continue
        widths = {len(row) if len(row) <= len(names) else len(_cut(row, len(names))) for row in rows}
        index = separator in "\t " and widths == {len(names) + 1}
        named = len(names) - (names[-1] == "")
        if len(names) > 1 and (index or widths <= {len(names), named}):
            return separator
        parted += [separator] * (len(names) > 1 and separator != " ")
    return parted[0] if parted else ","


def _cut(row: Row, width: int) -> Row:
    """The row without empty cells beyond the header's, as a trailing separator leaves them."""
    return row[:width] if not any(row[width:]) else row


def _fitted(path: Path, names: Row, row: Row, number: int, separator: str) -> Row:
    """The row with as many cells as the header has, but for those of trailing separators."""
    cut = _cut(row, len(names))
    missing = len(names) - len(cut)
    if missing != 0 and (missing != 1 or names[-1]):
        _refuse_row(path, names, row, number, separator)
    return [*cut, *[""] * missing]


def _refuse_row(path: Path, names: Row, row: Row, number: int, separator: str) -> NoReturn:
    """Say what is probably wrong with a row of more or fewer cells than the header."""
    if len(names) == 1:  # such as a title
        remedy = "a header is such as n_masked,loss; lines before it begin with #"
        found = f"{path} whose first line is {shown(repr(names[0]))}"
        refuse("file", found, "a header of several names", remedy)
    if len(row) > len(names):
        decimal = "numbers with decimal commas need ; between cells, or quotes"
        remedy = decimal if separator == "," else "quote cells that have the separator in them"
    else:
        mixed = any(other in row[0] for other in "\t;,")
        remedy = "part the cells of every line alike" if mixed else "is the file cut off?"
    found = f"{path} with {shown(repr(separator.join(row)))} in row {number}, cells: {len(row)}"
    refuse("file", found, f"{len(names)} as in the header, {shown(', '.join(names))}", remedy)


def _pointed(columns: dict[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Decimal commas as points, where no number of the table has a point."""
    if any(POINT.fullmatch(cell) for column in columns.values() for cell in column):
        return columns
    return {
        name: [cell.replace(",", ".") if COMMA.fullmatch(cell) else cell for cell in column]
        if any("," in cell for cell in column)
        else column
        for name, column in columns.items()
    }
