r"""One Bellman recursion for every class of policies, over tables of a state and a set to reveal.

For a deterministic policy that reveals $B$ after seeing $x_C$ with exact conditionals,
$\mathrm{KL}(p \| q_\pi) = \mathbb{E}_p \sum_t \mathrm{TC}(X_{B_t} \mid x_{C_t})$ (arXiv 2608.25505, Thm 1):
the least KL is a shortest path over the $(q+1)^n$ partial assignments. A denoiser $\hat p$ adds
$\sum_{i \in B_t} \mathrm{KL}(p(x_i \mid x_{C_t}) \| \hat p(x_i \mid x_{C_t}))$ to each step, its own error.

A pair of a state and a set is a word over `0..q+1`: symbols, `q` for masked, `q+1` for revealed in this
step; its tables have $(q+2)^n$ entries and are filled one axis at a time. Values are weighted by $p(x_C)$,
so that expectations are plain sums. NaN is the cost of a set that may not be chosen; `inf` is that of one
that may, and of a state that is unfinished with no step left, whether the data have it or not.
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import marginal_table
from .._errors import check_bytes
from .._numerics import neg_xlogx
from .._types import Array, Bool, Float, Int
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ..schedules.schedule import Schedule, check_total
from ._local import context_rows, forward_errors


class Policies(eqx.Module):
    """A class of policies: what their choices may depend on, and which choices are theirs.

    With `adaptive` false they see which positions are revealed, not the tokens. With `random` they choose
    how many positions to reveal, and these are uniformly random. With `counts` the number is given.
    """

    adaptive: bool = eqx.field(static=True, default=True)
    random: bool = eqx.field(static=True, default=False)
    counts: tuple[int, ...] | None = eqx.field(static=True, default=None)


any_policy = Policies()
"""Every deterministic policy that reveals and never masks again."""

fixed_partition = Policies(adaptive=False)
"""Fixed ordered partitions: policies that do not look at the tokens."""

random_order = Policies(random=True)
"""Random orders whose step sizes depend on all that is seen; their KL is a mean over the positions."""


def given_sizes(schedule: Schedule, *, adaptive: bool = True) -> Policies:
    """The policies that reveal `counts[t]` positions of their choice in step `t`."""
    return Policies(adaptive=adaptive, counts=tuple(schedule.counts.tolist()))


class Problem(eqx.Module):
    """What every state and set costs, the mass of every state, and its value with no step left."""

    costs: Float[Array, "..."]
    weights: Float[Array, "..."]
    values: Float[Array, "..."]
    random: bool = eqx.field(static=True)


class Swept(NamedTuple):
    """Cost and calls from all masked, and the set (or size) chosen in every state."""

    cost: Float[Array, ""]
    calls: Float[Array, ""]
    choices: Int[Array, " codes"]


def problem(joint: Joint, among: Policies, denoiser: AbstractDenoiser | None, rows: int = 1) -> Problem:
    """The tables of a class of policies, of which `rows` rows of choices will be kept.

    Raises:
        InvalidInputError: tables of more than 2 GiB; `counts` that do not sum to `n`; a denoiser of
            another size, or whose rows are NaN or do not sum to one in a context that occurs.
    """
    n, q = joint.n, joint.q
    need = (2 * n + 8 if among.random else 6) * (q + 2) ** n * joint.probs.dtype.itemsize
    what = "the optimal random order" if among.random else "the optimal policy"
    remedy = f"at n = {n}, q = {q} it has {q + 2}^{n} pairs of a state and a set; use fewer positions"
    check_bytes(need + rows * (q + 1) ** n * 4, MAX_TABLE_BYTES, what, remedy)
    if among.counts is not None:
        check_total(Schedule(among.counts), n)
    errors = None if denoiser is None else forward_errors(*context_rows(joint, denoiser))
    return Problem(*_tables(joint.probs, errors, among), among.random)


def sweeps(given: Problem, count: int, price: float = 0.0) -> Iterator[Swept]:
    """The best of the class with `1..count` steps left, at `price` nats a call."""
    values, calls = given.values, jnp.zeros_like(given.values)
    for _ in range(count):
        at = np.asarray(price, values.dtype)
        values, calls, swept = _sweep(given.costs, given.weights, values, calls, at, random=given.random)
        yield swept


def priced(given: Problem, price: float) -> Swept:
    """The best at a price, its KL as `cost`; every step reveals something, so `n` sweeps are enough."""
    *_, (cost, calls, choices) = sweeps(given, given.weights.ndim, price)
    return Swept(jnp.maximum(cost - price * calls, 0.0), calls, choices)


@functools.partial(jax.jit, static_argnames="random")
def _sweep(costs, weights, values, calls, price, *, random: bool):
    """One sweep: the least cost over the choices, the calls it takes, and the choice, for every state."""
    future, later = values, calls
    for axis in range(values.ndim):
        future, later = _append_sum(future, axis), _append_sum(later, axis)
    best = _best_size if random else _best_set
    least, later, choices = best(costs + future, later)
    masked = _how_many(values.shape, -1) > 0
    values = jnp.where(masked, least + price * weights, 0.0)
    calls = jnp.where(masked, later + weights, 0.0)
    return values, calls, Swept(values.reshape(-1)[-1], calls.reshape(-1)[-1], choices.reshape(-1))


def _best_set(total: Float[Array, "..."], later: Float[Array, "..."]):
    """The least over the sets, one axis at a time: the last two slots (masked, revealed now) become one.

    Ties leave a position masked, but where all is infinite as much is revealed as may be: then it ends.
    """
    sets = jnp.zeros(total.shape, jnp.int32)
    for axis in range(total.ndim):
        revealed, kept = _slot(total, axis, -1), _slot(total, axis, -2)
        better = (revealed < kept) | (~(kept < jnp.inf) & ~jnp.isnan(revealed))
        sets = _better(sets, axis, better, 1 << axis)
        later = _better(later, axis, better)
        total = _better(total, axis, better)
    return total, later, sets


def _better(table: Array, axis: int, better: Bool[Array, "..."], gain: int = 0) -> Array:
    """The last two slots of an axis as one: the better of them, plus `gain` if that is revealed."""
    symbols = jax.lax.slice_in_dim(table, 0, table.shape[axis] - 2, axis=axis)
    picked = jnp.where(better, _slot(table, axis, -1) + gain, _slot(table, axis, -2))
    return jnp.concatenate([symbols, picked], axis)


def _best_size(total: Float[Array, "..."], later: Float[Array, "..."]):
    """The least over the sizes of the mean over the sets of a size; the first of equals."""
    n, count = total.ndim, _how_many(tuple(size - 1 for size in total.shape), -1)
    ways = jnp.asarray([[math.comb(m, s) for m in range(n + 1)] for s in range(n + 1)], total.dtype)
    ways = ways[:, count]
    means, thens = (_by_size(table) / jnp.maximum(ways, 1.0) for table in (total, later))
    allowed = (ways > 0) & ~jnp.isnan(means)
    means = jnp.where(allowed, means, jnp.inf)
    size = jnp.arange(n + 1).reshape((n + 1,) + (1,) * n)
    largest = jnp.max(jnp.where(allowed, size, 0), axis=0)
    best = jnp.where(jnp.isinf(jnp.min(means, axis=0)), largest, jnp.argmin(means, axis=0))
    least, then = (jnp.take_along_axis(x, best[None], axis=0)[0] for x in (means, thens))
    return least, then, best.astype(jnp.int32)


def _by_size(table: Float[Array, "..."]) -> Float[Array, "sizes ..."]:
    """Sums over the sets of every size: the last two slots of an axis (masked, revealed now) become one."""
    table = table[None]
    for axis in range(1, table.ndim):
        slots, none = table.shape[axis], ((0, 0),) * table.ndim
        kept = jax.lax.slice_in_dim(table, 0, slots - 1, axis=axis)
        # What is kept is of the same size, what is revealed of the next; symbols are kept.
        moved = ((1, 0), *none[1:axis], (slots - 2, 0), *none[axis + 1 :])
        table = jnp.pad(kept, ((0, 1), *none[1:])) + jnp.pad(_slot(table, axis, -1), moved)
    return table


@eqx.filter_jit
def _tables(
    probs: Float[Array, "..."], errors: Float[Array, "n contexts"] | None, among: Policies
) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    """The cost of every pair, NaN where it may not be chosen, and the weight and value of every state."""
    n, q = probs.ndim, probs.shape[0]
    weights = marginal_table(probs)
    costs = _correlations(neg_xlogx(weights))
    if errors is not None:
        costs = costs + _error_sums(errors.reshape((n,) + weights.shape))
    if not among.adaptive:
        for axis in range(n):
            symbols, rest = jnp.split(costs, [q], axis)
            costs = jnp.concatenate([symbols.sum(axis, keepdims=True), rest], axis)
        weights = jnp.ones((2,) * n, probs.dtype)
    size, unfinished = _how_many(costs.shape, -1), _how_many(weights.shape, -1) > 0
    allowed = size > 0
    if among.counts is not None:
        ends = np.repeat(np.cumsum(among.counts), among.counts)
        wanted = jnp.asarray([-1, *(ends - np.arange(n))[::-1]], jnp.int32)  # by the masked positions
        allowed = size == wanted[size + _how_many(costs.shape, -2)]
    return jnp.where(allowed, costs, jnp.nan), weights, jnp.where(unfinished, jnp.inf, 0.0 * weights)


def _correlations(terms: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""$p(x_C)\,\mathrm{TC}(X_B \mid x_C)$ of every pair, from the table of $-p \log p$.

    It is $\sum_{i \in B} h_i - h_B$ with $h_B = \sum_{x_B} -p \log p\,(x_C x_B) + p \log p\,(x_C)$.
    """
    state = joint = terms
    singles = jnp.zeros_like(terms)
    for axis in range(terms.ndim):
        symbols, masked = jnp.split(state, [terms.shape[0] - 1], axis)
        h = symbols.sum(axis, keepdims=True) - masked
        singles = jnp.concatenate([singles, _slot(singles, axis, -1) + h], axis)
        joint = _append_sum(joint, axis)
        state = jnp.concatenate([state, masked], axis)
    return singles - (joint - state)


def _error_sums(errors: Float[Array, "n ..."]) -> Float[Array, "..."]:
    r"""$\sum_{i \in B} e_i(x_C)$ of every pair; what is revealed in the step counts as masked in $C$."""
    total = jnp.zeros((errors.shape[1] + 1,) * errors.shape[0], errors.dtype)
    for position, table in enumerate(errors):
        for axis in range(table.ndim):
            masked = _slot(table, axis, -1)
            kept = jnp.zeros_like(table) if axis == position else table
            table = jnp.concatenate([kept, masked], axis)
        total = total + table
    return total


def _append_sum(table: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The sum over the symbols, behind the slot of the mask."""
    symbols = jax.lax.slice_in_dim(table, 0, table.shape[axis] - 1, axis=axis)
    return jnp.concatenate([table, symbols.sum(axis, keepdims=True)], axis)


def _how_many(shape: tuple[int, ...], index: int) -> Int[Array, "..."]:
    """How many indices of every entry are `index`, counted from the end of their axis."""
    found = jnp.zeros(shape, jnp.int32)
    for axis, size in enumerate(shape):
        line = (jnp.arange(size) == size + index).astype(jnp.int32)
        found = found + line.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return found


def _slot(table: Array, axis: int, index: int) -> Array:
    """One slot of an axis, counted from the end, kept as an axis of length one."""
    first = table.shape[axis] + index
    return jax.lax.slice_in_dim(table, first, first + 1, axis=axis)
