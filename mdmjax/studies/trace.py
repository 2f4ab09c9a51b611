"""What the traces of any decoder say, with intervals, and compared: what `mdmjax trace` shows."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Key
from ..files.trace_batches import Chunk
from ..traces.intervals import UNITS, Interval, Means, resampled_means
from ..traces.metrics import PARTS, order_against, trace_metrics
from .report import AbstractReport
from .table import Part
from .trace_table import LABELS, PARTED, notes_of, table_of


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """The numbers of every sample of a file by name, NaN where one has none; and whose samples they are."""

    numbers: Mapping[str, np.ndarray]
    units: np.ndarray
    ids: Sequence[Any] | None
    correct: np.ndarray | None
    first: Chunk

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.units)

    def means(
        self, key: Key[Array, ""], kept: np.ndarray | None = None, units: Sequence[int] = ()
    ) -> Means:
        """The means of all numbers over the samples `kept`, resampled by unit, or by those named."""
        values = np.stack(list(self.numbers.values()), axis=1)
        known = ~np.isnan(values) & (True if kept is None else kept[:, None])
        count = int(self.units.max()) + 1
        sums, counts = (np.zeros((count, values.shape[1])) for _ in range(2))
        np.add.at(sums, self.units, np.where(known, values, 0.0))
        np.add.at(counts, self.units, known)
        if len(units):
            sums, counts = sums[np.asarray(units)], counts[np.asarray(units)]
        # What is more than so many units is joined: their means are as good, and are fewer.
        joined = [np.zeros((min(len(sums), UNITS), values.shape[1])) for _ in range(2)]
        group = np.arange(len(sums)) % UNITS
        np.add.at(joined[0], group, sums)
        np.add.at(joined[1], group, counts)
        return resampled_means(key, *map(jnp.asarray, joined))


@dataclasses.dataclass(frozen=True, eq=False)
class FileTraces:
    """A file and its means; against the first of the files too, over as many prompts as both have."""

    file: str
    format: str
    samples: int
    means: Mapping[str, Interval]
    by_correctness: Mapping[str, Mapping[str, Interval]] | None
    without_order: int
    never_finalised: int
    difference: Mapping[str, Interval] | None = None
    paired: int | None = None
    measured: Measured | None = None

    def fields(self) -> dict[str, Any]:
        """What JSON has of it."""
        alone = {"file": self.file, "format": self.format, "samples": self.samples}
        alone |= {"without_order": self.without_order, "never_finalised": self.never_finalised}
        found = alone | _nested(self.means)
        found["by_correctness"] = self.by_correctness and {
            name: _nested(means) for name, means in self.by_correctness.items()
        }
        if self.difference is not None:
            found |= {"difference": _nested(self.difference), "paired": self.paired}
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class TraceReport(AbstractReport):
    """The means of each file with 95% intervals, and how those after the first differ from it."""

    schema: ClassVar[str] = "mdmjax.report.trace"
    files: tuple[FileTraces, ...]
    seed: int | None = None

    def fields(self) -> dict[str, Any]:
        """The first file at the top, the others in `others`."""
        first, *others = self.files
        return first.fields() | {"others": [other.fields() for other in others], "seed": self.seed}

    def tables(self) -> list[Part]:
        """A table a file, then one of differences from the first."""
        parts = list[Part]()
        for file in self.files:
            parts += [
                table_of(f"{file.file}: {file.samples} samples ({file.format})", file.means),
                *notes_of(file.samples, file.without_order, file.never_finalised),
            ]
            for name, means in (file.by_correctness or {}).items():
                right = "correct" if name == "true" else "not correct"
                chosen = {key: value for key, value in means.items() if key in LABELS}
                parts.append(table_of(f"of those that are {right}:", chosen))
        for file in self.files[1:]:
            how = "samples are independent" if file.paired is None else f"paired by {file.paired} prompts"
            title = f"{file.file} less {self.files[0].file}, {how}:"
            parts.append(table_of(title, file.difference or {}))
        parts.append("Intervals: 95% of resampled means (bootstrap over samples, or over prompts).")
        return parts


def trace_study(
    key: Key[Array, ""], files: Mapping[str, tuple[str, Iterable[Chunk]]], *, seed: int | None = None
) -> TraceReport:
    """The means of the traces of files, each a format and its chunks by name, and their differences.

    Samples of one prompt are drawn together where every sample has one. Files are compared over the prompts
    that all samples of both have; without prompts, sample by sample where there are as many, else as
    independent. Only numbers of each sample are kept, and the first chunk.

    Raises:
        InvalidInputError: a file in which no position counts.

    >>> from ..traces.trace import Traces
    >>> traces = Traces(jnp.array([[0, 1], [0, 0]]), jnp.ones((2, 2), bool))
    >>> report = trace_study(jax.random.key(0), {"a": ("steps", [Chunk(traces, 2, [None, None])])})
    >>> report.files[0].means["afp"].mean, report.files[0].without_order
    (1.5, 1)
    """
    found = list[FileTraces]()
    for name, (form, chunks) in files.items():
        measured = _measured(name, chunks)
        names = tuple(measured.numbers)
        by = None
        if measured.correct is not None:
            kept = {"true": measured.correct, "false": ~measured.correct}
            by = {word: _named(names, measured.means(key, rows)) for word, rows in kept.items()}
        alone = np.isnan(measured.numbers["kendall_tau_b"])
        left = measured.numbers["never_finalised"]
        one = FileTraces(
            name,
            form,
            measured.samples,
            _named(names, measured.means(key)),
            by,
            int(alone.sum()),
            int(left.sum()),
            measured=measured,
        )
        found.append(one if not found else _compared(key, one, found[0]))
    return TraceReport(tuple(found), seed)


def _compared(key: Key[Array, ""], file: FileTraces, first: FileTraces) -> FileTraces:
    """With its difference from the first file."""
    assert file.measured is not None
    assert first.measured is not None
    here, there = file.measured, first.measured
    both = tuple(name for name in here.numbers if name in there.numbers)
    paired, mine, theirs, other = None, (), (), jax.random.fold_in(key, 1)
    if here.ids is not None and there.ids is not None:
        common = sorted(set(here.ids) & set(there.ids))
        if common:
            mine, theirs = ([ids.index(one) for one in common] for ids in map(_listed, (here, there)))
            paired, other = len(common), key
    elif here.ids is None and there.ids is None and here.samples == there.samples:
        paired, other = here.samples, key
    less = _rows(here, here.means(key, units=mine), both) - _rows(
        there, there.means(other, units=theirs), both
    )
    return dataclasses.replace(file, difference=_named(both, less), paired=paired)


def _listed(measured: Measured) -> list[Any]:
    return list(measured.ids or ())


def _rows(measured: Measured, means: Means, names: Sequence[str]) -> Means:
    """Of the numbers with these names."""
    at = np.array([list(measured.numbers).index(name) for name in names])
    return Means(means.mean[at], means.resampled[:, at])


def _measured(name: str, chunks: Iterable[Chunk]) -> Measured:
    """The numbers of all chunks of a file."""
    parts, prompts, correct, first = list[dict[str, np.ndarray]](), list[Any](), list[np.ndarray](), None
    for chunk in chunks:
        first = chunk if first is None else first
        parts.append(numbers_of(chunk))
        prompts += chunk.prompts
        if chunk.traces.correct is not None:
            correct.append(np.asarray(chunk.traces.correct)[: chunk.samples])
    assert first is not None
    names = [one for one in parts[0] if all(one in part for part in parts)]
    numbers = {one: np.concatenate([part[one] for part in parts]) for one in names}
    if not numbers["n"].any():
        refuse("FILE", f"{name} in which no position counts", "positions that a step finalises")
    whole = len(correct) == len(parts)
    if any(prompt is None for prompt in prompts):
        ids, units = None, np.arange(len(prompts))
    else:
        ids, units = np.unique(np.array(prompts, object).astype(str), return_inverse=True)
    listed = None if ids is None else ids.tolist()
    return Measured(numbers, units, listed, np.concatenate(correct) if whole else None, first)


def numbers_of(chunk: Chunk) -> dict[str, np.ndarray]:
    """The numbers of each sample of a chunk by name; of a stage or span `NAME_0`, `NAME_1`, `NAME_2`."""
    traces, found = chunk.traces, dict[str, Any]()
    for name, value in trace_metrics(traces)._asdict().items():
        parts = {name: value} if value.ndim == 1 else {f"{name}_{i}": value[:, i] for i in range(PARTS)}
        found |= parts
    if traces.calls is not None:
        found["calls"] = traces.calls
    for name, values in traces.against.items():
        against = order_against(values, traces)
        found |= {f"{name}_tau": against.kendall_tau_b, f"{name}_rho": against.spearman}
    left = np.zeros(chunk.samples) if traces.unfinished is None else np.asarray(traces.unfinished).sum(-1)
    found["never_finalised"] = left
    return {name: np.asarray(value, np.float64)[: chunk.samples] for name, value in found.items()}


def _named(names: Sequence[str], means: Means) -> dict[str, Interval]:
    """The interval of each number."""
    mean, low, high = (np.asarray(part, np.float64).tolist() for part in means.interval())
    found = {name: Interval(*row) for name, *row in zip(names, mean, low, high, strict=True)}
    return {name: value for name, value in found.items() if name != "never_finalised"}


def _nested(means: Mapping[str, Interval]) -> dict[str, Any]:
    """As JSON has them: parts as lists, what the order is held against by name."""
    found: dict[str, Any] = {name: value for name, value in means.items() if name in LABELS}
    for name in PARTED:
        found[name] = [means[f"{name}_{i}"] for i in range(PARTS)]
    against = [name.removesuffix("_tau") for name in means if name.endswith("_tau")]
    found["against"] = {
        name: {"kendall_tau_b": means[f"{name}_tau"], "spearman": means[f"{name}_rho"]} for name in against
    }
    return found
