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

Table = Float[Array, "..."]


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

    costs: Table
    weights: Table
    values: Table
    random: bool = eqx.field(static=True)


class Swept(NamedTuple):
    """Cost and calls from all masked, and the set (or size) chosen in every state."""

    cost: Float[Array, ""]
    calls: Float[Array, ""]
    choices: Int[Array, " codes"]


def problem(joint: Joint, among: Policies, denoiser: AbstractDenoiser | None, rows: int = 1) -> Problem:
    """The tables of a class of policies, of which `rows` rows of choices will be kept."""
    n, q = joint.n, joint.q
    need = (2 * n + 8 if among.random else 6) * (q + 2) ** n * joint.probs.dtype.itemsize
    what = "the optimal random order" if among.random else "the optimal policy"
    remedy = f"at n = {n}, q = {q} it has {q + 2}^{n} pairs of a state and a set; use fewer positions"
    check_bytes(need + rows * (q + 1) ** n * 4, MAX_TABLE_BYTES, what, remedy)
    if among.counts is not None:
        check_total(Schedule(among.counts), n)
    errors = None if denoiser is None else forward_errors(*context_rows(joint, denoiser))
    return _tables(joint.probs, errors, among)


def sweeps(given: Problem, count: int, price: float = 0.0) -> Iterator[Swept]:
    """The best of the class with `1..count` steps left, at `price` nats a call."""
    values, calls = given.values, jnp.zeros_like(given.values)
    at = np.asarray(price, values.dtype)
    for _ in range(count):
        values, calls, swept = _sweep(given.costs, given.weights, values, calls, at, random=given.random)
        yield swept


def priced(given: Problem, price: float) -> Swept:
    """The best at a price, its KL as `cost`: every step reveals something, so `n` sweeps are enough."""
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


def _best_set(total: Table, later: Table):
    """The least over the sets, one axis at a time: the last two slots (masked, revealed now) become one.

    Ties leave a position masked, but where all is infinite as much is revealed as may be: then it ends.
    """
    sets = jnp.zeros(total.shape, jnp.int32)
    for axis in range(total.ndim):
        kept, revealed = jnp.split(jax.lax.slice_in_dim(total, -2, None, axis=axis), 2, axis)
        better = (revealed < kept) | (~(kept < jnp.inf) & ~jnp.isnan(revealed))
        sets = _better(sets, axis, better, 1 << axis)
        later = _better(later, axis, better)
        total = _better(total, axis, better)
    return total, later, sets


def _better(table: Array, axis: int, better: Bool[Array, "..."], gain: int = 0) -> Array:
    """The last two slots of an axis as one: the better of them, plus `gain` if that is revealed."""
    symbols, kept, revealed = jnp.split(table, [table.shape[axis] - 2, table.shape[axis] - 1], axis)
    return jnp.concatenate([symbols, jnp.where(better, revealed + gain, kept)], axis)


def _best_size(total: Table, later: Table):
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


def _by_size(table: Table) -> Float[Array, "sizes ..."]:
    """Sums over the sets of every size: the last two slots of an axis (masked, revealed now) become one."""
    table = table[None]
    for axis in range(1, table.ndim):
        slots, none = table.shape[axis], ((0, 0),) * table.ndim
        kept, revealed = jnp.split(table, [slots - 1], axis)
        # What is kept is of the same size, what is revealed of the next; symbols are kept.
        moved = ((1, 0), *none[1:axis], (slots - 2, 0), *none[axis + 1 :])
        table = jnp.pad(kept, ((0, 1), *none[1:])) + jnp.pad(revealed, moved)
    return table


@eqx.filter_jit
def _tables(probs: Table, errors: Float[Array, "n contexts"] | None, among: Policies) -> Problem:
    """Costs are NaN where a set may not be chosen."""
    n, weights = probs.ndim, marginal_table(probs)
    costs = _correlations(neg_xlogx(weights))
    if errors is not None:
        costs = costs + _error_sums(errors.reshape((n,) + weights.shape))
    if not among.adaptive:
        costs = summed(costs, probs.shape[0])
        weights = jnp.ones((2,) * n, probs.dtype)
    size, unfinished = _how_many(costs.shape, -1), _how_many(weights.shape, -1) > 0
    allowed = size > 0
    if among.counts is not None:
        ends = np.repeat(np.cumsum(among.counts), among.counts)
        wanted = jnp.asarray([-1, *(ends - np.arange(n))[::-1]], jnp.int32)  # by the masked positions
        allowed = size == wanted[size + _how_many(costs.shape, -2)]
    values = jnp.where(unfinished, jnp.inf, 0.0 * weights)
    return Problem(jnp.where(allowed, costs, jnp.nan), weights, values, among.random)


def _correlations(terms: Table) -> Table:
    r"""$p(x_C)\,\mathrm{TC}(X_B \mid x_C)$ of every pair, from the table of $-p \log p$.

    It is $\sum_{i \in B} h_i - h_B$ with $h_B = \sum_{x_B} -p \log p\,(x_C x_B) + p \log p\,(x_C)$.
    """
    state = joint = terms
    singles = jnp.zeros_like(terms)
    for axis in range(terms.ndim):
        symbols, masked = jnp.split(state, [terms.shape[0] - 1], axis)
        h = symbols.sum(axis, keepdims=True) - masked
        singles = jnp.concatenate([singles, jax.lax.index_in_dim(singles, -1, axis) + h], axis)
        joint = _append_sum(joint, axis)
        state = jnp.concatenate([state, masked], axis)
    return singles - (joint - state)


def _error_sums(errors: Float[Array, "n ..."]) -> Table:
    r"""$\sum_{i \in B} e_i(x_C)$ of every pair; what is revealed in the step counts as masked in $C$."""
    total = jnp.zeros((errors.shape[1] + 1,) * errors.shape[0], errors.dtype)
    for position, table in enumerate(errors):
        for axis in range(table.ndim):
            masked = jax.lax.index_in_dim(table, -1, axis)
            kept = jnp.zeros_like(table) if axis == position else table
            table = jnp.concatenate([kept, masked], axis)
        total = total + table
    return total


def summed(table: Table, q: int, first: int = 0) -> Table:
    """The sum over the `q` symbols of every axis from `first` on, before what is no symbol."""
    for axis in range(first, table.ndim):
        symbols, rest = jnp.split(table, [q], axis)
        table = jnp.concatenate([symbols.sum(axis, keepdims=True), rest], axis)
    return table


def _append_sum(table: Table, axis: int) -> Table:
    """The sum over the symbols, behind the slot of the mask."""
    symbols = jax.lax.slice_in_dim(table, 0, -1, axis=axis)
    return jnp.concatenate([table, symbols.sum(axis, keepdims=True)], axis)


def _how_many(shape: tuple[int, ...], index: int) -> Int[Array, "..."]:
    """How many indices of every entry are `index`, counted from the end of their axis."""
    found = jnp.zeros(shape, jnp.int32)
    for axis, size in enumerate(shape):
        found += (jax.lax.broadcasted_iota(jnp.int32, shape, axis) == size + index).astype(jnp.int32)
    return found
