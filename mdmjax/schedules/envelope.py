r"""Every optimal schedule of up to `K` steps in one solve: upper envelopes of lines, by tiles.

For a nondecreasing curve the best gain of `t` steps is the upper envelope of one line per start,
$F_t(j) = \max_i F_{t-1}(i) + (j - i) z_i$, whose slopes are sorted: the best start is nondecreasing in `j`.
(Starts beyond `j` never win, so that the maximum needs no condition.) Sorted queries are answered from
coarse to fine: between two queries whose best starts are known, only the starts between those two matter.
Both sides are cut into tiles of `RADIX` times finer width a level, one dense batch of static shape each.

Cost of a layer: `2 RADIX m ceil(log m / log RADIX)` evaluations for `m` candidate starts, all of them in
contiguous vector operations; memory for the parents is `4 K m` bytes.
"""

import functools

import jax
import jax.numpy as jnp

from .._types import Array, Float, Int

RADIX = 16
Lines = Float[Array, " lines"]


def upper_envelope(intercepts: Lines, slopes: Lines, queries: Lines) -> tuple[Lines, Int[Array, " lines"]]:
    """For each query, as many as lines, the highest line and its index (the first); all sorted upwards."""
    parents, width, value = 1, slopes.shape[0], jnp.zeros_like(queries)
    low = high = jnp.zeros(1, jnp.int32)  # the tiles that each interval of queries must look at
    radix = width
    while radix > RADIX:
        radix //= RADIX
    while width > 1:
        sub, counts = width // radix, high - low + 1
        # All (interval, tile) pairs with low <= tile <= high: fewer than two an interval in all.
        owner = jnp.repeat(jnp.arange(parents, dtype=jnp.int32), counts, total_repeat_length=2 * parents)
        before = (jnp.cumsum(counts) - counts)[owner].astype(jnp.int32)
        tile = jnp.minimum(low[owner] + jnp.arange(2 * parents, dtype=jnp.int32) - before, high[owner])
        tiles = (intercepts.reshape(parents, width)[tile], slopes.reshape(parents, width)[tile])
        at = queries.reshape(parents, radix, sub)[owner, :, 0]
        a, b = (t.reshape(-1, 1, radix, sub) for t in tiles)
        block = jnp.max(a + b * at[:, :, None, None], axis=-1)  # [pairs, queries, subtiles]
        best = jnp.max(block, axis=-1)
        value = jax.ops.segment_max(best, owner, parents, indices_are_sorted=True)
        index = tile[:, None] * radix + jnp.argmax(block, axis=-1).astype(jnp.int32)
        index = jnp.where(best == value[owner], index, intercepts.shape[0])
        low = jax.ops.segment_min(index, owner, parents, indices_are_sorted=True).reshape(-1)
        low = jax.lax.cummax(low)  # lines that tie to rounding may win in any order
        parents, width, radix = parents * radix, sub, RADIX
        high = jnp.concatenate([low[1:], jnp.full(1, parents - 1, jnp.int32)])
    return value.reshape(-1), low


def _every_line(intercepts: Array, slopes: Array, queries: Array, block: int) -> tuple[Array, Array]:
    """The same of lines in any order, among those before the query's own index; `block` queries at once."""
    itself = jnp.arange(slopes.shape[0], dtype=jnp.int32)

    def at(query):
        index, x = query
        line = jnp.where(itself < index, intercepts + x * slopes, -jnp.inf)
        best = jnp.argmax(line).astype(jnp.int32)
        return line[best], best

    return jax.lax.map(at, (itself, queries), batch_size=block)


def padded_lines(count: int) -> int:
    """The least `r RADIX^l >= max(count, 2)` with `r <= RADIX`: lines that cut into even tiles."""
    unit = 1
    while unit * RADIX < count:
        unit *= RADIX
    return max(2, -(-count // unit)) * unit


@functools.partial(jax.jit, static_argnames=("max_steps", "block"))
def solve_layers(
    positions: Array, values: Array, m: Array, n: Array, max_steps: int, block: int = 0
) -> Array:
    """The best boundaries among the first `m` `positions`, 0 first, for `1..max_steps` steps to `n`."""
    # `values` are the curve at `positions`, nondecreasing, and boundaries may coincide; rows end in `n`s.
    # Both are padded (by anything) to a length that `padded_lines` returns, so that one compilation serves
    # many curves. With `block` the curve is any, of any length, and all boundaries differ.
    itself = jnp.arange(positions.shape[0], dtype=jnp.int32)
    is_start = itself < m
    slopes = jnp.where(is_start, values, values[m - 1]) - values[0]
    starts = jnp.where(is_start, positions, positions[m - 1]).astype(jnp.int32)
    x, end = starts.astype(values.dtype), n.astype(values.dtype)

    def layer(gain, _):
        intercepts = jnp.where(is_start, gain - x * slopes, -jnp.inf)
        last = jnp.argmax(intercepts + end * slopes).astype(jnp.int32)
        lines = intercepts, slopes, x
        gain, parent = _every_line(*lines, block) if block else upper_envelope(*lines)
        return gain, (last, jnp.minimum(parent, itself))

    one_step = jnp.where(itself == 0, -jnp.inf, jnp.zeros_like(x)) if block else jnp.zeros_like(x)
    _, (last, parents) = jax.lax.scan(layer, one_step, length=max_steps - 1)

    def back(at, layer_parents):
        # In the row of k steps, layer k leads from n to its last start, and those below on to 0.
        layer_last, layer_parent, step = layer_parents
        here = jnp.where(step == row, layer_last, layer_parent[at])
        at = jnp.where(step <= row, here, at)
        return at, jnp.where(step <= row, starts[at], n.astype(jnp.int32))

    row = jnp.arange(1, max_steps)
    _, inner = jax.lax.scan(back, jnp.zeros(max_steps - 1, jnp.int32), (last, parents, row), reverse=True)
    of_one_step = ((1, 0), (0, 1))  # a row of `n`, and the `n` at the end of every row
    return jnp.pad(jnp.pad(inner.T, of_one_step, constant_values=n), ((0, 0), (1, 0)))
