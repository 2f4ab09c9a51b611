"""The one result of `mdmjax schedule`: a JSON object, which the table and the picture are drawn from."""

import math
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from .._errors import refuse
from ..information.curve import InformationCurve
from ..information.loss_curve import isotonic_fit
from ..schedules.guaranteed import (
    austin_for_steps,
    theorem9_dtc_for_steps,
    theorem9_tc_for_steps,
)
from ..schedules.named import NAMED
from ..schedules.optimal import fewest_steps, frontier, optimal_schedule
from ..schedules.schedule import Schedule, expected_kl, nll
from .file_sources import LossCurveFile
from .loaded import Loaded
from .model_source import ModelCurve

BASELINES = NAMED | {
    "theorem9_tc": theorem9_tc_for_steps,
    "theorem9_dtc": theorem9_dtc_for_steps,
    "austin": austin_for_steps,
}
"""Schedules that are shown beside the optimum: those in use, and those with a guarantee."""

ENOUGH = 0.05
"""Without `--steps` and `--epsilon`: the share of the one-step error that may remain (our choice)."""

FRONTIER_WORK = 2**23
"""Steps times `n` of the longest frontier of an information curve that is not asked for (our choice)."""

DENSE_FRONTIER_WORK = 2**30
"""Steps times `n^2` of that of a loss curve, which may fall and rise (our choice)."""


def build(
    loaded: Loaded, source: dict[str, Any], steps: int | None, epsilon: float | None
) -> dict[str, Any]:
    """The result as one object of plain numbers, lists and strings, ready for JSON.

    Raises:
        InvalidInputError: `steps` and `epsilon` both, `steps` outside `1..n`, `epsilon <= 0`.
    """
    curve = loaded.curve
    is_exact = isinstance(curve, InformationCurve)
    values = curve.information if is_exact else -curve.loss
    n = curve.n
    if steps is not None and not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}")

    key = "expected_kl" if is_exact else "nll"

    def entry(schedule: Schedule) -> dict[str, Any]:
        score = expected_kl(curve, schedule) if is_exact else nll(curve.loss, schedule)
        return {"steps": schedule.counts.tolist(), key: float(score)}

    table = None
    if steps is not None:
        best, criterion = optimal_schedule(values, steps), f"{steps} steps were asked for"
    elif epsilon is not None:
        best = fewest_steps(values, epsilon)
        error = "an expected KL" if is_exact else "an excess over one token a step"
        criterion = f"the fewest steps with {error} of at most {epsilon:g} nats"
    else:
        table = frontier(values, _longest(n, is_exact))
        best, criterion = _enough(table.gaps, table.schedule)
    chosen = entry(best)
    result = {
        "source": source,
        "title": loaded.title,
        "method": loaded.method,
        "exact": is_exact,
        "units": "nats",
        "n": n,
        "q": loaded.q,
        **loaded.facts,
        "criterion": criterion,
        "steps": chosen["steps"],
        "expected_kl": chosen.get("expected_kl"),
        "nll": chosen.get("nll"),
        **_of_curve(curve),
        "baselines": {name: entry(make(n, best.steps)) for name, make in BASELINES.items()},
    }
    if table is not None:
        result["frontier"] = {
            str(k): entry(table.schedule(k))
            | {"baselines": {name: entry(make(n, k))[key] for name, make in NAMED.items()}}
            for k in shown_steps(n, table.gaps.size)
        }
    return plain(result)


def with_bootstrap(
    result: dict[str, Any], loaded: Loaded, options: LossCurveFile | ModelCurve
) -> dict[str, Any]:
    """The result with 95% intervals of the gain over uniform and of every boundary."""
    from ..schedules.bootstrap import bootstrap_gain

    fit = isotonic_fit if options.isotonic else lambda curve: curve
    key, steps = jax.random.key(options.seed), len(result["steps"])
    found = bootstrap_gain(key, loaded.table, steps, options.bootstrap, fit=fit)
    intervals = {
        "replicates": options.bootstrap,
        "seed": options.seed,
        "level": 0.95,
        "gain_over_uniform": found.gain,
        "gain_interval": found.gain_interval,
        "fixed_schedule_interval": found.fixed_interval,
        "optimism": found.optimism,
        "boundaries": found.schedule.boundaries[1:-1],
        "boundary_intervals": found.boundary_intervals,
    }
    return result | {"bootstrap": plain(intervals)}


def _of_curve(curve: Any) -> dict[str, Any]:
    """What is known of the distribution; the same keys for a loss curve, where most is not."""
    if isinstance(curve, InformationCurve):
        return {
            "information_curve": curve.information,
            "total_correlation": curve.total_correlation,
            "dual_total_correlation": curve.dual_total_correlation,
            "entropy": curve.entropy,
            "marginal_entropy": curve.marginal_entropy,
        }
    return {
        "information_curve": None,
        "total_correlation": None,
        "dual_total_correlation": None,
        "loss_curve": curve.loss,
        "measured_points": curve.measured,
        "nll_one_by_one": curve.loss.sum(),
    }


def _longest(n: int, is_exact: bool) -> int:
    """The most steps of a frontier that takes seconds: all up to `n = 1024`."""
    return min(n, max(16, FRONTIER_WORK // n if is_exact else DENSE_FRONTIER_WORK // n**2))


def shown_steps(n: int, longest: int) -> list[int]:
    """Numbers of steps that are listed: all if `n <= 64`, else 1 to 16 and then by factors of sqrt 2."""
    if n <= 64:
        return list(range(1, longest + 1))
    later = (round(16 * 2 ** (i / 2)) for i in range(1, 64))
    return [*range(1, min(16, longest) + 1), *(k for k in later if k <= longest)]


def _enough(gaps: np.ndarray, schedule: Any) -> tuple[Schedule, str]:
    """The fewest steps that leave at most `ENOUGH` of the error of one step."""
    reached = np.flatnonzero(gaps <= ENOUGH * gaps[0])
    if reached.size:
        what = f"the fewest steps that leave at most {ENOUGH:.0%} of the error of one step"
        return schedule(int(reached[0]) + 1), what
    return schedule(gaps.size), "the most steps of the frontier"


def plain(value: Any) -> Any:
    """`value` with arrays as lists and numbers that are not finite as `None`, as JSON wants."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, jax.Array | np.ndarray):
        if np.all(np.isfinite(value)):
            return value.tolist()
        value = value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
