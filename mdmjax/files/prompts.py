"""Prompts, one a line of JSON, and what was written after them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .._errors import refuse, shown
from .arrays import read_text
from .atomic import write_bytes


class Prompt(NamedTuple):
    """The prompt of a problem, by the name that its file gives it."""

    id: Any
    text: str


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file as `mdmjax task` writes it: `id` and `prompt` in each line.

    Other keys do not matter; without an `id` a line is called by its number, from 0.

    Raises:
        InvalidInputError: a file that cannot be read, a line that has no prompt (its number), no line.
    """
    found = []
    for number, line in enumerate(read_text("prompts", path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
            where = f"{path} with {shown(line)} in line {number}"
            refuse("prompts", where, 'an object with a text "prompt", and "id"')
        found.append(Prompt(row.get("id", number - 1), row["prompt"]))
    if not found:
        refuse("prompts", f"{path} without a line", 'lines of JSON with "id" and "prompt"')
    return found


def write_outputs(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, whole or not at all: what `mdmjax task NAME --grade` reads."""
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
