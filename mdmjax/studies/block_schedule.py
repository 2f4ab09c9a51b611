"""The best schedules of a sampler that writes block by block, from the losses of every block."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Key
from ..information.curve_fit import FITS
from ..information.loss_blocks import BlockTables
from ..schedules.block_plans import ONE, OWN, SPLIT, block_losses, block_plans, honest_block_gains
from ..schedules.honest import LEVEL, HonestGain
from ..schedules.plan import Plan, rows_of
from ..schedules.schedule import Schedule
from .block_schedule_table import parts_of
from .plan import plan_json
from .report import AbstractReport, Subject
from .schedule import BASELINES, ScheduleReport, schedule_study
from .table import Part

GAIN_KEYS = ("gain", "gain_stderr", "gain_interval", "gain_needs")


@dataclasses.dataclass(frozen=True, eq=False)
class BlockScheduleReport(AbstractReport):
    r"""Three plans of blocks and every baseline, by their NLL $\sum_b \sum_t s^{(b)}_t c_b(N^{(b)}_t)$.

    `blocks` are the reports of each block by its number, with its own best schedule, and `mean` is that of
    the mean curve, whose schedule is the one plan for all. `plans` has the schedules of all blocks by name:
    `own`, `one` and `split`. A gain is what the own plans save in nats a sequence, honestly
    (`honest_gains`); `gains_by_block` are those of each block over every baseline.
    """

    schema: ClassVar[str] = "mdmjax.report.block_schedule"
    subject: Subject
    blocks: Mapping[int, ScheduleReport]
    mean: ScheduleReport
    plans: Mapping[str, Sequence[Schedule]]
    gains: Mapping[str, HonestGain] | None = None
    gains_by_block: Sequence[Mapping[str, HonestGain]] | None = None
    judged: Mapping[str, Any] | None = None
    exported: str = OWN
    plan: Plan | None = None

    def with_plan(self, *, infill: Iterable[int] | None = None) -> "BlockScheduleReport":
        """With what samplers are given: the own plans, or the split if a total of steps was asked for."""
        each = zip(self.blocks.values(), self.plans[self.exported], strict=True)
        blocks = tuple(rows_of(report.curve, one, infill) for report, one in each)
        whole = Schedule([count for block in blocks for count in block.schedule.counts.tolist()])
        return dataclasses.replace(self, plan=Plan(whole, {}, self.mean.curve.n, False, blocks))

    @property
    def schedule(self) -> Schedule:
        """The one plan for all blocks."""
        return self.mean.schedule

    def entry(self, plan: Sequence[Schedule], name: str | None = None) -> dict[str, Any]:
        """What the plans of all blocks cost, and what the own ones save against them, for JSON."""
        each = list(zip(self.blocks.values(), plan, strict=True))
        scores = [report.score(one) for report, one in each]
        beyond = [sum(ends) for ends in zip(*(report.beyond(one) for report, one in each), strict=True)]
        found = {
            "steps": sum(one.steps for one in plan),
            "nll": sum(scores),
            "nll_interval": [sum(scores) + end for end in beyond],
            "nll_by_block": scores,
        }
        if name is None:
            return found
        if self.gains is None:
            return found | dict.fromkeys(GAIN_KEYS)
        both = zip(self.blocks.values(), plan, self.plans[OWN], strict=True)
        unknown = [report.beyond(one, own) for report, one, own in both]
        return found | _gain(self.gains[name], [sum(ends) for ends in zip(*unknown, strict=True)])

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        n, steps = self.mean.curve.n, self.schedule.steps
        baselines = {name: make(n, steps) for name, make in BASELINES.items()}
        uniform, each = baselines["llada_uniform"], []
        for place, (block, report) in enumerate(self.blocks.items()):
            found = {"block": block} | report.entry(report.schedule)
            found |= {"loss_curve": report.curve.loss, "nll_llada_uniform": report.score(uniform)}
            if self.gains_by_block is None:
                found |= dict.fromkeys(GAIN_KEYS)
            else:
                gain = self.gains_by_block[place]["llada_uniform"]
                found |= _gain(gain, report.beyond(uniform, report.schedule))
            each.append(found | {"split": self.plans[SPLIT][place].counts})
        one = self.entry(self.plans[ONE], ONE)
        exported = {}
        if self.plan is not None:
            exported = {"plan": plan_json(self.plan, self.entry(self.plans[self.exported]), {})}
        return {
            **self.subject.head(),
            "exact": False,
            "n": n,
            "q": self.subject.q,
            **self.subject.facts,
            "criterion": self.mean.criterion,
            "expected_kl": None,
            "nll": one["nll"],
            "counts": self.schedule.counts,
            "steps": steps,
            "blocks": each,
            "mean": {"counts": self.schedule.counts, "loss_curve": self.mean.curve.loss} | one,
            "own": self.entry(self.plans[OWN]),
            "split": {"counts": [one.counts for one in self.plans[SPLIT]]}
            | self.entry(self.plans[SPLIT], SPLIT),
            "baselines": {
                name: {"counts": plan.counts} | self.entry([plan] * len(each), name)
                for name, plan in baselines.items()
            },
            "judged": self.judged,
            **exported,
        }

    def tables(self) -> list[Part]:
        """What a reader is shown: the blocks, the plans, a legend."""
        return parts_of(self.fields())


def block_schedule_study(
    key: Key[Array, ""],
    tables: BlockTables,
    *,
    steps: int | None = None,
    epsilon: float | None = None,
    total_steps: int | None = None,
    fit: str | None = None,
    repetitions: int = 64,
    subject: Subject | None = None,
) -> BlockScheduleReport:
    """The best plans of `steps` steps a block, and of `total_steps` over all blocks, with honest gains.

    Without `steps` they are chosen for the mean curve, as `schedule_study` does; or they are the whole part
    of `total_steps` by the number of blocks. Without `total_steps` these are as many as all blocks have.

    Raises:
        InvalidInputError: blocks that do not match (`check_blocks`), numbers of steps that cannot be.

    >>> import jax, numpy as np
    >>> from mdmjax import LossTable
    >>> m = np.array([1, 2, 3, 4])
    >>> tables = {0: LossTable(4, m, np.array([0.0, 1.0, 3.0, 5.0])), 1: LossTable(4, m, np.ones(4))}
    >>> report = block_schedule_study(jax.random.key(0), tables, steps=2)
    >>> [plan.counts.tolist() for plan in report.plans["split"]], report.gains
    ([[1, 1, 2], [4]], None)
    """
    losses = block_losses(tables)
    known = losses.means.stderr is not None
    fit = fit or ("spline" if known else "rows")
    if fit not in FITS:
        refuse("fit", fit, f"one of {', '.join(FITS)}")
    count, tokens = losses.count, losses.count * losses.n
    if total_steps is not None and not count <= check_integer("total_steps", total_steps, 1) <= tokens:
        wanted = f"an integer in {count}..{tokens}, from one step a block to one token a step"
        refuse("total_steps", total_steps, wanted)
    criterion = None
    if total_steps is not None and steps is None and epsilon is None:
        steps, criterion = total_steps // count, f"{total_steps} steps in all were asked for"
    curves, mean = losses.curves(FITS[fit])
    subject = subject or Subject("blocks", method="as given")
    subject = dataclasses.replace(subject, facts={**subject.facts, "fit": fit})
    of_mean = schedule_study(mean, steps=steps, epsilon=epsilon, subject=subject)
    of_mean = dataclasses.replace(of_mean, criterion=criterion or of_mean.criterion)
    steps = of_mean.schedule.steps
    total = total_steps or count * steps
    plans = block_plans(curves, mean, steps, total)
    each = {
        block: ScheduleReport(subject, curve, own, of_mean.criterion)
        for block, curve, own in zip(tables, curves, plans[OWN], strict=True)
    }
    exported = OWN if total_steps is None else SPLIT
    report = BlockScheduleReport(subject, each, of_mean, plans, exported=exported)
    if not known:
        return report
    baselines = {name: make(losses.n, steps) for name, make in BASELINES.items()}
    gains, by_block = honest_block_gains(
        key, losses, steps, total, baselines, fit=FITS[fit], repetitions=repetitions
    )
    judged = {"repetitions": repetitions, "level": LEVEL, "errors": losses.means.kind}
    return dataclasses.replace(report, gains=gains, gains_by_block=by_block, judged=judged)


def _gain(found: HonestGain, beyond: Sequence[float]) -> dict[str, Any]:
    """An honest gain for JSON; its interval is wider where losses are not known."""
    gain, stderr, (low, high), needs = found
    below, above = beyond
    needs = needs if below == above == 0 else None
    return dict(zip(GAIN_KEYS, (gain, stderr, [low + below, high + above], needs), strict=True))
