r"""The law of random order as a pure function of arrays: level by level, all sets of positions at once.

The masses of a level are an axis of sets, and an axis for each revealed token in the order of positions. A
way to place the new tokens among the old is a broadcast: nothing is looked up but whole sets.
"""

import itertools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import states_with
from .._numerics import safe_log
from .._types import Array, Bool, Float, Int
from ..denoisers.base import AbstractDenoiser, Oracle
from ..distributions.base import known_rows
from ..schedules.schedule import Schedule, check_total
from ._told import told, truth_of
from .law import Law
from .random_order import check_size

TOLERANCE = {8: 1e-9, 4: 1e-4}  # of the sum of a row, by the bytes of its numbers

Rows = Callable[[np.ndarray, np.ndarray], Array]
"""From states' sets and a masked position of each to their rows: `[sets, q, ..., q]`, one axis a token and
one for the position, all in the order of positions."""


@eqx.filter_jit
def level_law(denoiser: AbstractDenoiser, counts: tuple[int, ...]) -> Law:
    r"""The mixture over all ordered partitions with these counts, by the sum of `random_order_law`.

    $\binom{n}{N} \binom{n-N}{s} q^{N+s}$ products a step. The $\binom{N+s}{s}$ ways to place its tokens are
    unrolled, so that many of them compile long: steps of few tokens, or few positions. See `dense_law`.
    """
    n, q, schedule = denoiser.n, denoiser.q, Schedule(counts)
    check_total(schedule, n)
    check_size(n, q, schedule)
    truth = truth_of(denoiser)
    marginals = None if truth is None else marginal_levels(truth)
    dtype = jnp.result_type(float) if truth is None else truth.dtype
    mass = jnp.ones((1,), dtype)
    for start, count in zip(schedule.boundaries[:-1].tolist(), counts, strict=True):
        if marginals is not None and isinstance(denoiser, Oracle):
            rows = _truth_rows(marginals, mass, start)
        else:
            rows = _denoised_rows(denoiser, marginals, mass, start)
        mass = _after(rows, mass, n, q, start, count)
    calls = jnp.zeros((schedule.steps + 1,), dtype).at[-1].set(1.0)
    finalised = jnp.asarray(np.tile(schedule.counts / n, (n, 1)), dtype)
    return Law(mass.reshape((q,) * n), calls, finalised, jnp.zeros((), dtype), "levels")


def _after(rows: Rows, mass: Array, n: int, q: int, start: int, count: int) -> Array:
    """The masses after a step."""
    end = start + count
    after, number = _sets(n, end), _numbers(n, start)
    mass = mass / math.comb(n - start, count)
    total = jnp.zeros((len(after),) + (q,) * end, mass.dtype)
    for places in itertools.combinations(range(end), count):
        drawn = after[:, places]
        source = number[(1 << after).sum(1) - (1 << drawn).sum(1)]
        term = jnp.expand_dims(_of_sets(mass, source), [1 + place for place in places])
        for place, position in zip(places, drawn.T, strict=True):
            others = [1 + other for other in places if other != place]
            term = term * jnp.expand_dims(rows(source, position), others)
        total += term
    return total


def marginal_levels(probs: Float[Array, "..."]) -> list[Array]:
    """$p(x_S)$ by the size of $S$: `[sets, q, ..., q]`, an axis a token in the order of positions."""
    n, levels = probs.ndim, [probs[None]]
    for size in range(n - 1, -1, -1):
        sets, number = _sets(n, size), _numbers(n, size + 1)
        first = np.argmin(_member(sets, n), axis=1)  # missing: all before it are there, so it is its axis
        bits, parts = (1 << sets).sum(1), []
        for axis in np.unique(first).tolist():
            larger = _of_sets(levels[-1], number[bits[first == axis] + (1 << axis)])
            parts.append(jnp.sum(larger, axis=1 + axis))
        levels.append(_of_sets(jnp.concatenate(parts), np.argsort(np.argsort(first, kind="stable"))))
    return levels[::-1]


def _truth_rows(marginals: list[Array], mass: Array, start: int) -> Rows:
    """The rows of the truth: a marginal of one more token, divided by that of the state."""
    n = len(marginals) - 1
    sets, number, here = _sets(n, start), _numbers(n, start + 1), marginals[start]
    possible = here > 0
    scale = jnp.where(possible, 1 / jnp.where(possible, here, 1.0), jnp.where(mass == 0, 0.0, jnp.nan))

    def rows(source, position):
        more = _of_sets(marginals[start + 1], number[(1 << sets[source]).sum(1) + (1 << position)])
        return more * jnp.expand_dims(_of_sets(scale, source), 1 + _place(sets, source, position))

    return rows


def _place(sets: np.ndarray, source: np.ndarray, position: np.ndarray) -> int:
    """The axis that the positions have among those of their sets, which is one for all."""
    return int(np.sum(sets[source[0]] < position[0]))


def _denoised_rows(
    denoiser: AbstractDenoiser, marginals: list[Array] | None, mass: Array, start: int
) -> Rows:
    """The rows of any denoiser: it is called at every state of the level."""
    n, q = denoiser.n, denoiser.q
    sets, states = _sets(n, start), jnp.asarray(states_with(start, n, q))
    masked = states == q
    if marginals is None:
        log_probs = jax.vmap(denoiser)(states)
    else:
        truth = _truth_rows(marginals, jnp.ones_like(mass), start)
        member, parts, pairs = _member(sets, n), [], []
        for place in range(start + 1):  # positions with so many tokens before them: one axis for all
            source, position = np.nonzero(~member & (np.cumsum(member, axis=1) == place))
            rows = jnp.moveaxis(truth(source, position), 1 + place, -1)
            parts.append(rows.reshape(source.size, -1, q))
            pairs.append(source * n + position)
        found = np.zeros(member.size, int)  # revealed positions take any: they are not used
        found[np.concatenate(pairs)] = np.arange(sum(part.shape[0] for part in parts))
        probs = _of_sets(jnp.concatenate(parts), found).reshape(len(sets), n, -1, q)
        probs = jnp.moveaxis(probs, 1, 2).reshape(-1, n, q)
        log_probs = jnp.where(jnp.isnan(probs), probs, safe_log(probs))
        known = jax.vmap(lambda state: known_rows(state, q))(states)
        log_probs = jnp.where(masked[:, :, None], log_probs, known.astype(mass.dtype))
        log_probs = jax.vmap(lambda state, rows: told(denoiser, rows)(state))(states, log_probs)
    probs = _checked(jnp.exp(log_probs).astype(mass.dtype), mass.reshape(-1), masked)
    probs = jnp.moveaxis(probs.reshape(len(sets), -1, n, q), 2, 0).reshape(-1, *mass.shape[1:], q)

    def found_rows(source: np.ndarray, position: np.ndarray) -> Array:
        row = _of_sets(probs, position * len(sets) + source)
        return jnp.moveaxis(row, -1, 1 + _place(sets, source, position))

    return found_rows


def _checked(probs: Array, mass: Array, masked: Array) -> Array:
    """Rows of sum one: 0 where no mass is, NaN where they are no probabilities."""
    sums, reached = jnp.sum(probs, axis=-1, keepdims=True), (mass != 0)[:, None, None]
    right = jnp.all((jnp.abs(sums[..., 0] - 1) <= TOLERANCE[probs.dtype.itemsize]) | ~masked, axis=1)
    good = reached & right[:, None, None]
    filled = jnp.where(good, probs, 0.0) / jnp.where(good, sums, 1.0)
    return jnp.where(reached & ~good, jnp.nan, filled)


def _sets(n: int, count: int) -> Int[np.ndarray, "sets count"]:
    """All sets of `count` positions, in order."""
    return np.array([*itertools.combinations(range(n), count)], int).reshape(math.comb(n, count), count)


def _of_sets(table: Array, which: Int[np.ndarray, " m"]) -> Array:
    """The rows `which` of a table: known to be there, so that whole rows are copied."""
    return table.at[which.astype(np.int32)].get(mode="promise_in_bounds")


def _member(sets: Int[np.ndarray, "sets count"], n: int) -> Bool[np.ndarray, "sets n"]:
    """Whether each position is in each set."""
    return np.any(sets[:, :, None] == np.arange(n), axis=1)


def _numbers(n: int, count: int) -> Int[np.ndarray, " bits"]:
    """The number of each set of `count` positions, by its bits."""
    sets, number = _sets(n, count), np.zeros(2**n, int)
    number[(1 << sets).sum(1)] = np.arange(len(sets))
    return number
