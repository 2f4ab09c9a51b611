r"""What the curve says in continuous time: the costs of arXiv 2608.13520 and the effective TC.

Each token is revealed at its own uniform time. With
$h(t) = n \sum_j \binom{n-1}{j} t^j (1-t)^{n-1-j} Z_{j+1}$, the integrals are of $h'$ over the logit
$\lambda = \log \frac{t}{1-t}$, by Gauss-Legendre panels finer than the narrowest binomial. Relative
accuracy 1e-9 in float64, 1e-4 in float32; time $n^{3/2} \log n$.
"""

import itertools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float
from .blocks import mean_from_ratios
from .curve import InformationCurve

MAX_QUADRATURE_WORK = 10**10  # products of a node and a position that are made unasked


class UgcCosts(NamedTuple):
    """Costs in nats: a sampler of $N$ steps pays about cost / N (to a constant)."""

    coarse: Float[Array, ""]
    fine: Float[Array, ""]


def ugc_costs(curve: InformationCurve) -> UgcCosts:
    r"""One-block cost $2\ell \int q$ and finest cost $(\int \sqrt q)^2$, over $|\lambda| \le \ell$.

    $q(\lambda) = t^2 (1-t)^2 h'(t)$ and $\ell = \log(n-1)$ (arXiv 2608.13520, Eq. 4-5): the steps
    of a sampler are equal in $\lambda$ for `coarse`, and equal in $\int \sqrt q$ for `fine`;
    `coarse >= fine` by Cauchy-Schwarz. Refuses `n < 3` (no interval), and `n` too large for the quadrature.

    >>> bit = InformationCurve(jnp.array([0.0, 0.6931, 0.6931, 0.6931]), jnp.array(0.6931))
    >>> [round(float(cost), 3) for cost in ugc_costs(bit)]
    [0.564, 0.52]
    """
    if curve.n < 3:
        refuse("n", curve.n, "a curve of at least 3 positions", "the interval is empty below")
    half_width = math.log(curve.n - 1)
    logits, widths = _panels(curve, (-half_width, half_width))
    density = _density(curve.information, logits)
    coarse = 2 * half_width * jnp.sum(widths * density)
    return UgcCosts(coarse, jnp.sum(widths * jnp.sqrt(density)) ** 2)


def effective_total_correlation(curve: InformationCurve) -> Float[Array, ""]:
    r"""$D = \int_0^1 t \min(1, \log \tfrac1t)\, h'(t)\, dt$ in nats.

    The cost of exponential-then-constant steps (Dmitriev, Huang, Wei, arXiv 2602.15008, Eq. 10).
    $H(0,1) \le D \le \frac{e}{e-1} H(0,1)$ with $H(0,1)$ the `ugc_mass` (arXiv 2608.13520). Refuses `n` too
    large for the quadrature.

    >>> bit = InformationCurve(jnp.array([0.0, 0.6931]), jnp.array(0.6931))
    >>> round(float(effective_total_correlation(bit)), 4)
    0.2996
    """
    if curve.n < 2:
        return jnp.zeros_like(curve.marginal_entropy)
    # Beyond log n + 20 there is less than exp(-40) of the whole; the minimum turns at t = 1/e.
    end, turn = math.log(curve.n) + 20, -math.log(math.e - 1)
    logits, widths = _panels(curve, (-end, turn, end))
    discount = jnp.minimum(1.0, -jax.nn.log_sigmoid(logits)) / jax.nn.sigmoid(-logits)
    return jnp.sum(widths * discount * _density(curve.information, logits))


def _panels(curve: InformationCurve, ends: tuple[float, ...]) -> tuple[Array, Array]:
    """Composite Gauss-Legendre nodes and weights between the `ends`, which are panel ends too."""
    length = min(0.5, 4 / math.sqrt(curve.n))  # a binomial is at least 2 / sqrt(n) wide in logits
    edges = [ends[0]]
    for low, high in itertools.pairwise(ends):
        edges.extend(np.linspace(low, high, math.ceil((high - low) / length) + 1)[1:])
    x, w = np.polynomial.legendre.leggauss(16)
    middles, halves = np.add(edges[1:], edges[:-1]) / 2, np.diff(edges) / 2
    nodes = (middles[:, None] + halves[:, None] * x).reshape(-1)
    if nodes.size * curve.n > MAX_QUADRATURE_WORK:
        wanted = f"at most {MAX_QUADRATURE_WORK:.0e} products of node and position"
        refuse("n", curve.n, wanted, f"this needs {nodes.size * curve.n:.1e}; use ugc_mass, which is a sum")
    dtype = curve.information.dtype
    return jnp.asarray(nodes, dtype), jnp.asarray((halves[:, None] * w).reshape(-1), dtype)


@eqx.filter_jit
def _density(information: Float[Array, " n"], logits: Float[Array, " nodes"]) -> Float[Array, " nodes"]:
    r"""$q = t^2(1-t)^2 h'$, $h' = n(n-1)\,\mathbb{E}[Z_{J+2} - Z_{J+1}]$, $J \sim$ Bin(n-2, t)."""
    n = information.shape[0]
    rises = jnp.maximum(jnp.diff(information), 0.0)
    t, rest = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    odds, last = jnp.exp(logits), n - 2
    mode = jnp.clip(jnp.floor((last + 1) * t), 0, last)
    up, down = lambda j: (last - j) / (j + 1) * odds, lambda j: j / (last - j + 1) / odds
    mean_rise = mean_from_ratios(rises, mode, up, down)
    return (t * rest) ** 2 * float(n * (n - 1)) * mean_rise
