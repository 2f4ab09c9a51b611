"""The best schedule for the sampler's own law, beside the shortest path of the mean over partitions."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import InvalidInputError, refuse
from ..denoisers.base import Oracle
from ..denoisers.perturbed import Fallback
from ..distributions.joint import Joint, tabulate
from ..information.counts import count_conditionals
from ..information.curve import InformationCurve
from ..laws.exchangeable import schedule_kls
from ..policies.mixture import check_mixture_size, mixture_schedules
from ..policies.own_law import own_law_schedule
from ..schedules.bounds import dtc_bound, tc_bound
from ..schedules.schedule import Schedule
from .report import four_decimals, run_lengths
from .schedule import ScheduleReport
from .sources import FamilySource, HMMSource, JointSource, Source, TextSource
from .table import Column, Part, Table

WORDS = (
    "own law: KL(data || sampler) in nats of the mixture over partitions that the sampler draws, exact "
    "for a perfect denoiser; expected KL: its mean over the partitions, no less (arXiv 2511.04647, Thm 4), "
    "which the shortest path has least; bound: what TC and DTC alone promise of it."
)


@dataclasses.dataclass(frozen=True, eq=False)
class OwnScheduleReport(ScheduleReport):
    r"""A `ScheduleReport` whose `schedule` is the best found for $\mathrm{KL}(p \| \text{own law})$.

    `shortest` is the schedule of least expected KL, `search` how the best was found, and `forward_kl` gives
    the KL of the own law of any schedule in nats.
    """

    shortest: Schedule = dataclasses.field(kw_only=True)
    search: dict[str, Any] = dataclasses.field(kw_only=True)
    forward_kl: Callable[[Schedule], float] = dataclasses.field(kw_only=True, repr=False)

    def entry(self, schedule: Schedule) -> dict[str, Any]:
        """A schedule with its three numbers."""
        known, curve = super().entry(schedule), self.curve
        assert isinstance(curve, InformationCurve)  # of a distribution
        tc, dual = float(curve.total_correlation), float(curve.dual_total_correlation)
        bound = min(tc_bound(schedule, tc), dtc_bound(schedule, dual))
        return known | {"forward_kl": self.forward_kl(schedule), "bound": bound}

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        more = {
            "objective": "forward-kl",
            "shortest_path": self.entry(self.shortest),
            "search": self.search,
        }
        return super().fields() | more

    def tables(self) -> list[Part]:
        """The usual heading, and a table of three numbers a schedule, the nearest own law first."""
        found = self.fields()
        heading = super().tables()[0]
        rows = [("best", found), ("shortest path", found["shortest_path"])]
        rows += sorted(found["baselines"].items(), key=lambda item: item[1]["forward_kl"])
        nats = lambda key: lambda row: four_decimals(float(row[1][key]))
        columns = [
            Column("schedule", 0, justify="left"),
            Column("own law", nats("forward_kl")),
            Column("expected KL", nats("expected_kl")),
            Column("bound", nats("bound"), optional=True),
            Column(
                "tokens revealed at each step", lambda row: run_lengths(row[1]["counts"]), justify="left"
            ),
        ]
        steps, how = self.schedule.steps, self.search["method"]
        chosen = f"{steps} step{'s' * (steps > 1)}, best for the sampler's own law: {how}."
        table = Table(columns, rows, bold=lambda row: row[0] == "best")
        return [heading, chosen, table, f"{WORDS} 1x3 means three steps of one token."]


def own_schedule_study(report: ScheduleReport, source: Source) -> OwnScheduleReport:
    """The report of `schedule_study` with the schedule of as many steps that is best for the own law.

    Exchangeable bits are taken by their number of ones, at any length that fits; any other distribution
    that can be tabulated by all of its schedules.

    Raises:
        InvalidInputError: a source that is no distribution, or neither exchangeable nor small enough.

    >>> from mdmjax import schedule_study
    >>> source = FamilySource("noisy-bit", {"n": 6, "flip": 0.1})
    >>> best = own_schedule_study(schedule_study(source.curve()[0], steps=2), source)
    >>> best.schedule.counts.tolist(), best.shortest.counts.tolist()
    ([1, 5], [2, 4])
    """
    shortest = report.schedule
    log_counts = source.counts() if isinstance(source, FamilySource) else None
    if log_counts is not None:
        rows = count_conditionals(log_counts)
        found = own_law_schedule(log_counts, shortest.steps, shortest, rows=rows)
        best, search = (
            found.schedule,
            {"tried": found.tried, "optimal": found.optimal, "local": found.local},
        )
        price = lambda schedule: float(schedule_kls(log_counts, rows, schedule.counts[None])[0])
        what = "no move of the search lowers it" if found.local else "the search ended with its work"
        what = "the optimum of all" if found.optimal else f"a search from the shortest path, {what}"
        search["method"] = f"{what} ({found.tried} schedules tried)"
    else:
        joint = _table(source)
        every = mixture_schedules(joint, Fallback(Oracle(joint)))
        best, tried = every.schedule(shortest.steps), int(np.size(every.kl))
        search = {"tried": tried, "optimal": True, "local": True}
        search["method"] = f"the optimum of all ({tried} schedules of any number of steps tried)"
        price = lambda schedule: float(every.kl_of(schedule))
    if price(shortest) <= price(best):  # equal but for rounding
        best = shortest
    kept = {field.name: getattr(report, field.name) for field in dataclasses.fields(ScheduleReport)}
    own = {"schedule": best, "shortest": shortest, "search": search, "forward_kl": price}
    return OwnScheduleReport(**kept | own)


def _table(source: Source) -> Joint:
    """The table of a distribution; refused where there is none, or its schedules are too many."""
    remedy = (
        "it is known of noisy-bit, repetition and parity of two symbols at length, of others where small"
    )
    if not isinstance(source, FamilySource | JointSource | HMMSource | TextSource):
        refuse("objective", f"forward-kl of {source.name}", "expected-kl", remedy)
    distribution, _ = source.distribution()
    try:
        check_mixture_size(distribution.n, distribution.q)
        return distribution if isinstance(distribution, Joint) else tabulate(distribution)
    except InvalidInputError:
        size = f"n = {distribution.n}, q = {distribution.q}"
        wanted = "expected-kl, or fewer positions"
        return refuse("objective", f"forward-kl of {source.name} of {size}", wanted, remedy)
