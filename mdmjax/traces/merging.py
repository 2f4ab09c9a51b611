r"""Sorting many columns at once by a network of comparisons, and counting inversions on the way.

Merge sort counts inversions: as two sorted halves are merged, each element of the left half passes those of
the right half that are smaller. The merges are Batcher's bitonic ones, $\log_2 n$ sweeps of minima and
maxima each, with no branch and no index: $n \log^2 n / 4$ comparisons, and all columns go in step. Up to
the lengths of sequences that is faster than a sort of $n \log n$ comparisons that cannot be vectorised.
"""

import jax
import jax.numpy as jnp

from .._errors import refuse
from .._types import Array, Int, Shaped

Column = Shaped[Array, "n columns"]

MOST = 2**15
"""Positions of a trace: what is counted of a longer one does not fit 32 bits."""


def merge_sort(first: Column, second: Column) -> tuple[Column, Column]:
    """The pairs of every column in ascending order, by the first of a pair, then the second.

    `n` is a power of two (`power_of_two`).

    >>> a, b = merge_sort(jnp.array([[2], [0], [1], [0]]), jnp.array([[0], [3], [2], [1]]))
    >>> a[:, 0].tolist(), b[:, 0].tolist()
    ([0, 0, 1, 2], [1, 3, 2, 0])
    """
    keys, width = _packed(first, second), 1
    while width < first.shape[0]:
        keys, width = _merged(keys, width), 2 * width
    return _unpacked(keys)


def merge_count(values: Column) -> tuple[Column, Int[Array, "n columns"], Int[Array, " columns"]]:
    r"""Every column in order, the row each value came from, and its inversions.

    An inversion is $i < j$ with $v_i > v_j$; equal values stay in their order, and are none.

    >>> order, rows, inversions = merge_count(jnp.array([[2], [0], [1], [0]]))
    >>> order[:, 0].tolist(), rows[:, 0].tolist(), inversions.tolist()
    ([0, 0, 1, 2], [1, 3, 2, 0], [4])
    """
    n, columns = values.shape
    rows = jnp.broadcast_to(jnp.arange(n, dtype=index_type(n))[:, None], (n, columns))
    total, keys, width = jnp.zeros(columns, jnp.int32), _packed(values, rows), 1
    while width < n:
        keys = _merged(keys, width)
        # The place of an element of the left half is how many of it, and of the right half, precede it.
        place = jnp.tile(jnp.arange(2 * width, dtype=jnp.int32), n // (2 * width))[:, None]
        left = (_unpacked(keys)[1] & width) == 0
        passed = jnp.sum(jnp.where(left, place, 0), axis=0, dtype=jnp.int32)
        total = total + passed - n // 2 * (width - 1) // 2
        width *= 2
    return *_unpacked(keys), total


def index_type(n: int) -> jnp.dtype:
    """The shortest integers that number `n` rows: twice as many go into a register as of 32 bits."""
    return jnp.dtype(jnp.int16 if n <= MOST else jnp.int32)


def power_of_two(n: int) -> int:
    """The least power of two that is not below `n`; refused beyond `MOST`."""
    if n > MOST:
        refuse("n", n, f"at most {MOST} positions a trace", "cut the traces into parts")
    return 1 << max(n - 1, 0).bit_length()


def _packed(first: Array, second: Array) -> tuple[Array, ...]:
    """Pairs of short integers as one integer in their order, which has a minimum and a maximum."""
    if first.dtype == second.dtype == jnp.int16:
        return ((first.astype(jnp.int32) << 16) + (second.astype(jnp.int32) + 2**15),)
    return first, second


def _unpacked(keys: tuple[Array, ...]) -> tuple[Array, Array]:
    if len(keys) == 2:
        return keys
    (key,) = keys
    return (key >> 16).astype(jnp.int16), ((key & 0xFFFF) - 2**15).astype(jnp.int16)


def _merged(keys: tuple[Array, ...], width: int) -> tuple[Array, ...]:
    """Sorted runs of `width` rows, two and two merged."""
    n, columns = keys[0].shape
    runs = (key.reshape(n // (2 * width), 2, width, columns) for key in keys)
    # Ascending, then descending: one maximum, which the sweeps sort out.
    keys = tuple(jnp.concatenate([run[:, 0], run[:, 1, ::-1]], axis=1) for run in runs)
    distance = width
    while distance:
        pairs = [key.reshape(n // (2 * distance), 2, distance, columns) for key in keys]
        halves = _exchanged([pair[:, 0] for pair in pairs], [pair[:, 1] for pair in pairs])
        keys = tuple(jnp.stack(half, axis=1) for half in halves)
        distance //= 2
    # Without the barrier a compiler that fuses sweeps computes each of them anew for both its uses.
    return jax.lax.optimization_barrier(tuple(key.reshape(n, columns) for key in keys))


def _exchanged(a: list[Array], b: list[Array]) -> list[tuple[Array, Array]]:
    """The lesser and the greater of each, key by key."""
    if len(a) == 1:
        return [(jnp.minimum(a[0], b[0]), jnp.maximum(a[0], b[0]))]
    swap = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] > b[1]))
    return [(jnp.where(swap, y, x), jnp.where(swap, x, y)) for x, y in zip(a, b, strict=True)]
