"""A measurement that was stopped goes on: its losses so far are in a file beside the one to be."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import InvalidInputError, refuse, shown
from .arrays import read_text
from .atomic import check_writable, write_bytes
from .model_folder import flat

SECONDS = 1.0  # between two times that the disk is asked to keep what is written (our choice)


def partial_path(path: Path) -> Path:
    """Where the losses of a measurement are until `path` is written."""
    return path.with_name(f"{path.name}.partial")


class Rows:
    """The losses of a measurement's first rows, appended as they are known, one a line."""

    def __init__(self, path: Path, known: np.ndarray):
        self.path, self.known, self._kept, self.empty = path, known, time.monotonic(), known.size == 0
        self._stream = path.open("a", encoding="utf-8")

    def keep(self, losses: np.ndarray) -> None:
        """Append losses, every digit of them."""
        self.empty = False
        self._stream.write("".join(f"{loss!r}\n" for loss in losses.tolist()))
        if time.monotonic() > self._kept + SECONDS:
            self.flush()
            self._kept = time.monotonic()

    def flush(self) -> None:
        """See that what was appended outlives this process, and the machine."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Keep what there is."""
        self.flush()
        self._stream.close()


@contextlib.contextmanager
def kept_rows(path: Path, facts: dict[str, Any]) -> Iterator[Rows]:
    """The rows that `path` will be made of: those of a stopped measurement of these `facts`, and new ones.

    They are removed when the block ends, and stay if it raises; but nothing stays of what was refused
    before its first loss.

    Raises:
        InvalidInputError: the file of another measurement, or a damaged one.
    """
    partial = partial_path(path)
    check_writable("out", partial)
    facts = json.loads(json.dumps(facts))  # as it will be read again
    known = _known(partial, facts) if partial.exists() else np.zeros(0)
    lines = [json.dumps(facts), *map(repr, known.tolist()), ""]
    write_bytes(partial, "\n".join(lines).encode())  # half a line at its end is gone
    rows = Rows(partial, known)
    try:
        yield rows
    except BaseException as error:
        rows.close()
        if rows.empty and isinstance(error, InvalidInputError):
            partial.unlink(missing_ok=True)
        raise
    rows.close()
    partial.unlink(missing_ok=True)


def _known(partial: Path, facts: dict[str, Any]) -> np.ndarray:
    """The losses of whole lines, if they are of the same measurement."""
    lines = read_text("out", partial).split("\n")[:-1]
    if not lines:
        return np.zeros(0)
    try:
        found, losses = json.loads(lines[0]), np.array([float(line) for line in lines[1:]])
    except ValueError:
        found, losses = None, np.zeros(0)
    remedy = f"remove {partial}, or name another file"
    if not isinstance(found, dict) or not np.isfinite(losses).all():
        refuse("out", f"{partial}, damaged", "the file of a stopped measurement", remedy)
    there, here = flat(found), flat(facts)
    names = [name for name in here | there if here.get(name) != there.get(name)]
    if names:
        name = names[0]
        said = (
            f"{partial} of a measurement with {name} {shown(there.get(name))}, not {shown(here.get(name))}"
        )
        refuse("out", said, "the same measurement", remedy)
    return losses
