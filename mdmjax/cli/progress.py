"""Progress on stderr, and only where somebody is looking at it."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], title: str) -> Iterable[T]:
    """The items, with a progress bar that goes away at the end."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track as rich_track

    return rich_track(items, title, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def progress_bar(title: str, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """A bar of `total` steps with the time left; what it gives takes the steps done, and a note."""
    if not sys.stderr.isatty():
        yield lambda done, note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=120) as bar:
        task = bar.add_task(title, total=total, completed=done, note="compiling")
        yield lambda done, note: bar.update(task, completed=done, note=note)
