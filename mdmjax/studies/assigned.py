"""Several models under one budget: what `mdmjax schedule loss-curve --with` shows."""

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import block_diag, csr_array

from .._types import Array, Key
from ..information.curve_fit import FITS
from ..information.joined_means import JoinedMeans, same_sequences
from ..information.loss_curve import LossCurve
from ..information.loss_means import LossMeans
from ..schedules.assigned import Assigned, Number, common_unit, exact_number, optimal_assignment
from ..schedules.honest import (
    LEVEL,
    Fitted,
    HonestGain,
    Losses,
    Weights,
    curve_of_half,
    judged_gains,
    lines_between,
)
from .assigned_table import parts_of
from .report import AbstractReport, Subject
from .table import Part

JUDGED_WORK = 2**33  # sums formed for honest gains, at most: then fewer repetitions (our choice; seconds)


@dataclasses.dataclass(frozen=True, eq=False)
class AssignedReport(AbstractReport):
    r"""The best assignment of models to steps under a budget, beside plans of one model or a fixed order.

    `plan` and every one of `compared` are the best of their kind by `assigned_nll` in nats a sequence, of
    which only differences are comparable: `alone_0`, `alone_1`, ... of one model, `sandwich` of another
    model before and after the first (arXiv 2604.02340), `prefix` of the first model and another, one after
    the other. `gains` are the honest ones over each, where the tables can tell (`with_gains`).
    """

    schema: ClassVar[str] = "mdmjax.report.assigned"
    subjects: Sequence[Subject]
    curves: Sequence[LossCurve]
    costs: Sequence[Fraction]
    budget: Fraction
    plan: Assigned
    compared: Mapping[str, Assigned]
    gains: Mapping[str, HonestGain] | None = None
    judged: Mapping[str, Any] | None = None

    def beyond(self, plan: Assigned, less: Assigned | None = None) -> tuple[float, float]:
        """How far below and above its NLL (less another's) can be, for losses in the curves' brackets."""
        models = len(self.curves)
        weights = plan.weights(models) - (0 if less is None else less.weights(models))
        each = zip(self.curves, weights, self.subjects, strict=True)
        ends = [curve.beyond(own, subject.q) for curve, own, subject in each]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def entry(self, plan: Assigned) -> dict[str, Any]:
        """A plan with what it costs, for JSON."""
        below, above = self.beyond(plan)
        return {
            "counts": plan.schedule.counts,
            "steps": plan.schedule.steps,
            "models": plan.models,
            "order": [int(one) for one, _ in groupby(plan.models)],
            "cost": float(plan.cost),
            "nll": plan.nll,
            "nll_interval": [plan.nll + below, plan.nll + above],
        }

    def gain(self, name: str) -> dict[str, Any]:
        """The honest gain of the best over a plan, for JSON; wider where losses are not known."""
        keys = ("gain", "gain_stderr", "gain_interval")
        if self.gains is None:
            return dict.fromkeys(keys)
        gain, stderr, (low, high), _ = self.gains[name]
        below, above = self.beyond(self.compared[name], self.plan)
        return dict(zip(keys, (gain, stderr, [low + below, high + above]), strict=True))

    def with_gains(
        self, key: Key[Array, ""], tables: Sequence[LossMeans], fit: str, *, repetitions: int = 64
    ) -> "AssignedReport":
        """With `judged_gains` of all plans chosen on half of the data; unchanged if errors are unknown.

        Large programmes have fewer repetitions (`JUDGED_WORK`).
        """
        if any(one.stderr is None for one in tables) or not same_sequences(tables):
            return self
        joined, models, names, n = JoinedMeans(tables), len(tables), list(self.compared), self.curves[0].n
        work = float(self.budget / common_unit(self.costs)) * n * n * 9 * models  # of all kinds of plans
        repetitions = max(2, min(repetitions, int(JUDGED_WORK / work)))

        def choose(known: Losses) -> tuple[Weights, Fitted]:
            halves = zip(tables, joined.parts(known), strict=True)
            curves = [FITS[fit](curve_of_half(one, half)) for one, half in halves]
            plan, compared = _plans(curves, self.costs, self.budget)
            weights = np.stack([compared[name].weights(models) - plan.weights(models) for name in names])
            fitted = np.concatenate([np.asarray(curve.loss, np.float64) for curve in curves])
            return weights.reshape(len(names), -1), fitted

        lines = csr_array(block_diag([lines_between(n, one.at) for one in tables]))
        gains = judged_gains(key, joined, lines, choose, names, repetitions)
        errors = sorted({str(one.kind) for one in tables})
        judged = {"repetitions": repetitions, "level": LEVEL, "errors": errors}
        return dataclasses.replace(self, gains=gains, judged=judged)

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        each = zip(self.subjects, self.curves, self.costs, strict=True)
        return {
            "n": self.curves[0].n,
            "budget": float(self.budget),
            **self.entry(self.plan),
            "compared": {name: self.entry(plan) | self.gain(name) for name, plan in self.compared.items()},
            "judged": self.judged,
            "curves": [
                {
                    **subject.head(),
                    "cost": float(cost),
                    "q": subject.q,
                    **subject.facts,
                    "loss_curve": curve.loss,
                    "measured_points": curve.measured,
                    "nll_one_by_one": curve.loss.sum(),
                }
                for subject, curve, cost in each
            ],
        }

    def tables(self) -> list[Part]:
        """What a reader is shown: the models, the plans, a legend."""
        return parts_of(self.fields())


def assigned_study(
    curves: Sequence[LossCurve],
    costs: Sequence[Number],
    budget: Number,
    *,
    subjects: Sequence[Subject] | None = None,
) -> AssignedReport:
    """The best assignment of models to steps for `budget`, and the best of each simpler kind beside it.

    Refuses what `optimal_assignment` does.

    >>> large, small = LossCurve([3.0, 1.0, 0.5, 0.0]), LossCurve([3.0, 2.0, 2.0, 2.0])
    >>> report = assigned_study([large, small], [1, 0.25], 2.25)
    >>> report.to_json()["models"], {name: plan.nll for name, plan in report.compared.items()}
    ([1, 0, 0], {'alone_0': 6.0, 'alone_1': 9.0, 'sandwich': 5.0, 'prefix': 5.0})
    """
    prices = [exact_number("costs", one) for one in costs]
    allowed = exact_number("budget", budget)
    plan, compared = _plans(curves, prices, allowed)
    subjects = [Subject.of(curve) for curve in curves] if subjects is None else subjects
    return AssignedReport(subjects, curves, prices, allowed, plan, compared)


def _plans(
    curves: Sequence[LossCurve], costs: Sequence[Fraction], budget: Fraction
) -> tuple[Assigned, dict[str, Assigned]]:
    """The best plan, and the best of each kind that the budget can pay."""
    others = range(1, len(curves))
    kinds: dict[str, list[tuple[int, ...]]] = {f"alone_{one}": [(one,)] for one in range(len(curves))}
    kinds["sandwich"] = [(other, 0, other) for other in others]
    kinds["prefix"] = [order for other in others for order in ((0, other), (other, 0))]
    found = {}
    for name, orders in kinds.items():
        payable = [order for order in orders if min(costs[one] for one in order) <= budget]
        plans = [optimal_assignment(curves, costs, budget, order=order) for order in payable]
        if plans:
            found[name] = min(plans, key=lambda plan: plan.nll)
    return optimal_assignment(curves, costs, budget), found
