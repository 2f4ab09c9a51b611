r"""What a schedule gains that is chosen on noisy losses: one half of the data chooses, the other judges."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy.sparse import csr_array
from scipy.stats import t as student

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..information.curve_fit import spline_fit
from ..information.loss_curve import LossCurve, between_rows, log_odds
from ..information.loss_means import LossMeans
from .optimal import optimal_schedule
from .schedule import Schedule

LEVEL = 0.95
"""Of every interval."""


class HonestGain(NamedTuple):
    r"""`nll(baseline) - nll(chosen)` in nats a sequence: its estimate, standard error, interval of `LEVEL`.

    `more`: with how many times the data the interval would not hold 0, as it shrinks like one over their
    root; at most 1 where it holds none already, `None` where the estimate is not above 0.
    """

    gain: float
    stderr: float
    interval: tuple[float, float]
    more: float | None


def honest_gains(
    key: Key[Array, ""],
    means: LossMeans,
    steps: int,
    baselines: Mapping[str, Schedule],
    *,
    fit: Callable[[LossCurve], LossCurve] = spline_fit,
    repetitions: int = 64,
) -> dict[str, HonestGain]:
    r"""The gain over each of `baselines` of the best schedule of `steps` steps on a `fit` to noisy losses.

    Each of `repetitions` takes one of the `halves` of the data, chooses the schedule on it, and judges its
    gain on the other, which is independent: the estimate is unbiased for the gain of this rule with half of
    the data, a little less than it has with all of them. It is the mean over repetitions, in pairs in which
    the halves change their roles. The judged curve between measured mask counts is the fitted one plus what
    is measured less that, linear in `log_odds`; so a gain is linear in the judge's losses, and where all
    counts are measured it is $\sum_m w_m c(m)$ with the difference $w$ of the two `Schedule.weights`.

    The standard error is that of the same linear sum on all of the data, its variance averaged over
    repetitions, plus that of the mean over the pairs. Were the schedule always the same, it would be exact.
    In general one half that judges has twice this variance, and that of the true gain of what the other
    chose; the mean over halves has less. Coverage is measured, not proved: `python -m experiments
    honest_gain` has 95.5 to 100% where 95% is claimed. The interval is Student's (normal for given errors).

    Raises:
        InvalidInputError: errors that are not known; fewer than 2 repetitions; `steps` outside `1..n`.

    >>> import jax
    >>> from mdmjax.information.loss_curve import LossTable
    >>> from mdmjax.information.loss_means import loss_means
    >>> rows = LossTable(4, np.array([4, 3, 2, 1]), np.array([4.0, 1.0, 1.0, 1.0]), stderr=np.full(4, 1e-4))
    >>> even = {"even": Schedule([2, 2])}
    >>> round(honest_gains(jax.random.key(0), loss_means(rows), 2, even)["even"].gain, 2)
    3.0
    """
    ends = np.stack([one.weights for one in baselines.values()])

    def less(curves: Sequence[LossCurve]) -> Int[np.ndarray, "baselines 1 n"]:
        return (ends - optimal_schedule(curves[0], steps).weights)[:, None]

    gains = judged_gains(key, [means], less, fit=fit, repetitions=repetitions)
    return dict(zip(baselines, gains, strict=True))


def judged_gains(
    key: Key[Array, ""],
    tables: Sequence[LossMeans],
    rule: Callable[[Sequence[LossCurve]], Int[np.ndarray, "baselines tables n"]],
    *,
    fit: Callable[[LossCurve], LossCurve] = spline_fit,
    repetitions: int = 64,
) -> list[HonestGain]:
    r"""The gains of a `rule` that chooses on the curves of several models, as `honest_gains` of one.

    The rule gives $w$, the weights of each baseline less those of what it chooses: the gain is
    $\sum_{i,m} w_{im} c_i(m)$ over models $i$. Baselines may be chosen on the same curves. Tables that
    number their sequences must be of the same ones: these are halved together, and errors are summed over
    sequences. Others are taken as independent.

    Raises:
        InvalidInputError: what `honest_gains` refuses; tables of different sequences.
    """
    check_integer("repetitions", repetitions, 2)
    pairs = (repetitions + 1) // 2
    if not same_sequences(tables):
        remedy = "measure all models with the same --sequences and --seed"
        refuse("loss table", "of other sequences or mask counts", "those of the first", remedy)
    own_key = lambda number: key if number == 0 else jax.random.fold_in(key, number)
    keys = [key if one.kind == "sequences" else own_key(number) for number, one in enumerate(tables)]
    halves = [one.halves(own, pairs) for own, one in zip(keys, tables, strict=True)]
    lines = [_lines(one.table.n, one.at) for one in tables]
    gains, variances = [], []
    for pair in range(pairs):
        for known in (0, 1):
            curves = [fit(_curve(one, half[pair, known])) for one, half in zip(tables, halves, strict=True)]
            weights, gain, on_rows = rule(curves), 0.0, []
            for number, (one, half) in enumerate(zip(tables, halves, strict=True)):
                fitted, own = np.asarray(curves[number].loss, np.float64), weights[:, number]
                on_rows.append(own @ lines[number])
                gain = gain + own @ fitted + on_rows[-1] @ (half[pair, 1 - known] - fitted[one.at])
            gains.append(gain)
            variances.append(_variance(tables, on_rows))
    of_pairs = np.reshape(gains, (pairs, 2, -1)).mean(axis=1)
    drawing = of_pairs.var(axis=0, ddof=1) / pairs if pairs > 1 else 0.0
    errors = np.sqrt(np.mean(variances, axis=0) + drawing)
    reach = student.ppf((1 + LEVEL) / 2, min(one.degrees for one in tables))
    found = zip(of_pairs.mean(axis=0).tolist(), errors.tolist(), strict=True)
    return [_gain(gain, error, float(reach)) for gain, error in found]


def _curve(means: LossMeans, loss: Float[np.ndarray, " measured"]) -> LossCurve:
    """The curve of these losses, with the standard errors of half of the data."""
    n, at = means.table.n, means.at
    stderr, count = np.full(n, np.nan), np.zeros(n)
    stderr[at], count[at] = np.sqrt(2) * np.asarray(means.stderr), 1.0
    return LossCurve(between_rows(n, at, loss), stderr, count)


def same_sequences(tables: Sequence[LossMeans]) -> bool:
    """Whether tables that number their sequences are of the same ones, masked at the same counts."""
    numbered = [one.table for one in tables if one.kind == "sequences"]
    rows = [_sorted(np.stack([one.sequence, one.n_masked])) for one in numbered]
    return all(np.array_equal(rows[0], other) for other in rows[1:])


def _sorted(rows: Int[np.ndarray, "2 rows"]) -> Int[np.ndarray, "2 rows"]:
    return rows[:, np.lexsort(rows)]


def _variance(
    tables: Sequence[LossMeans], weights: Sequence[Float[np.ndarray, "sums measured"]]
) -> Float[np.ndarray, " sums"]:
    """The variances of sums over tables: independent ones, and those with sequences in common."""
    each = list(zip(tables, weights, strict=True))
    total = sum(one.stderr_of(own) ** 2 for one, own in each if one.kind != "sequences")
    joint = [(one, own) for one, own in each if one.kind == "sequences"]
    total = total + sum(own**2 @ one.own for one, own in joint)
    return total + np.sum(np.square(sum(one.shares @ own.T for one, own in joint)), axis=0)


def _lines(n: int, at: Int[np.ndarray, " measured"]) -> csr_array:
    """The matrix `[n, measured]` of linear interpolation in `log_odds`, flat beyond the ends."""
    every = np.arange(n)
    if at.size == 1:
        return csr_array(np.ones((n, 1)))
    x, known = log_odds(every, n), log_odds(at, n)
    before = np.clip(np.searchsorted(at, every, side="right") - 1, 0, at.size - 2)
    share = np.clip((x - known[before]) / np.diff(known)[before], 0.0, 1.0)
    both = np.concatenate([before, before + 1])
    return csr_array((np.concatenate([1 - share, share]), (np.tile(every, 2), both)), (n, at.size))


def _gain(gain: float, stderr: float, reach: float) -> HonestGain:
    more = (reach * stderr / gain) ** 2 if gain > 0 else None
    return HonestGain(gain, stderr, (gain - reach * stderr, gain + reach * stderr), more)
