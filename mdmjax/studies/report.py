"""Reports: what a study found, as JSON, as text for a terminal or a file, and as HTML; and of what."""

import abc
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import PurePath
from typing import Any, ClassVar, TypeVar

from .table import Part, as_html, as_text, rendered

T = TypeVar("T")
Track = Callable[[Sequence[T], str], Iterable[T]]  # passes items through; may show progress under a label


def untracked(items: Sequence[T], label: str) -> Iterable[T]:
    """Progress that shows nothing."""
    return items


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a report is of: a title, the JSON of its source, how its curve came about, the alphabet's size.

    `facts` go into the JSON as they are.
    """

    title: str
    source: Mapping[str, Any] | None = None
    method: str = ""
    q: int | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, thing: Any) -> "Subject":
        """What is known of a bare distribution or curve."""
        return cls(type(thing).__name__, method="as given", q=getattr(thing, "q", None))

    def head(self) -> dict[str, Any]:
        """The first keys of every report."""
        method = {"method": self.method} if self.method else {}
        return {"source": self.source, "title": self.title} | method


@dataclasses.dataclass(frozen=True, eq=False)
class AbstractReport(abc.ABC):
    """What a study found, in the fields of a frozen dataclass; it shows itself as its `tables`.

    In JSON, numbers with a unit are in nats, an infinity is the string "inf" or "-inf", and NaN is null. A
    field of metadata `{"json": False}` is left out.
    """

    schema: ClassVar[str]  # what the JSON object is, as "mdmjax.law"
    version: ClassVar[int] = 1  # raised when a key changes its meaning, or goes

    @abc.abstractmethod
    def tables(self) -> list[Part]:
        """What to show, from top to bottom: paragraphs and tables."""

    def fields(self) -> dict[str, Any]:
        """What JSON has, by name: the fields of the dataclass, unless a report says otherwise."""
        return _fields(self)

    def to_json(self) -> dict[str, Any]:
        """One object of plain values: `schema`, `version`, `units`, and the `fields`."""
        return {"schema": self.schema, "version": self.version, "units": "nats"} | to_plain(self.fields())

    def __str__(self) -> str:
        return as_text(self.tables())

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from rendered(self.tables())

    def _repr_html_(self) -> str:
        return as_html(self.tables())


def to_plain(value: Any) -> Any:
    """`value` as JSON has it: arrays are lists, dataclasses and NamedTuples are objects of their fields."""
    if hasattr(value, "tolist"):
        is_row = value.ndim == 1 and value.dtype.kind in "biuf"
        value = value.tolist()
        if is_row and all(map(math.isfinite, value)):  # a million numbers, as they are
            return value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, PurePath):
        return str(value)
    value = _fields(value) if dataclasses.is_dataclass(value) else value
    value = value._asdict() if hasattr(value, "_asdict") else value
    if isinstance(value, Mapping):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    raise TypeError(f"JSON has nothing for a {type(value).__name__}")


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that JSON has."""
    told = (field.name for field in dataclasses.fields(value) if field.metadata.get("json", True))
    return {name: getattr(value, name) for name in told}


def four_decimals(value: float) -> str:
    """A number that compares schedules: `0.6931`, `1.2e-05`; below 1e-12 it is rounding."""
    if abs(value) < 1e-12:
        return "0.0000"
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.1e}"


def six_decimals(value: float) -> str:
    """A number of a law: `0.693147`, `1.200e-05`; below 1e-12 it is rounding."""
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.6f}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3e}"


def run_lengths(counts: Iterable[Any]) -> str:
    """Counts with repeats written once: `1x12` is twelve steps of one token."""
    runs = [(value, len(list(run))) for value, run in groupby(counts)]
    return " ".join(f"{value}x{times}" if times > 1 else str(value) for value, times in runs)
