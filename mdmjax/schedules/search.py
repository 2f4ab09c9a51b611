r"""A search for good schedules that knows nothing of shortest paths: evaluate very many of them.

It is the independent check of `optimal_schedule`, which no search can beat, and it is what is left
when a cost is not a sum over steps. A schedule of $k$ steps is a set of $k - 1$ starts in $1..n-1$.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Bool, Float, Int, Key
from .named import check_steps
from .schedule import Schedule, gap_of_starts, step_gap

MAX_SCHEDULES = 2**22
"""The most schedules that `exhaustive_search` evaluates."""

BLOCK_ENTRIES = 2**22
"""About how many numbers a block of schedules may hold: a block has this many divided by `n`."""


def exhaustive_search(values: Float[Array, " n"], steps: int) -> tuple[Schedule, Float[Array, ""]]:
    r"""The best of all $\binom{n-1}{k-1}$ schedules of `steps` steps, and its `step_gap`.

    Schedules are made from their rank in lexicographic order, in blocks, so that memory does not
    grow with their number. Of equal ones the first is returned: the one with the latest starts.

    Raises:
        InvalidInputError: `steps` not in `1..n`, or more than `MAX_SCHEDULES` schedules.

    >>> schedule, gap = exhaustive_search(jnp.array([0.0, 0.0, 1.0, 1.0]), 2)
    >>> schedule.counts.tolist(), float(gap)
    ([2, 2], 0.0)
    """
    n = values.shape[0]
    check_steps(n, steps)
    total = math.comb(n - 1, steps - 1)
    if total > MAX_SCHEDULES:
        refuse(
            "n, steps",
            f"{n}, {steps}",
            f"at most {MAX_SCHEDULES} schedules, not {total}",
            "use random_search or optimal_schedule",
        )
    # choices[m, r]: ways to choose r starts among the n-1-m positions after m.
    choices = [[math.comb(n - 1 - m, r) for r in range(steps)] for m in range(n)]
    table = jnp.asarray(np.minimum(np.array(choices, dtype=object), total).astype(np.int32))
    gaps, rank = _evaluate_all(values, table, total)
    return _as_schedule(_starts_of_rank(table, rank)), gaps


def random_search(
    key: Key[Array, ""], values: Float[Array, " n"], steps: int, candidates: int
) -> tuple[Schedule, Float[Array, ""]]:
    r"""The best of `candidates` random schedules moved downhill, and its `step_gap`.

    Each candidate starts from a uniformly random set of starts. A move takes one start away and
    puts it back where the gap is least, among equals at the first place or, in every other sweep
    over the starts, at the last; so sizes wander until they meet what they can be evened out with.
    It ends when two sweeps gain nothing. Costs $O(n k)$ a sweep and candidate. What is found need
    not be the optimum. (Our own check, of no paper.)

    Raises:
        InvalidInputError: `steps` not in `1..n`, or `candidates < 1`.

    >>> values = jnp.array([0.0, 0.0, 1.0, 1.0, 2.0])
    >>> schedule, gap = random_search(jax.random.key(0), values, 3, candidates=4)
    >>> schedule.counts.tolist(), float(gap)
    ([2, 2, 1], 0.0)
    """
    n = values.shape[0]
    check_steps(n, steps)
    if candidates < 1:
        refuse("candidates", candidates, "an integer >= 1")
    if steps == 1:
        return Schedule([n]), step_gap(values, Schedule([n]))
    is_start, gap = _search(jax.random.split(key, candidates), values, steps)
    return _as_schedule(is_start), gap


@eqx.filter_jit
def _evaluate_all(
    values: Float[Array, " n"], table: Int[Array, "n steps"], total: int
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The least gap of the schedules of rank `0..total-1`, and the first rank that has it."""

    def gap(rank: Int[Array, ""]) -> Float[Array, ""]:
        return gap_of_starts(values, _starts_of_rank(table, rank))

    ranks = jnp.arange(total, dtype=table.dtype)
    gaps = jax.lax.map(gap, ranks, batch_size=_block(values.shape[0], total))
    best = jnp.argmin(gaps)
    return gaps[best], ranks[best]


def _starts_of_rank(table: Int[Array, "n steps"], rank: Int[Array, ""]) -> Bool[Array, " n"]:
    """The set of this rank: each position is skipped, or taken if the sets without it run out."""

    def visit(
        state: tuple[Int[Array, ""], Int[Array, ""]], without: Int[Array, " steps"]
    ) -> tuple[tuple[Int[Array, ""], Int[Array, ""]], Bool[Array, ""]]:
        rank, missing = state
        skipped = without[missing]
        take = rank >= skipped
        return (jnp.where(take, rank - skipped, rank), jnp.where(take, missing - 1, missing)), take

    missing = jnp.full((), table.shape[1] - 1, table.dtype)
    _, taken = jax.lax.scan(visit, (rank, missing), table[1:])
    return jnp.concatenate([jnp.ones((1,), bool), taken])


@eqx.filter_jit
def _search(
    keys: Key[Array, " candidates"], values: Float[Array, " n"], steps: int
) -> tuple[Bool[Array, " n"], Float[Array, ""]]:
    """The best local optimum, one candidate a key."""
    n, total = values.shape[0], keys.shape[0]

    def one(key: Key[Array, ""]) -> tuple[Float[Array, ""], Int[Array, " inner"]]:
        inner = jax.random.permutation(key, n - 1)[: steps - 1] + 1
        inner = _descend(values, inner)
        return gap_of_starts(values, _mask(n, inner)), inner

    gaps, inners = jax.lax.map(one, keys, batch_size=_block(n, total))
    best = jnp.argmin(gaps)
    return _mask(n, inners[best]), gaps[best]


def _descend(values: Float[Array, " n"], inner: Int[Array, " inner"]) -> Int[Array, " inner"]:
    """Pairs of sweeps of `_move` over every start, while a pair gains more than rounding."""
    n, count = values.shape[0], inner.shape[0]
    tie = jnp.finfo(values.dtype).eps * n * jnp.max(jnp.abs(values))

    def sweep(inner: Int[Array, " inner"], last: bool) -> Int[Array, " inner"]:
        move = lambda t, inner: _move(values, inner, t, tie, last)
        return jax.lax.fori_loop(0, count, move, inner)

    def pair(
        state: tuple[Int[Array, " inner"], Float[Array, ""], Bool[Array, ""]],
    ) -> tuple[Int[Array, " inner"], Float[Array, ""], Bool[Array, ""]]:
        inner, gap, _ = state
        inner = sweep(sweep(inner, last=False), last=True)
        lower = gap_of_starts(values, _mask(n, inner))
        return inner, lower, lower < gap - 2 * count * tie

    start = (inner, jnp.full((), jnp.inf, values.dtype), jnp.array(True))
    return jax.lax.while_loop(lambda state: state[2], pair, start)[0]


def _move(
    values: Float[Array, " n"],
    inner: Int[Array, " inner"],
    t: Int[Array, ""],
    tie: Float[Array, ""],
    last: bool,
) -> Int[Array, " inner"]:
    r"""Start `t` put where it saves most: $(v_m - v_p)(q - m)$, $p < m < q$ the next starts."""
    n = values.shape[0]
    positions = jnp.arange(n, dtype=inner.dtype)
    others = _mask(n, inner).at[inner[t]].set(False)
    before = jax.lax.cummax(jnp.where(others, positions, 0))
    after = jax.lax.cummin(jnp.where(others, positions, n), reverse=True)
    saved = (values - values[before]) * (after - positions).astype(values.dtype)
    saved = jnp.where(others, -jnp.inf, saved)
    best = saved >= jnp.max(saved) - tie
    place = jnp.max(jnp.where(best, positions, 0)) if last else jnp.argmax(best)
    return inner.at[t].set(place.astype(inner.dtype))


def _mask(n: int, inner: Int[Array, " inner"]) -> Bool[Array, " n"]:
    """Starts as a mask; a schedule always starts at 0."""
    return jnp.zeros(n, bool).at[inner].set(True).at[0].set(True)


def _block(n: int, total: int) -> int:
    return max(1, min(total, BLOCK_ENTRIES // n))


def _as_schedule(is_start: Bool[Array, " n"]) -> Schedule:
    starts = np.flatnonzero(np.asarray(is_start))
    return Schedule(np.diff([*starts.tolist(), is_start.shape[0]]))
