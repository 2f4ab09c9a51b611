"""Progress on stderr, and only where somebody is looking at it."""

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], title: str) -> Iterable[T]:
    """The items, with a progress bar that goes away at the end."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track as rich_track

    return rich_track(items, title, console=Console(stderr=True), transient=True)
