r"""Steps needed for a given expected KL, against the length: the $O(\log n)$ of Theorem 9.

Families of arXiv 2511.04647's two kinds, $n = 2^m$ (the families are our choice):

* TC-small: independent parity checks on disjoint sets of 2, 2, 4, 8, ..., n/2 positions: TC is
  $m \log 2$, spread evenly over the scales of what is still masked;
* DTC-small: the dual codes, independent repeated bits on the same sets; DTC is $m \log 2$;
* the curve of Appendix E, which shows that the $\log n$ is needed.

TC (DTC) grows with $m$ in the first two, so the target is a fixed share of it: Theorem 9 then has a
fixed $\zeta$, and its bound grows with $\log n$ and with nothing else.
"""

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from mdmjax import InformationCurve, expected_kl, fewest_steps, theorem9_dtc, theorem9_tc
from mdmjax.information.closed_form import dual_curve
from mdmjax.schedules.bounds import lower_bound_curve
from mdmjax.schedules.guaranteed import austin_for_steps, theorem9_steps
from mdmjax.schedules.named import llada_uniform

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    log2_n: tuple[int, ...] = (4, 6, 8, 10, 12, 14, 16, 18, 20)
    share: float = 0.3
    """Expected KL allowed, as a share of TC or of DTC; 1/share is no integer, which would round."""
    epsilon: float = 0.01
    """Expected KL allowed on the curve of Appendix E, in nats; also the parameter of that curve."""


SMOKE = Config(log2_n=(3, 5), epsilon=0.1)


def parity_checks_curve(m: int) -> InformationCurve:
    r"""Parity checks on disjoint sets of 2, 2, 4, ..., $2^{m-1}$ bits: $n = 2^m$ positions, exact.

    A bit in a set of $s$ is known once its $s - 1$ mates are, which has probability
    $\binom{k}{s-1} / \binom{n-1}{s-1}$ when $k$ random others are revealed. (`blocks_curve` gives
    the same for any blocks; it refuses the work at this length.)
    """
    n = 2**m
    information = np.zeros(n)
    for size in [2, *(2**i for i in range(1, m))]:
        revealed = np.arange(size, n)
        # C(k-1, s-1) / C(k, s-1) = (k-s+1) / k, from k = n-1 downwards.
        log_ratio = np.log1p(-(size - 1) / revealed)
        log_known = np.concatenate([np.cumsum(log_ratio[::-1])[::-1], [0.0]])
        information[size - 1 :] += size / n * math.log(2) * np.exp(log_known)
    return InformationCurve(jnp.asarray(information), jnp.asarray(math.log(2)))


def first_steps(curve: InformationCurve, build: Callable, epsilon: float) -> int:
    """Steps at which `build(n, steps)` comes to reach `epsilon`, by bisection.

    It reaches `epsilon`, and with one step less it does not. The error of a schedule in whole
    tokens need not fall at every step, so that some smaller number may reach it too.
    """

    def reaches(steps: int) -> bool:
        return float(expected_kl(curve, build(curve.n, steps))) <= epsilon

    high = 1
    while not reaches(high):
        high = min(2 * high, curve.n)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def problem(family: str, m: int, config: Config) -> tuple[InformationCurve, float]:
    """A curve, and the expected KL in nats that is allowed on it."""
    if family == "lower bound":
        return lower_bound_curve(2**m, config.epsilon), config.epsilon
    checks = parity_checks_curve(m)
    epsilon = config.share * float(checks.total_correlation)
    return (checks if family == "TC-small" else dual_curve(checks)), epsilon


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Steps by family, length and method; the target and the smaller of TC and DTC, in nats."""
    kinds = ["TC-small", "DTC-small", "lower bound"]
    methods = ["optimum", "theorem9", "theorem9_bound", "austin", "uniform"]
    shape = (len(kinds), len(config.log2_n))
    steps = np.zeros((*shape, len(methods)))
    epsilons, correlations = np.zeros(shape), np.zeros(shape)
    is_tc = np.zeros(shape, int)
    cells = [(i, j) for j in range(shape[1]) for i in range(shape[0])]
    for i, j in progress(cells, "lengths"):
        curve, epsilon = problem(kinds[i], config.log2_n[j], config)
        tc, dtc = float(curve.total_correlation), float(curve.dual_total_correlation)
        small = min(tc, dtc)
        theorem9 = theorem9_tc if tc <= dtc else theorem9_dtc
        epsilons[i, j], correlations[i, j], is_tc[i, j] = epsilon, small, tc <= dtc
        steps[i, j] = [
            fewest_steps(curve, epsilon).steps,
            theorem9(curve.n, small, epsilon).steps,
            theorem9_steps(curve.n, small, epsilon),
            first_steps(curve, austin_for_steps, epsilon),
            first_steps(curve, llada_uniform, epsilon),
        ]
    return {
        "family": np.array(kinds),
        "n": 2 ** np.array(config.log2_n),
        "method": np.array(methods),
        "steps": steps,
        "epsilon_nats": epsilons,
        "correlation_nats": correlations,
        "correlation_is_tc": is_tc,
    }
