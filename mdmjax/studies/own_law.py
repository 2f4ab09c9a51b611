"""Whether the best schedule of the mean is best for the sampler's own law, on sequences held out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from .._errors import refuse
from .._types import Array, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..information.estimate import estimate
from ..losses.prefix import PrefixLosses, prefix_losses
from ..schedules.schedule import Schedule
from .report import AbstractReport, Subject, Track, run_lengths, untracked
from .table import Column, Part, Table

GRID = 64  # starts that are measured at most (our choice), evenly and with the ends of every named schedule
PARTS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class OwnLawReport(AbstractReport):
    """Schedules of each number of steps on held-out sequences: the mean over orders, and the bound with K.

    `schedules[k]` are by name: `mean` has the least mean path NLL on the sequences that choose, `own law`
    the least bound there, others are as named.
    """

    schema: ClassVar[str] = "mdmjax.report.own_law"
    subject: Subject
    n: int
    orders: int
    chosen_on: int
    held_out: PrefixLosses = dataclasses.field(metadata={"json": False})
    schedules: Mapping[int, Mapping[str, Schedule]]

    def rows(self) -> list[dict[str, Any]]:
        """One a schedule: both NLLs, and what each is above that of `mean`, paired."""
        found = []
        for steps, named in self.schedules.items():
            first = named["mean"]
            for name, schedule in named.items():
                path, bound = self._both(schedule)
                base = self._both(first)
                found.append(
                    {
                        "steps": steps,
                        "schedule": name,
                        "counts": schedule.counts,
                        "path_nll": estimate(path),
                        "importance_nll": estimate(bound),
                        "path_nll_above_mean": estimate(path - base[0]),
                        "importance_nll_above_mean": estimate(bound - base[1]),
                    }
                )
        return found

    def _both(self, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
        return self.held_out.path_nll(schedule).mean(axis=1), self.held_out.importance_nll(schedule)

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        return {
            **self.subject.head(),
            "q": self.subject.q,
            **self.subject.facts,
            "n": self.n,
            "orders": self.orders,
            "chosen_on": self.chosen_on,
            "held_out": self.held_out.sums.shape[0],
            "schedules": self.rows(),
        }

    def tables(self) -> list[Part]:
        """One row a schedule, and what it says."""
        nats, signed = (lambda x: f"{x.mean:.3f}"), (lambda x: f"{x.mean:+.3f} +- {x.stderr:.3f}")
        columns = [
            Column("steps", "steps"),
            Column("schedule", "schedule", justify="left"),
            Column("path", "path_nll", nats),
            Column("above mean", "path_nll_above_mean", signed),
            Column("bound", "importance_nll", nats),
            Column("above mean", "importance_nll_above_mean", signed),
            Column("counts", lambda row: run_lengths(row["counts"].tolist()), justify="left", shorten=True),
        ]
        held_out = self.held_out.sums.shape[0]
        words = (
            "path: mean of -log q(x | order), what a loss curve predicts; bound: -log of the mean of "
            f"q(x | order) over {self.orders} orders, above -log q(x) in the mean. Nats a sequence of "
            f"{self.n}, on {held_out} held-out sequences; +-: paired standard errors over them. 'mean' and "
            f"'own law' are chosen on {self.chosen_on} others, by the one and by the other; 'best' is the "
            "loss curve's, and the others those in use."
        )
        return [f"{self.subject.title}", Table(columns, self.rows()), words, self._verdict()]

    def _verdict(self) -> str:
        """For which numbers of steps the choice by the sampler's own law holds on held-out sequences."""
        found = {True: list[str](), False: list[str]()}
        for row in self.rows():
            if row["schedule"] == "own law":
                above = row["importance_nll_above_mean"]
                found[above.mean < -1.96 * above.stderr].append(str(row["steps"]))
        line = "The schedule chosen by the own law is better under it"
        if found[True]:
            return f"{line} at {', '.join(found[True])} steps, by more than 1.96 standard errors."
        return f"{line} at no number of steps by 1.96 standard errors: choose by the mean (the loss curve)."


def own_law_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    steps: Sequence[int],
    *,
    named: Mapping[str, Mapping[int, Schedule]] = {},
    orders: int = 8,
    batch: int = 64,
    subject: Subject | None = None,
    track: Track = untracked,
) -> OwnLawReport:
    """Choose on half of the sequences, by the mean over orders and by the own law; judge on the others.

    All schedules are priced by one table of prefix losses, at `GRID` starts and those of the `named` ones.

    Raises:
        InvalidInputError: as `prefix_losses`; fewer than four sequences; steps outside `1..n`.

    >>> import mdmjax as mj
    >>> bits = mj.noisy_repeated_bit(6, 0.1)
    >>> words = jax.vmap(bits.sample)(jax.random.split(jax.random.key(0), 40))
    >>> report = own_law_study(jax.random.key(1), mj.Oracle(bits), words, [2])
    >>> report.schedules[2]["mean"].counts.tolist()
    [2, 4]
    """
    n, size = denoiser.n, sequences.shape[0]
    if size < 4:
        refuse("sequences", size, "an integer >= 4", "half of them choose, the others judge")
    starts = np.unique(np.linspace(0, n - 1, min(n, GRID)).astype(int))
    others = [schedule.boundaries[:-1] for kind in named.values() for schedule in kind.values()]
    starts = np.unique(np.concatenate([starts, *others]))
    for one in steps:
        if not 1 <= one <= starts.size:
            refuse("steps", one, f"an integer in 1..{starts.size}")
    count = max(p for p in range(1, PARTS + 1) if (size // 2) % p == 0)
    found = []
    halves = sequences[: size // 2], sequences[size // 2 : 2 * (size // 2)]
    for number, part in enumerate(track([p for h in halves for p in h.reshape(count, -1, n)], "measuring")):
        own = jax.random.fold_in(key, number)
        found.append(prefix_losses(own, denoiser, part, starts=starts, orders=orders, batch=batch))
    choosing, judging = (
        PrefixLosses(starts, np.concatenate([one.sums for one in half]))
        for half in (found[:count], found[count:])
    )
    schedules = {
        k: {"mean": choosing.best_mean(k), "own law": choosing.best_bound(k)}
        | {name: kind[k] for name, kind in named.items() if k in kind}
        for k in steps
    }
    return OwnLawReport(subject or Subject.of(denoiser), n, orders, size // 2, judging, schedules)
