r"""The curve that a schedule is chosen on: the measured losses, or what never rises and is smooth.

Conditional entropies do not rise as more is revealed (Han): a rise is noise, or a fault of the model.
"""

from collections.abc import Callable

import numpy as np
import scipy

from .._errors import refuse
from .._types import Float
from .loss_curve import LossCurve, between_rows, log_odds

Points = Float[np.ndarray, " measured"]

ROUGHNESS = 10.0 ** np.arange(-3, 10.25, 0.5)
"""Prior variances that are tried, in units of the losses' own variance and the length in log odds."""

LEAST_STDERR = 1e-3  # of the largest: rows said to be exact are only a thousand times as good (our choice)


def as_measured(curve: LossCurve) -> LossCurve:
    """The curve as it is: it goes through every measured loss."""
    return curve


def isotonic_fit(curve: LossCurve) -> LossCurve:
    r"""The nonincreasing curve nearest to the measured losses in weighted least squares.

    Weights are $1/\mathrm{stderr}^2$ where every measured loss has a positive standard error, else `count`
    or 1. Points that were not measured are interpolated again (`between_rows`).

    >>> isotonic_fit(LossCurve([2.0, 1.0, 2.0])).loss.tolist()
    [2.0, 1.5, 1.5]
    """
    at = np.flatnonzero(curve.measured)
    weights = np.asarray(np.broadcast_to(1.0 if curve.count is None else curve.count, curve.n))[at]
    stderr = np.asarray(np.broadcast_to(np.nan if curve.stderr is None else curve.stderr, curve.n))[at]
    if np.all(np.isfinite(stderr) & (stderr > 0)):
        weights = (stderr.min() / stderr) ** 2
    return _refitted(curve, _falling(np.asarray(curve.loss)[at], weights))


def spline_fit(curve: LossCurve) -> LossCurve:
    r"""A smooth curve that never rises through losses with standard errors: the default for noisy tables.

    The natural cubic smoothing spline in `log_odds`, as rough as the losses are likely to be (restricted
    maximum likelihood with the variances known), then made nonincreasing, then `between_rows`. A straight
    line that falls by twice the standard error of the mean of all rows is added, its mean 0: where nothing
    else tells schedules apart, equal steps are chosen. Among the rules tried it lost least against the true
    optimum (`python -m experiments honest_gain`); all of it is our choice.

    Refuses a curve with a measured loss whose standard error is not known. With standard errors of 0 it is
    `isotonic_fit`.

    >>> [round(x, 2) for x in spline_fit(LossCurve([2.0, 1.0, 2.0], [0.5, 0.5, 0.5])).loss.tolist()]
    [2.04, 1.57, 1.38]
    """
    at = np.flatnonzero(curve.measured)
    stderr = np.full(at.size, np.nan) if curve.stderr is None else np.asarray(curve.stderr, np.float64)[at]
    if not np.all(np.isfinite(stderr)):
        missing = curve.n - at[np.argmin(np.isfinite(stderr))]
        refuse("stderr", f"not known of n_masked = {missing}", "one of every row", "use isotonic_fit")
    if stderr.max() == 0:
        return isotonic_fit(curve)
    stderr = np.maximum(stderr, LEAST_STDERR * stderr.max())
    smooth = smoothed(log_odds(at, curve.n), np.asarray(curve.loss, np.float64)[at], stderr)
    fitted = _refitted(curve, _falling(smooth, (stderr.min() / stderr) ** 2))
    slope = 2 * np.sqrt(np.mean(stderr**2) / at.size)
    tilted = np.asarray(fitted.loss) + slope * ((curve.n - 1) / 2 - np.arange(curve.n)) / curve.n
    return LossCurve(np.maximum(tilted, 0.0), curve.stderr, curve.count)


FITS: dict[str, Callable[[LossCurve], LossCurve]] = {
    "rows": as_measured,
    "isotonic": isotonic_fit,
    "spline": spline_fit,
}
"""By name, from a measured curve to the one that schedules are chosen on."""


def smoothed(x: Points, y: Points, stderr: Points) -> Points:
    r"""The values at increasing `x` of the natural cubic smoothing spline of `y` with known errors.

    It is the posterior mean of a line plus integrated Brownian motion of variance $\tau$ (flat prior on the
    line; Wahba 1978). With $Q^\top$ the second divided differences, $V$ the variances and $R$ the Gram
    matrix of the hats, $Q^\top y \sim N(0, B)$, $B = \tau R + Q^\top V Q$, and the mean is
    $y - V Q B^{-1} Q^\top y$ (Reinsch 1967). Of `ROUGHNESS` that $\tau$ is taken which makes $Q^\top y$
    most likely. All matrices have five diagonals: `O(points)`. Two points are left as they are.

    >>> smoothed(np.arange(4.0), np.array([0.0, 1, 2, 3]), np.ones(4)).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    precision = (stderr.min() / stderr) ** 2
    spread = np.average((y - np.average(y, weights=precision)) ** 2, weights=precision)
    if x.size < 3 or spread == 0:
        return y
    h, v = np.diff(x), stderr**2
    q = np.stack([1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]])  # of y at i, i + 1, i + 2
    rough = _second_differences(q, y)
    noise, prior = np.zeros((2, 3, x.size - 2))  # upper bands, the diagonal last
    noise[2] = q[0] ** 2 * v[:-2] + q[1] ** 2 * v[1:-1] + q[2] ** 2 * v[2:]
    noise[1, 1:] = q[1, :-1] * q[0, 1:] * v[1:-2] + q[2, :-1] * q[1, 1:] * v[2:-1]
    noise[0, 2:] = q[2, :-2] * q[0, 2:] * v[2:-2]
    prior[2], prior[1, 1:] = (h[:-1] + h[1:]) / 3, h[1:-1] / 6
    best, answer = np.inf, np.zeros_like(rough)
    for tau in spread / (x[-1] - x[0]) ** 3 * ROUGHNESS:
        try:
            root = scipy.linalg.cholesky_banded(tau * prior + noise)
        except np.linalg.LinAlgError:  # too smooth for rounding
            continue
        solved = scipy.linalg.cho_solve_banded((root, False), rough)
        cost = 2 * np.sum(np.log(root[2])) + rough @ solved  # -2 log likelihood, up to a constant
        if cost < best:
            best, answer = cost, solved
    back = np.zeros_like(y)  # Q times the answer
    for place, weights in enumerate(q):
        back[place : place + answer.size] += weights * answer
    return y - v * back


def _second_differences(q: Float[np.ndarray, "3 inner"], y: Points) -> Float[np.ndarray, " inner"]:
    """`Q^T y`."""
    return q[0] * y[:-2] + q[1] * y[1:-1] + q[2] * y[2:]


def _falling(loss: Points, weights: Points) -> Points:
    """The nonincreasing values nearest to `loss`."""
    return scipy.optimize.isotonic_regression(loss, weights=weights, increasing=False).x


def _refitted(curve: LossCurve, loss: Points) -> LossCurve:
    """The curve with these losses where it was measured."""
    at = np.flatnonzero(curve.measured)
    return LossCurve(between_rows(curve.n, at, np.asarray(loss, np.float64)), curve.stderr, curve.count)
