r"""What each theory of unmasking promises for an error $\varepsilon$: its steps, its bound, its own plan.

A promise is made from few numbers of a curve (TC, DTC, the effective TC, the growth mass), and is never
more than $\varepsilon$. What is true of its plan is `true_kl`: where the promise is a theorem, no more.
"""

import numpy as np

from .._checks import check_integer, check_number
from .._errors import refuse
from ..information.curve import AbstractCurve, check_curve
from . import promised_sizes, promised_times
from .bernoulli import TimeGrid, bernoulli_kl
from .optimal import fewest_steps
from .promise import Known, Promise, known_of
from .schedule import Schedule, step_gap


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
        *promised_sizes.theorem9(known, epsilon),
        promised_sizes.austin_best(known, epsilon),
        promised_sizes.li_cai(known, epsilon),
        promised_sizes.square_root(curve, epsilon),
        promised_sizes.fewest_equal_entropy(curve, epsilon),
        promised_sizes.ugc_sizes(curve, known, epsilon),
        promised_times.ugc_geometric(known, epsilon),
        *promised_times.ugc_blocks(known, epsilon),
        promised_times.effective_tc(known, epsilon),
        *promised_times.random_sizes(known, epsilon),
        promised_times.root_mass(known, epsilon),
    ]


def true_kl(curve: AbstractCurve, plan: Schedule | TimeGrid) -> float:
    """The mean over partitions of the KL of a plan, in nats: `step_gap`, or `bernoulli_kl` of times."""
    return float(step_gap(curve, plan) if isinstance(plan, Schedule) else bernoulli_kl(curve, plan))
