r"""What each theory of unmasking promises for an error $\varepsilon$: its steps, its bound, its own plan.

A promise is made from few numbers of a curve (TC, DTC, the effective TC, the growth mass), and is never
more than $\varepsilon$. What is true of its plan is `true_kl`: where the promise is a theorem, no more.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from .._checks import check_integer, check_number
from .._errors import refuse
from ..information.curve import AbstractCurve, check_curve
from ..information.ugc import GrowthProfile, effective_total_correlation, growth_profile
from . import bernoulli
from .bernoulli import TimeGrid, bernoulli_kl
from .bounds import (
    equal_entropy,
    li_cai_bound,
    square_root_rule,
    square_root_rule_error,
    wainwright_bound,
)
from .growth_blocks import best_blocks, integer_programme, prop1_steps
from .guaranteed import austin, theorem9_dtc, theorem9_steps, theorem9_tc
from .named import llada_uniform
from .optimal import fewest_steps
from .schedule import Schedule, step_gap

Kind = Literal["exact", "theorem", "ours", "prediction", "estimate", "rule"]
"""`theorem`: proved in its source; `ours`: proved here, in the docstring of its grid; `prediction`: only in
the limit of many steps; `rule`: promises no KL, and has the fewest steps whose true one is small enough."""


@dataclasses.dataclass(frozen=True, eq=False)
class Promise:
    """`steps` that a theory asks for, and the `promised` KL in nats; `plan` reveals so, None beyond `n`.

    A `Schedule` has fixed `sizes`, a `TimeGrid` random ones. `at_most` bounds the steps ahead.
    """

    name: str
    kind: Kind
    source: str
    steps: int
    promised: float | None
    plan: Schedule | TimeGrid | None
    at_most: float | None = None

    @property
    def sizes(self) -> Literal["fixed", "random"]:
        """What its steps reveal: so many tokens, or each token with a probability, as all beyond `n`."""
        return "fixed" if isinstance(self.plan, Schedule) else "random"


class Known(NamedTuple):
    r"""The numbers of a curve that promises are made from, in nats."""

    n: int
    total_correlation: float
    dual_total_correlation: float
    effective: float
    profile: GrowthProfile

    @property
    def both(self) -> float:
        r"""$\mathrm{TC} + \mathrm{DTC} = h(1)$."""
        return self.total_correlation + self.dual_total_correlation

    @property
    def logits(self) -> float:
        r"""$L = \log \frac{\psi(T)}{\psi(t_0)} = 2 \log(n - 1)$ of the canonical interval."""
        return 2 * math.log(self.n - 1)


def known_of(curve: AbstractCurve) -> Known:
    """The numbers of a curve; of a loss curve, those of what it falls by. Refuses `n < 3`."""
    check_curve(curve)
    heights = np.asarray(curve.heights, np.float64)
    profile = growth_profile(curve)
    tc, dual = float(np.sum(heights - heights[0])), float(np.sum(heights[-1] - heights))
    return Known(curve.n, tc, dual, float(effective_total_correlation(curve)), profile)


def check_certifiable(curve: AbstractCurve, epsilon: float) -> None:
    """Refuse, before any work, what `promises` does, with the least `epsilon` that can be asked for."""
    check_number("epsilon", epsilon, "a finite number of nats > 0", lambda x: x > 0)
    check_curve(curve)
    check_integer("n", curve.n, 3)
    heights = np.asarray(curve.heights)
    if np.any(np.diff(heights) < -64 * np.finfo(heights.dtype).eps * np.ptp(heights)):
        refuse("curve", "falling somewhere", "one that never falls", "fit a monotone one: isotonic, spline")
    least = 2**10 * float(np.finfo(heights.dtype).eps * np.sum(heights - heights[0]))
    if epsilon < least:
        refuse("epsilon", epsilon, f"at least {least:.2g} nats", "less is lost in rounding the curve")


def promises(curve: AbstractCurve, epsilon: float, known: Known | None = None) -> list[Promise]:
    r"""What every theory promises of a curve for a KL of at most `epsilon` nats, the optimum first.

    `known` is `known_of(curve)`. Refuses a curve of fewer than 3 positions or one that falls, and an
    `epsilon` not above 0 or lost in rounding.

    >>> from mdmjax import noisy_bit_curve
    >>> found = {one.name: one for one in promises(noisy_bit_curve(128, 0.01), 0.5)}
    >>> found["optimum"].steps, found["ugc_geometric"].steps, round(found["ugc_geometric"].promised, 3)
    (3, 21, 0.479)
    """
    check_certifiable(curve, epsilon)
    known, best = known or known_of(curve), fewest_steps(curve, epsilon)
    found = [
        Promise("optimum", "exact", "2511.04647, Thm 4", best.steps, float(step_gap(curve, best)), best)
    ]
    if known.both <= 0:
        return found
    return [
        *found,
        *_correlations(known, epsilon),
        _austin(known, epsilon),
        _li_cai(known, epsilon),
        _square_root(curve, epsilon),
        _equal_entropy(curve, epsilon),
        _ugc_sizes(curve, known, epsilon),
        _ugc_geometric(known, epsilon),
        *_ugc_blocks(known, epsilon),
        _effective(known, epsilon),
        *_random_sizes(known, epsilon),
        _root_mass(known, epsilon),
    ]


def true_kl(curve: AbstractCurve, plan: Schedule | TimeGrid) -> float:
    """The mean over partitions of the KL of a plan, in nats: `step_gap`, or `bernoulli_kl` of times."""
    return float(step_gap(curve, plan) if isinstance(plan, Schedule) else bernoulli_kl(curve, plan))


def _correlations(known: Known, epsilon: float) -> list[Promise]:
    """Theorem 9 of Chen, Cong and Li."""
    made = []
    for name, make, cost in (
        ("theorem9_tc", theorem9_tc, known.total_correlation),
        ("theorem9_dtc", theorem9_dtc, known.dual_total_correlation),
    ):
        schedule = make(known.n, cost, epsilon)
        promised = cost / max(math.ceil(cost / epsilon), 1) if schedule.steps < known.n else 0.0
        ahead = theorem9_steps(known.n, cost, epsilon)
        made.append(
            Promise(name, "theorem", "2511.04647, Thm 9", schedule.steps, promised, schedule, ahead)
        )
    return made


def _austin(known: Known, epsilon: float) -> Promise:
    r"""$k$ single tokens, then steps of at most $s$: $\frac{s-1}{k+1}$ DTC, the fewest steps of any $k$."""
    n, dual, singles = known.n, known.dual_total_correlation, np.arange(known.n)
    largest = np.minimum(1 + np.floor(epsilon * (singles + 1) / dual), n) if dual > 0 else np.full(n, n)
    steps = -(-(n - singles) // largest.astype(int))
    k = int(np.argmin(singles + steps))
    schedule = austin(n, k, int(steps[k]))
    promised = (int(schedule.counts[k:].max()) - 1) / (k + 1) * dual
    return Promise("austin", "theorem", "2511.04647, F.2", schedule.steps, promised, schedule)


def _li_cai(known: Known, epsilon: float) -> Promise:
    r"""Equal steps of at most $s$ tokens: $\frac{s-1}{n}$ (TC + DTC)."""
    largest = math.floor(min(1 + epsilon * known.n / known.both, known.n))
    schedule = llada_uniform(known.n, -(-known.n // largest))
    promised = li_cai_bound(schedule, known.total_correlation, known.dual_total_correlation)
    return Promise("li_cai", "theorem", "2505.21400; 2511.04647, F.1", schedule.steps, promised, schedule)


def _square_root(curve: AbstractCurve, epsilon: float) -> Promise:
    """Equal shares of the root of the increments of the curve."""
    steps, low = curve.n, 1
    while low < steps:  # the prediction falls with the steps
        middle = (low + steps) // 2
        low, steps = (
            (low, middle) if square_root_rule_error(curve, middle) <= epsilon else (middle + 1, steps)
        )
    predicted = max(square_root_rule_error(curve, steps), 0.0)
    schedule = square_root_rule(curve, steps)
    source = "2510.25544, derived anew"
    return Promise("square_root", "prediction", source, schedule.steps, predicted, schedule)


def _equal_entropy(curve: AbstractCurve, epsilon: float) -> Promise:
    """The fewest steps of equal entropy with a true error of at most `epsilon`, by bisection; or `n`."""
    good = lambda steps: float(step_gap(curve, equal_entropy(curve, steps))) <= epsilon
    steps = 1
    while steps < curve.n and not good(steps):
        steps = min(2 * steps, curve.n)
    low = steps // 2 + 1
    while low < steps:
        middle = (low + steps) // 2
        low, steps = (low, middle) if good(middle) else (middle + 1, steps)
    schedule = equal_entropy(curve, steps)
    return Promise("equal_entropy", "rule", "2602.06849 (EDS)", schedule.steps, None, schedule)


def _ugc_sizes(curve: AbstractCurve, known: Known, epsilon: float) -> Promise:
    r"""Theorem 1 for fixed sizes: the largest ones whose factor is at most $\rho$.

    The bound of $\rho = \varepsilon / H$ is at most $\varepsilon$; from there it is raised while
    Eq. 17b allows it (our choice).
    """
    n = known.n
    heights = np.asarray(curve.heights, np.float64)
    j = np.arange(1, n)
    mass = float(np.sum(j * (n - j) / n * np.diff(heights)))

    def of(rho: float) -> Schedule:
        bounds = [0, 1]  # the first token alone costs nothing
        while bounds[-1] < n - 1:
            a = bounds[-1]
            odds = (1 + rho) * (a + 1) / (n - a - 1)
            bounds.append(int(min(max(a + 1, math.floor(n * odds / (1 + odds) + 1e-9)), n - 1)))
        return Schedule(np.diff([*bounds, n]))

    rho, bound = epsilon / mass, lambda schedule: float(wainwright_bound(curve, schedule))
    best, factor = of(rho), 2.0
    tries = 40 if best.steps < 2**12 else 0
    for _ in range(tries):  # by doubling, then by halves of the last factor
        schedule = of(rho * factor)
        if bound(schedule) <= epsilon and schedule.steps > 2:
            rho, best = rho * factor, schedule
        else:
            factor = math.sqrt(factor)
    promised = bound(best)
    return Promise("ugc_sizes", "theorem", "2608.13520, Eq. 17b", best.steps, promised, best)


def _ugc_geometric(known: Known, epsilon: float) -> Promise:
    r"""Corollary 1: $2 C_{\text{UGC}}/N$ with $N \ge L$."""
    coarse = float(known.profile.costs.coarse)
    steps = max(math.ceil(2 * coarse / epsilon), math.ceil(known.logits))
    plan = bernoulli.odds_grid(known.n, steps) if steps <= known.n else None
    return Promise("ugc_geometric", "theorem", "2608.13520, Cor. 1", steps, 2 * coarse / steps, plan)


def _ugc_blocks(known: Known, epsilon: float) -> list[Promise]:
    """Proposition 1, and the integer programme of Eq. 26b; of the blocks that the boundary search finds."""
    cuts = best_blocks(known.profile)
    found = [prop1_steps(cut, epsilon) for cut in cuts]
    least = min(found, key=lambda one: one.steps)
    plan = bernoulli.blocks_grid(least.edges, least.each) if least.steps <= known.n else None
    rows = [Promise("ugc_blocks", "theorem", "2608.13520, Prop. 1", sum(least.each), least.promised, plan)]
    if plan is None:
        rows[0] = dataclasses.replace(rows[0], steps=least.steps)
    programmes = (integer_programme(cut, epsilon, known.n) for cut in cuts)
    solved = [one for one in programmes if one is not None]
    if not solved:
        return rows
    best = min(solved, key=lambda one: one.steps)
    plan = bernoulli.blocks_grid(best.edges, best.each)
    source = "2608.13520, Eq. 26b"
    return [*rows, Promise("ugc_programme", "theorem", source, best.steps, best.promised, plan)]


def _effective(known: Known, epsilon: float) -> Promise:
    r"""Exponential-then-constant steps: half of $\varepsilon$ for the effective TC, a quarter for each end.

    The first step costs at most $t_1 h(1)$ and the last $(1 - t) h(1)$, $h(1) = \mathrm{TC} + \mathrm{DTC}$
    (the paper has orders only: these constants are ours).
    """
    end = min(epsilon / (4 * known.both), 1.0)
    kappa = math.log1p(epsilon / (2 * known.effective)) if known.effective > 0 else 1.0
    first = math.log(1 / end)
    asked = 2 + math.log(1 / end) / math.log1p(kappa) + max(first - 1, 0) / kappa
    if asked > known.n:
        promised = 2 * end * known.both + math.expm1(kappa) * known.effective
        return Promise("effective_tc", "ours", "2602.15008, Cor. 2", math.ceil(asked), promised, None)
    grid = bernoulli.exponential_then_constant(first, end, kappa)
    ends = (grid.times[1] + 1 - grid.times[-2]) * known.both
    promised = float(ends) + math.expm1(kappa) * known.effective
    return Promise("effective_tc", "ours", "2602.15008, Cor. 2", grid.steps, promised, grid)


def _random_sizes(known: Known, epsilon: float) -> list[Promise]:
    """Random sizes that know nothing of the data but how many steps there are."""
    n, rows = known.n, []
    tc, dual = known.total_correlation, known.dual_total_correlation
    share = epsilon / tc
    steps = math.ceil(math.log(n) / -math.log1p(-share)) if share < 1 else 1
    beta = -math.expm1(-math.log(n) / steps)
    plan = bernoulli.shrinking_grid(n, steps) if steps <= n else None
    rows.append(Promise("random_sizes_tc", "ours", "after 2602.20126", steps, beta * tc, plan))
    steps = math.ceil(math.log(n) / math.log1p(epsilon / dual)) if dual > 0 else 1
    plan = bernoulli.growing_grid(n, steps) if steps <= n else None
    rho = math.expm1(math.log(n) / steps)
    return [*rows, Promise("random_sizes_dtc", "ours", "after 2602.20126", steps, rho * dual, plan)]


def _root_mass(known: Known, epsilon: float) -> Promise:
    r"""Theorem 3: equal shares of $\int \sqrt q$, and $P_{\text{UGC}}/(2N)$ as $N \to \infty$."""
    fine = float(known.profile.costs.fine)
    steps = max(math.ceil(fine / (2 * epsilon)), 1)
    plan = bernoulli.root_mass_grid(known.profile, steps) if steps <= known.n else None
    return Promise("root_mass", "prediction", "2608.13520, Thm 3", steps, fine / (2 * steps), plan)
