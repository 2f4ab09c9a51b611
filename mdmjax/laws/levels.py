r"""Random orders as pure functions of arrays: level by level, all sets of positions at once.

A step from $a$ to $b$ revealed tokens is a linear map of the masses of states,

$$m'(x') = \binom{n-a}{b-a}^{-1} \sum_{B \subset S',\, |B| = b-a} m(x'_{S' \setminus B})
\prod_{i \in B} \hat p(x'_i \mid x'_{S' \setminus B}),$$

the same for all schedules that take it: `step_after`. The states of a level are sets of positions, then
their words. A law needs the steps that its schedule takes. Where the schedule is traced, all steps are
made, $(2q+1)^n$ products, and those that it does not take carry no mass: one program for all schedules.
"""

import itertools
import math
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._contexts import marginal_table, place_values, states_with
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Bool, Float, Int
from ..denoisers.base import AbstractDenoiser, Oracle
from ..distributions.base import known_rows
from ..distributions.joint import MAX_TABLE_BYTES, check_table_size
from ._told import answers_all, told, truth_of
from .law import Law
from .random_order import check_terms

TOLERANCE = {8: 1e-9, 4: 1e-4}  # of the sum of a row, by the bytes of its numbers


def schedule_law(denoiser: AbstractDenoiser, ends: Int[Array, " n"]) -> Law:
    """The mixture over all ordered partitions of a schedule, by its `ends_of`, known or traced.

    Where they are known, it is compiled for them; where they are traced, calls and steps are padded to `n`.
    """
    if ends.shape[0] != denoiser.n:
        refuse("counts", f"of sum {ends.shape[0]}", f"a sum of n = {denoiser.n}", "one for every token")
    steps = [*itertools.combinations(range(denoiser.n + 1), 2)]
    if not isinstance(ends, Tracer):
        reached = np.unique(np.concatenate([[0], np.asarray(ends)])).tolist()
        steps = [*itertools.pairwise(reached)]
    check_levels(denoiser.n, denoiser.q, steps)
    return _schedule_law(denoiser, ends, tuple(steps))


@eqx.filter_jit
def _schedule_law(
    denoiser: AbstractDenoiser, ends: Int[Array, " n"], steps: tuple[tuple[int, int], ...]
) -> Law:
    n, q = denoiser.n, denoiser.q
    truth = truth_of(denoiser)
    dtype = jnp.result_type(float) if truth is None else truth.dtype
    marginals = None if truth is None else marginal_table(truth).reshape(-1)
    masses = {0: jnp.ones((1, 1), dtype)}
    for start, some in itertools.groupby(steps, lambda step: step[0]):
        rows, right = _rows(denoiser, marginals, start, dtype)
        mass = nan_unless(right, masses.pop(start))
        for _, end in some:
            taken = mass * (ends[start] == end).astype(dtype)
            masses[end] = masses.get(end, 0.0) + step_after(rows, taken, start, end)
    step = jnp.cumsum(jnp.concatenate([jnp.zeros((1,), bool), ends[1:] != ends[:-1]]))
    most = len({start for start, _ in steps})  # steps
    sizes = jnp.sum((step[:, None] == jnp.arange(most)[None, :]).astype(dtype), axis=0)
    calls = (jnp.arange(most + 1) == step[-1] + 1).astype(dtype)
    finalised = jnp.tile(sizes / n, (n, 1))
    return Law(masses[n].reshape((q,) * n), calls, finalised, jnp.zeros((), dtype), "levels")


def step_after(
    rows: Float[Array, "states n q"], mass: Float[Array, "states many"], start: int, end: int
) -> Float[Array, "after many"]:
    """The masses after a step: of as many ways to begin as there are, of the same rows."""
    n, q = rows.shape[1:]
    sets, drawn = sets_of(n, end), end - start
    position, digit, rank = (
        jnp.asarray(x.astype(np.int32))
        for x in (sets.T, np.indices((q,) * end).reshape(end, -1), _ranks(n))
    )
    place_value = jnp.asarray(q ** np.arange(start - 1, -1, -1), rank.dtype)
    chances = rows.reshape(-1)

    @jax.checkpoint  # else the derivative keeps every product
    def place(total: Array, which: tuple[Array, Array]) -> tuple[Array, None]:
        """Adds what comes of one way to place the new tokens among the old."""
        new, old = which
        before = _at(rank, jnp.sum(1 << _at(position, old), axis=0, dtype=rank.dtype))
        word = jnp.sum(_at(digit, old) * place_value[:, None], axis=0, dtype=rank.dtype)
        source = before[:, None] * q**start + word[None, :]
        entry = _at(position, new)[:, :, None] * q + _at(digit, new)[:, None, :]
        chance = _at(chances, source * (n * q) + entry[0])
        for one in range(1, drawn):
            chance *= _at(chances, source * (n * q) + entry[one])
        return total + _at(mass, source) * chance[:, :, None], None

    empty = jnp.zeros((sets.shape[0], q**end, mass.shape[1]), mass.dtype)
    old = sets_of(end, start)[::-1]  # of the lexicographic order the complements are the reverse
    places = tuple(jnp.asarray(x.astype(np.int32)) for x in (sets_of(end, drawn), old))
    total = jax.lax.scan(place, empty, places)[0] / math.comb(n - start, drawn)
    return total.reshape(-1, mass.shape[1])


def fit_rows(
    probs: Float[Array, "states n q"], revealed: int, dtype: jnp.dtype
) -> tuple[Float[Array, "states n q"], Bool[Array, " states"]]:
    """The rows of masked positions with sum one, and which states have them: others have rows of zeros."""
    n, q = probs.shape[1:]
    masked = jnp.asarray(states_with(revealed, n, q) == q)
    near = jnp.abs(jnp.sum(probs, axis=2) - 1) <= TOLERANCE[probs.dtype.itemsize]
    right = jnp.all(near | ~masked, axis=1)
    used = (right[:, None] & masked)[:, :, None]
    rows = jnp.where(used, probs, 0.0).astype(dtype)
    return rows / jnp.where(used, jnp.sum(rows, axis=2, keepdims=True), 1.0), right


def nan_unless(right: Bool[Array, " states"], mass: Float[Array, "states many"]) -> Array:
    """The masses, NaN where a state is reached and is not right."""
    return jnp.where(right[:, None] | (mass == 0), mass, jnp.nan)


def probs_of(log_rows: Float[Array, "..."]) -> Float[Array, "..."]:
    """Probabilities, 0 where the rows are NaN: derivatives stay finite."""
    return jnp.exp(jnp.where(jnp.isnan(log_rows), -jnp.inf, log_rows))


def _rows(
    denoiser: AbstractDenoiser, marginals: Array | None, revealed: int, dtype: jnp.dtype
) -> tuple[Float[Array, "states n q"], Bool[Array, " states"]]:
    """What the denoiser says of every state of a level, as `fit_rows` has it."""
    n, q = denoiser.n, denoiser.q
    tokens, place = states_with(revealed, n, q), place_values(n, q)
    states, code, masked = jnp.asarray(tokens), tokens @ place, (tokens == q)[:, :, None]
    if marginals is None:
        return fit_rows(probs_of(jax.vmap(denoiser)(states)), revealed, dtype)
    here = _at(marginals, code)[:, None, None]
    written = code[:, None, None] + np.where(masked, place[:, None] * (np.arange(q) - q), 0)
    probs = _at(marginals, written) / jnp.where(here > 0, here, 1.0)
    if isinstance(denoiser, Oracle):  # of sum one already; what revealed positions have is not used
        return probs, here[:, 0, 0] > 0
    # Any other denoiser is NaN there too: what it is told instead keeps its derivatives finite.
    missing = jnp.nan if answers_all(denoiser) else -math.log(q)
    log_rows = jnp.where(here > 0, safe_log(probs), missing)
    known = jax.vmap(lambda state: known_rows(state, q))(states).astype(probs.dtype)
    log_rows = jnp.where(jnp.asarray(masked), log_rows, known)
    log_rows = jax.vmap(lambda state, rows: told(denoiser, rows)(state))(states, log_rows)
    if not answers_all(denoiser):
        log_rows = jnp.where(here > 0, log_rows, jnp.nan)
    return fit_rows(probs_of(log_rows), revealed, dtype)


def sets_of(n: int, count: int) -> Int[np.ndarray, "sets count"]:
    """All sets of `count` positions, in order."""
    sets = [*itertools.combinations(range(n), count)]
    return np.array(sets, int).reshape(len(sets), count)


@lru_cache(maxsize=8)
def _ranks(n: int) -> Int[np.ndarray, " bits"]:
    """Where a set, as bits, stands among those of its size."""
    rank = np.zeros(2**n, int)
    for count in range(n + 1):
        sets = sets_of(n, count)
        rank[(1 << sets).sum(1)] = np.arange(sets.shape[0])
    return rank


def _at(table: Array, which: Array | np.ndarray) -> Array:
    """The entries `which` of a table, known to be there."""
    return table.at[which.astype(np.int32)].get(mode="promise_in_bounds")


def check_levels(n: int, q: int, steps: list[tuple[int, int]]) -> None:
    """Refuse steps of too many products, calls or bytes, before they are tried."""
    check_table_size(n, q)
    states = [math.comb(n, m) * q**m for m in range(n + 1)]
    # Marginals, then the states, the denoised rows and the fit rows of a level, and four arrays of a step.
    need = 3 * (q + 1) ** n + max(states[a] * n * (4 * q + 1) + 4 * states[b] for a, b in steps)
    remedy = "use fewer positions, or exact_law"
    check_bytes(8 * need, MAX_TABLE_BYTES, "the levels of a random order", remedy, n=n, q=q)
    check_terms(n, q, steps)
