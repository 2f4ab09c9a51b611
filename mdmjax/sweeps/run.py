"""A sweep from its config to its folder: run, looked at, or only planned."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax

from .._errors import readable_bytes, refuse
from ..studies.report import AbstractReport, Track, untracked
from ..studies.table import Column, Part, Table
from .config import Config
from .engine import Rows, built, check_points, completed, rows_of
from .manifest import MANIFEST
from .store import Store
from .studies import STUDIES


class Measured(NamedTuple):
    """The rows of a chunk, and the seconds that they took."""

    number: int
    rows: Rows
    seconds: float


Chunks = Mapping[int, list[int]]
Stream = Generator[Measured, None, None]


def measure(config: Config, number: int, indices: list[int]) -> Measured:
    """Measure a chunk in this process."""
    start = time.perf_counter()
    rows = rows_of(config, indices)
    return Measured(number, rows, time.perf_counter() - start)


def here(config: Config, chunks: Chunks) -> Stream:
    """Measure chunks in this process, one after another."""
    return (measure(config, number, indices) for number, indices in chunks.items())


@dataclasses.dataclass(frozen=True, eq=False)
class SweepReport(AbstractReport):
    """How far a sweep is; `seconds_left` from the chunks that are done, or from one that was timed."""

    schema: ClassVar[str] = "mdmjax.report.sweep"
    folder: str
    study: str
    points: int
    chunks: int
    programs: int
    done: int
    failed: int
    left: int
    chunks_left: int
    seconds_left: float | None
    row_bytes: int
    chunk_bytes: int | None = None
    reason: str | None = None

    def tables(self) -> list[Part]:
        """What a reader is shown."""
        left = "not known" if self.seconds_left is None else readable_seconds(self.seconds_left)
        rows = [
            ("points", f"{self.points} in {self.chunks} chunks of {self.programs} programs at most"),
            ("done", f"{self.done}, of which {self.failed} failed"),
            ("left", f"{self.left} in {self.chunks_left} chunks; time left {left}"),
            ("rows", f"about {readable_bytes(self.row_bytes)} before compression"),
        ]
        if self.chunk_bytes is not None:
            rows.append(
                ("arrays", f"{readable_bytes(self.chunk_bytes)} of a chunk, and what its program takes")
            )
        if self.reason is not None:
            rows.append(("a failure", self.reason))
        columns = [Column(f"sweep of {self.study}", 0, justify="left"), Column("", 1, justify="left")]
        return [f"in {self.folder}", Table(columns, rows)]


def run_sweep(
    config: Config,
    folder: Path,
    *,
    retry_failed: bool = False,
    measured: Callable[[Config, Chunks], Stream] = here,
    track: Track = untracked,
    stopped: Callable[[], bool] = lambda: False,
) -> SweepReport:
    """Measure every chunk that is not in the folder yet, and write each as it is done.

    It goes on where a run that was stopped or killed has ended, and ends in the same rows. `stopped` is
    asked after each chunk. `measured` gives the rows of chunks in any order: `here`, or
    `sweeps.cluster.over(client)`.

    Raises:
        InvalidInputError: a point too large, with the bytes that it needs; another sweep is in the folder,
            or runs there; a disk without room.

    >>> import tempfile
    >>> from mdmjax.sweeps.config import parse_config
    >>> axes = {"source": ["noisy-bit", "markov"], "source.n": [4], "steps": [2, 4]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run_sweep(parse_config({"study": "schedule", "axes": axes}), Path(folder))
    >>> report.done, report.failed, report.left
    (4, 0, 0)
    """
    check_points(config)
    store = Store(folder, config)
    with store.held():
        left = store.left(failed_too=retry_failed)
        chunks = {number: store.chunks[number] for number in left}
        with contextlib.closing(measured(config, chunks)) as found:
            for _, one in zip(track(left, "chunks"), found, strict=True):
                store.write(*one)
                if stopped():
                    break
        return report_of(store)


def status(config: Config, folder: Path) -> SweepReport:
    """How far the sweep of a folder is, whether a process runs it or none.

    Raises:
        InvalidInputError: no such folder, or not one of this sweep.
    """
    store = Store(folder, config)
    if not (folder / MANIFEST).exists():
        refuse("out", folder, "the folder of a sweep that was started", "it is made by a run")
    return report_of(store)


def report_of(store: Store) -> SweepReport:
    """How far the sweep of a folder is."""
    config, done = store.config, store.done()
    sizes = [len(store.chunks[number]) for number in done]
    chunks_left, points = len(store.chunks) - len(done), config.size
    seconds = [about.seconds for about in done.values()]
    left = sum(seconds) / len(seconds) * chunks_left if seconds else None if chunks_left else 0.0
    failed = sum(about.failed for about in done.values())
    return SweepReport(
        str(store.folder),
        config.study,
        points,
        len(store.chunks),
        config.programs,
        sum(sizes),
        failed,
        points - sum(sizes),
        chunks_left,
        left,
        8 * points * len(store.schema),
        reason=store.a_reason(done) if failed else None,
    )


def planned(config: Config, folder: Path) -> SweepReport:
    """What a sweep would take, from one chunk that is measured twice, and not written.

    The first time compiles: that is expected of every program, the second time of every chunk.
    """
    check_points(config)
    store = Store(folder, config)
    store.check_writable()
    report, left = report_of(store), store.left()
    if not left:
        return report
    chunk = store.chunks[left[0]]
    first, again = (measure(config, left[0], chunk).seconds for _ in range(2))
    programs = min(config.programs, len(left))
    seconds = again * len(left) + max(0.0, first - again) * programs
    return dataclasses.replace(
        report, seconds_left=seconds, chunk_bytes=chunk_bytes(config, store, left[0])
    )


def chunk_bytes(config: Config, store: Store, number: int) -> int:
    """The bytes of the arrays of a chunk's cases."""
    points, failed = completed(config, store.chunks[number])
    good = {place: point for place, point in enumerate(points) if failed[place] is None}
    arrays: list[Any] = jax.tree.leaves([group.arrays for group in built(STUDIES[config.study], good)])
    return sum(getattr(leaf, "nbytes", 8) for leaf in arrays)


def readable_seconds(seconds: float) -> str:
    """`1 h 5 min`, `3 min 20 s` or `4.2 s`."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
