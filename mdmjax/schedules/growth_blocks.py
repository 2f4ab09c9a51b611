r"""Blocks of the logit axis in which the odds grow at one rate (arXiv 2608.13520, section 4).

A block of width $S_k$ in logits with growth mass $H_k$ takes $N_k$ steps and costs at most
$(e^{S_k/N_k} - 1) H_k$ nats (Theorem 1).
"""

import heapq
import math
from typing import NamedTuple

import numpy as np

from .._types import Float
from ..information.ugc import GrowthProfile

MOST_BLOCKS = 16  # of the logit axis, cut at some of so many equal places (our choices)
PLACES = 128


class Blocks(NamedTuple):
    r"""Blocks of the logit axis between `edges`, with the growth mass $H_k$ of each, or a bound of it."""

    edges: list[float]
    mass: list[float]

    @property
    def widths(self) -> Float[np.ndarray, " blocks"]:
        r"""$S_k$."""
        return np.diff(self.edges)

    @property
    def cost(self) -> float:
        r"""$C(P) = (\sum_k \sqrt{S_k H_k})^2$ (arXiv 2608.13520, Eq. 27)."""
        return float(np.sum(np.sqrt(self.widths * np.array(self.mass))) ** 2)


class Steps(NamedTuple):
    """`steps` that were asked for, `each` of the blocks between `edges`, and the KL that is promised."""

    steps: int
    each: list[int]
    edges: list[float]
    promised: float


def best_blocks(profile: GrowthProfile, most: int = MOST_BLOCKS) -> list[Blocks]:
    r"""The partition into `1..most` blocks with the least $C(P)$, its ends among `PLACES` equal ones.

    The dynamic programme of arXiv 2608.13520, Eq. 39: a block from place $i$ to $j$ costs $\sqrt{S H}$.
    """
    at = np.unique(np.linspace(0, len(profile.logits) - 1, PLACES + 1).astype(int))
    logits, mass = np.asarray(profile.logits)[at], np.asarray(profile.mass)[at]
    gap, inside = logits[None, :] - logits[:, None], mass[None, :] - mass[:, None]
    edge = np.where(gap > 0, np.sqrt(np.maximum(gap * inside, 0)), np.inf)
    best, back, cuts = edge[0], [], []
    for blocks in range(1, min(most, at.size - 1) + 1):
        if blocks > 1:
            through = best[:, None] + edge
            back.append(np.argmin(through, axis=0))
            best = np.min(through, axis=0)
        ends = [at.size - 1]
        for row in reversed(back):
            ends.append(int(row[ends[-1]]))
        ends = [0, *reversed(ends)]
        cuts.append(Blocks(logits[ends].tolist(), np.diff(mass[ends]).tolist()))
    return cuts


def prop1_steps(blocks: Blocks, epsilon: float) -> Steps:
    r"""Proposition 1 of arXiv 2608.13520: $N$ with $4 C(P)/N \le \varepsilon$, and its multipliers.

    `multipliers` $\rho_k$ and $N \ge 2(K + 2L)$, with $L$ the width of all blocks (Eq. 28); block $k$ takes
    $\lceil S_k / \log(1 + \rho_k) \rceil$ steps, at most $N$ in all. With upper bounds of the masses in
    their place it is Theorem 2 (Eq. 37).

    >>> prop1_steps(Blocks([-1.0, 0.0, 1.0], [0.01, 0.25]), 0.1)
    Steps(steps=15, each=[2, 4], edges=[-1.0, 0.0, 1.0], promised=0.096)
    """
    count, length = len(blocks.mass), blocks.edges[-1] - blocks.edges[0]
    steps = max(math.ceil(4 * blocks.cost / epsilon), math.ceil(2 * (count + 2 * length)))
    each = multiplier_steps(blocks, multipliers(blocks, steps))
    return Steps(steps, each, blocks.edges, 4 * blocks.cost / steps)


def multipliers(blocks: Blocks, steps: int) -> Float[np.ndarray, " blocks"]:
    r"""$\rho_k = \min\{1, \frac{4 \sqrt C}{N} \sqrt{S_k/H_k}\}$ (arXiv 2608.13520, Eq. 28a and 37a)."""
    mass = np.array(blocks.mass)
    ratio = np.sqrt(blocks.widths / np.where(mass > 0, mass, 1.0))
    return np.where(mass > 0, np.minimum(1.0, 4 * math.sqrt(blocks.cost) / steps * ratio), 1.0)


def multiplier_steps(blocks: Blocks, rho: Float[np.ndarray, " blocks"]) -> list[int]:
    """Steps in which the odds of each block grow by at most `1 + rho[k]`."""
    return np.ceil(blocks.widths / np.log1p(rho) - 1e-9).astype(int).clip(1).tolist()


def integer_programme(blocks: Blocks, epsilon: float, most: int) -> Steps | None:
    r"""The fewest steps with $\sum_k (e^{S_k/N_k} - 1) H_k \le \varepsilon$; None if more than `most`.

    (arXiv 2608.13520, Eq. 26b.) Each term is convex in $N_k$: a step more where it gains most is optimal.

    >>> integer_programme(Blocks([-1.0, 0.0, 1.0], [0.01, 0.25]), 0.1, 9).each
    [1, 4]
    """
    price = lambda k, steps: math.expm1(widths[k] / steps) * blocks.mass[k]
    widths, each = blocks.widths.tolist(), [1] * len(blocks.mass)
    total = sum(price(k, 1) for k in range(len(each)))
    waiting = [(price(k, 2) - price(k, 1), k) for k in range(len(each))]
    heapq.heapify(waiting)
    while total > epsilon:
        if sum(each) >= most:
            return None
        gain, k = heapq.heappop(waiting)
        total, each[k] = total + gain, each[k] + 1
        heapq.heappush(waiting, (price(k, each[k] + 1) - price(k, each[k]), k))
    return Steps(sum(each), each, list(blocks.edges), sum(price(k, steps) for k, steps in enumerate(each)))


def block_edges(n: int, blocks: int) -> list[float]:
    r"""Equal blocks of $|\lambda| \le \log(n-1)$: a partition that is fixed before any data are seen.

    >>> [round(edge, 3) for edge in block_edges(5, 2)]
    [-1.386, 0.0, 1.386]
    """
    return np.linspace(-math.log(n - 1), math.log(n - 1), blocks + 1).tolist()
