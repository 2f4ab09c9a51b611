"""How every benchmark is timed, and the row it becomes."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Row(NamedTuple):
    """One comparison. `goal` is the ratio peer / ours asked for, or 0 where there is none."""

    what: str
    ours: float
    compile: float
    peer: str
    theirs: float
    goal: float
    note: str = ""


def seconds(work: Callable[[], Any], runs: int = 5) -> tuple[float, float]:
    """Median warm seconds of `runs` calls, and what the first call took beyond that (compilation)."""
    first = once(work)
    median = statistics.median(once(work) for _ in range(runs))
    return median, max(0.0, first - median)


def once(work: Callable[[], Any]) -> float:
    """Seconds of one call, device work included."""
    start = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - start
