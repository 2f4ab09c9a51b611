r"""Information curves that are formulas, for `n` of $10^6$ and more; $Z$ is good to a few roundings."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .._types import Float
from ..distributions.codes import doubling_sizes
from .curve import InformationCurve, check_positions


def curve_from_steps(
    heights: Sequence[float] | Float[np.ndarray, " pieces"], starts: Sequence[int] | np.ndarray, n: int
) -> InformationCurve:
    r"""The curve with $Z_j = $ `heights[i]` for `starts[i] <= j < starts[i+1]`, 0 before them.

    `j` counts from 1, heights are in nats. Any steps will do: every nondecreasing curve with $Z_1 = 0$ is
    that of some distribution up to any error (arXiv 2511.04647, Lemma 29). They do not determine
    $H_1 \ge Z_n$: our choice is $H_1 = Z_n$, where all the others determine a token. Refuses `starts` not
    increasing in `2..n`, and `heights` that are negative, not finite, decreasing, or of another number.

    >>> curve_from_steps([1.0, 3.0], [2, 4], 5).information.tolist()
    [0.0, 1.0, 1.0, 3.0, 3.0]
    """
    n = check_positions(n)
    height, start = np.asarray(heights, dtype=float), np.asarray(starts, dtype=int)
    if height.shape != start.shape or height.ndim != 1:
        refuse("heights", f"of shape {height.shape}", f"as many as starts, {start.shape}")
    if np.any(np.diff(start) < 1) or np.any(start < 2) or np.any(start > n):
        refuse("starts", start.tolist(), f"increasing integers in 2..{n}", "Z_1 is always 0")
    levels = np.concatenate([[0.0], height])
    if not np.all(np.isfinite(levels)) or np.any(np.diff(levels) < 0):
        refuse("heights", height.tolist(), "finite, nondecreasing numbers >= 0")
    information = jnp.asarray(np.repeat(levels, np.diff(start, prepend=1, append=n + 1)))
    return InformationCurve(information, information[-1])


def mds_curve(n: int, dim: int, q: int) -> InformationCurve:
    r"""A uniform word of an MDS code of dimension $d$: $Z_j = 0$ for $j \le d$, then $\log q$.

    Any $d$ = `dim` symbols are uniform and determine the rest (Reed-Solomon codes; arXiv 2511.04647, Thm
    24). $H_1 = \log q$, $\mathrm{TC} = (n - d)\log q$ and, if $d < n$, $\mathrm{DTC} = d \log q$, in nats.
    Refuses `dim` outside `1..n`, and `q < 2`; whether such a code exists for this `q` is not checked.

    >>> [round(z, 4) for z in mds_curve(4, 2, 2).information.tolist()]
    [0.0, 0.0, 0.6931, 0.6931]
    """
    n, dim, q = check_positions(n), check_integer("dim", dim, 1), check_integer("q", q, 2)
    if dim > n:
        refuse("dim", dim, f"an integer in 1..{n}")
    log_q = math.log(q)
    return InformationCurve(np.where(np.arange(n) < dim, 0.0, log_q), log_q)


def repetition_curve(n: int, q: int) -> InformationCurve:
    r"""One uniform symbol, `n` times: $Z_j = \log q$ from $j = 2$ on; the MDS code of dimension 1.

    >>> round(float(repetition_curve(5, 2).dual_total_correlation), 4)
    0.6931
    """
    return mds_curve(n, 1, q)


def parity_curve(n: int, q: int) -> InformationCurve:
    r"""Uniform with sum 0 mod `q`: $Z_j = 0$ but $Z_n = \log q$; the MDS code of dimension $n - 1 > 0$.

    >>> round(float(parity_curve(5, 2).total_correlation), 4)
    0.6931
    """
    return mds_curve(check_positions(n, 2), n - 1, q)  # one symbol of sum 0 is constant


def permutation_curve(n: int) -> InformationCurve:
    r"""A uniform permutation: $Z_j = \log \frac{n}{n-j+1}$ and $H_1 = \log n$, in nats.

    >>> [round(z, 4) for z in permutation_curve(3).information.tolist()]
    [0.0, 0.4055, 1.0986]
    """
    n = check_positions(n)
    revealed = np.arange(n, dtype=float)
    # log n/(n-k) = log1p(k/(n-k)) has condition number at most 1; log1p(-k/n) does not near k = n.
    return InformationCurve(np.log1p(revealed / (n - revealed)), math.log(n))


def pairs_curve(n: int, q: int) -> InformationCurve:
    r"""$n/2$ independent pairs of equal uniform symbols: $Z_j = \frac{j-1}{n-1} \log q$, in nats.

    Refuses an odd `n`.

    >>> [round(z / 0.693147, 3) for z in pairs_curve(4, 2).information.tolist()]
    [0.0, 0.333, 0.667, 1.0]
    """
    n, q = check_positions(n, 2), check_integer("q", q, 2)
    if n % 2:
        refuse("n", n, "an even integer", "pairs take two positions each")
    log_q = math.log(q)
    return InformationCurve(np.arange(n, dtype=float) / (n - 1) * log_q, log_q)


def parity_checks_curve(n: int) -> InformationCurve:
    r"""Bits of even parity on disjoint sets of 2, 2, 4, ..., n/2 positions (`parity_checks_code`).

    A bit of a set of $s$ is known once its $s - 1$ mates are, which has probability
    $\binom{k}{s-1} / \binom{n-1}{s-1}$ when $k$ random others are revealed. TC is $\log_2(n) \log 2$, in
    nats; DTC the rest of $n \log 2$. $O(n \log n)$. Refuses `n` that is no power of two.

    >>> [round(z / 0.693147, 3) for z in parity_checks_curve(4).information.tolist()]
    [0.0, 0.333, 0.667, 1.0]
    """
    information = np.zeros(check_positions(n, 2))
    for size in doubling_sizes(n):
        revealed = np.arange(size, n)
        # C(k-1, s-1) / C(k, s-1) = (k-s+1) / k, from k = n-1 downwards.
        log_ratio = np.log1p(-(size - 1) / revealed)
        log_known = np.concatenate([np.cumsum(log_ratio[::-1])[::-1], [0.0]])
        information[size - 1 :] += size / n * math.log(2) * np.exp(log_known)
    return InformationCurve(information, math.log(2))


def repeated_bits_curve(n: int) -> InformationCurve:
    r"""Bits repeated on the same sets: `parity_checks_curve` mirrored. DTC is $\log_2(n) \log 2$, in nats.

    >>> round(float(repeated_bits_curve(8).dual_total_correlation) / 0.693147, 4)
    3.0
    """
    return dual_curve(parity_checks_curve(n))


def dual_curve(curve: InformationCurve) -> InformationCurve:
    r"""The mirrored curve $Z^*_j = Z_n - Z_{n+1-j}$: TC and DTC change places, $H_1$ is kept.

    Of a linear code without a constant or free coordinate: the curve of the dual code.

    >>> dual_curve(curve_from_steps([1.0], [2], 4)).information.tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    return InformationCurve(curve.information[-1] - curve.information[::-1], curve.marginal_entropy)
