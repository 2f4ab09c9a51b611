r"""The optimal schedule of very long sequences: coarse-to-fine search with a certificate.

The layered dynamic programme visits `n k` states, nearly all of them provably far from every optimal path.
For a nondecreasing curve $z$ the schedule with boundaries $0 = b_0 < b_1 < \dots < b_k = n$ gains
$\sum_t (b_{t+1} - b_t) z_{b_t}$ over the one-step schedule, and

- $F_t(j)$, the most that $t$ steps to $j$ can gain, is a maximum of lines in $j$: it is convex;
- $C_t(\zeta) = \max_j [j(\zeta - z_j) + C_{t+1}(z_j)]$, which gives the most that can be gained from
  boundary $i$ on as $C_t(z_i) - i z_i$, is a maximum of lines in $\zeta$: it is convex.

A convex function lies below its chords. So bounds of $F$ and $C$ at the ends of a block of positions, with
a bound of how far $z$ leaves its own chord there, bound every schedule with a boundary in the block by one
concave quadratic. A block whose bound does not beat the best schedule known is dropped; of the rest those
with the largest area are halved, until every block left is one position wide or flat. The bounds are
second-order in the width of a block, so the blocks gather around the optimum as they shrink.

Cost: one pass of `O(n)`, then about `log n` rounds of `O(k M^2)` with `M` blocks a boundary. A noisy curve
may need more: then windows are left, and `envelope.solve_windows` ends the search inside them. The method
is ours. A block must beat the best known by `8 eps` of its gain: the optimum is exact to a few `eps` of
`n (z_n - z_1)`.
"""

import functools
from collections import namedtuple
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Float, Int


class Refinement(NamedTuple):
    """The best boundaries found, and where better ones can still be.

    `boundaries` are `0 = b_0 <= ... <= b_k = n`. If `certified`, they are optimal. Otherwise every
    better schedule has its `t`-th inner boundary in `low[t] .. high[t]`.
    """

    boundaries: Int[Array, " boundaries"]
    certified: Bool[Array, ""]
    low: Int[Array, " inner"]
    high: Int[Array, " inner"]


# Blocks [left, left + 2^level] of positions where one boundary may lie; those that are alive count.
_Blocks = namedtuple("_Blocks", "left level alive")
# The curve on blocks: ends x0 < x1, its values z0 <= z1 there, its sag off the chord.
_Sides = namedtuple("_Sides", "x0 x1 z0 z1 sag alive")
# The best schedule known: its gain and its inner boundaries.
_Best = namedtuple("_Best", "gain inner")


def _ratio(rise: Array, run: Array) -> Array:
    """`rise / run`, and 0 over an interval of length 0."""
    return jnp.where(run > 0, rise / jnp.where(run > 0, run, 1.0), 0.0)


def _block_bound(constant: Array, slope: Array, pivot: Array, s: _Sides) -> Array:
    r"""Upper bound over a block of $a + b x + (J - i) z_i$, with $i = x_0 + x$ and $J$ = `pivot`."""
    # With z within `sag` of its chord that is a concave quadratic in x plus at most sag times max |J - i|.
    width = s.x1 - s.x0
    m = (s.z1 - s.z0) / width
    y = pivot - s.x0
    linear = slope + y * m - s.z0
    vertex = jnp.where(m > 0, linear / jnp.where(m > 0, 2 * m, 1.0), jnp.where(linear > 0, width, 0.0))
    x = jnp.clip(vertex, 0.0, width)
    farthest = jnp.maximum(jnp.abs(y), jnp.abs(y - width))
    return constant + y * s.z0 + (linear - m * x) * x + farthest * s.sag


def _forward(bound: tuple[Array, Array], s: _Sides, targets: Array) -> Array:
    """Upper bounds of F at `targets`, from those at both ends of the blocks of the boundary before."""
    slope = (bound[1] - bound[0]) / (s.x1 - s.x0)

    def at(target):
        # Blocks beyond a target count too: once others are dropped, F of the blocks that are left is convex
        # only if no line ends at its target. As z0 <= z_i <= z1, a line is also below a convex function of
        # i, which is largest at an end of the block.
        run0, run1 = target - s.x0, target - s.x1
        first = bound[0] + run0 * jnp.where(run0 >= 0, s.z1, s.z0)
        last = bound[1] + run1 * jnp.where(run1 >= 0, s.z1, s.z0)
        value = jnp.minimum(_block_bound(bound[0], slope, target, s), jnp.maximum(first, last))
        return jnp.max(jnp.where(s.alive, value, -jnp.inf))

    return jax.vmap(at)(targets)


def _backward(bound: tuple[Array, Array], s: _Sides, zetas: Array) -> Array:
    """Upper bounds of C at `zetas`, from those at both ends of the blocks of the boundary after."""
    slope = _ratio(bound[1] - bound[0], s.z1 - s.z0)

    def at(zeta):
        constant = bound[0] - slope * s.z0 + s.x0 * zeta
        return jnp.max(jnp.where(s.alive, _block_bound(constant, zeta, slope, s), -jnp.inf))

    return jax.vmap(at)(zetas)


def _all_bounds(sides: _Sides, n: Array) -> Array:
    """For every block of every boundary, the most that a schedule through it can gain."""
    pairs = jax.tree.map(lambda a: a[:-1], sides), jax.tree.map(lambda a: a[1:], sides)

    def forward(bound, pair):
        before, here = pair
        return (_forward(bound, before, here.x0), _forward(bound, before, here.x1)), bound

    def backward(bound, pair):
        here, after = pair
        return (_backward(bound, after, here.z0), _backward(bound, after, here.z1)), bound

    zero = jnp.zeros_like(sides.x0[0])
    last_f, f = jax.lax.scan(forward, (zero, zero), pairs)
    first_c, c = jax.lax.scan(backward, (n * sides.z0[-1], n * sides.z1[-1]), pairs, reverse=True)
    f0, f1 = (jnp.concatenate([a, b[None]]) for a, b in zip(f, last_f, strict=True))
    c0, c1 = (jnp.concatenate([b[None], a]) for a, b in zip(c, first_c, strict=True))
    slope = _ratio(c1 - c0, sides.z1 - sides.z0)
    return _block_bound(f0 + c0 - slope * sides.z0, (f1 - f0) / (sides.x1 - sides.x0), slope, sides)


def _best_path(x: Array, z: Array, alive: Array, n: Array) -> _Best:
    """The best schedule whose boundaries are among the points `x`; they may coincide, at no cost."""
    usable = alive & (x > 0) & (x < n)

    def step(value, pair):
        (x0, z0, ok0), (x1, ok1) = pair

        def best_to(end):
            gain = jnp.where((x0 <= end) & ok0, value + (end - x0) * z0, -jnp.inf)
            return jnp.max(gain), jnp.argmax(gain)

        gain, parent = jax.vmap(best_to)(x1)
        return jnp.where(ok1, gain, -jnp.inf), parent

    start = jnp.where(usable[0], 0.0, -jnp.inf).astype(x.dtype)
    pairs = ((x[:-1], z[:-1], usable[:-1]), (x[1:], usable[1:]))
    value, parents = jax.lax.scan(step, start, pairs)
    total = jnp.where(usable[-1], value + (n - x[-1]) * z[-1], -jnp.inf)
    end = jnp.argmax(total)
    first, path = jax.lax.scan(lambda i, parent: (parent[i], i), end, parents, reverse=True)
    path = jnp.concatenate([first[None], path])
    return _Best(total[end], jnp.take_along_axis(x, path[:, None], 1)[:, 0])


def _better(a: _Best, b: _Best) -> _Best:
    return jax.tree.map(lambda u, v: jnp.where(a.gain >= b.gain, u, v), a, b)


def _halve(blocks: _Blocks, area: Array) -> tuple[_Blocks, Array]:
    """Halve the alive blocks of largest positive `area`, as many as there is room for: any at all?"""
    room = blocks.alive.shape[0] - jnp.sum(blocks.alive)
    area = jnp.where(blocks.alive & (blocks.level > 0), area, 0.0)
    split = (area > 0) & (jnp.argsort(jnp.argsort(-area)) < room)
    level = blocks.level - split.astype(blocks.level.dtype)
    other = _Blocks(blocks.left + (1 << level), level, split)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), blocks._replace(level=level), other)
    order = jnp.argsort(~both.alive)[: blocks.alive.shape[0]]
    return jax.tree.map(lambda a: a[order], both), jnp.any(split)


def _sags(z: Array, levels: int) -> tuple[Array, Array]:
    """Bounds of the distance of `z` to its chord for all dyadic blocks, and where each level begins."""
    sags = [jnp.zeros(z.shape[0] - 1, z.dtype)]
    for level in range(1, levels + 1):  # a block sags as its halves do, plus its middle point
        ends = z[:: 1 << (level - 1)]
        middle = jnp.abs(ends[1::2] - 0.5 * (ends[:-1:2] + ends[2::2]))
        sags.append(jnp.maximum(sags[-1][::2], sags[-1][1::2]) + middle)
    begins = [sum(s.shape[0] for s in sags[:level]) for level in range(levels + 1)]
    return jnp.concatenate(sags), jnp.array(begins, jnp.int32)


@functools.partial(jax.jit, static_argnames=("steps", "blocks"))
def refine(values: Float[Array, " n"], steps: int, blocks: int) -> Refinement:
    """The best schedule of `2 <= steps < n` steps on a nondecreasing curve, or windows around it.

    `blocks` (a power of two) blocks a boundary are kept, in `O(n + steps blocks^2)` memory.
    """
    size, dtype, shape = values.shape[0], values.dtype, (steps - 1, blocks)
    levels = max(0, (size - 1).bit_length() - (blocks.bit_length() - 2))
    curve = jnp.pad(values - values[0], (0, (blocks // 2 << levels) + 1 - size), mode="edge")
    sags, begins = _sags(curve, levels)
    n, index = jnp.asarray(size, dtype), jnp.arange(blocks, dtype=jnp.int32)
    tolerance = float(8 * jnp.finfo(dtype).eps)
    start = index < blocks // 2
    left, level = jnp.where(start, index << levels, 0), jnp.full_like(index, levels)
    whole = _Blocks(*(jnp.broadcast_to(a, shape) for a in (left, level, start)))

    def sides_of(blocks):
        right = blocks.left + (1 << blocks.level)
        sag = sags[begins[blocks.level] + (blocks.left >> blocks.level)]
        x0, x1 = blocks.left.astype(dtype), right.astype(dtype)
        return _Sides(x0, x1, curve[blocks.left], curve[right], sag, blocks.alive)

    def refine_once(state):
        now, best, _ = state
        sides = sides_of(now)
        best = _better(best, _best_path(sides.x0, sides.z0, sides.alive, n))
        better = _all_bounds(sides, n) > best.gain + tolerance * jnp.abs(best.gain)
        kept = now._replace(alive=now.alive & better & (sides.x0 < n))
        halved, progress = jax.vmap(_halve)(kept, (sides.x1 - sides.x0) * (sides.z1 - sides.z0))
        hopeful = jnp.all(jnp.any(kept.alive, axis=1))
        return halved, best, hopeful & jnp.any(progress)

    nothing = _Best(jnp.asarray(-jnp.inf, dtype), jnp.zeros(steps - 1, dtype))
    state = (whole, nothing, jnp.array(True))
    final, best, _ = jax.lax.while_loop(lambda state: state[2], refine_once, state)
    sides, alive = sides_of(final), final.alive
    ends = (sides.x0, sides.x1), (sides.z0, sides.z1), (alive, alive)
    x, z, usable = (jnp.concatenate(pair, axis=1) for pair in ends)
    best = _better(best, _best_path(x, z, usable, n))
    open_ = alive & (final.level > 0) & (sides.z1 > sides.z0)
    right = jnp.minimum(final.left + (1 << final.level), size)
    return Refinement(
        boundaries=jnp.pad(jnp.pad(best.inner.astype(jnp.int32), (1, 0)), (0, 1), constant_values=size),
        certified=jnp.any(~jnp.any(alive, axis=1)) | ~jnp.any(open_),
        low=jnp.min(jnp.where(alive, final.left, size), axis=1),
        high=jnp.max(jnp.where(alive, right, 0), axis=1),
    )
