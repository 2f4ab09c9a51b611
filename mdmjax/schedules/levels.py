r"""One budget of steps over several levels: codebooks, blocks, or what else is decoded one after another.

Each level has a curve of its own, given the levels before it, and a plan of its own. What they share is the
number of steps in all.
"""

from collections.abc import Sequence

import numpy as np

from .._checks import check_integer
from .._errors import refuse
from ..information.curve import AbstractCurve, check_curve
from .optimal import frontier
from .schedule import Schedule


def split_steps(curves: Sequence[AbstractCurve], steps: int) -> list[Schedule]:
    r"""The schedules of all levels of least summed gap: `steps` steps in all, and at least one a level.

    $$\min_{k_1 + \dots + k_L = K} \sum_l G_l(k_l)$$

    with $G_l(k)$ the least `step_gap` of level $l$ in $k$ steps (`frontier`), in nats. Where each curve is
    that of a level given the levels before it, the sum is what the whole sequence loses. $G_l$ need not be
    convex, so steps are not dealt out one by one: sums of levels are formed by the (min, +) product, exact
    for any curves. Of equal splits the one that gives the last levels the fewest steps.

    Costs a frontier a level, of at most $\min(n_l, K - L + 1)$ steps, then $O(L K^2)$ additions. Refuses no
    curves, `steps` below the number of levels or above that of all tokens, and what `frontier` does.

    >>> from mdmjax import pairs_curve, parity_curve
    >>> [level.counts.tolist() for level in split_steps([pairs_curve(4, 2), parity_curve(4, 2)], 4)]
    [[2, 2], [3, 1]]
    """
    if not curves:
        refuse("curves", "empty", "a curve for each level")
    for curve in curves:
        check_curve(curve)
    levels, tokens, total = len(curves), sum(curve.n for curve in curves), check_integer("steps", steps, 1)
    if not levels <= total <= tokens:
        wanted = f"an integer in {levels}..{tokens}, from one step a level to one token a step"
        refuse("steps", total, wanted)
    tables = [frontier(curve, min(curve.n, total - levels + 1)) for curve in curves]
    least, taken = np.array([0.0]), []  # least[k] of the levels so far in k steps; the steps of each
    for table in tables:
        most = table.gaps.size
        after = np.full(min(least.size + most, total + 1), np.inf)
        choice = np.zeros(after.size, np.int64)
        for own, gap in enumerate(table.gaps, 1):
            reached = slice(own, own + least.size)
            sums = least[: after.size - own] + gap
            better = sums < after[reached]
            after[reached] = np.where(better, sums, after[reached])
            choice[reached][better] = own
        least = after
        taken.append(choice)
    schedules, left = [], total
    for table, choice in zip(reversed(tables), reversed(taken), strict=True):
        schedules.append(table.schedule(int(choice[left])))
        left -= int(choice[left])
    return schedules[::-1]
