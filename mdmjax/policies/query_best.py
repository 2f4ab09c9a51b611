r"""The best strategies of the query game at small `n`, by trying every set of sizes.

Sizes need not be repeated. If $s$ is asked twice, then $s - 1$ in place of the second hits every $k < s$
with a chance $q$ times as large, and $k = s$ is seen by the first. If $s - 1$ is asked too it moves on, and
if all of $1..s$ are, every $k \le s$ is seen for certain, and any larger size does no harm. A strategy is a
row of sizes until it has seen the code, so a random one is a law on these sets.
"""

import dataclasses
import itertools
import math

import numpy as np
from scipy.optimize import linprog

from .._checks import check_integer
from .._errors import check_bytes
from .._types import Float, Int
from ..distributions.base import MAX_TABLE_BYTES
from .query_game import one_query
from .query_outputs import output_tv


@dataclasses.dataclass(frozen=True)
class BestStrategy:
    """Ask the sizes `rows[i]` with probability `chances[i]`; `tv` is the largest total variation."""

    rows: Int[np.ndarray, "rows queries"]
    chances: Float[np.ndarray, " rows"]
    tv: float


def best_sizes(n: int, q: int, queries: int) -> Int[np.ndarray, " queries"]:
    r"""The sizes of best mean `detection` over $k$, by trying all $\binom{n-1}{T}$ sets of them.

    No strategy, random or not, reaches more than that mean on every $k$. No more than `n - 1` sizes are
    needed. Refuses more than 2 GiB.

    >>> best_sizes(5, 5, 2).tolist()
    [2, 4]
    """
    rows, missed = _every_set(n, q, queries)
    return rows[np.argmin(missed.sum(1))]


def best_strategy(n: int, q: int, queries: int) -> BestStrategy:
    r"""The random strategy of least $\max_k$ `output_tv`: the value of the game for $T$ queries, exact.

    $$\min_w \max_{0<k<n} (1 - q^{k-n}) \sum_R w_R \prod_{s \in R} \big(1 - [s \ge k]\, q^{-(s-k)}\big)$$

    over laws $w$ on sets of sizes: a linear programme. (What it outputs while it has seen nothing is as in
    `output`.) We found no closed form for every $T$. At $T = 1$ the value is `tv_bound`, later it is above
    it; at $T = n-2$ only the size left out can be missed, and it is
    $1 / \sum_k 1 / \big((1 - q^{k-n}) \prod_{i<n-k} (1 - q^{-i})\big)$; at $n - 1$ it is 0. Refuses as
    `best_sizes`.

    >>> best = best_strategy(3, 3, 1)
    >>> best.rows.tolist(), best.chances.round(3).tolist(), round(best.tv, 3)
    ([[1], [2]], [0.471, 0.529], 0.314)
    """
    rows, missed = _every_set(n, q, queries)
    apart = output_tv(np.zeros(n - 1), q)
    # The last variable is the largest distance.
    above = np.column_stack([(missed * apart).T, -np.ones(n - 1)])
    total = np.append(np.ones(len(rows)), 0.0)
    found = linprog(1 - total, A_ub=above, b_ub=np.zeros(n - 1), A_eq=total[None], b_eq=[1.0])
    chances = np.maximum(found.x[:-1], 0.0)
    used = chances > 0
    chances = chances[used] / chances[used].sum()
    return BestStrategy(rows[used], chances, float(np.max(chances @ missed[used] * apart)))


def _every_set(
    n: int, q: int, queries: int
) -> tuple[Int[np.ndarray, "rows queries"], Float[np.ndarray, "rows dimensions"]]:
    """Every set of so many sizes, and the probability that it misses each dimension."""
    n, queries = check_integer("n", n, 2), min(check_integer("queries", queries, 1), n - 1)
    number = math.comb(n - 1, queries)
    check_bytes(128 * number * n, MAX_TABLE_BYTES, "all strategies", "ask less", n=n, queries=queries)
    rows = np.array(list(itertools.combinations(range(1, n), queries)))
    missed_by = 1 - one_query(np.arange(1, n), n, q)
    missed = np.ones((number, n - 1))
    for column in rows.T:
        missed *= missed_by[column - 1]
    return rows, missed
