r"""Every optimal schedule of a short curve as one pure function of its values: `vmap`, `jit`, `grad`.

The dense programme of `optimal`, for all $k \le n$ at once, in a form that a batch of curves makes fast:
the curves lie side by side, and loops over tiles of `TILE` starts and `TILE` ends are all the control.
A tile of starts is left out where no curve of the batch needs it: the last step of a best schedule to
`j` of $t$ steps starts no earlier than that of $t - 1$ steps, if the curves rise (their costs are Monge).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from .._types import Array, Float, Int

TILE, LANES = 16, 64  # starts and ends of a tile, and curves side by side (our choice)


class Every(NamedTuple):
    """For `k = 1..n` steps: the least `step_gap` in nats, and boundaries that reach it, padded with `n`."""

    gaps: Float[Array, " n"]
    boundaries: Int[Array, "n boundaries"]


def every_schedule(heights: Float[Array, " n"]) -> Every:
    r"""What `frontier` finds for all numbers of steps, of the `heights` of any one curve.

    The gap of $k$ steps is differentiable in the heights: by the envelope theorem its derivative is that of
    the best schedule held fixed, 1 less the reveals that its step at `j` has. Work is at most $n^3 / 4$
    evaluations, and memory $8 n^2$ bytes a curve: for `n` up to some hundreds. Gaps are exact to a few
    `n eps` of the range of the heights, in float32 as in float64.

    >>> best = every_schedule(jnp.array([0.0, 0.0, 0.0, 1.0]))
    >>> best.gaps.tolist(), best.boundaries[1].tolist()
    ([1.0, 0.0, 0.0, 0.0], [0, 3, 4, 4, 4])
    """
    n, z = heights.shape[0], heights - heights[0]
    boundaries = _boundaries(lax.stop_gradient(z))
    sizes = jnp.diff(boundaries, axis=1).astype(z.dtype)
    kept = jnp.sum(sizes * z[jnp.minimum(boundaries[:, :-1], n - 1)], axis=1)
    return Every(jnp.sum(z) - kept, boundaries)


@custom_vmap
def _boundaries(z: Array) -> Array:
    return _of_lanes(z[:, None])[..., 0]


@_boundaries.def_vmap
def _of_batch(size: int, batched: list, z: Array) -> tuple[Array, bool]:
    lanes = min(LANES, size)
    rows = -(-size // lanes)
    padded = jnp.pad(z, ((0, rows * lanes - size), (0, 0)), mode="edge")
    chunks = padded.reshape(rows, lanes, -1).swapaxes(1, 2)
    found = lax.map(_of_lanes, chunks)  # [rows, k, boundaries, lanes]
    return jnp.moveaxis(found, -1, 1).reshape(rows * lanes, *found.shape[1:-1])[:size], True


def _of_lanes(z: Float[Array, "n lanes"]) -> Int[Array, "k boundaries lanes"]:
    """Boundaries of the best schedules of every number of steps, of curves side by side."""
    n, lanes = z.shape
    tiles = -(-n // TILE)
    rises = jnp.all(z[1:] >= z[:-1])
    z = jnp.pad(z, ((0, tiles * TILE - n), (0, 0)), mode="edge")
    x = jnp.arange(tiles * TILE, dtype=z.dtype)[:, None]
    never = jnp.full_like(z, -jnp.inf)
    nothing = never, jnp.zeros(z.shape, jnp.int32)

    def layer(state: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], Array]:
        """The most that `step` steps gain up to the ends 1, 2, ..., and where the last one starts."""
        gain, before = state
        intercepts = jnp.concatenate([never[:1], gain[:-1]]) - x * z

        def ends(tile: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
            end = tile * TILE + 1 + jnp.arange(TILE, dtype=jnp.int32)[:, None]

            def starts(at: Array, best: tuple[Array, Array], last: bool = False) -> tuple[Array, Array]:
                value, start = best
                c, slopes = (lax.dynamic_slice_in_dim(row, at * TILE, TILE) for row in (intercepts, z))
                for offset in range(TILE):
                    index = at * TILE + offset
                    line = c[offset][None] + slopes[offset][None] * end.astype(z.dtype)
                    better = (line > value) & (end > index) if last else line > value
                    value, start = jnp.where(better, line, value), jnp.where(better, index, start)
                return value, start

            first = jnp.where(rises, jnp.min(lax.dynamic_slice_in_dim(before, tile * TILE, TILE)), 0)
            best = tuple(row[:TILE] for row in nothing)
            best = starts(tile, lax.fori_loop(first // TILE, tile, starts, best), True)
            write = lambda all_, one: lax.dynamic_update_slice_in_dim(all_, one, tile * TILE, 0)
            return jax.tree.map(write, found, best)

        found = lax.fori_loop((step - 1) // TILE, jnp.int32(tiles), ends, nothing)
        return found, found[1]

    begin = jnp.zeros_like(z), nothing[1]
    steps = jnp.arange(2, n + 1, dtype=jnp.int32)
    _, last = lax.scan(layer, begin, steps)

    def back(end: Array, layer: tuple[Array, Array]) -> tuple[Array, Array]:
        start, step = layer
        end = jnp.where((step <= asked)[:, None], jnp.take_along_axis(start, end - 1, axis=0), end)
        return end, end

    asked = jnp.arange(1, n + 1, dtype=jnp.int32)
    ends = jnp.full((n, lanes), n, jnp.int32)
    _, inner = lax.scan(back, ends, (last, steps), reverse=True)
    begins = jnp.zeros((n, 1, lanes), jnp.int32)
    return jnp.concatenate([begins, jnp.moveaxis(inner, 0, 1), ends[:, None]], axis=1)
