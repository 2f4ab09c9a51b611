"""The best schedule of a curve, beside those in use: what `mdmjax schedule` shows."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import equinox as eqx
import numpy as np

from .._errors import refuse
from .._types import Array, Key
from ..information.curve import AbstractCurve, InformationCurve
from ..information.curve_fit import FITS
from ..information.loss_curve import LossCurve
from ..information.loss_means import LossMeans
from ..schedules.guaranteed import austin_for_steps, theorem9_dtc_for_steps, theorem9_tc_for_steps
from ..schedules.honest import LEVEL, HonestGain, honest_gains
from ..schedules.named import NAMED
from ..schedules.optimal import Frontier, fewest_steps, frontier, optimal_schedule
from ..schedules.plan import Plan
from ..schedules.priced import loss_of
from ..schedules.schedule import Schedule, check_total
from .plan import plan_json, plan_study
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
    differences are comparable; `gains` are the honest ones of `schedule` over every baseline, where the
    data can tell (`with_gains`).
    """

    schema: ClassVar[str] = "mdmjax.report.schedule"
    subject: Subject
    curve: AbstractCurve
    schedule: Schedule
    criterion: str
    frontier: Frontier | None = None
    gains: Mapping[str, HonestGain] | None = None
    judged: Mapping[str, Any] | None = None
    plan: Plan | None = None
    lengths: tuple["ScheduleReport", ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the curve is that of a distribution; a loss curve is measured."""
        return isinstance(self.curve, InformationCurve)

    def score(self, schedule: Schedule) -> float:
        """What a schedule costs in nats: `expected_kl`, or `nll`, on the host."""
        check_total(schedule, self.curve.n)
        if self.exact:
            return loss_of(self._values, schedule.boundaries)
        return float(np.dot(schedule.weights, self._values))

    @functools.cached_property
    def _values(self) -> np.ndarray:
        return np.asarray(self.curve.heights if self.exact else self.curve.loss)

    def beyond(self, schedule: Schedule, less: Schedule | None = None) -> tuple[float, float]:
        """How far below and above its NLL (less another's) can be, for losses in the curve's `bracket`."""
        weights = schedule.weights - (0 if less is None else less.weights)
        return (
            self.curve.beyond(weights, self.subject.q) if isinstance(self.curve, LossCurve) else (0.0, 0.0)
        )

    def entry(self, schedule: Schedule) -> dict[str, Any]:
        """A schedule with its cost, for JSON."""
        found, score = {"counts": schedule.counts, "steps": schedule.steps}, self.score(schedule)
        if self.exact:
            return found | {"expected_kl": score}
        below, above = self.beyond(schedule)
        return found | {"nll": score, "nll_interval": [score + below, score + above]}

    def gain(self, name: str) -> dict[str, Any]:
        """The honest gain over a baseline, for JSON; its interval is wider where losses are not known."""
        keys = ("gain", "gain_stderr", "gain_interval", "gain_needs")
        if self.exact:
            return {}
        if self.gains is None:
            return dict.fromkeys(keys)
        gain, stderr, (low, high), needs = self.gains[name]
        below, above = self.beyond(BASELINES[name](self.curve.n, self.schedule.steps), self.schedule)
        needs = needs if below == above == 0 else None
        return dict(zip(keys, (gain, stderr, [low + below, high + above], needs), strict=True))

    def with_gains(
        self, key: Key[Array, ""], means: LossMeans, fit: str, *, repetitions: int = 64
    ) -> "ScheduleReport":
        """With `honest_gains` of the rule that chooses on this `fit`; unchanged if errors are unknown."""
        if means.stderr is None:
            return self
        n, steps = self.curve.n, self.schedule.steps
        baselines = {name: make(n, steps) for name, make in BASELINES.items()}
        gains = honest_gains(key, means, steps, baselines, fit=FITS[fit], repetitions=repetitions)
        judged = {"repetitions": repetitions, "level": LEVEL, "errors": means.kind}
        return dataclasses.replace(self, gains=gains, judged=judged)

    def with_plan(
        self,
        *,
        infill: Iterable[int] | None = None,
        block_length: int | None = None,
        lengths: Sequence["ScheduleReport"] = (),
    ) -> "ScheduleReport":
        """With what samplers are given beside the schedule: see `plan_study`."""
        others = [(one.curve, one.schedule) for one in lengths]
        plan = plan_study(
            self.curve, self.schedule, infill=infill, block_length=block_length, lengths=others
        )
        return dataclasses.replace(self, plan=plan, lengths=tuple(lengths))

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
            "order": "random",
            "expected_kl": None,
            "nll": None,
            **self.entry(self.schedule),
            **_of_curve(self.curve),
            **self.gain("llada_uniform"),
            "baselines": {
                name: self.entry(make(n, steps)) | self.gain(name) for name, make in BASELINES.items()
            },
        }
        if not self.exact:
            found["judged"] = self.judged
        if frontier is not None:
            found["frontier"] = {
                str(k): self.entry(frontier.schedule(k))
                | {"baselines": {name: self.score(make(n, k)) for name, make in NAMED.items()}}
                for k in listed_steps(n, frontier.gaps.size)
            }
        if self.plan is not None:
            lengths = {str(one.curve.n): one.entry(one.schedule) for one in self.lengths}
            found["plan"] = plan_json(self.plan, self.entry(self.plan.schedule), lengths)
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
        known = eqx.filter_jit(lambda curve: {name: getattr(curve, name) for name in names})(curve)
        return {"information_curve": curve.information} | known
    return {
        **dict.fromkeys(("information_curve", "total_correlation", "dual_total_correlation")),
        "loss_curve": curve.loss,
        "measured_points": curve.measured if isinstance(curve, LossCurve) else None,
        "nll_one_by_one": curve.loss.sum(),
    }
