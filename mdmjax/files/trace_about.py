"""What a file says of each sample of traces beside the trace: one thing a sample, or one a position."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._errors import refuse, shown

PROMPT_NAMES = ("id", "prompt_id", "prompt")


@dataclasses.dataclass(frozen=True)
class Sample:
    """One sample as arrays."""

    place: str
    trace: np.ndarray
    about: dict[str, Any]

    @property
    def n(self) -> int:
        """Its positions."""
        return self.trace.shape[-1]


def is_number(value: Any) -> bool:
    """Whether this is a number, and neither true nor false."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def integer(path: Path, place: str, name: str, value: Any) -> int:
    """What a file says of a sample, or of all, in one integer."""
    array = np.asarray(value) if is_number(value) or hasattr(value, "dtype") else np.zeros(0)
    if array.ndim or array.dtype.kind not in "iu":
        refuse("FILE", f"{path} with {name} {shown(value)} in {place}", "an integer")
    return int(array)


def said_of_all(path: Path, held: list[Sample], name: str) -> bool:
    """Whether the samples have something; refused where some have it and others not."""
    said = [sample.about.get(name) is not None for sample in held]
    if any(said) and not all(said):
        place = held[said.index(False)].place
        refuse("FILE", f"{path} without {name} in {place}", f"{name} of every sample, or of none")
    return all(said)


def position_rows(
    path: Path, held: list[Sample], name: str, count: int, n: int, empty: float
) -> np.ndarray | None:
    """Numbers of each position, if every sample has them."""
    if not said_of_all(path, held, name):
        return None
    filled = np.full((count, n), empty, np.float64)
    for number, sample in enumerate(held):
        try:
            row = np.asarray(sample.about[name], np.float64)
        except (TypeError, ValueError):
            row = np.zeros(0)
        if row.shape != (sample.n,) or np.isinf(row).any():
            found = f"{path} with {name} {shown(sample.about[name])} in {sample.place}"
            refuse("FILE", found, f"a number for each of the {sample.n} positions")
        filled[number, : sample.n] = row
    return filled


def correct_of(path: Path, held: list[Sample], count: int):
    """Which samples are correct, where every sample says so."""
    if not said_of_all(path, held, "correct"):
        return None
    values = [sample.about["correct"] for sample in held]
    for sample, value in zip(held, values, strict=True):
        if np.asarray(value).ndim or value not in (0, 1):
            found = f"{path} with correct {shown(value)} in {sample.place}"
            refuse("FILE", found, "true or false")
    return jnp.asarray(np.array([*map(bool, values), *[False] * (count - len(held))]))


def calls_of(abouts: list[dict[str, Any]], count: int):
    """Calls of the model, where every sample has them."""
    calls = [about.get("calls", about.get("nfe")) for about in abouts]
    known = [int(call) for call in map(np.asarray, calls) if call.dtype.kind in "iu" and not call.ndim]
    if len(known) < len(calls):
        return None
    return jnp.asarray(np.array([*known, *[0] * (count - len(calls))]))


def prompt_id(about: dict[str, Any]) -> Any:
    """Whose sample it is, where the file says so."""
    for name in PROMPT_NAMES:
        value = about.get(name)
        if isinstance(value, str | int | np.integer | np.str_ | list):
            return str(value)
    return None
