"""The best schedule of a curve, beside those in use: what `mdmjax schedule` shows."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._errors import refuse
from ..information.curve import AbstractCurve, InformationCurve
from ..information.loss_curve import LossCurve
from ..schedules.bootstrap import BootstrapGain
from ..schedules.guaranteed import austin_for_steps, theorem9_dtc_for_steps, theorem9_tc_for_steps
from ..schedules.named import NAMED
from ..schedules.optimal import Frontier, fewest_steps, frontier, optimal_schedule
from ..schedules.schedule import Schedule, expected_kl, nll
from .report import AbstractReport, Subject
from .schedule_table import parts_of
from .table import Part

BASELINES: dict[str, Callable[[int, int], Schedule]] = NAMED | {
    "theorem9_tc": theorem9_tc_for_steps,
    "theorem9_dtc": theorem9_dtc_for_steps,
    "austin": austin_for_steps,
}
"""Schedules that are shown beside the optimum: those in use, and those with a guarantee."""

ENOUGH = 0.05  # without `steps` and `epsilon`: the share of the one-step error that may remain (our choice)

FRONTIER_WORK, DENSE_FRONTIER_WORK = 2**23, 2**30
"""Of a frontier that is not asked for: steps times `n`, and times `n^2` of a loss curve, which may rise."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScheduleReport(AbstractReport):
    r"""The optimum of a curve, every baseline of as many steps, and the optimum of every number of steps.

    Schedules of an `InformationCurve` are judged by `expected_kl`, the mean over random ordered
    partitions of $\mathrm{KL}(p \| \text{law given the partition})$ in nats (arXiv 2511.04647, Thm 4; the
    mixture's KL is no larger); those of a `LossCurve` by `nll` in nats a sequence, of which only
    differences are comparable.
    """

    schema: ClassVar[str] = "mdmjax.report.schedule"
    subject: Subject
    curve: AbstractCurve
    schedule: Schedule
    criterion: str
    frontier: Frontier | None = None
    bootstrap: BootstrapGain | None = None
    replicates: Mapping[str, int] | None = None

    @property
    def exact(self) -> bool:
        """Whether the curve is that of a distribution; a loss curve is measured."""
        return isinstance(self.curve, InformationCurve)

    def score(self, schedule: Schedule) -> float:
        """What a schedule costs in nats."""
        curve = self.curve
        cost = expected_kl(curve, schedule) if isinstance(curve, InformationCurve) else nll(curve, schedule)
        return float(cost)

    def entry(self, schedule: Schedule) -> dict[str, Any]:
        """A schedule with its cost, for JSON."""
        key = "expected_kl" if self.exact else "nll"
        return {"counts": schedule.counts, "steps": schedule.steps, key: self.score(schedule)}

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        n, steps, frontier = self.curve.n, self.schedule.steps, self.frontier
        found = {
            **self.subject.head(),
            "exact": self.exact,
            "n": n,
            "q": self.subject.q,
            **self.subject.facts,
            "criterion": self.criterion,
            "expected_kl": None,
            "nll": None,
            **self.entry(self.schedule),
            **_of_curve(self.curve),
            "baselines": {name: self.entry(make(n, steps)) for name, make in BASELINES.items()},
        }
        if frontier is not None:
            found["frontier"] = {
                str(k): self.entry(frontier.schedule(k))
                | {"baselines": {name: self.score(make(n, k)) for name, make in NAMED.items()}}
                for k in listed_steps(n, frontier.gaps.size)
            }
        if (drawn := self.bootstrap) is not None:
            found["bootstrap"] = {
                **(self.replicates or {}),
                "level": 0.95,
                "gain_over_uniform": drawn.gain,
                "gain_interval": drawn.gain_interval,
                "fixed_schedule_interval": drawn.fixed_interval,
                "optimism": drawn.optimism,
                "boundaries": drawn.schedule.boundaries[1:-1],
                "boundary_intervals": drawn.boundary_intervals,
            }
        return found

    def tables(self) -> list[Part]:
        """What a reader is shown: the frontier, the baselines, a legend."""
        return parts_of(self.fields())


def schedule_study(
    curve: AbstractCurve,
    *,
    steps: int | None = None,
    epsilon: float | None = None,
    subject: Subject | None = None,
) -> ScheduleReport:
    """The best schedule of `steps` steps, or of the fewest that cost at most `epsilon` nats, or of all.

    With neither, the optimum of every number of steps (as far as that takes seconds), of which the fewest
    steps that leave at most `ENOUGH` of the one-step error are chosen.

    Raises:
        InvalidInputError: both, `steps` outside `1..n`, `epsilon` not a finite number above 0.

    >>> from mdmjax import permutation_curve
    >>> schedule_study(permutation_curve(8), steps=3).schedule.counts.tolist()
    [3, 3, 2]
    """
    is_exact, table = isinstance(curve, InformationCurve), None
    if steps is not None and epsilon is not None:
        refuse("steps, epsilon", f"{steps}, {epsilon}", "only one of the two")
    if steps is not None:
        best, criterion = optimal_schedule(curve, steps), f"{steps} steps were asked for"
    elif epsilon is not None:
        best, error = fewest_steps(curve, epsilon), "an expected KL"
        error = error if is_exact else "an excess over one token a step"
        criterion = f"the fewest steps with {error} of at most {epsilon:g} nats"
    else:
        n = curve.n
        affordable = FRONTIER_WORK // n if is_exact else DENSE_FRONTIER_WORK // n**2
        table = frontier(curve, min(n, max(16, affordable)))  # all of them up to n = 1024
        reached = np.flatnonzero(table.gaps <= ENOUGH * table.gaps[0])
        best = table.schedule(int(reached[0]) + 1 if reached.size else table.gaps.size)
        criterion = f"the fewest steps that leave at most {ENOUGH:.0%} of the error of one step"
        criterion = criterion if reached.size else "the most steps of the frontier"
    return ScheduleReport(subject or Subject.of(curve), curve, best, criterion, table)


def listed_steps(n: int, longest: int) -> list[int]:
    """Numbers of steps that are listed: all if `n <= 64`, else 1 to 16 and then by factors of sqrt 2."""
    if n <= 64:
        return list(range(1, longest + 1))
    later = (round(16 * 2 ** (i / 2)) for i in range(1, 64))
    return [*range(1, min(16, longest) + 1), *(k for k in later if k <= longest)]


def _of_curve(curve: AbstractCurve) -> dict[str, Any]:
    """What is known of the distribution; the same keys for a loss curve, where most is not."""
    if isinstance(curve, InformationCurve):
        names = ("total_correlation", "dual_total_correlation", "entropy", "marginal_entropy")
        return {"information_curve": curve.information} | {name: getattr(curve, name) for name in names}
    return {
        **dict.fromkeys(("information_curve", "total_correlation", "dual_total_correlation")),
        "loss_curve": curve.loss,
        "measured_points": curve.measured if isinstance(curve, LossCurve) else None,
        "nll_one_by_one": curve.loss.sum(),
    }
