"""What a report is of: a title and facts for its reader, beside the objects that a study takes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

Track = Callable[[Sequence[T], str], Iterable[T]]
"""Passes items through and may show the progress under a label."""


def untracked(items: Sequence[T], label: str) -> Iterable[T]:
    """Progress that shows nothing."""
    return items


@dataclass(frozen=True)
class Subject:
    """What a report is of.

    `title` in words; `source` as JSON has it, by which it can be had again; `method`: how its curve came
    about; `q` is the size of the alphabet where there is one; `facts` go into the JSON as they are.
    """

    title: str
    source: Mapping[str, Any] | None = None
    method: str = ""
    q: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, thing: Any) -> "Subject":
        """What is known of a bare distribution or curve: its type."""
        return cls(type(thing).__name__, method="as given", q=getattr(thing, "q", None))

    def head(self) -> dict[str, Any]:
        """The first keys of every report."""
        method = {"method": self.method} if self.method else {}
        return {"source": self.source, "title": self.title} | method
