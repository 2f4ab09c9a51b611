"""What goes to standard output and standard error, whatever these are: a terminal, a pipe, a full disk."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from json import dumps
from typing import Any, TextIO

from .._errors import InvalidInputError
from ..studies.report import AbstractReport, to_plain
from ..studies.table import as_text, printable
from .options import PROGRAM


def show(report: AbstractReport, *, json: bool, more: dict[str, Any] | None = None) -> None:
    """Print a report as its tables, or as one JSON object, of which `more` are further keys."""
    if json:
        write(dumps(report.to_json() | to_plain(more or {}), allow_nan=False) + "\n")
    else:
        write(as_text(report.tables(), sys.stdout))


def write(text: str) -> None:
    """Write to standard output and flush; what it cannot encode is escaped.

    Raises `BrokenPipeError` where the reader has left, as `head` does, and refuses what takes no more.
    """
    if sys.stdout is None:  # as `>&-` leaves it
        raise InvalidInputError("standard output is closed: want a file, a pipe or a terminal to print to")
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        _forget(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise InvalidInputError(f"standard output cannot be used: {error.strerror}") from None


def complain(message: str) -> int:
    """Write one error line to standard error; returns the exit code of a mistake, 2."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"{PROGRAM}: error: {printable(' '.join(message.split()), keep='')}\n")
            sys.stderr.flush()
        except OSError:  # nowhere to complain
            _forget(sys.stderr)
    return 2


def _forget(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, so that Python's own flush at exit does not fail."""
    with contextlib.suppress(OSError):  # a stream without a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def track(items: Sequence[Any], title: str) -> Iterable[Any]:
    """The items, with a progress bar that goes away at the end, where somebody is looking at stderr."""
    with progress_bar(title, len(items)) as move:
        for done, item in enumerate(items, start=1):
            yield item
            move(done, "")


@contextlib.contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar of `total` steps with the time left; what it gives takes the steps done, and a note."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[note]"))
    columns = (next(texts), BarColumn(), MofNCompleteColumn(), next(texts), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=120) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)
