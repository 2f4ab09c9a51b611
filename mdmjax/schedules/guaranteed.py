r"""Schedules with a guarantee: Theorem 9 of arXiv 2511.04647, and Austin's of its Appendix F.2."""

import bisect
import math

from .._checks import check_integer
from .._errors import refuse
from ..information.curve import InformationCurve, check_curve, check_positions
from .named import check_steps, llada_uniform
from .schedule import Schedule, expected_kl


def theorem9_tc(n: int, total_correlation: float, epsilon: float) -> Schedule:
    r"""Theorem 9 from an upper estimate of TC: shrinking counts, then single tokens.

    With $\zeta = 1 + \lceil \widehat{TC}/\varepsilon \rceil$, each step reveals
    $\lfloor (n - N)/\zeta \rfloor$ of the tokens that are left, until that is none; the rest one at a time
    (App. D). If $\mathrm{TC} \le \widehat{TC}$, `expected_kl <= epsilon` in at most `theorem9_steps`.
    Refuses `epsilon <= 0`, and a correlation that is negative or not finite.

    >>> theorem9_tc(16, 0.69, 0.5).counts.tolist()
    [5, 3, 2, 2, 1, 1, 1, 1]
    """
    return _shrinking(n, _zeta("total_correlation", total_correlation, epsilon))


def theorem9_dtc(n: int, dual_total_correlation: float, epsilon: float) -> Schedule:
    r"""Theorem 9 from an upper estimate of DTC: `theorem9_tc` with DTC in place of TC, reversed.

    >>> theorem9_dtc(16, 0.69, 0.5).counts.tolist()
    [1, 1, 1, 1, 2, 2, 3, 5]
    """
    shrinking = _shrinking(n, _zeta("dual_total_correlation", dual_total_correlation, epsilon))
    return Schedule(shrinking.counts[::-1])


def theorem9_steps(n: int, correlation: float, epsilon: float) -> float:
    r"""$2 + (1 + \log n)\,\zeta$ with $\zeta = 1 + \lceil C/\varepsilon \rceil$: at most so many steps.

    `correlation` is TC for `theorem9_tc` and DTC for `theorem9_dtc`. Refuses what they do.

    >>> round(theorem9_steps(16, 0.69, 0.5), 3)
    13.318
    """
    n = check_integer("n", n, 1)
    return 2 + (1 + math.log(n)) * _zeta("correlation", correlation, epsilon)


def theorem9_tc_for_steps(n: int, steps: int) -> Schedule:
    r"""The TC schedule of Theorem 9 with the largest $\zeta$ that fits in `steps` steps.

    (Our choice: the theorem chooses $\zeta$ by $\varepsilon$.) The guarantee is
    $\varepsilon = \mathrm{TC}/(\zeta - 1)$; there may be fewer steps, and never fewer for a larger $\zeta$.

    >>> theorem9_tc_for_steps(16, 8).counts.tolist()
    [5, 3, 2, 2, 1, 1, 1, 1]
    """
    check_steps(n, steps)
    # A step more than `steps` settles it.
    steps_of = lambda zeta: n - sum(count - 1 for count in _large_steps(n, zeta, steps + 1))
    return _shrinking(n, 1 + bisect.bisect_right(range(2, n + 1), steps, key=steps_of))


def theorem9_dtc_for_steps(n: int, steps: int) -> Schedule:
    """The DTC schedule of Theorem 9 in at most `steps` steps: `theorem9_tc_for_steps` reversed.

    >>> theorem9_dtc_for_steps(16, 8).counts.tolist()
    [1, 1, 1, 1, 2, 2, 3, 5]
    """
    return Schedule(theorem9_tc_for_steps(n, steps).counts[::-1])


def doubling_sweep(n: int, q: int, epsilon: float) -> dict[float, tuple[Schedule, Schedule]]:
    r"""For each estimate $2^i$, the TC and the DTC schedule of Theorem 9, in increasing $i$.

    The paper sweeps $\varepsilon \le 2^i \le n \log q$; here the grid goes on to the first power of two
    $\ge n \log q$, so that some entry always is an upper estimate (our choice). The best entry loses at
    most a factor 2 in steps against knowing TC or DTC. Refuses `n` too large, `q < 2` and `epsilon <= 0`.

    >>> list(doubling_sweep(8, 2, 1.0))
    [1.0, 2.0, 4.0, 8.0]
    """
    n, q = check_positions(n), check_integer("q", q, 2)
    _check_epsilon(epsilon)
    first = math.ceil(math.log2(epsilon))
    last = max(first, math.ceil(math.log2(n * math.log(q))))
    estimates = [2.0**i for i in range(first, last + 1)]
    return {c: (theorem9_tc(n, c, epsilon), theorem9_dtc(n, c, epsilon)) for c in estimates}


def best_of_sweep(curve: InformationCurve, q: int, epsilon: float) -> Schedule:
    r"""The schedule of `doubling_sweep` with the fewest steps and `expected_kl <= epsilon`.

    Ties go to the smaller estimate, then to TC. Refuses what is no information curve, `epsilon <= 0`, and a
    curve that no distribution on `q` symbols has, so that no schedule of the sweep reaches `epsilon`.

    >>> from mdmjax import parity_curve
    >>> best_of_sweep(parity_curve(8, 2), 2, 0.1).counts.tolist()
    [2, 2, 1, 1, 1, 1]
    """
    check_curve(curve, InformationCurve)
    schedules = [s for pair in doubling_sweep(curve.n, q, epsilon).values() for s in pair]
    reached = [s for s in schedules if float(expected_kl(curve, s)) <= epsilon]
    if not reached:
        refuse("q", q, f"a distribution on q symbols: TC = {float(curve.total_correlation):.6g}")
    return min(reached, key=lambda schedule: schedule.steps)


def austin(n: int, singles: int, steps: int) -> Schedule:
    r"""`singles` single tokens, then the others in `steps` steps as equal as `llada_uniform`.

    (App. F.2, after Austin.) $O(\sqrt{\mathrm{DTC}\, n/\varepsilon})$ steps in all reach $\varepsilon$.
    Refuses `singles` not in `0..n-1`, and `steps` not in `1..n - singles`.

    >>> austin(10, 3, 2).counts.tolist()
    [1, 1, 1, 4, 3]
    """
    if not 0 <= singles < n:
        refuse("singles", singles, f"an integer in 0..n-1 with n = {n}")
    check_positions(singles, 0, "singles")
    return Schedule([1] * singles + llada_uniform(n - singles, steps).counts.tolist())


def austin_for_steps(n: int, steps: int) -> Schedule:
    r"""Austin's schedule of exactly `steps` steps, half of them single tokens (rounded down).

    After $k$ single tokens $\ell$ equal steps cost at most about $\frac{n}{\ell}\frac{\mathrm{DTC}}{k}$:
    least at $k = \ell$, whatever the DTC (the balance is ours).

    >>> austin_for_steps(10, 4).counts.tolist()
    [1, 1, 4, 4]
    """
    check_steps(n, steps)
    return austin(n, steps // 2, steps - steps // 2)


def _zeta(argument: str, correlation: float, epsilon: float) -> int:
    """Theorem 9's zeta, after its inputs are checked."""
    # A sum of rounded informations that are all zero may be slightly negative.
    if not (math.isfinite(correlation) and correlation >= -1e-6):
        refuse(argument, correlation, "finite nats >= 0")
    _check_epsilon(epsilon)
    return 1 + math.ceil(min(max(correlation, 0.0) / epsilon, 2.0**53))


def _check_epsilon(epsilon: float) -> None:
    if not (math.isfinite(epsilon) and epsilon > 0):
        refuse("epsilon", epsilon, "finite nats > 0", "ask for a positive error")


def _large_steps(n: int, zeta: int, most: float | int = math.inf) -> list[int]:
    """The steps of more than one token, or the first `most` of them."""
    left, counts = n, []
    while left >= 2 * zeta and len(counts) < most:
        counts.append(left // zeta)
        left -= counts[-1]
    return counts


def _shrinking(n: int, zeta: int) -> Schedule:
    """Theorem 9's TC schedule; from below `2 zeta` left on, its steps are single tokens."""
    large = _large_steps(check_positions(n), zeta)
    return Schedule(large + [1] * (n - sum(large)))
