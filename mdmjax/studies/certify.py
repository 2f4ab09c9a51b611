"""What each theory promises for an error, and what is true: what `mdmjax certify` shows."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import numpy as np

from .._checks import check_integer, check_number
from .._types import Array, Float, Int, Key, Tokens
from ..denoisers.base import Oracle
from ..distributions.base import AbstractDistribution
from ..information.curve import AbstractCurve, InformationCurve
from ..information.growth import (
    GrowthInterval,
    best_alpha,
    dyadic_logits,
    growth_interval,
    moment_bound,
    sample_moment,
)
from ..losses.growth import GrowthDraws, growth_draws
from ..schedules import bernoulli
from ..schedules.certify import (
    Blocks,
    Known,
    Promise,
    block_edges,
    known_of,
    prop1_steps,
    promises,
    true_kl,
)
from ..schedules.optimal import frontier, optimal_schedule
from ..schedules.schedule import Schedule, step_gap
from .certify_table import parts_of
from .report import AbstractReport, Subject
from .schedule import FRONTIER_WORK
from .table import Part

SAMPLES, BLOCKS, ETA = 1000, 4, 0.05  # unless others are asked for (our choices)
MAX_SAMPLE_WORK = 2**33  # calls times n q, of samples that are not asked for


@dataclasses.dataclass(frozen=True, eq=False)
class GrowthSample:
    r"""Growth masses of blocks from draws, with two bounds $B$ of their moments.

    `known` are the intervals of Proposition 2 for a `moment` that was known before the draws, `alpha` its
    order; `plugged` those for the moments of the draws themselves, of order 4, which are no theorem. Each
    holds for its block with probability $1 - \\eta/K$.
    """

    samples: int
    calls: int
    eta: float
    edges: list[float]
    alpha: float
    moment: float
    sample_moment: float
    known: list[GrowthInterval]
    plugged: list[GrowthInterval]

    def promises(self, n: int, epsilon: float) -> list[Promise]:
        """Theorem 2 of arXiv 2608.13520 with either bound."""
        rows = []
        for name, kind, intervals in (
            ("ugc_samples", "theorem", self.known),
            ("ugc_samples_plugged", "estimate", self.plugged),
        ):
            found = prop1_steps(Blocks(self.edges, [one.upper for one in intervals]), epsilon)
            plan = bernoulli.blocks_grid(found.edges, found.each) if found.steps <= n else None
            steps = sum(found.each) if plan is not None else found.steps
            rows.append(Promise(name, kind, "2608.13520, Thm 2", steps, found.promised, plan))
        return rows


def growth_sample(
    draws: GrowthDraws,
    n: int,
    q: int,
    *,
    eta: float = ETA,
    edges: list[float],
    moment: float | None = None,
) -> GrowthSample:
    r"""Proposition 2 in every block of the `edges`, each at $\eta/K$: all hold with probability $1 - \eta$.

    A `moment` is a bound of $B_4$ that is known of the data; without it, `moment_bound` of the best order.
    """
    size, blocks = draws.divergences.shape[0], len(edges) - 1
    alpha = best_alpha(n, q, size, eta / blocks) if moment is None else 4.0
    moment = moment_bound(n, q, alpha) if moment is None else moment
    totals, widths = draws.totals(), draws.widths()
    own = [sample_moment(draws.divergences[:, draws.block == k], 4.0) for k in range(blocks)]
    of = lambda k, bound, order: growth_interval(totals[:, k], float(widths[k]), bound, order, eta / blocks)
    known = [of(k, moment, alpha) for k in range(blocks)]
    plugged = [of(k, own[k], 4.0) for k in range(blocks)]
    return GrowthSample(size, draws.calls, eta, edges, alpha, moment, max(own), known, plugged)


def growth_sample_study(
    key: Key[Array, ""],
    conditionals: Callable[[Tokens], Float[Array, "n q"]],
    sequences: Int[Array, "samples n"],
    q: int,
    *,
    blocks: int = BLOCKS,
    eta: float = ETA,
    moment: float | None = None,
    positions: int | None = 1,
) -> GrowthSample:
    r"""Draws of `growth_draws` in `blocks` equal blocks of the logit axis, and their `growth_sample`.

    The bounds are of the law that the sequences are of, if the conditionals are its own. Those of a network
    are near it at best: then they are what they would be if it were.

    >>> from mdmjax import Oracle, noisy_repeated_bit
    >>> bit = noisy_repeated_bit(8, 0.1)
    >>> sequences = jax.vmap(bit.sample)(jax.random.split(jax.random.key(0), 100))
    >>> found = growth_sample_study(jax.random.key(1), Oracle(bit), sequences, 2, blocks=1)
    >>> found.calls, found.plugged[0].lower < 0.28 < found.plugged[0].upper
    (800, True)
    """
    check_integer("blocks", blocks, 1)
    check_number("eta", eta, "a probability in (0, 1)", lambda x: 0 < x < 1)
    n = sequences.shape[1]
    edges = list(block_edges(n, blocks))
    draws = growth_draws(key, conditionals, sequences, edges, q=q, positions=positions)
    return growth_sample(draws, n, q, eta=eta, edges=edges, moment=moment)


def distribution_sample(
    key: Key[Array, ""],
    distribution: AbstractDistribution,
    samples: int | None = None,
    *,
    blocks: int = BLOCKS,
    eta: float = ETA,
    moment: float | None = None,
) -> GrowthSample | None:
    """`growth_sample_study` of independent draws and the true conditionals of a distribution.

    Without `samples` there are `SAMPLES`, or None where that is more than `MAX_SAMPLE_WORK`. Refuses fewer
    than two.
    """
    n, q = distribution.n, distribution.q
    size = SAMPLES if samples is None else check_integer("samples", samples, 2)
    times = sum(dyadic_logits(a, b).size for a, b in itertools.pairwise(block_edges(n, blocks)))
    if samples is None and size * times * n * q > MAX_SAMPLE_WORK:
        return None
    drawing, growing = jax.random.split(key)
    sequences = jax.vmap(distribution.sample)(jax.random.split(drawing, size))
    how = {"blocks": blocks, "eta": eta, "moment": moment}
    return growth_sample_study(growing, Oracle(distribution), sequences, q, **how)


@dataclasses.dataclass(frozen=True, eq=False)
class CertifyReport(AbstractReport):
    r"""Promises for an expected KL of at most `epsilon` nats, beside what their plans truly cost.

    Of a `LossCurve` a cost is the excess over one token at a time: the sampling error of the model, without
    its own error. `optimum` is the least cost by number of calls.
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
        found: dict[str, Any] = {
            name: getattr(promise, name) for name in ("name", "kind", "source", "steps")
        }
        found |= {"at_most": promise.at_most, "promised": promise.promised}
        sizes, none = isinstance(plan, Schedule), dict.fromkeys(TRUE)
        found |= {"sizes": "fixed" if sizes or promise.name in FIXED else "random", **none}
        if plan is None:
            return found
        calls = plan.steps if isinstance(plan, Schedule) else plan.calls(n)
        true, best = true_kl(self.curve, plan), self.optimum[min(n, round(calls))]
        found |= {"calls": calls, "true": true, "kept": bool(true <= self.epsilon * (1 + 1e-12))}
        ratio = true / best if min(true, best) > 1e-12 * self.known.both else None
        found |= {"optimum": best, "ratio": ratio}
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
            mass = np.diff(np.interp(sample.edges, profile.logits, profile.mass))
            ends = lambda one: {**one._asdict(), "lower": one.lower, "upper": one.upper}
            found["sample"] = {
                **{k: v for k, v in vars(sample).items() if k not in ("known", "plugged")},
                "mass": mass,
                "known": [ends(one) for one in sample.known],
                "plugged": [ends(one) for one in sample.plugged],
            }
        return found

    def tables(self) -> list[Part]:
        """The table of promises, and that of the intervals from draws."""
        return parts_of(self.fields())


TRUE = ("calls", "true", "kept", "optimum", "ratio")
FIXED = ("optimum", "theorem9_tc", "theorem9_dtc", "austin", "li_cai", "square_root")


def certify_study(
    curve: AbstractCurve,
    epsilon: float,
    *,
    sample: GrowthSample | None = None,
    subject: Subject | None = None,
) -> CertifyReport:
    """What every theory promises of a curve for at most `epsilon` nats, and what is true of its plan.

    Raises:
        InvalidInputError: an `epsilon` that is not above 0 or lost in rounding, a curve that falls, `n < 3`.

    >>> from mdmjax import noisy_bit_curve
    >>> report = certify_study(noisy_bit_curve(128, 0.01), 0.5)
    >>> report.rows[0].steps, round(report.fields()["growth_ratio"], 3)
    (3, 4.511)
    """
    rows = promises(curve, epsilon)
    if sample is not None:
        rows += sample.promises(curve.n, epsilon)
    n, plans = curve.n, [one.plan for one in rows if one.plan is not None]
    calls = {min(n, round(p.steps if isinstance(p, Schedule) else p.calls(n))) for p in plans}
    return CertifyReport(
        subject or Subject.of(curve),
        curve,
        epsilon,
        known_of(curve),
        tuple(rows),
        _optimum(curve, calls),
        sample,
    )


def _optimum(curve: AbstractCurve, calls: set[int]) -> dict[int, float]:
    """The least cost of each of these numbers of calls."""
    inside = [k for k in calls if k < curve.n]
    found = dict.fromkeys(calls, 0.0)
    if inside and max(inside) * curve.n <= FRONTIER_WORK:
        gaps = frontier(curve, max(inside)).gaps
        return found | {k: max(float(gaps[k - 1]), 0.0) for k in inside}
    return found | {k: max(float(step_gap(curve, optimal_schedule(curve, k))), 0.0) for k in inside}
