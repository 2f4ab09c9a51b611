"""Sequences that a model is measured on: a text, FASTA or JSONL file, before any tokenizer."""

import json
from pathlib import Path
from typing import NamedTuple

from .._errors import refuse, shown
from .arrays import check_readable, read_text

FASTA = (".fasta", ".fa", ".faa", ".fna")
MAX_BYTES = 2**30


class Example(NamedTuple):
    """What is given, and what is to be predicted after it; `prompt` is empty where all is predicted."""

    text: str
    prompt: str = ""


def read_examples(path: Path) -> list[Example]:
    """The sequences of a file, by the end of its name: FASTA, JSONL, else a text of one a line.

    A line of JSONL has `text`; or `prompt`, and `answer` or `completion`, the part that is predicted.

    Raises:
        InvalidInputError: a file that cannot be read, a line that is none of these, no sequences.
    """
    check_readable("data", path)
    lines, kind = read_text("data", path).splitlines(), path.suffix.lower()
    read = _fasta if kind in FASTA else _jsonl if kind == ".jsonl" else _text
    examples = read(path, lines)
    if not examples:
        refuse("data", f"{path} without a sequence", "FASTA, JSONL, or a text of one sequence a line")
    return examples


def _text(path: Path, lines: list[str]) -> list[Example]:
    return [Example(line) for line in lines if line.strip()]


def _fasta(path: Path, lines: list[str]) -> list[Example]:
    """One a header; its lines are joined, upper case, without a stop at the end."""
    found: list[list[str]] = []
    for line in filter(None, map(str.strip, lines)):
        if line.startswith(">"):
            found.append([])
        elif not found:
            refuse("data", f"{path} that begins with {shown(line)}", "a FASTA header, as >name")
        else:
            found[-1].append("".join(line.split()))
    return [Example("".join(parts).upper().rstrip("*")) for parts in found if parts]


def _jsonl(path: Path, lines: list[str]) -> list[Example]:
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        row = row if isinstance(row, dict) else {}
        text = row.get("text", row.get("answer", row.get("completion")))
        prompt = "" if "text" in row else row.get("prompt", "")
        if not isinstance(text, str) or not isinstance(prompt, str) or not text:
            wanted = 'an object with "text", or "prompt" and "answer" or "completion", all of them texts'
            refuse("data", f"{path} with {shown(line)} in line {number}", wanted)
        found.append(Example(text, prompt))
    return found
