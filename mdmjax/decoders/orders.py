r"""Rules that do not look at what the denoiser says: random subsets and fixed partitions.

Where a schedule gives the sizes, a step goes on from `m` revealed tokens to the next end $N_{t+1} > m$.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from .._checks import Numbers, check_integer
from .._errors import refuse
from .._types import Array, Bool, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..schedules.schedule import Schedule, check_schedule
from .base import AbstractRule


class RandomSubset(AbstractRule):
    """A uniformly random set of masked positions, of the schedule's size.

    Raises:
        InvalidInputError: at the first use, counts that do not sum to the number of positions.

    >>> rule, masked = RandomSubset(Schedule([2, 1])), jnp.array([2, 2, 2])
    >>> int(rule.choose(jax.random.key(0), jnp.zeros((3, 2)), masked, jnp.array(0)).sum())
    2
    """

    ends: Int[Array, " n"]
    is_random = True

    def __init__(self, schedule: Schedule):
        self.ends = ends_of(schedule)

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The masked positions that come first in a random order."""
        masked = tokens == log_probs.shape[1]
        return first(jax.random.permutation(key, tokens.shape[0]), masked, step_size(self.ends, masked))

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """Uniform over the sets of masked positions of the schedule's size."""
        masked = tokens == log_probs.shape[1]
        return uniform_choice_law(masked, step_size(self.ends, masked), log_probs.dtype)


class FixedPartition(AbstractRule):
    """The blocks of an ordered partition of the positions, one a step.

    Raises:
        InvalidInputError: blocks that are empty or do not hold each of `0..n-1` once; at the first use,
            another number of positions.

    >>> rule = FixedPartition([[1], [0, 2]])
    >>> rule.choose(jax.random.key(0), jnp.zeros((3, 2)), jnp.array([2, 0, 2]), jnp.array(1)).tolist()
    [True, False, True]
    """

    levels: Int[Array, " n"]
    is_random = False

    def __init__(self, blocks: Sequence[Sequence[int]]):
        parts = [[check_integer("blocks", i, 0) for i in block] for block in blocks]
        positions = sorted(i for part in parts for i in part)
        if not parts or not all(parts) or positions != list(range(len(positions))):
            refuse("blocks", parts, "each of 0..n-1 once, and no empty block")
        level_of = {i: level for level, part in enumerate(parts) for i in part}
        self.levels = jnp.asarray([level_of[i] for i in positions])

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The masked positions of the first block that has any."""
        check_positions("blocks", self.levels, tokens)
        masked = tokens == log_probs.shape[1]
        return masked & (self.levels == jnp.min(self.levels, where=masked, initial=tokens.shape[0]))


def subsets(n: int) -> Bool[np.ndarray, "subsets n"]:
    """All sets of positions: bit `i` of the index is position `i`."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def uniform_choice_law(
    masked: Positions, size: Int[Array, ""], dtype: jnp.dtype
) -> Float[Array, " subsets"]:
    """Uniform over the sets of `size` masked positions."""
    sets = subsets(masked.shape[0])
    fits = (jnp.all(masked[None, :] | ~sets, axis=1) & (jnp.sum(sets, axis=1) == size)).astype(dtype)
    return fits / jnp.sum(fits)


def left_to_right(schedule: Schedule) -> FixedPartition:
    """The next `counts[t]` positions from the left in step `t`.

    >>> left_to_right(Schedule([1, 2])).levels.tolist()
    [0, 1, 1]
    """
    check_schedule(schedule)
    parts = np.split(np.arange(schedule.n), schedule.boundaries[1:-1])
    return FixedPartition([part.tolist() for part in parts])


def right_to_left(schedule: Schedule) -> FixedPartition:
    """The next `counts[t]` positions from the right in step `t`.

    >>> right_to_left(Schedule([1, 2])).levels.tolist()
    [1, 1, 0]
    """
    check_schedule(schedule)
    parts = np.split(np.arange(schedule.n)[::-1], schedule.boundaries[1:-1])
    return FixedPartition([part.tolist() for part in parts])


def dilated(n: int) -> FixedPartition:
    """The dilated levels of DUS: multiples of a power of two, which halves until every position is there.

    The first stride is the largest power of two below `n` (our choice where `n` is none). `n` below 1 is
    refused.

    >>> dilated(8).levels.tolist()
    [0, 2, 1, 2, 0, 2, 1, 2]
    """
    halvings = max(1, (check_integer("n", n, 1) - 1).bit_length())
    seen = [set(), *(set(range(0, n, 1 << i)) for i in reversed(range(halvings)))]
    return FixedPartition([sorted(after - before) for before, after in itertools.pairwise(seen)])


def ends_of(schedule: Schedule) -> Int[Array, " n"]:
    """For each number of revealed tokens, how many there are after the step that comes next."""
    check_schedule(schedule)
    return jnp.asarray(np.repeat(schedule.boundaries[1:], schedule.counts))


def step_size(ends: Int[Array, " m"], masked: Positions) -> Int[Array, ""]:
    """How many of the masked positions the next step reveals."""
    check_positions("counts", ends, masked)
    revealed = jnp.sum(~masked, dtype=ends.dtype)
    return ends[jnp.minimum(revealed, ends.shape[0] - 1)] - revealed


def first(priority: Num[Array, " n"], masked: Positions, count: Int[Array, ""]) -> Positions:
    """The `count` masked positions of least `priority`, the lowest position first among equals."""
    return masked & (rank(priority, masked) < count)


def rank(priority: Num[Array, " n"], masked: Positions) -> Int[Array, " n"]:
    """The place of each position in the order that `first` takes; masked ones come before the others."""
    # Counted, not sorted: n^2 comparisons that fuse are far faster than a batch of short sorts.
    lower = jnp.arange(masked.size)[:, None] < jnp.arange(masked.size)[None, :]
    before = (priority[:, None] < priority[None, :]) | ((priority[:, None] == priority[None, :]) & lower)
    same = masked[:, None] == masked[None, :]
    return jnp.sum(jnp.where(same, before, masked[:, None]), axis=0)


def places_of(order: Numbers) -> Int[Array, " n"]:
    """The place of each position in `order`, refused if it is no permutation."""
    positions = np.asarray(order)
    if positions.ndim != 1 or sorted(positions.tolist()) != list(range(positions.size)):
        refuse("order", positions.tolist(), f"a permutation of 0..{positions.size - 1}")
    return jnp.asarray(np.argsort(positions))


def check_positions(argument: str, known: Int[Array, " m"], tokens: Array) -> None:
    """Refuse a rule that was made for another number of positions."""
    if known.shape != tokens.shape:
        refuse(argument, f"for {known.shape[0]} positions", f"n = {tokens.shape[0]} positions")
