"""The studies of curves: the expected KL of schedules, and how few steps are enough."""

import functools
import math
from collections.abc import Callable
from typing import Any

import mdmjax as mj

from .._errors import refuse
from ..information.curve import InformationCurve
from ..schedules.guaranteed import theorem9_steps
from .cases import SCHEDULES, Study, check_schedule, complete_source, named_schedule, source_of
from .columns import Point

SEARCHED = ("best", "theorem9")
"""Schedules for an error, beside those for a number of steps."""

KNOWN = ("entropy", "total_correlation", "dual_total_correlation")


def curve_of(point: Point) -> InformationCurve:
    """The information curve of the source: in closed form, or by enumeration."""
    return _curve(tuple((k, v) for k, v in point.items() if k.startswith("source")))


@functools.lru_cache(maxsize=2)  # points that follow each other mostly have the same one
def _curve(source: tuple[tuple[str, Any], ...]) -> InformationCurve:
    return source_of(dict(source)).curve()[0]


def one_schedule(point: Point) -> dict[str, Any]:
    """The expected KL of a schedule, and what its curve says of the truth, in nats."""
    curve = curve_of(point)
    schedule = named_schedule(point, curve.n, {"best": lambda steps: mj.optimal_schedule(curve, steps)})
    found = {"expected_kl": mj.expected_kl(curve, schedule), "steps_made": schedule.steps}
    return found | {name: getattr(curve, name) for name in KNOWN}


def fewest(point: Point) -> dict[str, Any]:
    r"""The fewest steps of a kind of schedule with `expected_kl <= epsilon`.

    `epsilon` is in nats, or a `share` of the smaller of TC and DTC. `best` is the optimum; `theorem9` the
    schedule of arXiv 2511.04647 for the smaller of the two, of which `bound` is what the theorem promises.
    """
    curve = curve_of(point)
    small = float(min(curve.total_correlation, curve.dual_total_correlation))
    epsilon, share = point.get("epsilon", math.nan), point.get("share")
    if ("epsilon" in point) == ("share" in point):
        refuse("epsilon, share", "both" if "share" in point else "neither", "one of the two")
    epsilon = float(epsilon if share is None else share * small)
    schedule = _reaching(point["schedule"], curve, epsilon)
    return {
        "fewest_steps": schedule.steps,
        "epsilon_nats": epsilon,
        "expected_kl": mj.expected_kl(curve, schedule),
        "theorem9_bound": theorem9_steps(curve.n, small, epsilon),
    } | {name: getattr(curve, name) for name in KNOWN}


def _reaching(name: str, curve: InformationCurve, epsilon: float) -> mj.Schedule:
    """The schedule of that name that reaches `epsilon`."""
    if name == "best":
        return mj.fewest_steps(curve, epsilon)
    tc, dtc = float(curve.total_correlation), float(curve.dual_total_correlation)
    if name == "theorem9":
        return mj.theorem9_tc(curve.n, tc, epsilon) if tc <= dtc else mj.theorem9_dtc(curve.n, dtc, epsilon)
    check_schedule(name, SEARCHED)
    return first_reaching(curve, SCHEDULES[name], epsilon)


def first_reaching(
    curve: InformationCurve, build: Callable[[int, int], mj.Schedule], epsilon: float
) -> mj.Schedule:
    """The schedule `build(n, steps)` that comes to reach `epsilon`, by bisection on `steps`.

    It reaches `epsilon`, and with one step less it does not. The error of a schedule in whole tokens need
    not fall at every step, so that some smaller number may reach it too.

    >>> from mdmjax import llada_uniform, parity_curve
    >>> first_reaching(parity_curve(8, 2), llada_uniform, 0.1).steps  # 2, 2, 2, 1, 1
    5
    """

    def reaches(steps: int) -> bool:
        return float(mj.expected_kl(curve, build(curve.n, steps))) <= epsilon

    high = 1
    while high < curve.n and not reaches(high):
        high = min(2 * high, curve.n)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return build(curve.n, high)


def _complete(schedule: str) -> Callable[[Point, int], Point]:
    return lambda point, seed: {"schedule": schedule} | complete_source(point)


SCHEDULE = Study(
    ("expected_kl", "steps_made", *KNOWN), _complete("best"), lambda point: point, one_schedule
)
STEPS = Study(
    ("fewest_steps", "epsilon_nats", "expected_kl", "theorem9_bound", *KNOWN),
    _complete("best"),
    lambda point: point,
    fewest,
    searched=SEARCHED,
)
