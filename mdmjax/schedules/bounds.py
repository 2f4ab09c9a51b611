r"""What the theory promises of a schedule, without the whole curve: `step_gap` is exact. All in nats.

With $v$ the `heights` of a curve ($Z$ of an information curve), a step that starts at $N$ and reveals $s$
costs exactly $\sum_{m=1}^{s-1} (s-m)(v_{N+m} - v_{N+m-1})$, while TC, DTC and their sum weigh
$Z_{j+1} - Z_j$ by $n-j$, $j$ and $n$. Every bound here is a comparison of those weights.
"""

import math

import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float
from ..information.curve import AbstractCurve, InformationCurve, check_curve, check_positions
from .named import check_steps
from .schedule import Schedule, check_total


def tc_bound(schedule: Schedule, total_correlation: float) -> float:
    r"""$\mathrm{TC} \max_t \frac{s_t - 1}{n - N_t - 1}$, where step $t$ starts at $N_t$.

    At most $\varepsilon$ for the steps of Theorem 9 (App. D). The constant is ours; some curve reaches it.

    >>> tc_bound(Schedule([4, 2, 1, 1]), 1.0)
    0.42857142857142855
    """
    left = np.maximum(schedule.n - schedule.boundaries[:-1] - 1, 1)  # 0 where the last token is alone
    return total_correlation * float(np.max((schedule.counts - 1) / left))


def dtc_bound(schedule: Schedule, dual_total_correlation: float) -> float:
    r"""$\mathrm{DTC} \max_t \frac{s_t - 1}{N_t + 1}$, as `tc_bound`.

    >>> dtc_bound(Schedule([1, 1, 2, 4]), 1.0)
    0.6
    """
    return dual_total_correlation * float(np.max((schedule.counts - 1) / (schedule.boundaries[:-1] + 1)))


def li_cai_bound(
    schedule: Schedule,
    total_correlation: float,
    dual_total_correlation: float,
    *,
    power_of_two: bool = False,
) -> float:
    r"""$\frac{s_{\max} - 1}{n}(\mathrm{TC} + \mathrm{DTC}) = (s_{\max} - 1) Z_n$.

    No constant is better, for given TC + DTC and largest step (arXiv 2511.04647, App. F.1). `power_of_two`
    first rounds $s_{\max}$ up to one: Li and Cai, arXiv 2505.21400 (Thm 31 of 2511.04647).

    >>> steps = Schedule([3, 1])
    >>> li_cai_bound(steps, 1.0, 1.0), li_cai_bound(steps, 1.0, 1.0, power_of_two=True)
    (1.0, 1.5)
    """
    largest = int(schedule.counts.max())
    largest = 2 ** (largest - 1).bit_length() if power_of_two else largest
    return (largest - 1) / schedule.n * (total_correlation + dual_total_correlation)


def austin_bound(curve: AbstractCurve, steps: int) -> Float[Array, ""]:
    r"""$(n-k+1)(Z_n - Z_k)$ for $k-1$ single tokens and then the rest at once (App. F.2).

    >>> float(austin_bound(InformationCurve([0.0, 1.0, 1.5], 2.0), 2))
    1.0
    """
    check_curve(curve)
    check_steps(curve.n, steps)
    return (curve.n - steps + 1) * (curve.heights[-1] - curve.heights[steps - 1])


def austin_dtc_bound(n: int, steps: int, dual_total_correlation: float) -> float:
    r"""$\frac{n-k+1}{k}\mathrm{DTC}$ of `austin_bound`'s schedule (App. F.2), no less than `dtc_bound`.

    >>> austin_dtc_bound(10, 5, 1.0)
    1.2
    """
    check_steps(n, steps)
    return (n - steps + 1) / steps * dual_total_correlation


def wainwright_bound(curve: AbstractCurve, schedule: Schedule) -> Float[Array, ""]:
    r"""Theorem 1 of arXiv 2608.13520 for fixed cardinalities (Eq. 17b), with its completion term.

    $$\sum_t \Big(\frac{\psi(b_t/n)}{\psi((a_t+1)/n)} - 1\Big) \sum_{j=a_t+1}^{b_t-1}
    \frac jn \Big(1 - \frac jn\Big)\, n (Z_{j+1} - Z_j), \qquad \psi(x) = \frac{x}{1-x}$$

    over the steps $a_t \to b_t$ but the last, whose $\psi$ is infinite: it adds its exact cost.

    >>> float(wainwright_bound(InformationCurve([0.0, 1.0, 1.0], 1.0), Schedule([2, 1])))
    2.0
    """
    check_curve(curve)
    check_total(schedule, curve.n)
    n, bounds, last = curve.n, schedule.boundaries, int(schedule.counts[-1])
    a, b = bounds[:-2], bounds[1:-1]
    factors = b * (n - a - 1) / ((a + 1) * (n - b)) - 1
    j = np.arange(1, n)
    # The increment j lies inside the step that makes reveal j+1, unless that step starts at j.
    inside = (schedule.starts[1:] < j) & (j < n - last)
    weights = np.where(inside, np.repeat([*factors, 0.0], schedule.counts)[1:] * j * (n - j) / n, 0)
    rises = jnp.diff(curve.heights)
    return jnp.sum(jnp.asarray(weights, rises.dtype) * rises) + curve.step_cost(n - last, last)


def square_root_rule(curve: AbstractCurve, steps: int) -> Schedule:
    r"""Steps that share $\sum_j \sqrt{Z_{j+1} - Z_j}$ equally: optimal as $n/k \to \infty$.

    (Lavenant and Zanella, arXiv 2510.25544, derived anew.) Boundaries are where the cumulated root, linear
    between positions, passes each $t/k$, rounded to nearest; empty steps are dropped (our choices).

    >>> square_root_rule(InformationCurve(jnp.arange(8.0), 8.0), 4).counts.tolist()
    [2, 2, 2, 2]
    """
    roots = _root_increments(curve, steps)
    # The last step ends at n, past the last increment: the slope there is taken to go on.
    return _equal_shares(np.append(roots, roots[-1] if roots.size else 0.0), steps)


def equal_entropy(curve: AbstractCurve, steps: int) -> Schedule:
    r"""Steps that share the entropy $\sum_m c(m)$ of the tokens equally (EDS, arXiv 2602.06849).

    Its source equalises the rate of entropy in continuous time, and its abstract promises no KL; rounded as
    the `square_root_rule` (our choices). Where tokens are independent it still spends its steps evenly.

    >>> equal_entropy(InformationCurve([0.0, 0.5, 0.5, 0.5], 1.0), 2).counts.tolist()
    [2, 2]
    """
    check_curve(curve)
    check_steps(curve.n, steps)
    return _equal_shares(np.maximum(np.asarray(curve.loss, np.float64), 0.0), steps)


def _equal_shares(density: Float[np.ndarray, " n"], steps: int) -> Schedule:
    """Boundaries where the cumulated density passes each share, to nearest; without empty steps."""
    n, mass = density.size, np.concatenate([[0.0], np.cumsum(density)])
    if mass[-1] == 0:
        return Schedule([n])
    shares = np.arange(1, steps) / steps * mass[-1]
    inner = np.floor(np.interp(shares, mass, np.arange(n + 1)) + 0.5).astype(int)
    return Schedule(np.diff(np.unique([0, *inner.tolist(), n])))


def square_root_rule_error(curve: AbstractCurve, steps: int) -> float:
    r"""$\frac{1}{2k}\big(\sum_j \sqrt{Z_{j+1} - Z_j}\big)^2 - \frac12 (Z_n - Z_1)$, for large $n$.

    The optimum of $k$ steps as $k$ and $n/k \to \infty$ (arXiv 2510.25544, derived anew; the second term is
    for whole tokens). Not a bound: for $\frac{2}{1+8x}$, $n = 512$ it says 37.7 of 41.5 at $k = 8$.

    >>> round(square_root_rule_error(InformationCurve(jnp.arange(64.0), 64.0), 8), 3)
    216.562
    """
    roots = _root_increments(curve, steps)
    return float(roots.sum()) ** 2 / (2 * steps) - float(curve.heights[-1] - curve.heights[0]) / 2


def lower_bound_curve(n: int, epsilon: float) -> InformationCurve:
    r"""The curve of Appendix E: `expected_kl <= epsilon` needs $\Omega(\log n/\varepsilon)$ steps.

    $Z_j = p(1) - p(j)$ with $p(x) = \frac{(1+\varepsilon)^{-i}}{4 \log n}$ for
    $(1+\varepsilon)^i \le x < (1+\varepsilon)^{i+1}$, nondecreasing. Its DTC is at most
    $\frac{1+\varepsilon}{4}(1 + 1/\log n)$ while TC grows with $n$: no bound in DTC is free of the $\log n$
    of Theorem 9, nor, read backwards, one in TC. By Lemma 29 it is the curve of a distribution up to any
    error. $H_1 = Z_n$, the least it can be (our choice). Refuses `n < 2` and `epsilon` not in $(0, 1)$.

    >>> [round(z, 4) for z in lower_bound_curve(4, 0.5).information.tolist()]
    [0.0, 0.0601, 0.1002, 0.1269]
    """
    n = check_positions(n, 2)
    if not 0 < epsilon < 1:
        refuse("epsilon", epsilon, "nats in (0, 1)")
    level = np.floor(np.log(np.arange(1, n + 1)) / np.log1p(epsilon) + 1e-9)
    heights = (1 + epsilon) ** -level / (4 * math.log(n))
    information = jnp.asarray(heights[0] - heights, jnp.result_type(float))
    return InformationCurve(information, information[-1])


def _root_increments(curve: AbstractCurve, steps: int) -> Float[np.ndarray, " increments"]:
    r"""$\sqrt{Z_{j+1} - Z_j}$, in float64; a fall counts as none."""
    check_curve(curve)
    check_steps(curve.n, steps)
    return np.sqrt(np.maximum(np.diff(np.asarray(curve.heights, np.float64)), 0.0))
