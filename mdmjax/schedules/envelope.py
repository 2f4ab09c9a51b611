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
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float, Int

RADIX = 16


class Layers(NamedTuple):
    """Best gain over one step of `1..K` steps, and the boundaries that reach it (padded with `n`)."""

    gains: Float[Array, " max_steps"]
    boundaries: Int[Array, "max_steps boundaries"]


def upper_envelope(
    intercepts: Float[Array, " lines"],
    slopes: Float[Array, " lines"],
    queries: Float[Array, " lines"],
) -> tuple[Float[Array, " lines"], Int[Array, " lines"]]:
    """For each query the highest line there and its index; slopes and queries sorted upwards.

    As many queries as lines, a number that `padded_lines` returns. Of equal lines the first is taken.

    >>> lines = jnp.arange(16.0)
    >>> upper_envelope(-(lines**2) / 2, lines, lines)[1].tolist() == list(range(16))
    True
    """
    width, radix = slopes.shape[0], _top_radix(slopes.shape[0])
    low = high = jnp.zeros(1, jnp.int32)  # the tiles that each interval of queries must look at
    parents, value = 1, jnp.zeros_like(queries)
    while width > 1:
        sub = width // radix
        owner, tile = _pairs(low, high, parents)
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


def every_line(
    intercepts: Float[Array, " lines"],
    slopes: Float[Array, " lines"],
    queries: Float[Array, " lines"],
    block: int,
) -> tuple[Float[Array, " lines"], Int[Array, " lines"]]:
    """The same of lines in any order, among those before the query's own index; `block` queries at once."""
    itself = jnp.arange(slopes.shape[0], dtype=jnp.int32)

    def at(query):
        index, x = query
        line = jnp.where(itself < index, intercepts + x * slopes, -jnp.inf)
        best = jnp.argmax(line).astype(jnp.int32)
        return line[best], best

    return jax.lax.map(at, (itself, queries), batch_size=block)


def padded_lines(count: int) -> int:
    """The least `r RADIX^l >= max(count, 2)` with `r <= RADIX`: lines that cut into even tiles.

    >>> padded_lines(5000)
    8192
    """
    unit = 1
    while unit * RADIX < count:
        unit *= RADIX
    return max(2, -(-count // unit)) * unit


def _top_radix(lines: int) -> int:
    """How many tiles the coarsest level has: the `r` of `padded_lines`."""
    while lines > RADIX:
        lines //= RADIX
    return lines


def _pairs(low: Int[Array, " parents"], high: Int[Array, " parents"], parents: int):
    """All (interval, tile) pairs with `low <= tile <= high`: fewer than two an interval in all."""
    counts = high - low + 1
    owner = jnp.repeat(jnp.arange(parents, dtype=jnp.int32), counts, total_repeat_length=2 * parents)
    before = jnp.cumsum(counts) - counts
    offset = jnp.arange(2 * parents, dtype=jnp.int32) - before[owner].astype(jnp.int32)
    return owner, jnp.minimum(low[owner] + offset, high[owner])


@functools.partial(jax.jit, static_argnames=("max_steps", "block"))
def solve_layers(
    positions: Int[Array, " lines"],
    values: Float[Array, " lines"],
    m: Int[Array, ""],
    n: Int[Array, ""],
    max_steps: int,
    block: int | None = None,
) -> Layers:
    """The best boundaries among the first `m` `positions`, 0 first, for `1..max_steps` steps to `n`.

    `values` are the curve at `positions`, nondecreasing, and boundaries may coincide. Both are padded (by
    anything) to a length that `padded_lines` returns, so that one compilation serves many curves. With
    `block` the curve is any, of any length, and all boundaries differ: see `every_line`.
    """
    itself = jnp.arange(positions.shape[0], dtype=jnp.int32)
    is_start = itself < m
    slopes = jnp.where(is_start, values, values[m - 1]) - values[0]
    starts = jnp.where(is_start, positions, positions[m - 1]).astype(jnp.int32)
    x, end = starts.astype(values.dtype), n.astype(values.dtype)

    def layer(gain, _):
        intercepts = jnp.where(is_start, gain - x * slopes, -jnp.inf)
        at_end = intercepts + end * slopes
        lines = intercepts, slopes, x
        gain, parent = upper_envelope(*lines) if block is None else every_line(*lines, block)
        last = jnp.argmax(at_end).astype(jnp.int32)
        return gain, (at_end[last], last, jnp.minimum(parent, itself))

    one_step = jnp.zeros_like(x) if block is None else jnp.where(itself == 0, -jnp.inf, jnp.zeros_like(x))
    _, (gains, last, parents) = jax.lax.scan(layer, one_step, length=max_steps - 1)

    def back(at, layer_parents):
        # In the row of k steps, layer k leads from n to its last start, and those below on to 0.
        layer_last, layer_parent, step = layer_parents
        here = jnp.where(step == row, layer_last, layer_parent[at])
        at = jnp.where(step <= row, here, at)
        return at, jnp.where(step <= row, starts[at], n.astype(jnp.int32))

    row = jnp.arange(1, max_steps)
    _, inner = jax.lax.scan(back, jnp.zeros(max_steps - 1, jnp.int32), (last, parents, row), reverse=True)
    inner = jnp.concatenate([jnp.full((max_steps - 1, 1), n, inner.dtype), inner], axis=1)
    first, final = (jnp.full((1, max_steps), b, inner.dtype) for b in (0, n))
    gains = jnp.concatenate([jnp.zeros(1, x.dtype), gains])
    return Layers(gains, jnp.concatenate([first, inner, final]).T)


@functools.partial(jax.jit, static_argnames="width")
def solve_windows(
    values: Float[Array, " n"], low: Int[Array, " inner"], width: int
) -> Int[Array, " boundaries"]:
    """The best boundaries with the `t`-th inner one in `low[t] .. low[t] + width - 1`.

    `values` are nondecreasing. The windows hold an optimal schedule of the whole problem, or the result is
    no more than a good one. Costs one envelope of `width` lines a step, and `4 width` bytes of memory.
    """
    n = values.shape[0]
    pad = (0, padded_lines(width) - width)
    offsets = jnp.pad(jnp.arange(width, dtype=jnp.int32), pad, mode="edge")

    def window(low):
        at = jnp.minimum(low + offsets, n)
        return at, at.astype(values.dtype), (values - values[0])[jnp.minimum(at, n - 1)]

    def lines(gain, low):
        at, x, z = window(low)
        return jnp.where(at < n, gain - x * z, -jnp.inf), z

    def layer(gain, pair):
        here, after = pair
        return upper_envelope(*lines(gain, here), window(after)[1])

    gain, parents = jax.lax.scan(layer, jnp.zeros(offsets.shape, values.dtype), (low[:-1], low[1:]))
    intercepts, slopes = lines(gain, low[-1])
    last = jnp.argmax(intercepts + n * slopes).astype(jnp.int32)
    first, path = jax.lax.scan(lambda i, parent: (parent[i], i), last, parents, reverse=True)
    inner = jnp.minimum(low + offsets[jnp.concatenate([first[None], path])], n)
    # Equal gains may leave a start beyond the next one; to raise the next one to it costs nothing.
    ends = jnp.array([0, n], jnp.int32)
    return jnp.concatenate([ends[:1], jax.lax.cummax(inner), ends[1:]])
