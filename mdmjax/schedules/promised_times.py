r"""What is promised of grids of times, whose steps reveal random numbers of tokens."""

import dataclasses
import math

from . import bernoulli
from .growth_blocks import best_blocks, integer_programme, prop1_steps
from .promise import Known, Promise


def ugc_geometric(known: Known, epsilon: float) -> Promise:
    r"""Corollary 1: $2 C_{\text{UGC}}/N$ with $N \ge L$."""
    coarse = float(known.profile.costs.coarse)
    steps = max(math.ceil(2 * coarse / epsilon), math.ceil(known.logits))
    plan = bernoulli.odds_grid(known.n, steps) if steps <= known.n else None
    return Promise("ugc_geometric", "theorem", "2608.13520, Cor. 1", steps, 2 * coarse / steps, plan)


def ugc_blocks(known: Known, epsilon: float) -> list[Promise]:
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


def effective_tc(known: Known, epsilon: float) -> Promise:
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


def random_sizes(known: Known, epsilon: float) -> list[Promise]:
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


def root_mass(known: Known, epsilon: float) -> Promise:
    r"""Theorem 3: equal shares of $\int \sqrt q$, and $P_{\text{UGC}}/(2N)$ as $N \to \infty$."""
    fine = float(known.profile.costs.fine)
    steps = max(math.ceil(fine / (2 * epsilon)), 1)
    plan = bernoulli.root_mass_grid(known.profile, steps) if steps <= known.n else None
    return Promise("root_mass", "prediction", "2608.13520, Thm 3", steps, fine / (2 * steps), plan)
