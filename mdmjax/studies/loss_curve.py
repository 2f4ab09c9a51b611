"""The masked-loss curve of a denoiser, measured on data: what `mdmjax loss-curve` shows."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import numpy as np

from .._errors import check_bytes, refuse
from .._types import Array, Key
from ..denoisers.base import AbstractDenoiser
from ..information.estimate import Estimate
from ..losses.sampled import MAX_ROWS_BYTES, ROW_BYTES, MaskedLosses, joined, masked_losses
from ..training.data import AbstractData, draw_batch
from .report import AbstractReport, Track, untracked
from .table import Column, Part, Table

LEAST_CALLS, LEAST_SEQUENCES = 4096, 64  # of a curve, if nothing is said (our choice)
PARTS = 16  # most steps of the progress bar


@dataclasses.dataclass(frozen=True, eq=False)
class LossCurveReport(AbstractReport):
    """Losses in nats a masked token by number of masked tokens, on as many sequences of `what`.

    `calls_per_second` is the rate of all but the first part, which compiles. `facts` are further keys of
    the JSON, `notes` what the reader should know.
    """

    schema: ClassVar[str] = "mdmjax.report.loss_curve"
    losses: MaskedLosses = dataclasses.field(metadata={"json": False})
    calls: int
    seconds: float
    calls_per_second: float
    model: str | None = None
    file: str | None = None
    what: str = dataclasses.field(default="held-out sequences", metadata={"json": False})
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict, metadata={"json": False})
    notes: tuple[str, ...] = dataclasses.field(default=(), metadata={"json": False})

    @property
    def sequences(self) -> int:
        """How many sequences it was measured on."""
        return np.unique(self.losses.sequence).size

    def one_by_one(self) -> Estimate:
        """The NLL of a sequence, one token a step in random order; straight lines between mask counts."""
        n, measured = self.losses.n, self.losses.n - np.unique(self.losses.n_masked)[::-1]
        weights = np.zeros(n)
        each = [np.interp(np.arange(n), measured, one) for one in np.eye(measured.size)]
        weights[measured] = np.sum(each, axis=1)
        return self.losses.total(weights)

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        table, n, nll = self.losses.table(), self.losses.n, self.one_by_one()
        names = ("n_masked", "loss", "stderr", "count")
        return {
            **super().fields(),
            **{name: getattr(table, name) for name in names},
            "n": n,
            "sequences": self.sequences,
            "nll_one_by_one": nll.mean,
            "nll_one_by_one_stderr": nll.stderr,
            **self.facts,
            "next": f"mdmjax schedule loss-curve {self.file}",
        }

    def tables(self) -> list[Part]:
        """A short table: one token masked, half of them, all of them."""
        found, n = self.fields(), self.losses.n
        counts, wanted = found["n_masked"], (1, -(-n // 4), -(-n // 2), -(-3 * n // 4), n)
        shown = sorted({int(np.argmin(np.abs(counts - m))) for m in wanted})
        rows = [(counts[at], found["loss"][at], found["stderr"][at]) for at in shown]
        columns = [Column("masked tokens", 0)]
        columns += [Column(name, at, "{:.4f}".format) for at, name in ((1, "nats each"), (2, "stderr"))]
        nll, error = found["nll_one_by_one"], found["nll_one_by_one_stderr"]
        rate = f"{self.seconds:.1f} s"
        if self.calls_per_second:
            rate += f", {self.calls_per_second:.0f} a second once compiled"
        every = "every number of them" if counts.size == n else f"{counts.size} numbers of them"
        return [
            f"{self.sequences} {self.what} of {n} tokens, with {every} masked",
            Table(columns, rows),
            f"One token a step in random order: NLL {nll:.4f} +- {error:.4f} nats a sequence, "
            f"{nll / n:.4f} a token (+-: standard error over sequences).",
            f"{self.calls} calls of the model in {rate}.",
            *self.notes,
            *([f"written to {self.file}; next:\n  {found['next']}"] if self.file else []),
        ]


def loss_curve_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    data: AbstractData,
    *,
    sequences: int | None = None,
    batch: int = 64,
    track: Track = untracked,
) -> LossCurveReport:
    """The masked losses of sequences drawn from `data`, each at every number of masked tokens.

    Raises:
        InvalidInputError: fewer than two sequences, or too many for 4 GiB; a batch below 1.

    >>> from mdmjax import Draws, Mixed, Oracle, noisy_repeated_bit
    >>> bits = noisy_repeated_bit(3, 0.1)
    >>> report = loss_curve_study(jax.random.key(0), Oracle(bits), Draws(bits), sequences=100)
    >>> report.calls, report.losses.table().n_masked.tolist()
    (300, [1, 2, 3])
    """
    if sequences is not None and sequences < 2:
        refuse("sequences", sequences, "an integer >= 2", "a standard error needs two")
    n = denoiser.n
    size = max(LEAST_SEQUENCES, -(-LEAST_CALLS // n)) if sequences is None else sequences
    check_bytes(ROW_BYTES * size * n, MAX_ROWS_BYTES, "losses", "take fewer sequences", sequences=size)
    parts = max(p for p in range(1, PARTS + 1) if size % p == 0)
    found, times = [], [time.monotonic()]
    for part in track(range(parts), "measuring"):
        drawing, masking = jax.random.split(jax.random.fold_in(key, part))
        drawn = draw_batch(drawing, data, size // parts)
        found.append(masked_losses(masking, denoiser, drawn, rounds=n, batch=batch))
        times.append(time.monotonic())
    calls, seconds = size * n, times[-1] - times[0]
    rate = calls / parts * (parts - 1) / (times[-1] - times[1]) if parts > 1 else calls / seconds
    return LossCurveReport(joined(found), calls, seconds, rate)
