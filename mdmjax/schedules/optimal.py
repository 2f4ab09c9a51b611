r"""The best schedule: the shortest path of the left-Riemann error, for one or for every number of steps.

The objective is `step_gap`, and values are the `heights` of a curve. A record is a position whose value
exceeds all before it. A best schedule of no more steps than there are records starts its steps at records:
to move each start back to the last record lowers the value of no reveal, and nor does one more record as a
start. So there are three exact methods, chosen by the data alone (`m` records):

| curve                                 | method                      | cost                             |
|---------------------------------------|-----------------------------|----------------------------------|
| nondecreasing, or at most `m` steps   | `envelope` of the records   | `O(K m log m)`, all `1..K` steps |
| the same, one `k` or one loss         | `priced`: a price of a step | `O(m)` a price, about ten prices |
| any other (many steps of a noisy one) | dense programme             | `O(K n^2)`                       |

A curve that decreases by no more than rounding (`64 eps` of its range) counts as nondecreasing. Schedules
are compared by gains, sums of at most `n (max - min)` of the values, so an optimum is exact to a few `eps`
of that: in float32 a gap far below `1e-7 n (max - min)` is not resolved.
"""

import bisect

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._errors import check_bytes, refuse
from .._types import Float, Int
from ..information.curve import AbstractCurve, check_curve
from . import priced
from .envelope import padded_lines, solve_layers
from .schedule import Schedule

MAX_BYTES = 2**31  # that a solve may take without being asked
MAX_DENSE_WORK = 2**38  # steps times n^2 of the dense programme (minutes on two cores)


class Frontier(eqx.Module):
    """The optimum for every number of steps: `gaps[k-1]` is the least `step_gap` of `k` steps in nats.

    `boundaries[k-1]` are tokens revealed before each step of a schedule that reaches it, padded with `n`.
    """

    gaps: Float[np.ndarray, " max_steps"]
    boundaries: Int[np.ndarray, "max_steps boundaries"]

    def schedule(self, steps: int) -> Schedule:
        """An optimal schedule of exactly `steps` steps."""
        if not 1 <= steps <= self.gaps.shape[0]:
            refuse("steps", steps, f"an integer in 1..{self.gaps.shape[0]}")
        return Schedule(np.diff(self.boundaries[steps - 1, : steps + 1]))


def frontier(curve: AbstractCurve, max_steps: int) -> Frontier:
    r"""The least `step_gap(curve, schedule)` over all schedules of `k` steps, for `k = 1..max_steps`.

    For an information curve it is the least expected KL (mean over partitions) in nats
    (arXiv 2511.04647, Thm 4 and the remark on dynamic programming); it is 0 at `k = n`. Refuses what is no
    curve or not finite, `max_steps` outside `1..n`, and a solve that would need more than `MAX_BYTES`.

    >>> from mdmjax import InformationCurve
    >>> best = frontier(InformationCurve([0.0, 0.0, 0.0, 1.0], 1.0), 2)
    >>> best.gaps.tolist(), best.schedule(2).counts.tolist()
    ([1.0, 0.0], [3, 1])
    """
    host = check_heights(curve, max_steps, "max_steps")
    n, records = host.shape[0], _records(host)
    _check_bytes(8 * max_steps * (max_steps + 1), max_steps, n)
    if max_steps <= records.size or is_sorted(host):
        found = _solve_records(host, records, max_steps)
        boundaries = np.full((max_steps, max_steps + 1), n)
        for steps in range(1, max_steps + 1):
            row = found[min(steps, len(found)) - 1]
            boundaries[steps - 1, : steps + 1] = _exactly(row, steps, records, n)
    else:
        boundaries = _solve_any(host, max_steps)
    gaps = [priced.loss_of(host, row[: steps + 1]) for steps, row in enumerate(boundaries, 1)]
    return Frontier(np.array(gaps), boundaries)


def optimal_schedule(curve: AbstractCurve, steps: int) -> Schedule:
    """A schedule of exactly `steps` steps with the least `step_gap(curve, schedule)`; errors as `frontier`.

    >>> from mdmjax import pairs_curve
    >>> optimal_schedule(pairs_curve(6, 2), 3).counts.tolist()
    [2, 2, 2]
    """
    host = check_heights(curve, steps, "steps")
    n, records = host.shape[0], _records(host)
    if steps < records.size:
        best = _exactly(priced.of_steps(host, records, steps), steps, records, n)
    elif steps == records.size or is_sorted(host):
        best = _exactly(np.append(records, n), steps, records, n)
    else:
        best = _solve_any(host, steps)[-1]
    return Schedule(np.diff(best))


def fewest_steps(curve: AbstractCurve, epsilon: float) -> Schedule:
    """The optimal schedule of the fewest steps whose `step_gap` is at most `epsilon > 0` nats.

    Refuses what `frontier` does.

    >>> from mdmjax import parity_curve
    >>> fewest_steps(parity_curve(4, 2), 0.5).counts.tolist()
    [3, 1]
    """
    if not (np.isfinite(epsilon) and epsilon > 0):
        refuse("epsilon", epsilon, "a positive number of nats")
    host = check_heights(curve, 1, "steps")
    return Schedule(np.diff(priced.of_loss(host, _records(host), epsilon)))


def check_heights(curve: AbstractCurve, steps: int, name: str) -> np.ndarray:
    """The heights of a curve on the host; refused where they or the number of steps cannot be used."""
    check_curve(curve)
    host = np.asarray(curve.heights)
    bad = np.flatnonzero(~np.isfinite(host))
    if bad.size:
        refuse("curve", f"{host[bad[0]]} at index {bad[0]}", "finite numbers")
    if not (isinstance(steps, int | np.integer) and 1 <= steps <= host.shape[0]):
        refuse(name, steps, f"an integer in 1..{host.shape[0]}", "no schedule has other lengths")
    return host


def is_sorted(values: np.ndarray) -> bool:
    """Whether the values are nondecreasing, up to rounding."""
    slack = 64 * np.finfo(values.dtype).eps * np.ptp(values)
    return bool(np.all(values >= np.maximum.accumulate(values) - slack))


def _records(values: np.ndarray) -> np.ndarray:
    """Where a value exceeds all before it, the first position included."""
    return np.unique(np.maximum.accumulate(values), return_index=True)[1]


def _solve_records(values: np.ndarray, records: np.ndarray, max_steps: int) -> np.ndarray:
    """Boundaries of the best `1..min(max_steps, m)` steps that start at records; they may coincide."""
    n, m = values.shape[0], records.size
    rows, lines = min(max_steps, m), padded_lines(m)
    _check_bytes(4 * rows * (lines + 2 * rows), max_steps, n)
    padded = np.pad(records, (0, lines - m))
    return np.asarray(solve_layers(*map(jnp.asarray, (padded, values[padded], m, n)), rows))


def _exactly(boundaries: np.ndarray, steps: int, records: np.ndarray, n: int) -> np.ndarray:
    """Boundaries of exactly `steps` steps that are no worse, all of their starts records if they can be."""
    # Starts move back to the last record, then further records become starts. If there are too few, long
    # steps are cut as evenly as can be, which costs nothing on a nondecreasing curve.
    starts = boundaries[: steps + 1][boundaries[: steps + 1] < n]
    used = np.unique(records[np.searchsorted(records, starts, side="right") - 1])
    missing = min(steps, records.size) - used.size
    if missing:
        unused = np.setdiff1d(records, used, assume_unique=True)
        used = np.sort(np.concatenate([used, unused[np.arange(missing) * unused.size // missing]]))
    used = np.append(used, n)
    sizes = np.diff(used)
    if sizes.size == steps:
        return used
    few = lambda size: np.sum(-(-sizes // size)) <= steps
    least = 1 + bisect.bisect_left(range(1, n), True, key=few)  # size of pieces that are no more than asked
    pieces = -(-sizes // least)
    more = (sizes if least == 1 else -(-sizes // (least - 1))) - pieces
    pieces += np.clip(steps - np.sum(pieces) - (np.cumsum(more) - more), 0, more)
    piece = np.arange(steps) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.repeat(used[:-1], pieces) + piece * np.repeat(sizes, pieces) // np.repeat(pieces, pieces)
    return np.append(starts, n)


def _solve_any(values: np.ndarray, max_steps: int) -> np.ndarray:
    """Boundaries of the best `1..max_steps` steps on any curve, padded with `n`."""
    n = values.shape[0]
    _check_bytes(4 * max_steps * (n + 2 * max_steps), max_steps, n)
    if max_steps * n * n > MAX_DENSE_WORK:
        wanted = f"at most {_records(values).size} for this falling curve of n = {n}, its number of records"
        refuse("steps", max_steps, wanted, "ask for fewer steps, or fit a monotone curve to it")
    problem = map(jnp.asarray, (np.arange(n), values, n, n))
    return np.asarray(solve_layers(*problem, max_steps, max(1, min(n, 2**22 // n))), np.int64)


def _check_bytes(need: int, max_steps: int, n: int) -> None:
    check_bytes(need, MAX_BYTES, f"a solve for {max_steps} steps of n = {n}", "ask for fewer steps")
