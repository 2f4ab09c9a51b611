r"""What is wrong with a loss table, or may be: a reversed axis, another unit, losses above guessing's."""

import math
from typing import NamedTuple

import numpy as np
import scipy

from .._errors import refuse
from .loss_curve import Counts, LossTable, Rows

FAR, ALONE = 0.9, 0.1
"""Reversed is a variance that is 0.9 of the wrong direction and at most 0.1 of the right (our choice)."""

SPAN = 0.05
"""Without standard errors, losses that span less of the largest one may differ by noise (our choice)."""

ORDER = 10.0
"""Losses of which half are as many times log q are of another unit (our choice)."""


class Means(NamedTuple):
    """The mean loss of each mask count, fewest first, and its standard error, NaN where it is not known."""

    n_masked: Counts
    loss: Rows
    stderr: Rows


class Direction(NamedTuple):
    """Whether a table falls as more is masked, throughout, and whether noise alone would do that."""

    reversed: bool
    by_noise: bool


def count_means(table: LossTable) -> Means:
    r"""Mean losses by mask count, with the `stderr` of the table, or that of repeated rows.

    Rows of one sequence count once, by their mean: standard errors are over sequences.

    >>> rows = LossTable(2, np.array([2, 2, 1]), np.array([1.0, 3.0, 0.5]))
    >>> [values.tolist() for values in count_means(rows)]
    [[1, 2], [0.5, 2.0], [nan, 1.0]]
    """
    largest = float(table.loss.max()) or 1.0  # of which no square is infinite
    n_masked, loss, count = table.n_masked, table.loss / largest, table.count / table.count.max()
    if table.sequence is not None:
        pairs, which = np.unique(np.stack([n_masked, table.sequence]), axis=1, return_inverse=True)
        which = which.reshape(-1)
        total = np.bincount(which, count)
        n_masked, loss, count = pairs[0], np.bincount(which, count * loss) / total, total
    counts, which = np.unique(n_masked, return_inverse=True)
    rows, total = np.bincount(which), np.bincount(which, count)
    mean = np.bincount(which, count * loss) / total
    if table.stderr is not None:
        order = np.argsort(table.n_masked)
        return Means(counts, mean * largest, table.stderr[order])
    spread = np.bincount(which, (count * (loss - mean[which])) ** 2) / total**2
    stderr = np.sqrt(np.where(rows > 1, spread * rows / np.maximum(rows - 1, 1), np.nan))
    return Means(counts, mean * largest, stderr * largest)


def direction(table: LossTable) -> Direction:
    r"""Whether the losses fall as more is masked, as no model's do: less is known, and they should rise.

    Reversed is a table of which the best nondecreasing fit is nearly a constant, and the best nonincreasing
    one nearly the table (shares `ALONE` and `FAR` of the variance). Noise explains it where all standard
    errors are known and the $\chi^2$ of a constant is at most $d + 4 \sqrt{2 d}$, $d$ degrees of freedom;
    else it may where the losses span at most `SPAN` of the largest.

    >>> direction(LossTable(4, np.array([1, 2, 4]), np.array([3.0, 2.0, 1.0])))
    Direction(reversed=True, by_noise=False)
    """
    means = count_means(table)
    largest = float(means.loss.max()) or 1.0
    means = Means(means.n_masked, means.loss / largest, means.stderr / largest)
    total = float(((means.loss - means.loss.mean()) ** 2).sum())
    if means.loss.size < 2 or total <= 1e-24 * float((means.loss**2).sum()):
        return Direction(False, False)
    right, wrong = (
        1
        - float(((means.loss - scipy.optimize.isotonic_regression(means.loss, increasing=up).x) ** 2).sum())
        / total
        for up in (True, False)
    )
    if right > ALONE or wrong < FAR:
        return Direction(False, False)
    if not (means.stderr > 0).all():
        return Direction(True, float(np.ptp(means.loss)) <= SPAN * float(means.loss.max()))
    weights = (means.stderr.min() / means.stderr) ** 2
    mean = float((weights * means.loss).sum() / weights.sum())
    with np.errstate(over="ignore"):
        chi_square = float((((means.loss - mean) / means.stderr) ** 2).sum())
    degrees = means.loss.size - 1
    return Direction(True, chi_square <= degrees + 4 * math.sqrt(2 * degrees))


def rises_within_noise(table: LossTable) -> int | None:
    """How many losses that rise though less is masked do so by at most 2 standard errors of the difference.

    None where some standard error is not known.

    >>> rows = LossTable(3, np.array([1, 2, 3]), np.array([1.0, 0.9, 3.0]), stderr=np.full(3, 0.1))
    >>> rises_within_noise(rows)
    1
    """
    means = count_means(table)
    if np.isnan(means.stderr).any():
        return None
    rise, error = -np.diff(means.loss), np.hypot(means.stderr[1:], means.stderr[:-1])
    return int(((rise > 0) & (rise <= 2 * error)).sum())


def above_guessing(table: LossTable, q: int) -> list[int]:
    r"""The mask counts whose loss is above $\log q$, that of guessing, by 2 standard errors.

    >>> above_guessing(LossTable(3, np.array([1, 3]), np.array([0.5, 0.8])), 2)
    [3]
    """
    means = count_means(table)
    return means.n_masked[means.loss - 2 * np.nan_to_num(means.stderr) > math.log(q)].tolist()


def unit_doubtful(table: LossTable) -> bool:
    r"""Whether half of the losses are above $\log 2^{24}$: no vocabulary is as large (our choice).

    >>> unit_doubtful(LossTable(64, np.array([32, 64]), np.array([60.0, 150.0])))
    True
    """
    return float(np.median(count_means(table).loss)) > 24 * math.log(2)


def check_unit(table: LossTable, q: int) -> None:
    r"""Refuse losses of which half are over `ORDER` times $\log q$: they are no nats a masked token.

    >>> check_unit(LossTable(64, np.array([32, 64]), np.array([60.0, 150.0])), 20)
    Traceback (most recent call last):
        ...
    mdmjax._errors.InvalidInputError: loss is 105 in the median, 35 times log 20: want nats a masked token;
    a sum over a sequence is --per sequence, a perplexity --unit perplexity
    """
    middle = float(np.median(count_means(table).loss))
    if middle > ORDER * math.log(q):
        found = f"{middle:.3g} in the median, {middle / math.log(q):.0f} times log {q}"
        remedy = "a sum over a sequence is --per sequence, a perplexity --unit perplexity"
        refuse("loss", found, "nats a masked token", remedy)
