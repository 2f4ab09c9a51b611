"""What each theory promises for an error, and what is true: what `mdmjax certify` shows."""

import dataclasses
from typing import Any, ClassVar

from ..information.curve import AbstractCurve, InformationCurve
from ..schedules.certify import promises, true_kl
from ..schedules.optimal import frontier
from ..schedules.promise import Known, Promise, known_of
from ..schedules.schedule import Schedule
from .certify_table import parts_of
from .growth_sample import GrowthSample, true_masses
from .report import AbstractReport, Subject
from .table import Part

TRUE = ("calls", "true", "kept", "optimum", "ratio")
"""What is known of a promise that has a plan."""

OPTIMUM_WORK = 2**21  # steps times n, of the optimum beside the plans (our choice)


@dataclasses.dataclass(frozen=True, eq=False)
class CertifyReport(AbstractReport):
    r"""Promises for an expected KL of at most `epsilon` nats, beside what their plans truly cost.

    Of a `LossCurve` a cost is the excess over one token at a time: the sampling error of the model, without
    its own error. `optimum` is the least cost by number of calls, where it takes no long to find.
    """

    schema: ClassVar[str] = "mdmjax.report.certificate"
    subject: Subject
    curve: AbstractCurve
    epsilon: float
    known: Known
    rows: tuple[Promise, ...]
    optimum: dict[int, float]
    sample: GrowthSample | None = None

    @property
    def exact(self) -> bool:
        """Whether the curve is that of a distribution."""
        return isinstance(self.curve, InformationCurve)

    def row(self, promise: Promise) -> dict[str, Any]:
        """A promise and the truth, for JSON."""
        n, plan = self.curve.n, promise.plan
        told = ("name", "kind", "source", "sizes", "steps", "at_most", "promised")
        found: dict[str, Any] = {name: getattr(promise, name) for name in told} | dict.fromkeys(TRUE)
        if plan is None:
            return found
        calls = plan.steps if isinstance(plan, Schedule) else plan.calls(n)
        true, best = true_kl(self.curve, plan), self.optimum.get(min(n, round(calls)))
        ratio = true / best if best and min(true, best) > 1e-12 * self.known.both else None
        kept = bool(true <= self.epsilon * (1 + 1e-12))
        found |= dict(zip(TRUE, (calls, true, kept, best, ratio), strict=True))
        return found | ({"counts": plan.counts} if isinstance(plan, Schedule) else {"times": plan.times})

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        known, costs = self.known, self.known.profile.costs
        coarse, fine = float(costs.coarse), float(costs.fine)
        found = {
            **self.subject.head(),
            "exact": self.exact,
            "n": self.curve.n,
            "q": self.subject.q,
            **self.subject.facts,
            "epsilon": self.epsilon,
            "total_correlation": known.total_correlation,
            "dual_total_correlation": known.dual_total_correlation,
            "effective_total_correlation": known.effective,
            "growth_mass": float(known.profile.mass[-1]),
            "growth_coarse": coarse,
            "growth_fine": fine,
            "growth_ratio": coarse / fine if fine > 0 else None,
            "promises": [self.row(one) for one in self.rows],
            "sample": None,
        }
        if self.sample is not None:
            sample, profile = self.sample, known.profile
            ends = lambda one: {**one._asdict(), "lower": one.lower, "upper": one.upper}
            found["sample"] = {
                **vars(sample),
                "mass": true_masses(sample, profile.logits, profile.mass),
                "known": [ends(one) for one in sample.known],
                "entropy": [one._asdict() for one in sample.entropy],
                "plugged": [ends(one) for one in sample.plugged],
            }
        return found

    def tables(self) -> list[Part]:
        """The table of promises, and that of the intervals from draws."""
        return parts_of(self.fields())


def certify_study(
    curve: AbstractCurve,
    epsilon: float,
    *,
    sample: GrowthSample | None = None,
    subject: Subject | None = None,
) -> CertifyReport:
    """What every theory promises of a curve for at most `epsilon` nats, and what is true of its plan.

    Raises:
        InvalidInputError: an `epsilon` not above 0 or lost in rounding, a curve that falls, `n < 3`.

    >>> from mdmjax import noisy_bit_curve
    >>> report = certify_study(noisy_bit_curve(128, 0.01), 0.5)
    >>> report.rows[0].steps, round(report.fields()["growth_ratio"], 3)
    (3, 4.511)
    """
    known = known_of(curve)
    rows = promises(curve, epsilon, known)
    if sample is not None:
        rows += sample.promises(curve.n, epsilon)
    n, plans = curve.n, [one.plan for one in rows if one.plan is not None]
    calls = {min(n, round(plan.steps if isinstance(plan, Schedule) else plan.calls(n))) for plan in plans}
    about, best = subject or Subject.of(curve), _optimum(curve, calls)
    return CertifyReport(about, curve, epsilon, known, tuple(rows), best, sample)


def _optimum(curve: AbstractCurve, calls: set[int]) -> dict[int, float]:
    """The least cost of each of these numbers of calls, of as many as take no long."""
    longest = min(max(calls), max(OPTIMUM_WORK // curve.n, min(calls)))
    gaps = frontier(curve, longest).gaps
    return {k: max(float(gaps[k - 1]), 0.0) for k in calls if k <= longest} | {curve.n: 0.0}
