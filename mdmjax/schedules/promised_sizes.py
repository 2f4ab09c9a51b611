r"""What is promised of schedules, whose steps reveal fixed numbers of tokens."""

import math

import numpy as np

from ..information.curve import AbstractCurve
from .bounds import (
    equal_entropy,
    li_cai_bound,
    square_root_rule,
    square_root_rule_error,
    wainwright_bound,
)
from .guaranteed import austin, theorem9_dtc, theorem9_steps, theorem9_tc
from .named import llada_uniform
from .promise import Known, Promise
from .schedule import Schedule, step_gap


def theorem9(known: Known, epsilon: float) -> list[Promise]:
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


def austin_best(known: Known, epsilon: float) -> Promise:
    r"""$k$ single tokens, then steps of at most $s$: $\frac{s-1}{k+1}$ DTC, the fewest steps of any $k$."""
    n, dual, singles = known.n, known.dual_total_correlation, np.arange(known.n)
    largest = np.minimum(1 + np.floor(epsilon * (singles + 1) / dual), n) if dual > 0 else np.full(n, n)
    steps = -(-(n - singles) // largest.astype(int))
    k = int(np.argmin(singles + steps))
    schedule = austin(n, k, int(steps[k]))
    promised = (int(schedule.counts[k:].max()) - 1) / (k + 1) * dual
    return Promise("austin", "theorem", "2511.04647, F.2", schedule.steps, promised, schedule)


def li_cai(known: Known, epsilon: float) -> Promise:
    r"""Equal steps of at most $s$ tokens: $\frac{s-1}{n}$ (TC + DTC)."""
    largest = math.floor(min(1 + epsilon * known.n / known.both, known.n))
    schedule = llada_uniform(known.n, -(-known.n // largest))
    promised = li_cai_bound(schedule, known.total_correlation, known.dual_total_correlation)
    return Promise("li_cai", "theorem", "2505.21400; 2511.04647, F.1", schedule.steps, promised, schedule)


def square_root(curve: AbstractCurve, epsilon: float) -> Promise:
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


def fewest_equal_entropy(curve: AbstractCurve, epsilon: float) -> Promise:
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


def ugc_sizes(curve: AbstractCurve, known: Known, epsilon: float) -> Promise:
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
