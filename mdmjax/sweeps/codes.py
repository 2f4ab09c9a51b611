"""Columns of rows as codes: which of its values each row has, and which rows have the same of several."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa


class Coded(NamedTuple):
    """The code of each row, from 0 on, and the value of each code."""

    code: np.ndarray
    values: list[Any]


def is_numeric(field: pa.Field) -> bool:
    """Whether a column is one of numbers, which have places on an axis."""
    return pa.types.is_integer(field.type) or pa.types.is_floating(field.type)


def coded(rows: pa.Table, name: str) -> Coded:
    """The values of a column: numbers in their order, then `None`; all else as text, as it comes.

    >>> coded(pa.table({"steps": [4, None, 2, 4]}), "steps")
    Coded(code=array([1, 2, 0, 1]), values=[2, 4, None])
    """
    column, numeric = rows[name].combine_chunks(), is_numeric(rows.schema.field(name))
    if not (numeric or pa.types.is_string(column.type)):
        column = pa.array(map(_text, column.to_pylist()), pa.string())
    encoded = column.dictionary_encode(null_encoding="encode")
    code, values = encoded.indices.to_numpy().astype(int), encoded.dictionary.to_pylist()
    if not numeric:
        return Coded(code, values)
    order = sorted(range(len(values)), key=lambda k: (values[k] is None, values[k] or 0))
    return Coded(np.argsort(order)[code], [values[k] for k in order])


def coded_together(rows: pa.Table, names: Sequence[str]) -> Coded:
    """The tuples of values of some columns: of one in its order, of several as they come."""
    parts = [coded(rows, name) for name in names]
    code = np.zeros(len(rows), int)
    for part in parts:
        code = joint(code, part.code)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    if len(parts) > 1:
        order = np.argsort(first)
        first, inverse = first[order], np.argsort(order)[inverse]
    return Coded(inverse, [tuple(values[code[row]] for code, values in parts) for row in first])


def joint(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Codes of pairs, in the order of the first and then of the second, none without a row."""
    return np.unique(one * (other.max(initial=0) + 1) + other, return_inverse=True)[1]


def differing(rows: pa.Table, group: np.ndarray, names: Sequence[str]) -> list[str]:
    """The columns that tell rows of one group apart, in their order; none that follows from others."""
    found, group = [], joint(group, np.zeros_like(group))
    for name in names:
        finer = joint(group, coded(rows, name).code)
        if finer.max(initial=0) > group.max(initial=0):
            found.append(name)
            group = finer
    return found


def shown_value(value: Any, digits: int = 4) -> str:
    """A value as a tick or a legend has it."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str | None:
    """A list, or what is neither a number nor a text, as one."""
    if isinstance(value, list):
        return "/".join(map(shown_value, value))
    return None if value is None else str(value)
