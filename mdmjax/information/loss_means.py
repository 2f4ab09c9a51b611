r"""The mean loss at every measured mask count, how sure it is, and two halves of the data behind it."""

import dataclasses
import math

import jax
import numpy as np
from scipy.sparse import csr_array

from .._errors import refuse
from .._types import Array, Bool, Float, Int, Key
from .loss_curve import LossCurve, LossTable, curve_from_table

PRIOR_DEGREES = 4  # of the pooled variance in the standard error of a few repeated rows (our choice)

KINDS = {
    "stderr": "the standard errors of its rows, taken as independent",
    "rows": "its repeated rows, taken as independent",
    "sequences": "its sequences: rows of one may depend on each other",
}
"""What the errors of a table are known from, in words."""


@dataclasses.dataclass(frozen=True, eq=False)
class LossMeans:
    r"""Mean losses of a table by number of revealed tokens `at`, increasing; errors are `None` if unknown.

    `kind` is what errors are known from, one of `KINDS`: a standard error in every row; or else rows that
    repeat a mask count, in groups that are independent of each other, which are the sequences where the
    table numbers them and single rows where it does not. A mean of one group alone has the pooled variance
    of the others by `count`, to which all are drawn a little. `degrees` are those of Student's law.
    """

    table: LossTable
    at: Int[np.ndarray, " measured"]
    loss: Float[np.ndarray, " measured"]
    kind: str | None
    stderr: Float[np.ndarray, " measured"] | None
    degrees: float
    group: Int[np.ndarray, " rows"]
    shares: csr_array | None  # [groups, points]: what a group adds to the error of a mean
    own: Float[np.ndarray, " measured"]  # the variance of a mean that no group tells

    def curve(self) -> LossCurve:
        """The curve of `curve_from_table`, with the standard errors that repeated rows give."""
        curve = curve_from_table(self.table)
        if self.stderr is None:
            return curve
        stderr = np.full(self.table.n, np.nan)
        stderr[self.at] = self.stderr
        return LossCurve(curve.loss, stderr, curve.count)

    def stderr_of(self, weights: Float[np.ndarray, "sums measured"]) -> Float[np.ndarray, " sums"]:
        r"""The standard errors of sums $\sum_m w_m \bar c(m)$; groups are independent (cluster-robust)."""
        variance = weights**2 @ self.own
        if self.shares is not None:
            variance = variance + np.sum((self.shares @ weights.T) ** 2, axis=0)
        return np.sqrt(variance)

    def halves(self, key: Key[Array, ""], pairs: int) -> Float[np.ndarray, "pairs 2 measured"]:
        r"""Pairs of independent tables, each of half of the data: mean losses of twice the variance.

        With standard errors they are $\bar c + z$ and $\bar c - z$, $z \sim N(0, \mathrm{stderr}^2)$: their
        covariance is the difference of equal variances, 0. With groups they are means over a random half of
        the groups and over the others, every group whole; groups of like mask counts are parted. A mean
        that one half does not have is drawn as with standard errors.

        Raises:
            InvalidInputError: a table whose errors are not known.
        """
        stderr = self.stderr
        if stderr is None:
            wanted = "a table with a column stderr, with repeated rows or with sequences"
            refuse("loss table", "without any of these", wanted, "measure every mask count twice or more")
        drawing, parting = jax.random.split(key)
        noise = stderr * np.asarray(jax.random.normal(drawing, (pairs, self.at.size)))
        both = np.stack([self.loss + noise, self.loss - noise], axis=1)
        if self.shares is None:
            return both
        table, size = self.table, int(self.group.max()) + 1
        level = np.bincount(self.group, table.n_masked, size) / np.bincount(self.group, minlength=size)
        place = np.searchsorted(self.at, table.n - table.n_masked)
        uniforms = np.asarray(jax.random.uniform(parting, (pairs, 2, size)))
        for pair, (ties, coins) in enumerate(uniforms):
            first = _parted(level, ties, coins)[self.group]
            for half, rows in enumerate((first, ~first)):
                count = np.bincount(place[rows], table.count[rows], self.at.size)
                total = np.bincount(place[rows], (table.count * table.loss)[rows], self.at.size)
                np.divide(total, count, out=both[pair, half], where=self._in_both(place, first))
        return both

    def _in_both(self, place: Int[np.ndarray, " rows"], first: Bool[np.ndarray, " rows"]) -> np.ndarray:
        """The points of which both halves have a row."""
        sides = [np.bincount(place[rows], minlength=self.at.size) > 0 for rows in (first, ~first)]
        return sides[0] & sides[1]


def loss_means(table: LossTable) -> LossMeans:
    """The means of the rows of a table, and what it tells of their errors.

    >>> rows = LossTable(2, np.array([2, 2, 1, 1]), np.array([3.0, 5.0, 1.0, 1.0]))
    >>> found = loss_means(rows)
    >>> found.loss.tolist(), found.kind, found.stderr_of(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    ([4.0, 1.0], 'rows', [1.0, 0.0])
    """
    at, place = np.unique(table.n - table.n_masked, return_inverse=True)
    count = np.bincount(place, table.count)
    loss = np.bincount(place, table.count * table.loss) / count
    rows, points = table.loss.size, at.size
    group = np.arange(rows) if table.sequence is None else np.unique(table.sequence, return_inverse=True)[1]
    if table.stderr is not None:
        stderr = table.stderr[np.argsort(place)]
        return LossMeans(table, at, loss, "stderr", stderr, math.inf, group, None, stderr**2)
    groups = int(group.max()) + 1
    pairs = np.unique(place * groups + group)  # (point, group) that occur
    degrees = np.bincount(pairs // groups, minlength=points) - 1
    if not degrees.any():
        return LossMeans(table, at, loss, None, None, math.nan, group, None, np.zeros(points))
    # A mean that is taken off takes a degree of freedom from the groups of its mask count.
    scale = np.sqrt((degrees + 1) / np.maximum(degrees, 1)) / count
    shares = csr_array(
        (scale[place] * table.count * (table.loss - loss[place]), (group, place)), (groups, points)
    )
    variance = np.asarray((shares**2).sum(axis=0)).reshape(-1)
    pooled = np.sum(degrees * variance * count) / np.sum(degrees) / count
    stderr = np.sqrt((PRIOR_DEGREES * pooled + degrees * variance) / (PRIOR_DEGREES + degrees))
    kind, left = ("rows", rows - points) if table.sequence is None else ("sequences", groups - 1)
    alone = np.where(degrees == 0, pooled, 0.0)
    return LossMeans(table, at, loss, kind, stderr, float(left), group, shares, alone)


def _parted(level: np.ndarray, ties: np.ndarray, coins: np.ndarray) -> Bool[np.ndarray, " groups"]:
    """Half of the groups: neighbours by `level`, in random order where it is equal, are parted."""
    order = np.lexsort((ties, level))
    first = np.arange(order.size) % 2 == (coins[order] < 0.5)[np.arange(order.size) // 2 * 2]
    side = np.empty(order.size, bool)
    side[order] = first
    return side
