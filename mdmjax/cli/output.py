"""What goes to standard output and standard error, whatever these are: a terminal, a pipe, a full disk."""

import os
import sys
from typing import TextIO

from .._errors import InvalidInputError
from ..studies.table import printable
from .options import PROGRAM


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
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except OSError:  # a stream without a file
        pass
