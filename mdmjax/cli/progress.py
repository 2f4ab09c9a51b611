"""Progress on stderr, and only where somebody is looking at it."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


def track(items: Sequence[Any], title: str) -> Iterable[Any]:
    """The items, with a progress bar that goes away at the end."""
    with progress_bar(title, len(items)) as move:
        for done, item in enumerate(items, start=1):
            yield item
            move(done, "")


@contextlib.contextmanager
def progress_bar(
    title: str, total: int, done: int = 0, note: str = ""
) -> Iterator[Callable[[int, str], None]]:
    """A bar of `total` steps with the time left; what it gives takes the steps done, and a note."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    told = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[note]}", markup=False)
    columns = (told[0], BarColumn(), MofNCompleteColumn(), told[1], TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=120) as bar:
        task = bar.add_task(title, total=total, completed=done, note=note)
        yield lambda done, note: bar.update(task, completed=done, note=note)
