"""The rows of a sweep, as its columns by name: some of them, and what is written of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Columns = Mapping[str, np.ndarray]


def rows_of(columns: Columns, equal: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The rows that have these values; numbers are compared up to rounding."""
    kept = np.ones(columns["point"].size, bool)
    for name, value in equal.items():
        column = columns[name]
        same = (
            np.isclose(column, value, rtol=1e-9, atol=0) if column.dtype.kind in "fi" else column == value
        )
        kept &= same
    return {name: column[kept] for name, column in columns.items()}


def values_of(columns: Columns, name: str) -> list[Any]:
    """What a column has, once each: words in their order in the rows, numbers rising and without NaN."""
    column = columns[name]
    if column.dtype.kind == "U":
        return list(dict.fromkeys(word for word in column.tolist() if word))
    return [value for value in np.unique(column).tolist() if value == value]
