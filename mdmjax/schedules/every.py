r"""Every optimal schedule of a short curve as one pure function of its values: `vmap`, `jit`, `grad`.

The dense programme of `optimal`, for all $k \le n$ at once, with the curves of a batch side by side:

$$G_k(j) = \max_{i < j} \; G_{k-1}(i) + (j - i)\, z_i.$$

On a CPU a few ends $j$ at a time go through the starts $i$ that a curve of the batch may need: if all rise
(their costs are Monge), no earlier than the best start of $j$ in $k - 1$ steps and no later than that of
$j + 1$ in $k$. So about a third of the $n^3 / 6$ comparisons are made. Elsewhere a layer is one reduction.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from .._types import Array, Float, Int

ENDS, LANES = 4, 256  # ends at a time and curves side by side on a CPU (measured)
LANES_ELSEWHERE = 4096

Layers = tuple[Float[Array, "layers lanes"], Int[Array, "layers n lanes"]]


class Every(NamedTuple):
    """For `k = 1..n` steps: the least `step_gap` in nats, and boundaries that reach it, padded with `n`."""

    gaps: Float[Array, " n"]
    boundaries: Int[Array, "n boundaries"]


def every_schedule(heights: Float[Array, " n"]) -> Every:
    r"""What `frontier` finds for all numbers of steps, of the `heights` of any one curve.

    The gap of $k$ steps is differentiable in the heights: by the envelope theorem its derivative is that of
    the best schedule held fixed, 1 less the reveals that its step at `j` has. Work is at most $n^3 / 2$
    evaluations, and memory $4 n^2$ bytes a curve: for `n` up to some hundreds. Gaps are exact to a few
    `n eps` of the range of the heights, in float32 as in float64. Under `jit`, gaps whose boundaries are
    not asked for are found without the way back.

    >>> best = every_schedule(jnp.array([0.0, 0.0, 0.0, 1.0]))
    >>> best.gaps.tolist(), best.boundaries[1].tolist()
    ([1.0, 0.0, 0.0, 0.0], [0, 3, 4, 4, 4])
    """
    z = heights - heights[0]
    gains, boundaries = _solved(lax.stop_gradient(z))
    return Every(jnp.sum(z) - _kept(z, gains, boundaries), boundaries)


@jax.custom_jvp
def _kept(z: Array, gains: Array, boundaries: Array) -> Array:
    """The gains, with the derivative of those of these schedules."""
    return gains


@_kept.defjvp
def _kept_of_fixed(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (z, gains, boundaries), slope = primals, tangents[0]
    starts, sizes = boundaries[:, :-1], jnp.diff(boundaries, axis=1).astype(z.dtype)
    return gains, jnp.sum(sizes * slope[jnp.minimum(starts, z.shape[0] - 1)], axis=1)


@custom_vmap
def _solved(z: Array) -> tuple[Array, Array]:
    return jax.tree.map(lambda found: found[0], _of_batch(1, [True], z[None])[0])


@_solved.def_vmap
def _of_batch(size: int, batched: list, z: Array) -> tuple[tuple[Array, Array], tuple[bool, bool]]:
    elsewhere = partial(_in_chunks, reduced_layers, LANES_ELSEWHERE)
    found = lax.platform_dependent(z, cpu=partial(_in_chunks, windowed_layers, LANES), default=elsewhere)
    return found, (True, True)


def _in_chunks(layers, lanes: int, z: Float[Array, "size n"]) -> tuple[Array, Array]:
    """Gains `[size, k]` and boundaries `[size, k, boundaries]`, so many curves at a time."""
    size, n = z.shape
    lanes = min(lanes, size)
    rows = -(-size // lanes)
    padded = jnp.pad(z, ((0, rows * lanes - size), (0, 0)), mode="edge")

    def chunk(z: Array) -> tuple[Array, Array]:
        gains, starts = layers(z)
        one_step = jnp.zeros_like(z[:1])  # z_0 = 0
        return jnp.concatenate([one_step, gains]).T, _way_back(starts, n)

    found = lax.map(chunk, padded.reshape(rows, lanes, n).swapaxes(1, 2))
    return jax.tree.map(lambda part: part.reshape(rows * lanes, *part.shape[2:])[:size], found)


def windowed_layers(z: Float[Array, "n lanes"]) -> Layers:
    """For `2..n` steps the most that is gained up to `n`, and where the last step to each end starts."""
    n, lanes = z.shape
    tiles = -(-n // ENDS)
    rises = jnp.all(z[1:] >= z[:-1])
    z = jnp.pad(z, ((0, tiles * ENDS - n), (0, 0)), mode="edge")
    nothing = jnp.full((ENDS, lanes), -jnp.inf, z.dtype), jnp.full((ENDS, lanes), n, jnp.int32)
    row_of = partial(lax.dynamic_index_in_dim, axis=0)

    def layer(state: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Ends from the last to the first, in place: what they still need is before them."""

        def ends(at: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, ...]:
            gains, starts, after = carry
            row = (tiles - 1 - at) * ENDS
            end = row + 1 + jnp.arange(ENDS, dtype=jnp.int32)[:, None]

            def from_start(i: Array, best: tuple[Array, Array]) -> tuple[Array, Array]:
                value, start = best
                line = row_of(gains, i - 1) + row_of(z, i) * (end - i).astype(z.dtype)
                better = (line > value) & (end > i)
                return jnp.where(better, line, value), jnp.where(better, i, start)

            # Row `step - 2` is the first that `step - 1` steps reach.
            before = jnp.min(row_of(starts, jnp.maximum(row, step - 2)))
            first = jnp.maximum(jnp.where(rises, before, 0), step - 1)
            last = jnp.minimum(after, row + ENDS - 1)
            best = lax.fori_loop(first, last + 1, from_start, nothing)
            write = lambda rows, some: lax.dynamic_update_slice_in_dim(rows, some, row, 0)
            return *map(write, (gains, starts), best), jnp.where(rises, jnp.max(best[1][0]), n)

        gains, starts, _ = lax.fori_loop(0, tiles - (step - 1) // ENDS, ends, (*state, jnp.int32(n)))
        return (gains, starts), (gains[n - 1], starts[:n].astype(_narrow(n)))

    begin = jnp.zeros_like(z), jnp.zeros(z.shape, jnp.int32)
    return lax.scan(layer, begin, jnp.arange(2, n + 1, dtype=jnp.int32))[1]


def reduced_layers(z: Float[Array, "n lanes"]) -> Layers:
    """The same, of all starts: one reduction a layer."""
    n = z.shape[0]
    start, end = jnp.arange(n)[:, None, None], jnp.arange(1, n + 1)[None, :, None]

    def layer(gains: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        before = jnp.concatenate([jnp.full_like(gains[:1], -jnp.inf), gains[:-1]])
        lines = before[:, None] + z[:, None] * (end - start).astype(z.dtype)
        lines = jnp.where(end > start, lines, -jnp.inf)
        gains = jnp.max(lines, axis=0)
        return gains, (gains[-1], jnp.argmax(lines, axis=0).astype(_narrow(n)))

    return lax.scan(layer, jnp.zeros_like(z), None, length=n - 1)[1]


def _way_back(starts: Int[Array, "layers n lanes"], n: int) -> Int[Array, "lanes k boundaries"]:
    """Boundaries of the best schedule of each number of steps."""
    lanes = starts.shape[2]
    asked = jnp.arange(1, n + 1, dtype=jnp.int32)[:, None]

    def back(end: Array, layer: tuple[Array, Array]) -> tuple[Array, Array]:
        start, step = layer
        begin = jnp.take_along_axis(start, end.astype(jnp.int32) - 1, axis=0, mode="clip")
        end = jnp.where(step <= asked, begin, end)
        return end, end

    steps = jnp.arange(2, n + 1, dtype=jnp.int32)
    ends = jnp.full((n, lanes), n, starts.dtype)
    _, inner = lax.scan(back, ends, (starts, steps), reverse=True)
    # One number of steps at a time stays in the cache while it is turned.
    turned = lax.map(jnp.transpose, jnp.moveaxis(inner, 1, 0))
    inside = jnp.moveaxis(turned, 1, 0).astype(jnp.int32)
    return jnp.pad(inside, ((0, 0), (0, 0), (1, 1))).at[:, :, -1].set(n)


def _narrow(n: int) -> type:
    """Small integers that hold `n`."""
    return jnp.int16 if n < 2**15 else jnp.int32
