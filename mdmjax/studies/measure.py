"""Anybody's model, measured: a function to logits with its data, in batches that may be stopped."""

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files.loss_table import write_loss_table
from ..files.measurement import Rows, kept_rows
from ..losses.logits_model import LogitsFn
from ..losses.masks import MaskKind
from ..losses.measure import Measured, measure
from .loss_curve import LossCurveReport
from .report import Track, to_plain, untracked

MAX_HASHED_BYTES = 2**24  # of a file: a larger one is known by its size and its time (our choice)


@dataclasses.dataclass(frozen=True, eq=False)
class Measurable:
    """What is measured: a function to logits, sequences of ids, `options` of `measure`, and what tells it.

    `facts` are what JSON can hold: two subjects of the same facts, data and options are one measurement.
    `notes` are for the reader of the report.
    """

    logits_fn: LogitsFn
    data: np.ndarray
    mask_id: int
    what: str = "sequences"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def measure_study(
    seed: int,
    measurable: Measurable,
    path: Path | None = None,
    *,
    masks: MaskKind = "nested",
    cfg_scale: float = 0.0,
    batch: int = 64,
    track: Track = untracked,
) -> LossCurveReport:
    """The masked losses of a measurable by `measure`; with a `path` its table is written there, as CSV.

    Till then its rows are kept beside it, so that a measurement that is stopped goes on.

    Raises:
        InvalidInputError: as `measure`; rows beside `path` of another measurement.

    >>> fair = Measurable(lambda ids: np.zeros((*ids.shape, 3)), np.array([[0, 1], [1, 1]]), mask_id=2)
    >>> measure_study(0, fair).losses.table().loss.round(4).tolist()
    [0.6931, 0.6931]
    """
    options = {**measurable.options, "masks": masks, "cfg_scale": cfg_scale}
    times = [(time.monotonic(), 0)]

    def run(rows: Rows | None) -> Measured:
        def keep(losses: np.ndarray) -> None:
            if rows is not None:
                rows.keep(losses)
            times.append((time.monotonic(), losses.size))

        known = None if rows is None else rows.known
        more = {"mask_id": measurable.mask_id, "batch": batch, "known": known, "keep": keep, "track": track}
        return measure(seed, measurable.logits_fn, measurable.data, **options, **more)

    if path is None:
        found = run(None)
    else:
        facts = {"seed": seed, **measurable.facts, "data": measurable.data, **options}
        facts = {name: digest(x) if isinstance(x, np.ndarray) else to_plain(x) for name, x in facts.items()}
        with kept_rows(path, facts) as rows:
            found = run(rows)
            write_loss_table(path, found.losses.rows())
    return _report(found, times, measurable, masks, batch)


def digest(values: np.ndarray) -> str:
    """A hash of an array: it tells one from another."""
    shape = f"{values.dtype}{values.shape}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def fingerprint(folder: Path) -> str:
    """A hash of the files of a folder: of what is in small ones, of size and time of the others."""
    known = hashlib.sha256()
    for file in sorted(one for one in folder.iterdir() if one.is_file()):
        size = file.stat().st_size
        known.update(f"{file.name} {size} ".encode())
        known.update(
            file.read_bytes() if size <= MAX_HASHED_BYTES else str(file.stat().st_mtime_ns).encode()
        )
    return known.hexdigest()[:16]


def _report(
    found: Measured, times: list[tuple[float, int]], measurable: Measurable, masks: str, batch: int
) -> LossCurveReport:
    """What was found, with what its reader should know."""
    lengths, n = found.plan.regions.sum(axis=1), found.losses.n
    notes = [
        f"A sequence alone has the loss that it has among others, to {found.neighbours:.1e} nats a token. "
        "Temperature, top-p and the like are the sampler's: they are not measured."
    ]
    if lengths.min() != lengths.max():
        notes.insert(
            0,
            f"Regions of {lengths.min()} to {lengths.max()} tokens have the same share masked: "
            f"masked tokens are of {n}, the median region, and the NLL is that of {n} tokens.",
        )
    if found.batch < batch:
        notes.insert(0, f"The memory was full with {batch} sequences at once: {found.batch} were taken.")
    (start, *at), (_, *rows) = np.array(times).T
    rate = 0.0  # of the batches after the first one, which compiles
    if len(at) > 1:
        rate = found.calls / found.plan.rows * sum(rows[1:]) / max(at[-1] - at[0], 1e-9)
    facts = {
        "mask_ratio": np.unique(found.losses.n_masked) / n,
        "shortest": lengths.min(),
        "longest": lengths.max(),
        "vocabulary": found.vocabulary,
        "masks": masks,
        "batch": found.batch,
        "neighbours": found.neighbours,
    }
    more = {"what": measurable.what, "facts": facts, "notes": (*measurable.notes, *notes)}
    return LossCurveReport(found.losses, found.calls, max(at, default=start) - start, rate, **more)
