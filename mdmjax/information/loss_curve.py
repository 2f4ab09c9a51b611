r"""The masked-loss curve of a trained model: the one function of a model that decides its schedules."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy

from .._checks import Numbers, as_floats, check_shape
from .._errors import refuse
from .._types import Array, Bool, Float, Int
from .curve import AbstractCurve, check_positions

Rows = Float[np.ndarray, " rows"]
Counts = Int[np.ndarray, " rows"]


class LossTable(eqx.Module):
    """Measured losses, one row a measurement: `loss` nats a masked token with `n_masked` of `n` masked.

    `count > 0` is how many observations a row averages: only ratios matter. `stderr` is the standard error
    of `loss`, or `None`. Rows that repeat a mask count are averaged by `count`; with `stderr` none may.
    `sequence` numbers the sequence that each row was measured on, or is `None`: rows of one sequence are
    not independent, so that standard errors are taken over sequences, and halves are halves of these.
    Refuses a mask count outside `1..n`, numbers that are negative or not finite, and fewer than two
    different mask counts (one is enough for `n = 1`).

    >>> LossTable(4, np.array([4, 1]), np.array([2.0, 1.0])).count.tolist()
    [1.0, 1.0]
    """

    n: int = eqx.field(static=True)
    n_masked: Counts
    loss: Rows
    count: Rows
    stderr: Rows | None
    sequence: Counts | None

    def __init__(
        self,
        n: int,
        n_masked: Counts,
        loss: Rows,
        *,
        count: Rows | None = None,
        stderr: Rows | None = None,
        sequence: Counts | None = None,
    ):
        self.n, self.n_masked, self.loss, self.stderr = check_positions(n), n_masked, loss, stderr
        self.sequence = sequence
        self.count = np.ones_like(loss) if count is None else count
        if n_masked.size == 0:
            refuse("loss table", "empty", "at least one row")
        _check_rows("n_masked", n_masked, (n_masked >= 1) & (n_masked <= n), f"1..n with n = {n}")
        _check_rows("loss", loss, np.isfinite(loss) & (loss >= 0), "finite nats >= 0")
        small = loss <= np.finfo(loss.dtype).max / min(n, 2**53)
        _check_rows("loss", loss, small, f"nats whose sum over n = {n} positions is finite")
        _check_rows("count", self.count, np.isfinite(self.count) & (self.count > 0), "a count > 0")
        values, repeats = np.unique(n_masked, return_counts=True)
        if stderr is not None:
            _check_rows("stderr", stderr, np.isfinite(stderr) & (stderr >= 0), "finite nats >= 0")
            if repeats.max() > 1:
                found = f"{values[repeats.argmax()]} in {repeats.max()} rows that have a stderr"
                remedy = "merge these rows, or leave the stderr out so that repeated rows are averaged"
                refuse("n_masked", found, "one row for each mask count", remedy)
        if values.size < min(n, 2):
            found, remedy = f"{values[0]} in every row", "measure the loss at more mask counts"
            refuse("n_masked", found, "at least two different mask counts", remedy)

    @property
    def repeated(self) -> int:
        """How many mask counts have more than one row."""
        return int(np.sum(np.unique(self.n_masked, return_counts=True)[1] > 1))


class LossCurve(AbstractCurve):
    r"""The masked-loss curve $c(m)$ of a model, $m = 0..n-1$ tokens revealed, in nats a token.

    `stderr[m]` is the standard error of `loss[m]`, NaN where it is not known, and `count[m]` how many
    observations it averages, 0 where it was interpolated; both are `None` where nothing was measured.
    A perfect model's curve is $H_1 - Z_{m+1}$, nonincreasing; a measured one need not be.

    >>> curve = curve_from_table(LossTable(3, np.array([3, 1]), np.array([2.0, 1.0])))
    >>> curve.loss.tolist(), curve.measured.tolist()
    ([2.0, 1.5, 1.0], [True, False, True])
    """

    loss: Float[Array, " n"]
    stderr: Float[Array, " n"] | None
    count: Float[Array, " n"] | None
    heights = property(lambda self: -self.loss)

    def __init__(self, loss: Numbers, stderr: Numbers | None = None, count: Numbers | None = None):
        (self.loss,) = as_floats(loss)
        self.stderr = None if stderr is None else as_floats(stderr)[0]
        self.count = None if count is None else as_floats(count)[0]
        for name, value in (("stderr", self.stderr), ("count", self.count)):
            if value is not None:
                check_shape(name, value, self.loss.shape, "(n,)")

    @property
    def measured(self) -> Bool[Array, " n"]:
        """Where the loss is known; elsewhere it is interpolated."""
        return jnp.ones(self.n, bool) if self.count is None else self.count > 0

    def bracket(self, q: int | None = None) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        r"""What a curve that never rises can be at least and at most beyond its measured ends; else `loss`.

        With fewer tokens masked than in any row: from 0 to the last loss. With more: from the first loss to
        $\log q$, which a model that knows nothing has, or to infinity where `q` is not known.

        >>> curve = curve_from_table(LossTable(4, np.array([3, 2]), np.array([1.0, 0.5])))
        >>> [ends.tolist() for ends in curve.bracket()]
        [[1.0, 1.0, 0.5, 0.0], [inf, 1.0, 0.5, 0.5]]
        """
        loss, at = np.asarray(self.loss, np.float64), np.flatnonzero(self.measured)
        low, high = loss.copy(), loss.copy()
        high[: at[0]] = np.inf if q is None else np.maximum(np.log(q), loss[at[0]])
        low[at[-1] + 1 :] = 0.0
        return low, high

    def beyond(self, weights: Int[np.ndarray, " n"], q: int | None = None) -> tuple[float, float]:
        r"""How far below and above $\sum_m w_m c(m)$ can be, for losses anywhere in the `bracket`.

        >>> curve = curve_from_table(LossTable(4, np.array([3, 2]), np.array([1.0, 0.5])))
        >>> curve.beyond(np.array([0, 1, 1, 2]))
        (-1.0, 0.0)
        """
        used, loss = weights != 0, np.asarray(self.loss, np.float64)
        ends = [weights[used] * (end - loss)[used] for end in self.bracket(q)]
        return float(np.minimum(*ends).sum()), float(np.maximum(*ends).sum())


def mean_losses(
    n: int, n_masked: Counts, loss: Rows, count: Rows | None = None
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """$c(m)$ from rows: their mean weighted by `count` (1), NaN where there are none; and their counts."""
    count = np.ones_like(loss) if count is None else count
    total = np.bincount(n - n_masked, count * loss, n)
    counts = np.bincount(n - n_masked, count, n)
    return np.divide(total, counts, out=np.full(n, np.nan), where=counts > 0), counts


def curve_from_table(table: LossTable) -> LossCurve:
    r"""The loss curve of measured rows: averaged by count, then `between_rows`.

    Beyond the ends it is the nearest measured loss (our choice): `LossCurve.bracket` says how far it can be
    from that. `measured` says which is which.

    >>> rows = LossTable(2, np.array([2, 2, 1]), np.array([1.0, 2.0, 0.5]), count=np.array([3.0, 1.0, 1.0]))
    >>> curve_from_table(rows).loss.tolist()
    [1.25, 0.5]
    """
    loss, count = mean_losses(table.n, table.n_masked, table.loss, table.count)
    stderr = np.full(table.n, np.nan)
    if table.stderr is not None:
        stderr[table.n - table.n_masked] = table.stderr
    at = np.flatnonzero(count)
    return LossCurve(between_rows(table.n, at, loss[at]), stderr, count)


def log_odds(m: Int[np.ndarray, " measured"], n: int) -> Float[np.ndarray, " measured"]:
    r"""$\log \frac{m + 1}{n - m}$ of $m$ revealed tokens: where losses are interpolated and smoothed.

    Curves bend where few tokens are revealed, or few are left; both ends are long in it (our choice).
    """
    return np.log((m + 1.0) / (n - m))


def between_rows(n: int, at: Int[np.ndarray, " measured"], loss: Rows) -> Float[np.ndarray, " n"]:
    r"""$c(0..n-1)$ from its values `at` increasing $m$: monotone cubic (PCHIP) in `log_odds`, flat beyond.

    It has no dips or peaks between values. `python -m experiments honest_gain` measures it beside other
    rules; straight lines are an order of magnitude farther off where every fourth mask count is known.

    >>> between_rows(5, np.array([0, 2, 4]), np.array([3.0, 1.0, 1.0])).round(2).tolist()
    [3.0, 1.48, 1.0, 1.0, 1.0]
    """
    if at.size == 1:
        return np.full(n, loss[0])
    inside = np.clip(np.arange(n), at[0], at[-1])
    return scipy.interpolate.PchipInterpolator(log_odds(at, n), loss)(log_odds(inside, n))


def masked_from_ratio(ratio: Rows, n: int) -> Counts:
    r"""Mask counts $\max(1, \lfloor r n + \tfrac12 \rfloor)$ of mask ratios $r \in (0, 1]$ (our choice).

    A trainer's ratio masks each token with that probability: its loss counts for the nearest whole number.

    >>> masked_from_ratio(np.array([0.001, 0.125, 1.0]), 12).tolist()
    [1, 2, 12]
    """
    _check_rows("mask_ratio", ratio, (ratio > 0) & (ratio <= 1), "a ratio in (0, 1]")
    return np.maximum(1, np.floor(ratio * n + 0.5)).astype(np.int64)


def _check_rows(name: str, values: np.ndarray, good: Bool[np.ndarray, " rows"], wanted: str) -> None:
    """Refuse the first row whose value is not as wanted; rows are counted from 1."""
    if not good.all():
        row = int(np.argmin(good))
        refuse(name, f"{values[row]:g} in row {row + 1}", wanted)
