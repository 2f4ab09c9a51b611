"""Rank correlations of two rows over the counted positions: Kendall's tau-b and Spearman's rho."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Float, Int, Shaped
from .merging import index_type, merge_count, merge_sort, power_of_two

COLUMNS = 512
"""Traces that are sorted together: what two levels of cache hold (a choice for speed alone)."""


class RankCorrelation(NamedTuple):
    r"""`kendall_tau_b`; `spearman`; `tie_fraction`: of all pairs, those tied in the second row.

    Both are NaN if all pairs are ties in one of the rows; all three if there is no pair.
    """

    kendall_tau_b: Float[Array, "*samples"]
    spearman: Float[Array, "*samples"]
    tie_fraction: Float[Array, "*samples"]


class Runs(NamedTuple):
    """A column in order: which rows are `inside`, and the `start` and `end` of the run of equal values."""

    inside: Bool[Array, "n columns"]
    opens: Bool[Array, "n columns"]
    start: Int[Array, "n columns"]
    end: Int[Array, "n columns"]

    def sum(self, values: Array) -> Int[Array, " columns"]:
        """The sum over the rows inside, of at most 2^16 a row."""
        return jnp.sum(jnp.where(self.inside, values.astype(jnp.int32), 0), axis=0, dtype=jnp.int32)

    @property
    def tied_pairs(self) -> Int[Array, " columns"]:
        """Pairs of equal values: each value makes one with those of its run before it."""
        return self.sum(jnp.arange(self.start.shape[0], dtype=self.start.dtype)[:, None] - self.start)

    @property
    def ranks(self) -> Int[Array, "n columns"]:
        """Of equal values the mean of their places, as scipy has it, from 0; doubled."""
        return self.start.astype(jnp.int32) + self.end.astype(jnp.int32)

    @property
    def shared(self) -> Float[Array, " columns"]:
        r"""What ties take from the variation of ranks: $\sum_t (t^3 - t)$ over runs of $t$ values."""
        size = self.end.astype(jnp.int32) - self.start.astype(jnp.int32) + 1
        return _sum(self.inside, size * size - 1)


class Ordered(NamedTuple):
    """Columns whose counted rows come first, in an order of their own, and sorted by `values` after it."""

    runs: Runs
    rows: Int[Array, "n columns"]
    values: Shaped[Array, "n columns"]
    inversions: Int[Array, " columns"]


def rank_correlation(
    x: Shaped[Array, "*samples n"], y: Shaped[Array, "*samples n"], counted: Bool[Array, "*samples n"]
) -> RankCorrelation:
    r"""How the order of `y` goes with that of `x` over the counted positions of each sample.

    With $P$ pairs, $T_x$, $T_y$, $T_{xy}$ of them tied in one row or in both, and $D$ in opposite order,
    $\tau_b = (P - T_x - T_y + T_{xy} - 2 D) / \sqrt{(P - T_x)(P - T_y)}$. $D$ is the number of inversions
    of `y` after a sort by `x`, which a merge sort counts. `spearman` is the correlation of ranks, where
    ties share the mean of theirs. Values are integers below the largest of their type, or finite floats.

    >>> x, y = jnp.array([0.1, 0.2, 0.2, 0.9]), jnp.array([0, 1, 0, 1])
    >>> [round(float(value), 4) for value in rank_correlation(x, y, jnp.ones(4, bool))]
    [0.6708, 0.7071, 0.3333]
    """

    def columns(x: Array, y: Array, counted: Array) -> tuple[Array, ...]:
        m = jnp.sum(counted, axis=0, dtype=jnp.int32)
        first, second = merge_sort(above(x, counted), above(y, counted))
        return _correlated(runs_of(first, m), runs_of(first, m, second), order(second, m), m)

    return RankCorrelation(*by_columns(columns, x, y, counted))


def position_correlation(compacted: Ordered, m: Int[Array, " columns"]) -> tuple[Array, Array, Array]:
    """The three of position against columns that are ordered by `compact`: positions have no ties."""
    ties = compacted.runs.tied_pairs
    agreement = _pairs(m) - ties - 2 * compacted.inversions
    return (
        _tau(agreement, jnp.zeros_like(m), ties, m),
        _rho(2 * compacted.rows.astype(jnp.int32), 0, compacted.runs, m),
        ratio(ties, _pairs(m)),
    )


def sorted_correlation(compacted: Ordered, m: Int[Array, " columns"]) -> Float[Array, " columns"]:
    """Tau-b of the sorted values against the values (as ParallelBench correlates an order)."""
    ties = compacted.runs.tied_pairs
    # In the order of the values, and of equal ones in that of their rows, along which what is sorted rises.
    run = jnp.take_along_axis(compacted.runs.start, compacted.rows.astype(jnp.int32), axis=0)
    run = above(run, compacted.runs.inside)
    both = runs_of(compacted.values, m, run).tied_pairs
    return _tau(_pairs(m) - 2 * ties + both - 2 * merge_count(run)[2], ties, ties, m)


def compact(values: Shaped[Array, "n columns"], counted: Bool[Array, "n columns"]) -> Array:
    """The counted values first, in their order, then what is above all of them."""
    n = values.shape[0]
    place, values = jnp.arange(n, dtype=index_type(n))[:, None], above(values, counted)
    # Nothing to do where what does not count is behind: whole traces, and padded ones.
    behind = jnp.all(counted[1:] <= counted[:-1])
    return jax.lax.cond(
        behind,
        lambda: values,
        lambda: merge_sort(jnp.where(counted, place + jnp.asarray(-n, place.dtype), place), values)[1],
    )


def order(values: Shaped[Array, "n columns"], m: Int[Array, " columns"]) -> Ordered:
    """Columns sorted by their values, of which the first `m` count and the others are above them."""
    sorted_values, rows, inversions = merge_count(values)
    return Ordered(runs_of(sorted_values, m), rows, sorted_values, inversions)


def runs_of(
    first: Shaped[Array, "n columns"],
    m: Int[Array, " columns"],
    second: Shaped[Array, "n columns"] | None = None,
) -> Runs:
    """The runs of equal values (of equal pairs, with a second column) in the first `m` rows."""
    n = first.shape[0]
    place = jnp.arange(n, dtype=index_type(n))[:, None]
    last = (m - 1).astype(place.dtype)[None]
    inside, differs = place <= last, first[1:] != first[:-1]
    if second is not None:
        differs = differs | (second[1:] != second[:-1])
    edge = jnp.ones((1, first.shape[1]), bool)
    opens = jnp.concatenate([edge, differs])
    closes = jnp.concatenate([differs, edge]) | (place == last)
    start = running(jnp.maximum, jnp.where(opens, place, 0), 0)
    end = -running(jnp.maximum, jnp.where(closes, -place, 1 - n)[::-1], 1 - n)[::-1]
    return Runs(inside, opens & inside, start, end)


def above(values: Array, counted: Array) -> Array:
    """The values that count, and what is above all of them elsewhere."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        return jnp.where(counted, values, jnp.inf)
    return jnp.where(counted, values, jnp.iinfo(values.dtype).max)


def by_columns(function: Callable, *arrays: Array) -> tuple[Array, ...]:
    """`function` of arrays `[n, columns]`, `COLUMNS` samples at a time, `n` filled up to a power of two.

    The arrays have shape `[*samples, n]`, the last says what counts. What `function` returns has the
    columns last; they come first here.
    """
    *samples, n = arrays[0].shape
    rows = [array.reshape(-1, n) for array in arrays]
    count = rows[0].shape[0]
    columns = min(COLUMNS, max(count, 1))
    more, longer = -count % columns, power_of_two(n) - n
    tiles = [
        jnp.pad(row, ((0, more), (0, longer))).reshape(-1, columns, n + longer).transpose(0, 2, 1)
        for row in rows
    ]
    found = jax.lax.map(lambda tile: function(*tile), tiles)
    return tuple(
        jnp.moveaxis(one, -1, 1)
        .reshape(count + more, *one.shape[1:-1])[:count]
        .reshape(*samples, *one.shape[1:-1])
        for one in found
    )


def _correlated(x: Runs, both: Runs, y: Ordered, m: Array) -> tuple[Array, Array, Array]:
    """Tau-b, rho and the ties of y, of columns that were sorted by x, then by y."""
    x_ties, y_ties = x.tied_pairs, y.runs.tied_pairs
    agreement = _pairs(m) - x_ties - y_ties + both.tied_pairs - 2 * y.inversions
    ranks = jnp.take_along_axis(x.ranks, y.rows.astype(jnp.int32), axis=0)
    return (
        _tau(agreement, x_ties, y_ties, m),
        _rho(ranks, x.shared, y.runs, m),
        ratio(y_ties, _pairs(m)),
    )


def _pairs(m: Array) -> Array:
    return m * (m - 1) // 2


def _tau(agreement: Array, x_ties: Array, y_ties: Array, m: Array) -> Array:
    """Tau-b of the pairs that agree less those that do not."""
    dtype = jnp.result_type(float)
    parted = (_pairs(m) - x_ties).astype(dtype) * (_pairs(m) - y_ties).astype(dtype)
    root = jnp.sqrt(jnp.where(parted > 0, parted, 1))
    return jnp.where(parted > 0, agreement.astype(dtype) / root, jnp.nan)


def _rho(ranks: Array, shared: Array | int, y: Runs, m: Array) -> Array:
    """The correlation of doubled ranks, of which `shared` is what ties take of the first."""
    dtype, size = jnp.result_type(float), m.astype(jnp.result_type(float))
    middle = m[None] - 1
    product = _sum(y.inside, (ranks - middle) * (y.ranks - middle))
    whole = size * size * size - size
    variation = (whole - jnp.asarray(shared, dtype)) * (whole - y.shared) / 9
    return jnp.where(variation > 0, product / jnp.sqrt(jnp.where(variation > 0, variation, 1)), jnp.nan)


def ratio(above: Array, below: Array) -> Float[Array, "..."]:
    """`above / below`, NaN where there is nothing below."""
    above, below = (part.astype(jnp.result_type(float)) for part in (above, below))
    return jnp.where(below > 0, above / jnp.where(below > 0, below, 1), jnp.nan)


def _sum(inside: Array, values: Array) -> Array:
    """A sum of integers that may not fit one."""
    return jnp.sum(jnp.where(inside, values, 0).astype(jnp.result_type(float)), axis=0)


def running(join: Callable, values: Array, least: int) -> Array:
    """Each row joined with all above it, by doubling; `least` joined with a value is that value."""
    distance, n = 1, values.shape[0]
    while distance < n:
        edge = jnp.full((distance, values.shape[1]), least, values.dtype)
        values = join(values, jnp.concatenate([edge, values[:-distance]]))
        distance *= 2
    return values
