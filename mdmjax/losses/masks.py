r"""Which tokens are masked in which call: drawn by NumPy, so that any program can draw the same."""

import math
from typing import Literal

import equinox as eqx
import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .._types import Bool, Int

MOST_LEVELS, EVERY = 32, 64
"""Mask counts of a measurement, but for sequences of at most 64 tokens: there all of them (our choice)."""

MaskKind = Literal["independent", "nested", "antithetic"]
"""One order a call; prefixes of one order a sequence; of one order and of its reverse."""


class MaskPlan(eqx.Module):
    r"""The calls of a measurement, one row each: in row `r`, `masked(r)` of sequence `sequence[r]`.

    `regions[s]` are the positions of sequence $s$ that may be masked, $n_s$ of them, and `n` is the median
    of the $n_s$. A row has the level `n_masked[r]`, out of `1..n`; of a sequence of another length as
    large a share is masked, $\max(1, \lfloor n_s\, \mathtt{n\_masked} / n + \tfrac12 \rfloor)$ tokens.
    """

    n: int = eqx.field(static=True)
    regions: Bool[np.ndarray, "samples length"]
    sequence: Int[np.ndarray, " rows"]
    n_masked: Int[np.ndarray, " rows"]
    order: Int[np.ndarray, " rows"]
    seed: int = eqx.field(static=True)
    masks: MaskKind = eqx.field(static=True)

    @property
    def rows(self) -> int:
        """How many calls there are."""
        return self.sequence.size

    def masked(self, row: int) -> Bool[np.ndarray, " length"]:
        """The positions that are masked: those that come first in a random order of the region."""
        sequence, number = int(self.sequence[row]), int(self.order[row])
        places = np.flatnonzero(self.regions[sequence])
        back = self.masks == "antithetic" and number % 2 == 1
        order = np.random.default_rng([self.seed, 1 + number - back, sequence]).permutation(places)
        count = max(1, math.floor(places.size * int(self.n_masked[row]) / self.n + 0.5))
        masked = np.zeros(self.regions.shape[1], bool)
        masked[(order[::-1] if back else order)[:count]] = True
        return masked


def mask_plan(
    seed: int,
    regions: Bool[np.ndarray, "samples length"],
    *,
    masks: MaskKind = "nested",
    levels: Int[np.ndarray, " levels"] | None = None,
    rounds: int | None = None,
) -> MaskPlan:
    r"""Each sequence masked `rounds` times, stratified: each level as often as any other, to within one.

    With the $N$ sequences in a random order, number $j$ has in round $r$ the level of number
    $(j + rN + \lfloor rN / \mathrm{lcm}(N, K) \rfloor) \bmod K$ of $K$ (`mask_counts`). In $K$ rounds,
    if nothing is said, every sequence is masked at every level; in $2K$ for antithetic masks.

    Raises:
        InvalidInputError: a seed, a level or rounds out of range; a region without positions; fewer than
            two rows of a level.

    >>> plan = mask_plan(0, np.ones((3, 4), bool))
    >>> np.unique(plan.n_masked, return_counts=True)[1].tolist()
    [3, 3, 3, 3]
    >>> bool(plan.masked(0).sum() == plan.n_masked[0])
    True
    """
    check_integer("seed", seed, 0)
    lengths = regions.sum(axis=1)
    size = regions.shape[0]
    if size < 2:
        refuse("data", f"{size} sequences", "two or more", "a standard error needs two")
    if lengths.min() == 0:
        refuse("regions", f"without a position in sequence {lengths.argmin()}", "one or more in each")
    n = int(np.sort(lengths)[size // 2])
    levels = mask_levels(n) if levels is None else np.unique(levels)
    if levels.size == 0 or levels[0] < 1 or levels[-1] != n:
        refuse("levels", levels.tolist(), f"mask counts in 1..{n} with n = {n} among them")
    whole = levels.size * (2 if masks == "antithetic" else 1)
    rounds = whole if rounds is None else check_integer("rounds", rounds, 1)
    if masks == "antithetic" and rounds % whole:
        refuse("rounds", rounds, f"a multiple of {whole}", "every level with an order and its reverse")
    if rounds * size < 2 * levels.size:
        least = -(-2 * levels.size // size)
        refuse("rounds", rounds, f"{least} or more", "a standard error needs two sequences a mask count")
    place = np.random.default_rng([seed, 0]).permutation(size)
    level = mask_counts(place, levels.size, rounds).reshape(-1) - 1
    number = np.repeat(np.arange(rounds), size) // (1 if masks == "independent" else levels.size)
    return MaskPlan(n, regions, np.tile(np.arange(size), rounds), levels[level], number, seed, masks)


def mask_levels(n: int) -> Int[np.ndarray, " levels"]:
    r"""All of `1..n` if these are at most 64, else about 32, dense where few tokens are revealed.

    The revealed counts are $\lfloor (n - 1) (j / 31)^2 + \tfrac12 \rfloor$ for $j = 0..31$, each once (our
    choice): a model learns most from its first tokens, and there schedules differ most.

    >>> (128 - mask_levels(128)[::-1])[:12].tolist()
    [0, 1, 2, 3, 5, 6, 8, 11, 13, 16, 19, 22]
    """
    if n <= EVERY:
        return np.arange(1, n + 1)
    share = (np.arange(MOST_LEVELS) / (MOST_LEVELS - 1)) ** 2
    return np.unique(n - np.floor((n - 1) * share + 0.5).astype(np.int64))


def mask_counts(
    place: Int[np.ndarray, " samples"], n: int, rounds: int
) -> Int[np.ndarray, "rounds samples"]:
    """How many tokens of each sequence are masked in each round: see `masked_losses`."""
    size = place.size
    start = np.array([r * size + r * size // math.lcm(size, n) for r in range(rounds)])
    return (start[:, None] + place[None, :]) % n + 1
