"""A report on standard output: one JSON object, or its tables."""

import sys
from json import dumps
from typing import Any

from ..studies.report import AbstractReport, to_plain
from ..studies.table import as_text
from .output import write


def show(report: AbstractReport, *, json: bool, more: dict[str, Any] | None = None) -> None:
    """Print a report; `more` are further keys of its JSON."""
    if json:
        write(dumps(report.to_json() | to_plain(more or {}), allow_nan=False) + "\n")
    else:
        write(as_text(report.tables(), sys.stdout))
