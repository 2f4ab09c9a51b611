"""The best schedule for the sampler's own law, beside the shortest path of the mean over partitions."""

import dataclasses
from collections.abc import Callable
from typing import Any

from .._errors import InvalidInputError, refuse
from ..denoisers.base import Oracle
from ..denoisers.perturbed import Fallback
from ..distributions.joint import Joint, tabulate
from ..information.curve import AbstractCurve, InformationCurve
from ..laws.exchangeable import ExchangeableLaw
from ..laws.pairs import PairsLaw
from ..laws.random_order import random_order_law
from ..policies.mixture import check_mixture_size, mixture_schedules
from ..policies.own_law import SchedulePrices, own_law_schedule
from ..schedules.bounds import dtc_bound, tc_bound
from ..schedules.schedule import Schedule, expected_kl
from .report import four_decimals, run_lengths
from .schedule import ScheduleReport
from .sources import DistributionSource, FamilySource, MixtureSource, MultisetSource, Source, TextSource
from .table import Column, Part, Table

WORDS = (
    "own law: KL(data || sampler) in nats of the mixture over partitions that the sampler draws, exact "
    "for a perfect denoiser; expected KL: its mean over the partitions, no less (arXiv 2511.04647, Thm 4), "
    "which the shortest path has least; bound: what TC and DTC alone promise of it."
)

KNOWN = (
    "the own law is known at length of noisy-bit, mixture, multiset, repetition, parity, reed-solomon, "
    "permutation and pairs, of others where all schedules of so many steps can be tried"
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

    Exchangeable words are taken by their types, pairs by the halves that are revealed, at any length that
    fits; MDS codes and permutations by the mean, which is the truth of them; any other distribution that
    can be tabulated by all of its schedules.

    Raises:
        InvalidInputError: a source that is no distribution, or none of these and not small enough.

    >>> from mdmjax import schedule_study
    >>> source = FamilySource("noisy-bit", {"n": 6, "flip": 0.1})
    >>> best = own_schedule_study(schedule_study(source.curve()[0], steps=2), source)
    >>> best.schedule.counts.tolist(), best.shortest.counts.tolist()
    ([1, 5], [2, 4])
    """
    shortest = report.schedule
    best, search, price = _found(source, shortest, report.curve)
    if price(shortest) <= price(best):  # equal but for rounding
        best = shortest
    kept = {field.name: getattr(report, field.name) for field in dataclasses.fields(ScheduleReport)}
    own = {"schedule": best, "shortest": shortest, "search": search, "forward_kl": price}
    return OwnScheduleReport(**kept | own)


Price = Callable[[Schedule], float]


def _found(
    source: Source, shortest: Schedule, curve: AbstractCurve
) -> tuple[Schedule, dict[str, Any], Price]:
    """The best schedule, how it was found, and the KL of the own law of any schedule."""
    if isinstance(source, FamilySource) and source.one_law():
        assert isinstance(curve, InformationCurve)  # of a distribution
        what = "the shortest path, for every order makes a word with the same probability"
        return shortest, _search(what, 1), lambda schedule: float(expected_kl(curve, schedule))
    law = _law(source)
    if law is not None:
        found = own_law_schedule(law, shortest.steps, shortest)
        what = "no move of the search lowers it" if found.local else "the search ended with its work"
        what = "the optimum of all" if found.optimal else f"a search from the shortest path, {what}"
        search = _search(f"{what} ({found.tried} schedules tried)", found.tried, found.optimal, found.local)
        return found.schedule, search, lambda schedule: float(law.kls(schedule.counts[None])[0])
    joint = _table(source, shortest.steps)
    denoiser = Fallback(Oracle(joint))
    every = mixture_schedules(joint, denoiser, shortest.steps)
    tried = len(every.codes)

    def price(schedule: Schedule) -> float:
        if schedule.steps == shortest.steps:
            return float(every.kl_of(schedule))
        return float(random_order_law(denoiser, schedule).kl(joint))

    search = _search(f"the optimum of all ({tried} schedules tried)", tried)
    return every.schedule(shortest.steps), search, price


def _search(method: str, tried: int, optimal: bool = True, local: bool = True) -> dict[str, Any]:
    return {"tried": tried, "optimal": optimal, "local": local, "method": method}


def _law(source: Source) -> SchedulePrices | None:
    """The law of a family that is known at length."""
    if not isinstance(source, FamilySource | MixtureSource | MultisetSource):
        return None
    if isinstance(source, FamilySource) and source.name == "pairs":
        return PairsLaw(**source.values)
    counts = source.counts()
    return None if counts is None else ExchangeableLaw.of(*counts)


def _table(source: Source, steps: int) -> Joint:
    """The table of a distribution; refused where there is none, or its schedules are too many."""
    if not isinstance(source, DistributionSource | TextSource):
        refuse("objective", f"forward-kl of {source.name}", "expected-kl", KNOWN)
    distribution, _ = source.distribution()
    try:
        check_mixture_size(distribution.n, distribution.q, steps)
        return distribution if isinstance(distribution, Joint) else tabulate(distribution)
    except InvalidInputError:
        size = f"n = {distribution.n}, q = {distribution.q}"
        wanted = "expected-kl, or fewer positions"
        return refuse("objective", f"forward-kl of {source.name} of {size}", wanted, KNOWN)
