r"""What each theory of unmasking promises for an error $\varepsilon$: its steps, its bound, its own plan.

A promise is made from few numbers of a curve (TC, DTC, the effective TC, the growth mass), and is never more
than $\varepsilon$ where it is a theorem. What is true of its plan is `true_kl`.
"""

import dataclasses
import heapq
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from .._checks import check_number
from .._errors import refuse
from .._types import Float
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
from .guaranteed import austin, theorem9_dtc, theorem9_steps, theorem9_tc
from .named import llada_uniform
from .optimal import fewest_steps
from .schedule import Schedule, step_gap

Kind = Literal["exact", "theorem", "ours", "prediction", "estimate", "rule"]
"""`theorem`: proved in its source; `ours`: proved here, in the docstring of its grid; `prediction`: only in
the limit of many steps; `rule`: promises no KL, and has the fewest steps whose true one is small enough."""

MOST_BLOCKS = 16  # of the logit axis, cut at some of so many equal places (our choices)
PLACES = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Promise:
    """`steps` that a theory asks for, and the `promised` KL in nats; `plan` reveals so, None beyond `n`.

    A `Schedule` has fixed sizes, a `TimeGrid` random ones. `at_most` bounds the steps ahead.
    """

    name: str
    kind: Kind
    source: str
    steps: int
    promised: float | None
    plan: Schedule | TimeGrid | None
    at_most: float | None = None


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


def promises(curve: AbstractCurve, epsilon: float) -> list[Promise]:
    r"""What every theory promises of a curve for a KL of at most `epsilon` nats, the optimum first.

    Refuses a curve of fewer than 3 positions or one that falls, and an `epsilon` not above 0 or lost in rounding.

    >>> from mdmjax import noisy_bit_curve
    >>> found = {one.name: one for one in promises(noisy_bit_curve(128, 0.01), 0.5)}
    >>> found["optimum"].steps, found["ugc_geometric"].steps, round(found["ugc_geometric"].promised, 3)
    (4, 21, 0.479)
    """
    check_number("epsilon", epsilon, "a finite number of nats > 0", lambda x: x > 0)
    known = known_of(curve)
    heights = np.asarray(curve.heights)
    if np.any(np.diff(heights) < -64 * np.finfo(heights.dtype).eps * np.ptp(heights)):
        refuse("curve", "falling somewhere", "one that never falls", "fit a monotone one: isotonic, spline")
    least = 2**10 * float(np.finfo(heights.dtype).eps) * known.total_correlation
    if epsilon < least:
        refuse("epsilon", epsilon, f"at least {least:.2g} nats", "less is lost in rounding the curve")
    best = fewest_steps(curve, epsilon)
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
    """The mean over partitions of the KL of a plan in nats: `step_gap` of sizes, `bernoulli_kl` of times."""
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
    """The fewest steps of equal entropy whose true error is at most `epsilon`, by doubling and bisection."""
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
    r"""Theorem 1 for fixed sizes: the largest sizes whose factor is at most $\rho$, the largest such $\rho$.

    The bound of $\rho = \varepsilon / H$ is at most $\varepsilon$; from there it is raised by bisection
    while Eq. 17b allows it (our choice).
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


class Blocks(NamedTuple):
    r"""Blocks of the logit axis between `edges`, with the growth mass $H_k$ of each, or a bound of it."""

    edges: list[float]
    mass: list[float]

    @property
    def widths(self) -> Float[np.ndarray, " blocks"]:
        r"""$S_k$."""
        return np.diff(self.edges)

    @property
    def cost(self) -> float:
        r"""$C(P) = (\sum_k \sqrt{S_k H_k})^2$ (arXiv 2608.13520, Eq. 27)."""
        return float(np.sum(np.sqrt(self.widths * np.array(self.mass))) ** 2)


class Steps(NamedTuple):
    """`steps` that were asked for, `each` of the blocks between `edges`, and the KL that is promised."""

    steps: int
    each: list[int]
    edges: list[float]
    promised: float


def best_blocks(profile: GrowthProfile, most: int = MOST_BLOCKS) -> list[Blocks]:
    r"""The partition into `1..most` blocks with the least $C(P)$, its ends among `PLACES` equal ones.

    The dynamic programme of arXiv 2608.13520, Eq. 39: a block from place $i$ to $j$ costs $\sqrt{S H}$.
    """
    at = np.unique(np.linspace(0, len(profile.logits) - 1, PLACES + 1).astype(int))
    logits, mass = np.asarray(profile.logits)[at], np.asarray(profile.mass)[at]
    gap, inside = logits[None, :] - logits[:, None], mass[None, :] - mass[:, None]
    edge = np.where(gap > 0, np.sqrt(np.maximum(gap * inside, 0)), np.inf)
    best, back, cuts = edge[0], [], []
    for blocks in range(1, min(most, at.size - 1) + 1):
        if blocks > 1:
            through = best[:, None] + edge
            back.append(np.argmin(through, axis=0))
            best = np.min(through, axis=0)
        ends = [at.size - 1]
        for row in reversed(back):
            ends.append(int(row[ends[-1]]))
        ends = [0, *reversed(ends)]
        cuts.append(Blocks(logits[ends].tolist(), np.diff(mass[ends]).tolist()))
    return cuts


def prop1_steps(blocks: Blocks, epsilon: float) -> Steps:
    r"""Proposition 1 of arXiv 2608.13520: $N$ with $4 C(P)/N \le \varepsilon$, and its multipliers.

    $\rho_k = \min\{1, \frac{4\sqrt{C}}{N} \sqrt{S_k/H_k}\}$ and $N \ge 2(K + 2L)$ (Eq. 28a); block $k$ takes
    $\lceil S_k / \log(1 + \rho_k) \rceil$ steps, at most $N$ in all. With upper bounds of the masses in
    their place it is Theorem 2 (Eq. 37).

    >>> prop1_steps(Blocks([-1.0, 0.0, 1.0], [0.01, 0.25]), 0.1)
    Steps(steps=15, each=[2, 3], edges=[-1.0, 0.0, 1.0], promised=0.096)
    """
    count, length = len(blocks.mass), blocks.edges[-1] - blocks.edges[0]
    steps = max(math.ceil(4 * blocks.cost / epsilon), math.ceil(2 * (count + 2 * length)))
    each = multiplier_steps(blocks, multipliers(blocks, steps))
    return Steps(steps, each, blocks.edges, 4 * blocks.cost / steps)


def multipliers(blocks: Blocks, steps: int) -> Float[np.ndarray, " blocks"]:
    r"""$\rho_k = \min\{1, \frac{4 \sqrt C}{N} \sqrt{S_k/H_k}\}$ (arXiv 2608.13520, Eq. 28a and 37a)."""
    mass = np.array(blocks.mass)
    ratio = np.sqrt(blocks.widths / np.where(mass > 0, mass, 1.0))
    return np.where(mass > 0, np.minimum(1.0, 4 * math.sqrt(blocks.cost) / steps * ratio), 1.0)


def multiplier_steps(blocks: Blocks, rho: Float[np.ndarray, " blocks"]) -> list[int]:
    """Steps in which the odds of each block grow by at most `1 + rho[k]`."""
    return np.ceil(blocks.widths / np.log1p(rho) - 1e-9).astype(int).clip(1).tolist()


def integer_programme(blocks: Blocks, epsilon: float, most: int) -> Steps | None:
    r"""The fewest steps with $\sum_k (e^{S_k/N_k} - 1) H_k \le \varepsilon$; None if more than `most`.

    (arXiv 2608.13520, Eq. 26b.) Each term is convex in $N_k$: a step more where it gains most is optimal.

    >>> integer_programme(Blocks([-1.0, 0.0, 1.0], [0.01, 0.25]), 0.1, 9).each
    [1, 4]
    """
    price = lambda k, steps: math.expm1(widths[k] / steps) * blocks.mass[k]
    widths, each = blocks.widths.tolist(), [1] * len(blocks.mass)
    total = sum(price(k, 1) for k in range(len(each)))
    waiting = [(price(k, 2) - price(k, 1), k) for k in range(len(each))]
    heapq.heapify(waiting)
    while total > epsilon:
        if sum(each) >= most:
            return None
        gain, k = heapq.heappop(waiting)
        total, each[k] = total + gain, each[k] + 1
        heapq.heappush(waiting, (price(k, each[k] + 1) - price(k, each[k]), k))
    return Steps(sum(each), each, list(blocks.edges), sum(price(k, steps) for k, steps in enumerate(each)))


def block_edges(n: int, blocks: int) -> Sequence[float]:
    r"""`blocks` equal blocks of $|\lambda| \le \log(n-1)$: a partition that is fixed before any data are seen."""
    return np.linspace(-math.log(n - 1), math.log(n - 1), blocks + 1).tolist()
