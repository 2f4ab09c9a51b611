"""Answers to the problems of a task, one a line of JSON; a line that is none is one too."""

import json
from collections.abc import Iterator
from pathlib import Path

from .._errors import shown
from ..tasks.grading import Output
from .arrays import reading

MAX_LINE = 2**20
"""Characters of a line that are looked at."""


def read_outputs(path: Path) -> Iterator[Output]:
    """Every line that is not empty: `id` and `output`, and `prompt` where it is the user's own; all texts.

    Lines are read one at a time. One that is no such object, is longer than 2^20 characters or no UTF-8
    has a `fault` that says so.

    Raises:
        InvalidInputError: a file that cannot be read.
    """
    with reading("grade", path), path.open("rb") as stream:
        for number, line in enumerate(_lines(stream), 1):
            if line.strip():
                yield _output(number, line)


def _lines(stream) -> Iterator[bytes]:
    """The lines, of each at most one byte more than is looked at."""
    while line := stream.readline(MAX_LINE + 1):
        rest = line
        while not rest.endswith(b"\n") and (rest := stream.readline(MAX_LINE)):
            pass
        yield line


def _output(number: int, line: bytes) -> Output:
    """One line as an answer, or as what is wrong with it."""
    if len(line) > MAX_LINE:
        return Output(number, "", "", None, f"more than {MAX_LINE} bytes")
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Output(number, "", "", None, f"no JSON: {shown(line.decode('utf-8', 'replace'))}")
    row = row if isinstance(row, dict) else {}
    prompt, name = row.get("prompt"), row.get("id", "")
    texts = isinstance(name, str) and isinstance(row.get("output"), str)
    if not texts or not (prompt is None or isinstance(prompt, str)):
        told = name if isinstance(name, str) else ""
        return Output(number, told, "", None, 'no object with texts "id" and "output" (and "prompt")')
    return Output(number, name, row["output"], prompt)
