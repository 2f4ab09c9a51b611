r"""The unmasking-growth mass from draws: an upper bound that holds with a probability (arXiv 2608.13520).

$H(p, q) = \int_p^q t(1-t) h'(t)\, dt$ is within a factor 2 of the mean of
$Q = \sum_j v_j (1 - v_{j+1}) \sum_i \mathrm{KL}(\pi_{i,v_{j+1}} \| \pi_{i,v_j})$ on times $v$ whose odds at
most double (Lemma 1): $\mathbb{E} Q \le H \le 2\, \mathbb{E} Q$. Here $\pi_{i,t}$ is the law of token
$i$, itself masked, given the tokens of times at most $t$; the later law comes first.

The weight in Eq. 32b, as we read it, is $v_{j+1} - v_j$: the same where odds double, but too small for
the last interval, where they grow by less. There $H \le 2\, \mathbb{E} Q$ would fail: $\frac{1+c}{c}$ of
Lemma 1 is more than 2 for $c < 1$.
"""

import math
from typing import NamedTuple

import numpy as np

from .._checks import check_integer, check_number
from .._errors import refuse
from .._types import Float

ALPHAS = 4.0 * 2 ** (np.arange(65) / 8)
"""Moments that are tried, from 4 to 1024 (our choice)."""


def dyadic_logits(low: float, high: float) -> Float[np.ndarray, " points"]:
    r"""Logits of $\psi(v_j) = \min\{2^j \psi(p), \psi(q)\}$, between the logits of $p$ and $q$ (Eq. 32a).

    >>> dyadic_logits(0.0, 1.5).round(3).tolist()
    [0.0, 0.693, 1.386, 1.5]
    """
    count = max(math.ceil((high - low) / math.log(2) - 1e-9), 1)
    return np.append(low + math.log(2) * np.arange(count), high)


class GrowthInterval(NamedTuple):
    r"""$H \le$ `upper` $= \hat H + \hat r \le 2(H + \hat r)$ with probability $1 - \eta$: Proposition 2.

    `mass` is $\hat H$, `radius` $\hat r$, `truncation` $\tau$, all in nats.
    """

    mass: float
    radius: float
    truncation: float

    @property
    def upper(self) -> float:
        r"""$\hat H + \hat r \ge H$."""
        return self.mass + self.radius

    @property
    def lower(self) -> float:
        r"""$(\hat H - \hat r)/2 \le H$, or 0."""
        return max((self.mass - self.radius) / 2, 0.0)


def growth_interval(
    draws: Float[np.ndarray, " samples"], weight: float, moment: float, alpha: float, eta: float
) -> GrowthInterval:
    r"""Proposition 2 of arXiv 2608.13520 from independent `draws` of $Q$, of weights of sum `weight` $w$.

    With $x = \frac{7 \log(4/\eta)}{3(m-1)}$ and $B$ (`moment`) at least
    $\mathbb{E}[(\sum_i \mathrm{KL})^{\alpha/2}]^{2/\alpha}$ at every pair of times:
    $\hat H = \frac2m \sum \min(Q, \tau)$, $\tau = w B x^{-2/\alpha}$,
    $\hat r = \sqrt{2 \hat V \log(4/\eta)/m} + 4 w B x^{1 - 2/\alpha}$, $\hat V$ the variance of
    $2 \min(Q, \tau)$ (Eq. 33-34, where $w = q - p$). It is a theorem for a `moment` that was known before
    the draws, as `moment_bound`; `sample_moment` makes it an estimate.

    Raises:
        InvalidInputError: fewer than 2 draws, `alpha < 4`, `eta` not in (0, 1), a negative `moment`.

    >>> round(growth_interval(np.array([0.1, 0.2, 0.3]), 1.0, 0.5, 4.0, 0.5).mass, 4)
    0.4
    """
    draws, alpha = np.asarray(draws, np.float64), check_number("alpha", alpha, ">= 4", lambda x: x >= 4)
    size = _checked(draws.size, eta)
    check_number("moment", moment, "finite nats >= 0", lambda x: x >= 0)
    scale, spread = weight * moment, 7 * math.log(4 / eta) / (3 * (size - 1))
    truncation = scale * spread ** (-2 / alpha)
    cut = 2 * np.minimum(draws, truncation)
    noise = math.sqrt(2 * float(np.var(cut, ddof=1)) * math.log(4 / eta) / size)
    return GrowthInterval(float(np.mean(cut)), noise + 4 * scale * spread ** (1 - 2 / alpha), truncation)


class EntropyInterval(NamedTuple):
    r"""$H$ between two bounds in nats."""

    lower: float
    upper: float


def entropy_interval(
    entropies: Float[np.ndarray, "samples times"],
    times: Float[np.ndarray, " times"],
    most: float,
    eta: float,
) -> EntropyInterval:
    r"""Bounds of $H$ from independent draws of the entropies in `[0, most]` of what is masked (ours).

    $\mathbb{E}\,\mathrm{KL}(\pi_{i,q} \| \pi_{i,p}) = \mathbb{E}[\mathrm{H}(\pi_{i,p}) -
    \mathrm{H}(\pi_{i,q})]$, for the later law has the earlier one as its mean. So with
    $E_j = \sum_i \mathrm{H}(\pi_{i,v_j})$ at increasing `times` $v$, of whatever odds, as $t(1-t)$ is
    between $v_j (1 - v_{j+1})$ and $v_{j+1} (1 - v_j)$ there,
    $$\sum_j v_j (1 - v_{j+1})\, \mathbb{E}(E_j - E_{j+1}) \le H \le
    \sum_j v_{j+1} (1 - v_j)\, \mathbb{E}(E_j - E_{j+1}).$$
    Both are means of bounded draws, and no moment need be known: empirical Bernstein (Maurer and Pontil,
    2009, Theorem 4), each with probability $1 - \eta/2$. With a sum $\sum_j c_j E_j$ of variance $V$ the
    radius is $\sqrt{2 V \log(4/\eta)/m} + \sum_j |c_j|\, \mathtt{most}\,
    \frac{7 \log(4/\eta)}{3(m-1)}$.

    Raises:
        InvalidInputError: fewer than 2 draws, `eta` not in (0, 1).

    >>> sure = np.tile([0.6, 0.3, 0.0], (10**6, 1))
    >>> [round(end, 3) for end in entropy_interval(sure, np.array([0.4, 0.5, 0.6]), 0.7, 0.05)]
    [0.12, 0.18]
    """
    size, coefficients = _checked(entropies.shape[0], eta), []
    for weights in (times[:-1] * (1 - times[1:]), times[1:] * (1 - times[:-1])):
        coefficients.append(np.diff(weights, prepend=0.0, append=0.0))
    log, bounds = math.log(4 / eta), []
    for sign, of_times in zip((-1, 1), coefficients, strict=True):
        draws = entropies @ of_times
        spread = most * float(np.abs(of_times).sum()) * 7 * log / (3 * (size - 1))
        radius = math.sqrt(2 * float(np.var(draws, ddof=1)) * log / size) + spread
        bounds.append(max(float(np.mean(draws)) + sign * radius, 0.0))
    return EntropyInterval(*bounds)


def _checked(size: int, eta: float) -> int:
    """The number of draws, if there are enough of them and `eta` is a probability."""
    if size < 2:
        refuse("samples", size, "at least 2", "a variance needs them")
    check_number("eta", eta, "a probability in (0, 1)", lambda x: 0 < x < 1)
    return size


def moment_bound(n: int, q: int, alpha: float) -> float:
    r"""$B_\alpha \le n (\tfrac\alpha2 - 1 + \log q)$ of any distribution, in nats (ours).

    With $s = \alpha/2$: $\mathrm{KL}(\pi' \| \pi) \le \sum_a \pi'_a \log \tfrac1{\pi_a}$, whose power $s$
    is at most $\sum_a \pi'_a \log^s \tfrac1{\pi_a}$, of mean $\sum_a \pi_a \log^s \tfrac1{\pi_a}$ given
    the earlier tokens; $y (s - 1 + \log \tfrac1y)^s$ is concave on `[0, 1]`, so that this is at most
    $(s - 1 + \log q)^s$. Minkowski's inequality sums over the $n$ tokens.

    >>> round(moment_bound(10, 2, 4.0), 3)
    16.931
    """
    n, q = check_integer("n", n, 1), check_integer("q", q, 2)
    return n * (alpha / 2 - 1 + math.log(q))


def best_alpha(n: int, q: int, samples: int, eta: float) -> float:
    r"""The $\alpha$ of `ALPHAS` with the least second term of $\hat r$ by `moment_bound`: of no draws.

    >>> best_alpha(8, 2, 10, 0.05), best_alpha(8, 2, 10**5, 0.05) > 8
    (4.0, True)
    """
    spread = 7 * math.log(4 / eta) / (3 * (samples - 1))
    terms = [moment_bound(n, q, alpha) * spread ** (1 - 2 / alpha) for alpha in ALPHAS]
    return float(ALPHAS[int(np.argmin(terms))])


def sample_moment(divergences: Float[np.ndarray, "samples intervals"], alpha: float) -> float:
    r"""$\max_j \hat{\mathbb{E}}[(\sum_i \mathrm{KL})^{\alpha/2}]^{2/\alpha}$ of the draws: no bound.

    >>> round(sample_moment(np.array([[1.0, 0.0], [0.0, 2.0]]), 4.0), 4)
    1.4142
    """
    largest = np.maximum(divergences.max(initial=0.0), 1e-300)
    return float(largest * np.max(np.mean((divergences / largest) ** (alpha / 2), axis=0)) ** (2 / alpha))
