r"""The best schedule for every number of steps: a shortest path."""

import equinox as eqx
import numpy as np

from .._types import Array, Float, Int
from .schedule import Schedule


class Frontier(eqx.Module):
    """The least `step_gap` for every number of steps, and a schedule that reaches each."""

    gaps: Float[np.ndarray, " max_steps"]
    parents: Int[np.ndarray, "max_steps points"]

    def schedule(self, steps: int) -> Schedule:
        """An optimal schedule of exactly `steps` steps."""
        end, counts = self.parents.shape[1] - 1, []
        for step in range(steps - 1, -1, -1):
            start = int(self.parents[step, end])
            counts.append(end - start)
            end = start
        return Schedule(counts[::-1])


def frontier(values: Float[Array, " n"], max_steps: int) -> Frontier:
    """PLACEHOLDER (slow, exact): every optimum of `1..max_steps` steps of `step_gap(values, .)`."""
    v = np.asarray(values, dtype=np.float64)
    n = v.shape[0]
    total = np.concatenate([[0.0], np.cumsum(v)])
    i, j = np.arange(n)[:, None], np.arange(n + 1)[None, :]
    cost = np.where(i < j, total[None, :] - total[:-1, None] - (j - i) * v[:, None], np.inf)
    best = np.full(n + 1, np.inf)
    best[0] = 0.0
    gaps, parents = [], []
    for _ in range(max_steps):
        candidates = best[:-1, None] + cost
        parents.append(candidates.argmin(0))
        best = candidates.min(0)
        gaps.append(best[n])
    return Frontier(np.array(gaps), np.array(parents))


def optimal_schedule(values: Float[Array, " n"], steps: int) -> Schedule:
    """An optimal schedule of exactly `steps` steps."""
    return frontier(values, steps).schedule(steps)


def fewest_steps(values: Float[Array, " n"], epsilon: float) -> Schedule:
    """The optimal schedule of the fewest steps whose `step_gap` is at most `epsilon`."""
    result = frontier(values, values.shape[0])
    return result.schedule(int(np.argmax(result.gaps <= epsilon)) + 1)
