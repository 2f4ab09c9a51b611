r"""Theorems 24 and 25 of arXiv 2511.04647, run: $o(n)$ queries of the oracle do not find a code.

Of a Reed-Solomon code of unknown dimension $k$, $0 < k < n = q$, or of none, a strategy sees only answers
to its queries (`mdmjax.policies.query_game`). All numbers are exact: the probability that some answer is
not uniform, as its mean and as its least over $k$, and the largest total variation over $k$ from the law of
what is output at last to the code. An unseen code is sampled as the uniform distribution.
"""

import dataclasses

import numpy as np

from mdmjax.policies.query_best import best_sizes, best_strategy
from mdmjax.policies.query_game import (
    asked,
    bisecting,
    detection,
    detection_bound,
    doubling,
    random_detection,
)
from mdmjax.policies.query_outputs import (
    any_output_bound,
    least_queries,
    output_tv,
    queries_to_reach,
    tv_bound,
)

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    log2_n: tuple[int, ...] = (3, 4, 5, 6, 7, 8)
    """Lengths, as powers of two; the last is shown in full. At most 8, for there is no larger field."""
    small_n: int = 9
    """Length at which every strategy is tried; a prime power."""


SMOKE = Config(log2_n=(2, 3), small_n=4)

BUDGETS = {
    "$\\log_2 n$": np.log2,
    "$\\sqrt{n}$": np.sqrt,
    "$n/4$": lambda n: n / 4,
    "$n/2$": lambda n: n / 2,
    "$n-1$": lambda n: n - 1,
}


def success(n: int) -> dict[str, np.ndarray]:
    """Of each strategy the detection after 1..n-1 queries, `[queries, k]`; who stops keeps the last."""
    found = {"random": random_detection(n, n)}
    for name, strategy in (("bisecting", bisecting(n)), ("doubling", doubling(n))):
        rows = detection(asked(strategy, n, most=n - 1), n, n)
        found[name] = np.concatenate([rows, np.repeat(rows[-1:], n - 1 - len(rows), axis=0)])
    return found


def distances(found: dict[str, np.ndarray], n: int) -> list[np.ndarray]:
    """After 1..n-1 queries the largest total variation over k of each strategy, and two bounds of any.

    The first is of those with our output, the second of those with any.
    """
    largest = np.stack([output_tv(rows, n).max(1) for rows in found.values()])
    bounds = [[bound(n, n, t) for t in range(1, n)] for bound in (tv_bound, any_output_bound)]
    return [largest, *map(np.array, bounds)]


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Means and extremes over k at two lengths; for every length, what budgets reach and what is needed."""
    lengths = [2**m for m in config.log2_n]
    least = np.zeros((len(BUDGETS), len(lengths)))
    enough, needed = np.zeros((2, len(lengths)), int)
    for j, n in enumerate(progress(lengths, "lengths")):
        rows = random_detection(n, n)
        for i, budget in enumerate(BUDGETS.values()):
            least[i, j] = rows[int(np.ceil(budget(n))) - 1].min()
        enough[j] = queries_to_reach(output_tv(rows, n))
        needed[j] = next(t for t in range(1, n) if tv_bound(n, n, t) <= 1 / 16)
    large, small = success(lengths[-1]), success(config.small_n)
    queries = range(1, config.small_n)
    best = [best_sizes(config.small_n, config.small_n, number) for number in queries]
    tv, bound, any_bound = distances(large, lengths[-1])
    small_tv, small_bound, small_any_bound = distances(small, config.small_n)
    return {
        "strategy": np.array(list(large)),
        "n": np.array(lengths),
        "small_n": np.array(config.small_n),
        "budget": np.array(list(BUDGETS)),
        "random_least_over_k": least,
        "mean_over_k": np.stack([rows.mean(1) for rows in large.values()]),
        "mean_over_k_bound": np.array(
            [detection_bound(lengths[-1], lengths[-1], t) for t in range(1, lengths[-1])]
        ),
        "small_mean_over_k": np.stack([rows.mean(1) for rows in small.values()]),
        "small_best_mean_over_k": np.array(
            [detection(sizes, config.small_n, config.small_n)[-1].mean() for sizes in best]
        ),
        "small_bound": np.array([detection_bound(config.small_n, config.small_n, t) for t in queries]),
        "largest_tv": tv,
        "largest_tv_bound": bound,
        "largest_tv_any_bound": any_bound,
        "small_largest_tv": small_tv,
        "small_largest_tv_bound": small_bound,
        "small_largest_tv_any_bound": small_any_bound,
        "small_best_largest_tv": np.array(
            [best_strategy(config.small_n, config.small_n, number).tv for number in queries]
        ),
        "random_queries": enough,
        "uniform_output_queries": needed,
        "least_queries": np.array([least_queries(n, n) for n in lengths]),
    }
