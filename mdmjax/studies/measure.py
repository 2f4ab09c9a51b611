"""Anybody's model, measured: a function to logits with its data, in batches that may be stopped."""

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import check_bytes, refuse
from .._types import Array, Key
from ..denoisers.base import AbstractDenoiser
from ..files.loss_table import write_loss_table
from ..files.measurement import Rows, kept_rows
from ..losses.logits_model import LogitsFn
from ..losses.masks import MaskKind, mask_levels
from ..losses.measure import Measured, measure
from ..losses.sampled import MAX_ROWS_BYTES, ROW_BYTES
from ..training.data import AbstractData, Pool, Windows, examples_apart
from .loss_curve import LossCurveReport
from .report import Track, to_plain, untracked

LEAST_CALLS, LEAST_SEQUENCES = 4096, 64  # of a denoiser's curve, if nothing is said (our choice)
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
    block_length: int | None = None,
    masks: MaskKind = "nested",
    cfg_scale: float = 0.0,
    batch: int = 64,
    track: Track = untracked,
) -> LossCurveReport:
    """The masked losses of a measurable by `measure`; with a `path` its table is written there, as CSV.

    With a `block_length` it is that of every block, in a column `block`. Till then its rows are kept beside
    it, so that a measurement that is stopped goes on.

    Raises:
        InvalidInputError: as `measure`; rows beside `path` of another measurement.

    >>> fair = Measurable(lambda ids: np.zeros((*ids.shape, 3)), np.array([[0, 1], [1, 1]]), mask_id=2)
    >>> measure_study(0, fair).losses.table().loss.round(4).tolist()
    [0.6931, 0.6931]
    """
    options = {**measurable.options, "masks": masks, "cfg_scale": cfg_scale}
    options |= {} if block_length is None else {"block_length": block_length}
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
            write_loss_table(path, found.losses.rows(), found.losses.block)
    return _report(found, times, measurable, masks, batch)


def loss_curve_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    data: AbstractData,
    path: Path | None = None,
    *,
    sequences: int | None = None,
    block_length: int | None = None,
    batch: int = 64,
    facts: Mapping[str, Any] | None = None,
    track: Track = untracked,
) -> LossCurveReport:
    """`measure_study` of a denoiser on sequences of `data` that share nothing (`examples_apart`).

    They are 64, or as many as make 4096 calls if these are more, or all that there are. Of a pool of
    problems the answers are measured, after their prompts. `facts` say what model it is, where a
    measurement that was stopped is to go on.

    Raises:
        InvalidInputError: fewer than two sequences, more than there are, or too many for 4 GiB.

    >>> import jax
    >>> from mdmjax import Draws, Mixed, Oracle, noisy_repeated_bit
    >>> bits = noisy_repeated_bit(3, 0.1)
    >>> report = loss_curve_study(jax.random.key(0), Oracle(bits), Draws(bits), sequences=100)
    >>> report.calls, report.losses.table().n_masked.tolist()
    (300, [1, 2, 3])
    """
    n, q, block = denoiser.n, denoiser.q, denoiser.n if block_length is None else block_length
    if not 1 <= block <= n:
        refuse("block_length", block, f"an integer in 1..{n}")
    if sequences is not None and sequences < 2:
        refuse("sequences", sequences, "an integer >= 2", "a standard error needs two")
    calls = n // block * mask_levels(block).size
    size = max(LEAST_SEQUENCES, -(-LEAST_CALLS // calls)) if sequences is None else sequences
    check_bytes(ROW_BYTES * size * calls, MAX_ROWS_BYTES, "losses", "take fewer sequences", sequences=size)
    if sequences is None and isinstance(data, Windows):
        size = max(2, min(size, data.apart))
    if sequences is None and isinstance(data, Pool):
        size = max(2, min(size, data.tokens.shape[0]))
    drawing, masking = jax.random.split(key)
    drawn, given = examples_apart(drawing, data, size)
    seed = int(jax.random.bits(masking, dtype=np.uint32))
    what, options = "held-out sequences", {}
    if given is not None:
        what, options = "held-out answers", {"regions": ~np.asarray(given)}
    subject = Measurable(logits_of(denoiser), np.asarray(drawn), q, what, options, facts=facts or {})
    batch = min(batch, size * calls)
    return measure_study(seed, subject, path, block_length=block_length, batch=batch, track=track)


def logits_of(denoiser: AbstractDenoiser) -> LogitsFn:
    """The log-probabilities of a denoiser, with a column for the mask, which is no answer."""
    return lambda tokens: _rows_of(denoiser, jnp.asarray(tokens, jnp.int32))


@eqx.filter_jit
def _rows_of(denoiser: AbstractDenoiser, tokens: Array) -> Array:
    return jnp.pad(jax.vmap(denoiser)(tokens), ((0, 0), (0, 0), (0, 1)))


def digest(values: np.ndarray) -> str:
    """A hash of an array: it tells one from another."""
    shape = f"{values.dtype}{values.shape}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def fingerprint(path: Path) -> str:
    """A hash of a file, or of those of a folder: of what is in small ones, of size and time of others."""
    known = hashlib.sha256()
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    for file in files:
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
    blocks = found.losses.block is not None
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
    if found.left_out:
        notes.insert(0, f"{found.left_out} tokens are left out: they are in no whole block of {n}.")
    if found.batch < batch:
        notes.insert(0, f"The memory was full with {batch} sequences at once: {found.batch} were taken.")
    (start, *at), (_, *rows) = np.array(times).T
    rate = 0.0  # of the batches after the first one, which compiles
    if len(at) > 1:
        rate = found.calls / found.plan.rows * sum(rows[1:]) / max(at[-1] - at[0], 1e-9)
    facts = {"block_length": n, "left_out": found.left_out} if blocks else {}
    facts |= {
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
