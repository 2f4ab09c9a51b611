"""The log of a training: a CSV with one row a step, which a resumed training goes on with."""

from collections.abc import Sequence
from math import inf, isfinite
from os import fsync
from pathlib import Path

from .._errors import refuse
from .atomic import check_writable, write_bytes

COLUMNS = ("step", "loss", "learning_rate", "gradient_norm", "tokens", "seconds")
"""`loss` in nats a token, `gradient_norm` before it is clipped; `tokens` and `seconds` since the start."""


def begin_log(path: Path, steps: int) -> float:
    """Keep the rows of the first `steps` steps, and nothing else; returns the seconds they took."""
    check_writable("log", path)
    try:  # a training that was killed may have logged more steps than its checkpoint has, or half a row
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if steps and path.exists() else []
        rows = [row for row in lines[1:] if _step(row) <= steps]
        write_bytes(path, "\n".join([",".join(COLUMNS), *rows, ""]).encode())
    except (OSError, UnicodeDecodeError) as error:
        _refuse(path, error)
    return float(rows[-1].split(",")[-1]) if rows else 0.0


def append_log(path: Path, rows: Sequence[Sequence[int | float]]) -> None:
    """Add rows of `COLUMNS`."""
    try:
        with path.open("a", encoding="utf-8") as stream:
            for row in rows:
                cells = (str(x) if isinstance(x, int) else f"{x:.7g}" for x in row)
                stream.write(",".join(cells) + "\n")
            stream.flush()
            fsync(stream.fileno())
    except OSError as error:
        _refuse(path, error)


def _step(row: str) -> float:
    """The step of a row; infinite if it is none."""
    try:
        numbers = [float(cell) for cell in row.split(",")]
    except ValueError:
        return inf
    return numbers[0] if len(numbers) == len(COLUMNS) and all(map(isfinite, numbers)) else inf


def _refuse(path: Path, error: Exception) -> None:
    refuse("log", path, "a file that can be written", getattr(error, "strerror", None) or "not UTF-8")
