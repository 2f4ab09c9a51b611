r"""What the curve says in continuous time: the costs of arXiv 2608.13520 and the effective TC.

Each token is revealed at its own uniform time. With
$h(t) = n \sum_j \binom{n-1}{j} t^j (1-t)^{n-1-j} Z_{j+1}$, the integrals are of $h'$ over the logit
$\lambda = \log \frac{t}{1-t}$: a sum where there is a closed form, else Gauss-Legendre panels finer than
the narrowest binomial. A binomial is summed where it is not below rounding, about $\sqrt n$ terms.
Relative accuracy 1e-9 in float64, 1e-4 in float32; time $n \log n$.
"""

import itertools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import betainc

from .._errors import refuse
from .._types import Array, Float
from .blocks import mean_from_ratios
from .curve import AbstractCurve

NODES = 16  # of a panel
MAX_QUADRATURE_WORK = 4 * 10**9  # products of a node and a position that are made unasked: a minute


class UgcCosts(NamedTuple):
    """Costs in nats: a sampler of $N$ steps pays about cost / N (to a constant)."""

    coarse: Float[Array, ""]
    fine: Float[Array, ""]


def ugc_costs(curve: AbstractCurve) -> UgcCosts:
    r"""One-block cost $2\ell \int q$ and finest cost $(\int \sqrt q)^2$, over $|\lambda| \le \ell$.

    $q(\lambda) = t^2 (1-t)^2 h'(t)$ and $\ell = \log(n-1)$ (arXiv 2608.13520, Eq. 4-5): the steps
    of a sampler are equal in $\lambda$ for `coarse`, and equal in $\int \sqrt q$ for `fine`;
    `coarse >= fine` by Cauchy-Schwarz. Refuses `n < 3` (no interval), and `n` too large for the
    quadrature (over two million).

    >>> from mdmjax import InformationCurve
    >>> bit = InformationCurve(jnp.array([0.0, 0.6931, 0.6931, 0.6931]), jnp.array(0.6931))
    >>> [round(float(cost), 3) for cost in ugc_costs(bit)]
    [0.564, 0.52]
    """
    return growth_profile(curve, 1).costs


class GrowthProfile(NamedTuple):
    r"""What accumulates over the canonical interval $|\lambda| \le \ell$, at increasing `logits`.

    `mass` is $H = \int q\, d\lambda$ and `root` is $\int \sqrt q\, d\lambda = \int \sqrt{h'}\, dt$, from
    $-\ell$ on, both 0 there.
    """

    logits: Float[Array, " edges"]
    mass: Float[Array, " edges"]
    root: Float[Array, " edges"]

    @property
    def costs(self) -> UgcCosts:
        """The `ugc_costs`."""
        return UgcCosts((self.logits[-1] - self.logits[0]) * self.mass[-1], self.root[-1] ** 2)


def growth_profile(curve: AbstractCurve, cells: int = 512) -> GrowthProfile:
    r"""The unmasking-growth mass and its root between at least `cells` equal steps of $\lambda$.

    $H(p, q)$ (arXiv 2608.13520, Eq. 2c) of two of the `logits` is a difference of `mass`: it is additive.
    Refuses what `ugc_costs` does.

    >>> from mdmjax import InformationCurve
    >>> bit = InformationCurve(jnp.array([0.0, 0.6931, 0.6931, 0.6931]), jnp.array(0.6931))
    >>> profile = growth_profile(bit, 8)
    >>> profile.logits.shape, round(float(profile.mass[-1]), 3)
    ((9,), 0.257)
    """
    if curve.n < 3:
        refuse("n", curve.n, "a curve of at least 3 positions", "the interval is empty below")
    half_width = math.log(curve.n - 1)
    nodes, widths = _panels(curve, (-half_width, half_width), cells)
    density = _density(curve.heights, nodes)
    cumulated = lambda values: jnp.pad(jnp.cumsum((widths * values).reshape(-1, NODES).sum(1)), (1, 0))
    mass, root = cumulated(density), cumulated(jnp.sqrt(density))
    edges = jnp.linspace(-half_width, half_width, mass.shape[0], dtype=density.dtype)
    return GrowthProfile(edges, mass, root)


@eqx.filter_jit
def bernstein(values: Float[Array, " points"], times: Float[Array, " times"]) -> Float[Array, " times"]:
    r"""The Bernstein polynomial $\mathbb{E}\, v_J$, $J \sim$ Bin(m, t), of the `values` $v_0, \dots, v_m$.

    Of $Z_1, \dots, Z_n$ it is $h(t)/n$ (arXiv 2608.13520, Eq. 63). Time $\sqrt m$ a time; few roundings.

    >>> bernstein(jnp.array([0.0, 0.0, 1.0]), jnp.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.25, 1.0]
    """
    inside = (times > 0) & (times < 1)
    t = jnp.where(inside, times, 0.5)
    mean = _binomial_mean(values, t / (1 - t))
    return jnp.where(inside, mean, jnp.where(times > 0, values[-1], values[0]))


def _binomial_mean(values: Float[Array, " points"], odds: Float[Array, " times"]) -> Float[Array, " times"]:
    last = values.shape[0] - 1
    mode = jnp.clip(jnp.floor((last + 1) * (odds / (1 + odds))), 0, last)
    up, down = lambda j: (last - j) / (j + 1) * odds, lambda j: j / (last - j + 1) / odds
    return mean_from_ratios(values, mode, up, down, _reach(last))


def _reach(trials: int) -> int:
    """Further from its mode than this a binomial is with probability below exp(-72) (Bernstein)."""
    return 50 + math.ceil(6 * math.sqrt(trials))


def effective_total_correlation(curve: AbstractCurve) -> Float[Array, ""]:
    r"""$D = \int_0^1 t \min(1, \log \tfrac1t)\, h'(t)\, dt$ in nats.

    The cost of exponential-then-constant steps (Dmitriev, Huang, Wei, arXiv 2602.15008, Eq. 10).
    $H(0,1) \le D \le \frac{e}{e-1} H(0,1)$ with $H(0,1)$ the `ugc_mass` (arXiv 2608.13520). A sum of few
    roundings: $D = \sum_{j=1}^{n-1} j\, (Z_{j+1} - Z_j)\, g_{j+1}$, where
    $g_a = \mathbb{E} \min(1, \log \tfrac1T)$ of the $a$-th smallest $T$ of $n$ uniform times. For
    $\min(1, \log \tfrac1T) = \int_{1/e}^1 1\{T \le t\} \tfrac{dt}t$ and
    $P(T_a \le t < T_{a+1}) = P(\mathrm{Bin}(n, t) = a)$, so that
    $g_a - g_{a+1} = \tfrac1a P(\mathrm{Bin}(n, \tfrac1e) < a)$ (ours).

    >>> from mdmjax import InformationCurve
    >>> bit = InformationCurve(jnp.array([0.0, 0.6931]), jnp.array(0.6931))
    >>> round(float(effective_total_correlation(bit)), 4)
    0.2996
    """
    a = np.arange(1, curve.n + 1)
    below = betainc(curve.n - a + 1.0, a, -math.expm1(-1.0))  # P(Bin(n, 1/e) < a)
    gains = np.cumsum((below / a)[::-1])[::-1]
    weights = (a[:-1] * gains[1:]).astype(curve.heights.dtype)
    return jnp.sum(weights * jnp.diff(curve.heights))


def _panels(curve: AbstractCurve, ends: tuple[float, ...], least: int = 1) -> tuple[Array, Array]:
    """Composite Gauss-Legendre nodes and weights between the `ends`, which are panel ends too.

    There are at least `least` panels.
    """
    length = min(0.5, 4 / math.sqrt(curve.n))  # a binomial is at least 2 / sqrt(n) wide in logits
    length = min(length, (ends[-1] - ends[0]) / least)
    edges = [ends[0]]
    for low, high in itertools.pairwise(ends):
        edges.extend(np.linspace(low, high, math.ceil((high - low) / length) + 1)[1:])
    x, w = np.polynomial.legendre.leggauss(NODES)
    middles, halves = np.add(edges[1:], edges[:-1]) / 2, np.diff(edges) / 2
    nodes = (middles[:, None] + halves[:, None] * x).reshape(-1)
    work = nodes.size * 2 * min(_reach(curve.n), curve.n)
    if work > MAX_QUADRATURE_WORK:
        wanted = f"at most {MAX_QUADRATURE_WORK:.0e} products of node and position"
        refuse("n", curve.n, wanted, f"this needs {work:.1e}; use ugc_mass, which is a sum")
    dtype = curve.heights.dtype
    return jnp.asarray(nodes, dtype), jnp.asarray((halves[:, None] * w).reshape(-1), dtype)


@eqx.filter_jit
def _density(information: Float[Array, " n"], logits: Float[Array, " nodes"]) -> Float[Array, " nodes"]:
    r"""$q = t^2(1-t)^2 h'$, $h' = n(n-1)\,\mathbb{E}[Z_{J+2} - Z_{J+1}]$, $J \sim$ Bin(n-2, t)."""
    n = information.shape[0]
    rises = jnp.maximum(jnp.diff(information), 0.0)
    t, rest = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    return (t * rest) ** 2 * float(n * (n - 1)) * _binomial_mean(rises, jnp.exp(logits))
