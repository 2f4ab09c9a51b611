r"""What a schedule gains that is chosen on noisy losses: one half of the data chooses, the other judges."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy
from scipy.sparse import csr_array

from .._checks import check_integer
from .._types import Array, Float, Int, Key
from ..information.curve_fit import spline_fit
from ..information.joined_means import JoinedMeans
from ..information.loss_curve import LossCurve, between_rows, log_odds
from ..information.loss_means import LossMeans
from .optimal import optimal_schedule
from .schedule import Schedule

Losses = Float[np.ndarray, " measured"]
Fitted = Float[np.ndarray, " n"]
Weights = Float[np.ndarray, "names n"] | Int[np.ndarray, "names n"]

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

    def choose(known: Losses) -> tuple[Weights, Fitted]:
        curve = fit(curve_of_half(means, known))
        return ends - optimal_schedule(curve, steps).weights, np.asarray(curve.loss, np.float64)

    lines = lines_between(means.table.n, means.at)
    return judged_gains(key, means, lines, choose, list(baselines), repetitions)


def curve_of_half(means: LossMeans, loss: Losses) -> LossCurve:
    """The curve of the losses of half of the data, with their standard errors."""
    n, at = means.table.n, means.at
    stderr, count = np.full(n, np.nan), np.zeros(n)
    stderr[at], count[at] = np.sqrt(2) * np.asarray(means.stderr), 1.0
    return LossCurve(between_rows(n, at, loss), stderr, count)


def judged_gains(
    key: Key[Array, ""],
    means: LossMeans | JoinedMeans,
    lines: csr_array,
    choose: Callable[[Losses], tuple[Weights, Fitted]],
    names: Sequence[str],
    repetitions: int = 64,
) -> dict[str, HonestGain]:
    r"""The gains of what is chosen on one half of the data, each a sum $\sum_m w_m c(m)$ of losses.

    `choose` takes the losses of one half at the measured points to the weights `[names, n]` of every gain,
    and to the curve of length `n` that it has fitted; `lines`, `[n, measured]`, say how a loss between
    points hangs on those at points. See `honest_gains`.

    Raises:
        InvalidInputError: errors that are not known; fewer than 2 repetitions.
    """
    check_integer("repetitions", repetitions, 2)
    at, pairs = means.at, (repetitions + 1) // 2
    halves = means.halves(key, pairs)
    gains, variances = np.zeros((2, pairs, 2, len(names)))
    for pair, both in enumerate(halves):
        for turn, (known, unseen) in enumerate((both, both[::-1])):
            weights, fitted = choose(known)
            on_rows = weights @ lines
            gains[pair, turn] = weights @ fitted + on_rows @ (unseen - fitted[at])
            variances[pair, turn] = means.stderr_of(on_rows) ** 2
    of_pairs = gains.mean(axis=1)
    drawing = of_pairs.var(axis=0, ddof=1) / pairs if pairs > 1 else 0.0
    errors = np.sqrt(variances.mean(axis=(0, 1)) + drawing)
    reach = scipy.special.stdtrit(means.degrees, (1 + LEVEL) / 2)
    found = zip(names, of_pairs.mean(axis=0).tolist(), errors.tolist(), strict=True)
    return {name: _gain(gain, error, float(reach)) for name, gain, error in found}


def lines_between(n: int, at: Int[np.ndarray, " measured"]) -> csr_array:
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
