r"""Forward-backward of an HMM: what each position is told from its left and from its right.

Once scaled, for many sequences at once, which is fast; and once in the log domain, which loses nothing to
underflow. Both take what is seen from the left and what is seen from the right, tokens with the mask `q`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._numerics import fast_log, safe_log
from .._types import Array, Float, Tokens
from ._chain import log_sum_exp, rescaled
from .base import known_rows

RESCALE, WIDE = 4, 128
"""Positions between two rescalings where a step has as many numbers; every one otherwise (measured)."""

FEW, NARROW = 4, 512
"""States, and numbers of a step, up to which a product is a sum of vectors: no call (measured)."""

BLOCK = 2048
"""Numbers of a step, at most, on a CPU: messages of more sequences at once leave its caches (measured)."""

Found = tuple[Array, Array]
"""Log-evidence of what is seen from the left, and rows of log-probabilities, of one or more sequences."""


def rows_of_context(known: bool) -> Callable[[Array, Array, Array, Tokens, Tokens], Found]:
    r"""The function of `initial`, `transition`, `emission`, `left`, `right` for one sequence; vmaps.

    With `known` a position that `left` reveals has its own symbol with probability one. Rows are NaN where
    what is seen from the left cannot occur. Under `jax.vmap` over sequences it is one pass of all of them,
    with states before sequences, so that sums over states are sums of vectors.
    """

    def single(initial, transition, emission, left, right):
        found = _checked(initial, transition, emission, left[None], right[None], known)
        return found[0][0], found[1][0]

    one = jax.custom_batching.custom_vmap(single)

    @one.def_vmap
    def many(size, batched, initial, transition, emission, left, right):
        if any(batched[:3]):  # every sequence has a model of its own
            each = jax.vmap(single, [0 if own else None for own in batched])
            return each(initial, transition, emission, left, right), (True, True)
        sides = zip((left, right), batched[3:], strict=True)
        left, right = (x if own else jnp.broadcast_to(x, (size, *x.shape)) for x, own in sides)
        return _checked(initial, transition, emission, left, right, known), (True, True)

    return one


def _checked(initial: Array, transition: Array, emission: Array, left: Array, right: Array, known: bool):
    """By the scaled pass; in the log domain where that could have lost something."""
    (size, _), states = left.shape, initial.shape[0]
    whole = functools.partial(_scaled, initial, transition, emission, known=known, blocks=1)
    if size * states <= BLOCK:
        *found, sound = whole(left, right)
    else:
        parts = functools.partial(whole, blocks=-(-size * states // BLOCK))
        *found, sound = jax.lax.platform_dependent(left, right, cpu=parts, default=whole)

    def again(state):
        done, log_evidence, rows = state
        place = jnp.argmin(done)
        exact = in_log_domain(initial, transition, emission, left[place], right[place], known)
        found = zip((done, log_evidence, rows), (jnp.array(True), *exact), strict=True)
        return tuple(old.at[place].set(new) for old, new in found)

    # One turn for each sequence that is not sound: of a branch, a batch would always take both sides.
    return jax.lax.while_loop(lambda state: ~jnp.all(state[0]), again, (sound, *found))[1:]


def _scaled(
    initial: Array,
    transition: Array,
    emission: Array,
    left: Array,
    right: Array,
    *,
    known: bool,
    blocks: int,
):
    r"""Log-evidence and rows of sequences `[size, n]`, and which of them are sound; in so many `blocks`.

    With $a$ and $e$ the least positive transition and emission, and $r$ positions between two rescalings,
    messages that have just been rescaled must have positive entries of at least $f = \sqrt{t / (a e)^r}$,
    $t$ the least normal float. Then those $j < r$ positions on have at least $f (a e)^j$ and their products
    at least $f (a e)^r \ge t$, so that by induction no entry was lost; and in a conditional
    $f (a e)^j f (a e)^{r-1-j} e \ge t$.
    """
    (size, n), states, q, dtype = left.shape, initial.shape[0], emission.shape[-1], initial.dtype
    fixed, block = transition.ndim == emission.ndim == 2, -(-size // blocks)
    every = RESCALE if fixed and block * states >= WIDE else 1
    turns = -(-n // every)
    padding = ((0, blocks * block - size), (0, turns * every - n))
    padded = lambda x: jnp.pad(x.astype(jnp.int32), padding, constant_values=q)
    chunks = lambda x: jnp.moveaxis(padded(x).reshape(blocks, block, turns, every), 1, 3)
    shown = jnp.concatenate([emission, jnp.ones_like(emission[..., :1])], axis=-1)  # what a mask shows: 1
    still = jnp.eye(states, dtype=dtype)[None]
    moves = transition if transition.ndim == 2 else None
    after_it, before_it = ((None, None) if moves is not None else (
        jnp.concatenate([transition, still]), jnp.concatenate([still, transition])))  # fmt: skip
    own = shown if emission.ndim == 3 else None
    given = lambda one, own: one if own is None else own
    seen = lambda state, own, tokens: state * given(shown, own).at[:, tokens].get(mode="clip")
    times = lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    step = _sum_of_vectors if states <= FEW and block * states <= NARROW else times
    scaled = lambda state, total: state * (1 / jnp.where(total > 0, total, 1.0))[None, :]

    def forward(state, inputs):
        tokens, move, own = inputs
        found = []
        for place in range(every):
            found.append(state)
            state = step(given(moves, move).T, seen(state, own, tokens[place]))
        total = jnp.sum(state, axis=0)
        return scaled(state, total), (jnp.stack(found), total)

    def both_ways(table, inputs):
        """Those of a block, whose rows are written into the table of all."""
        number, left, right = inputs
        first = jnp.broadcast_to(initial[:, None], (states, block))
        before, totals = jax.lax.scan(forward, first, (left, after_it, own))[1]
        log_evidence = jnp.sum(safe_log(totals), axis=0)
        possible = log_evidence > -jnp.inf

        def backward(carry, inputs):
            state, least, table = carry
            turn, tokens, shown_here, before, move, own = inputs
            rows = []
            least = jnp.minimum(least, jnp.minimum(_least(state), _least(before[0])))
            for place in range(every - 1, -1, -1):
                weights = before[place] * state
                posterior = scaled(weights, jnp.sum(weights, axis=0))
                rows.append(times(posterior.T, emission if own is None else own[:, :q]))
                state = step(given(moves, move), seen(state, own, tokens[place]))
            rows = fast_log(jnp.stack(rows[::-1], axis=1))
            if known:
                theirs = shown_here.T[:, :, None]
                certain = theirs == jnp.arange(q, dtype=theirs.dtype)[None, None, :]
                rows = jnp.where(theirs == q, rows, jnp.where(certain, 0.0, -jnp.inf).astype(dtype))
            rows = jnp.where(possible[:, None, None], rows, jnp.nan)
            table = jax.lax.dynamic_update_slice(table, rows, (number * block, turn * every, 0))
            return (scaled(state, jnp.sum(state, axis=0)), least, table), None

        start = (jnp.ones((states, block), dtype), jnp.ones(block, dtype), table)
        inputs = (jnp.arange(turns), right, left, before, before_it, own)
        (_, least, table), _ = jax.lax.scan(backward, start, inputs, reverse=True)
        return table, (log_evidence, least)

    table = jnp.zeros((blocks * block, turns * every, q), dtype)
    table, found = jax.lax.scan(both_ways, table, (jnp.arange(blocks), chunks(left), chunks(right)))
    log_evidence, least = (x.reshape(-1)[:size] for x in found)
    positive = lambda values: jnp.min(jnp.where(values > 0, values, 1.0))
    floor = jnp.sqrt(jnp.finfo(dtype).tiny / (positive(transition) * positive(emission)) ** every)
    return log_evidence, table[:size, :n], least >= floor


def _sum_of_vectors(
    matrix: Float[Array, "states states"], state: Float[Array, "states size"]
) -> Float[Array, "states size"]:
    """Their product."""
    terms = [matrix[:, place, None] * state[place][None, :] for place in range(state.shape[0])]
    return functools.reduce(jnp.add, terms)


def _least(state: Float[Array, "states size"]) -> Float[Array, " size"]:
    """The least positive entry."""
    return jnp.min(jnp.where(state > 0, state, 1.0), axis=0)


def in_log_domain(
    initial: Array, transition: Array, emission: Array, left: Tokens, right: Tokens, known: bool
) -> Found:
    """The same of one sequence without any underflow, one position's states and symbols at a time."""
    log_transition, log_emission = safe_log(transition), safe_log(emission)
    moves = log_transition if transition.ndim == 3 else None
    own = log_emission if emission.ndim == 3 else None
    move = lambda own: log_transition if own is None else own
    seen_left, seen_right = (_log_likelihoods(log_emission, side) for side in (left, right))

    def forward(before, inputs):
        log_likelihood, own = inputs
        seen, shift = rescaled(before + log_likelihood)
        following = log_sum_exp(seen[:, None] + move(own), axis=0)
        return following, (following, shift)

    def backward(after, inputs):
        log_likelihood, own = inputs
        following = log_sum_exp(move(own) + (after + log_likelihood)[None, :], axis=1)
        following = rescaled(following)[0]
        return following, following

    def row(inputs):
        log_states, own = inputs
        return log_sum_exp(log_states[:, None] + (log_emission if own is None else own), axis=0)

    first, end = safe_log(initial), jnp.zeros_like(initial)
    last, (later, shifts) = jax.lax.scan(forward, first, (seen_left[:-1], moves))
    earlier = jax.lax.scan(backward, end, (seen_right[1:], moves), reverse=True)[1]
    log_evidence = log_sum_exp(last + seen_left[-1], axis=0) + jnp.sum(shifts)
    log_weights = jnp.concatenate([first[None], later]) + jnp.concatenate([earlier, end[None]])
    log_posterior = log_weights - log_sum_exp(log_weights, axis=1)[:, None]
    rows = jax.lax.map(row, (log_posterior, own))
    q = emission.shape[-1]
    if known:
        rows = jnp.where((left == q)[:, None], rows, known_rows(left, q))
    return log_evidence, jnp.where(log_evidence > -jnp.inf, rows, jnp.nan)


def _log_likelihoods(log_emission: Array, tokens: Tokens) -> Float[Array, "n states"]:
    """Of every state where a symbol is revealed, 0 where it is masked."""
    q = log_emission.shape[-1]
    symbol = jnp.minimum(tokens, q - 1)
    if log_emission.ndim == 3:
        seen = jnp.take_along_axis(log_emission, symbol[:, None, None], axis=2)[:, :, 0]
    else:
        seen = log_emission.T[symbol]
    return jnp.where((tokens == q)[:, None], 0.0, seen)
