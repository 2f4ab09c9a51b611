"""One line for every mistake: `mdmjax: error: ...` on stderr and exit code 2."""

import contextlib
import io
import re
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

EXIT_CODE = 2

KINDS = {"INT": "an integer", "FLOAT": "a number", "PATH": "a path"}
"""What tyro's names of value types mean."""

BOX = "╭╮╰╯│─| "


def complain(message: str) -> int:
    """Print one error line; returns the exit code."""
    print(f"mdmjax: error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_CODE


def parse(parser: Callable[[], T]) -> T:
    """What `parser` returns; its boxed error message becomes one line and `SystemExit(2)`.

    tyro has no public way to ask for a plain message, so its box is read and taken apart.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return parser()
    except SystemExit as leave:
        if leave.code in (0, None):
            raise
        raise SystemExit(complain(condense(box.getvalue()))) from None


def condense(box: str) -> str:
    """The message in a tyro error box as one line.

    >>> condense("| Unrecognized options: --dim, 3 |")
    'Unrecognized options: --dim, 3'
    """
    lines = [line.strip(BOX) for line in box.splitlines() if not line.startswith("╭")]
    rules = [number for number, line in enumerate(lines) if line and not line.strip("-")]
    if rules:  # a box in ASCII has its title above the first rule
        lines = [line for number, line in enumerate(lines) if number > rules[0] and number not in rules]
    body = " ".join(line for line in lines if line)
    where = re.search(r"(?:run|see):? (mdmjax[\w -]*--help)", body)
    hint = f"; see `{where[1]}`" if where else ""
    body = re.sub(r" \(applied to [^)]*\)", "", body).replace(" Available subcommands:", ": want one of")
    missing = re.search(r"Missing from .*?: (\S+) (.*?) \(required\)", body)
    if missing:
        return f"{missing[1]} is not given: want {missing[2].rstrip('.')}{hint}"
    bad = re.search(r"Error parsing ([^:]+): .*?\['?(.*?)'?\]", body) or re.search(
        r"Error parsing ([^:]+): .*: '(.*?)'", body
    )
    if bad:
        kind = re.search(r"Argument helptext:.*?\b(INT|FLOAT|PATH)\b", body)
        return f"{bad[1]} is {bad[2]}: want {KINDS[kind[1]] if kind else 'another value'}{hint}"
    meant = re.search(r"Perhaps you meant: (\S+)", body)
    if meant:
        hint = f"; perhaps {meant[1]}{hint}" if meant[1] not in body[: meant.start()] else hint
    end = re.search(r" *(Argument helptext|For full|Perhaps you meant|Arguments are applied)", body)
    return (body[: end.start()] if end else body).rstrip(".") + hint
