r"""The best plans of rows with fewer masks: optima of the tails of one curve, all from one solve.

A row of `n` positions with `m` masks has `n - m` tokens already, so that its steps pay the heights `n - m
.. n - 1` of the curve. (A plan for `n` masks that is scaled down to `m` pays others.) The cost to go,

$$V_j(s) = \min_{e > s} \; P_e - P_s - (e - s) z_s + V_{j-1}(e), \qquad P_e = \sum_{i < e} z_i,$$

is that of the best `j` steps from `s` revealed tokens to `n`, for every `s` at once. For a nondecreasing
curve the best `e` is nondecreasing in `s`, and is searched from coarse to fine: `O(k n log n)`. For any
other curve every `e` is tried: `O(k n^2)`.
"""

from collections.abc import Iterable

import numpy as np

from .._errors import check_bytes, refuse
from .._types import Float
from ..information.curve import AbstractCurve
from .optimal import MAX_BYTES, check_heights, is_sorted
from .schedule import Schedule

MAX_TAIL_WORK = 2**30  # steps times n^2 of a curve that falls somewhere (seconds on two cores)
ROWS = 2**21  # entries that are compared at once


def tail_schedules(curve: AbstractCurve, steps: int, masks: Iterable[int]) -> dict[int, Schedule]:
    r"""For each `m` of `masks`, the best schedule of `min(steps, m)` steps for a row of `m` masks.

    It has the least $\sum_t \sum_{i = N_t}^{N_{t+1} - 1} (z_i - z_{N_t})$ with $N_1 = n - m$ and `z` the
    heights of the curve. Refuses what `optimal_schedule` does, `m` outside `1..n`, and a curve that falls
    where `steps n^2` is too much work.

    >>> from mdmjax import permutation_curve
    >>> found = tail_schedules(permutation_curve(8), 3, [8, 4, 2])
    >>> {m: schedule.counts.tolist() for m, schedule in found.items()}
    {8: [3, 3, 2], 4: [2, 1, 1], 2: [1, 1]}
    """
    return tails(check_heights(curve, steps, "steps"), steps, masks)


def tails(
    heights: Float[np.ndarray, " n"], steps: int, masks: Iterable[int], name: str = "infill"
) -> dict[int, Schedule]:
    """`tail_schedules` of a curve's heights, or of a stretch of them; `name` is who gave the masks."""
    n, wanted = heights.size, sorted(set(masks), reverse=True)
    for m in wanted:
        if not 1 <= m <= n:
            refuse(name, m, f"numbers of masks in 1..{n}")
    if not wanted:
        return {}
    steps, rising = min(steps, wanted[0]), is_sorted(heights)
    if not rising and steps * n * n > MAX_TAIL_WORK:
        refuse(name, f"{steps} steps of n = {n}", "a curve that never rises", "--fit isotonic fits one")
    check_bytes(
        8 * steps * n, MAX_BYTES, f"plans of {steps} steps for rows of n = {n}", "ask for fewer steps"
    )
    z = (np.maximum.accumulate(heights) if rising else heights).astype(np.float64)
    z = z - z[0]
    sums, at = np.concatenate([[0.0], np.cumsum(z)]), np.arange(n)
    ends = np.full((steps + 1, n), n)
    best = np.append(sums[n] - sums[at] - (n - at) * z, 0.0)  # of one step
    for j in range(2, steps + 1):
        starts = at[: n - j + 1]  # those that leave at least j tokens
        end = (_rising if rising else _any)(sums + best, z[starts], n - j + 1)
        ends[j, starts] = end
        cost = sums[end] - sums[starts] - (end - starts) * z[starts] + best[end]
        best = np.concatenate([cost, np.full(j, np.inf)])
    return {m: Schedule(np.diff(_followed(ends, n - m, min(steps, m)))) for m in wanted}


def _followed(ends: np.ndarray, start: int, steps: int) -> list[int]:
    """The boundaries of the best `steps` steps from `start`."""
    found = [start]
    for j in range(steps, 0, -1):
        found.append(int(ends[j, found[-1]]))
    return found


def _any(values: np.ndarray, z: np.ndarray, last: int) -> np.ndarray:
    """For each start `s` the `e` in `s + 1 .. last` of the least `values[e] - e z[s]`."""
    at, found = np.arange(last + 1), np.empty(z.size, np.int64)
    rows = max(1, ROWS // (last + 1))
    for first in range(0, z.size, rows):
        s = np.arange(first, min(first + rows, z.size))[:, None]
        costs = np.where(at > s, values[: last + 1] - at * z[s], np.inf)
        found[first : first + rows] = np.argmin(costs, axis=1)
    return found


def _rising(values: np.ndarray, z: np.ndarray, last: int) -> np.ndarray:
    """The same where `z` never falls: the best `e` never falls either."""
    found = np.empty(z.size, np.int64)
    stride = 1 << (z.size - 1).bit_length()
    at = np.zeros(1, np.int64)  # the starts that are searched, between neighbours that are done
    while True:
        low, high = at + 1, np.full(at.size, last)
        if at[0]:
            low = np.maximum(low, found[at - stride])
            inner = at + stride < z.size
            high[inner] = found[at[inner] + stride]
        sizes = np.maximum(high - low, 0) + 1  # at least one, where ties to rounding cross
        first = np.cumsum(sizes) - sizes
        owner = np.repeat(np.arange(at.size), sizes)
        e = np.arange(owner.size) - first[owner] + low[owner]
        costs = values[e] - e * z[at[owner]]
        hits = np.flatnonzero(costs == np.minimum.reduceat(costs, first)[owner])[::-1]
        found[at[owner[hits]]] = e[hits]  # the first of equal ones is written last
        stride //= 2
        if not stride:
            return found
        at = np.arange(stride, z.size, 2 * stride)
