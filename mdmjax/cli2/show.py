"""A report on standard output: one JSON object, or its tables."""

import sys
from json import dumps

from ..studies.report import AbstractReport
from ..studies.table import as_text
from .output import write


def show(report: AbstractReport, *, json: bool) -> None:
    """Print a report."""
    write(dumps(report.to_json(), allow_nan=False) + "\n" if json else as_text(report.tables(), sys.stdout))
