r"""Samplers that reveal each token at its own uniform time: grids of times, and what they cost.

At level $t$ every token is known with probability $t$, independently. A step $p \to q$ reveals each masked
token with probability $\frac{q-p}{1-p}$, so that the sizes of the steps are random. It costs
$\Gamma(p, q) = \int_p^q (q-u)\, h'(u)\, du$ nats, $h$ as in `information.ugc` (arXiv 2608.13520, Eq. 50a).
Each grid here is where one weight bounds $q - u$: by $1-u$, $u$, $u(1-u)$ or $u \min(1, \log \tfrac1u)$.
"""

import math
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float
from ..information.curve import AbstractCurve, check_curve
from ..information.ugc import GrowthProfile, bernstein


class TimeGrid(eqx.Module):
    """Increasing times in `[0, 1]`. Tokens of a time before the first or after the last go one at a time.

    So what is outside the grid costs nothing (arXiv 2608.13520, section 3.1.3), and `n` times its share of
    `[0, 1]` further calls on average.

    >>> round(TimeGrid([0.25, 0.5, 1.0]).calls(8), 3)
    4.0
    """

    times: Float[np.ndarray, " steps_and_one"]

    def __init__(self, times: Sequence[float] | Float[np.ndarray, " steps_and_one"]):
        self.times = np.asarray(times, np.float64)
        good = self.times.ndim == 1 and self.times.size >= 2
        if not good or not (self.times[0] >= 0 and self.times[-1] <= 1 and np.all(np.diff(self.times) > 0)):
            refuse("times", f"of shape {self.times.shape}", "at least two increasing numbers in [0, 1]")

    @property
    def steps(self) -> int:
        """Number of steps of the grid."""
        return self.times.size - 1

    def calls(self, n: int) -> float:
        """The mean number of calls of the denoiser for `n` tokens: steps of the grid, and single tokens."""
        return self.steps + n * float(1 - self.times[-1] + self.times[0])


def bernoulli_kl(curve: AbstractCurve, grid: TimeGrid) -> Float[Array, ""]:
    r"""Mean over the random sets of the steps of $\mathrm{KL}(p \| \text{law given them})$, in nats.

    $\sum_j \Gamma(t_j, t_{j+1}) = \int (h(u) - h(t_{j(u)}))\, du$ over the grid (arXiv 2608.13520,
    Eq. 50a), for the perfect denoiser; of a loss curve, what is lost against one token at a time. It is a
    sum and not a quadrature: $\int_0^t h = \mathbb{E} \sum_{m < B} Z_{m+1}$ with $B \sim$ Bin(n, t). Its
    absolute error is a few roundings of TC. Time `n` times the steps. Refuses what is no curve.

    >>> from mdmjax import InformationCurve
    >>> bit = InformationCurve(jnp.array([0.0, 1.0]), jnp.array(1.0))
    >>> round(float(bernoulli_kl(bit, TimeGrid([0.0, 1.0]))), 4)  # both at once: TC
    1.0
    >>> round(float(bernoulli_kl(bit, TimeGrid([0.0, 0.5, 1.0]))), 4)  # both in one step: half of the time
    0.5
    """
    check_curve(curve)
    # Steps of no length cost nothing: one program is compiled for many numbers of steps.
    padded = max(64, 2 ** (grid.steps - 1).bit_length())
    times = np.pad(grid.times, (0, padded - grid.steps), mode="edge")
    return _left_riemann(curve.heights, jnp.asarray(times, curve.heights.dtype))


@eqx.filter_jit
def _left_riemann(heights: Float[Array, " n"], times: Float[Array, " steps_and_one"]) -> Float[Array, ""]:
    r"""$\int (h(u) - h(t_{j(u)}))\, du$ between the first time and the last."""
    rise = heights - heights[0]
    first, last = bernstein(jnp.pad(jnp.cumsum(rise), (1, 0)), times[jnp.array([0, -1])])
    return last - first - heights.size * jnp.sum(jnp.diff(times) * bernstein(rise, times[:-1]))


def odds_grid(n: int, steps: int) -> TimeGrid:
    r"""Geo: the odds $\psi = \frac{t}{1-t}$ grow by one factor a step, from $t = 1/n$ to $1 - 1/n$.

    (arXiv 2608.13520, Corollary 1.) In $N$ steps the factor is $e^{L/N}$ with $L = 2 \log(n-1)$, and
    $\mathrm{KL} \le (e^{L/N} - 1) H$, for $\frac{q-u}{u(1-u)} \le \frac{\psi(q)}{\psi(p)} - 1$.

    >>> odds_grid(5, 2).times.round(3).tolist()
    [0.2, 0.5, 0.8]
    """
    return blocks_grid([-math.log(n - 1), math.log(n - 1)], [steps])


def blocks_grid(edges: Sequence[float], steps: Sequence[int]) -> TimeGrid:
    r"""`steps[k]` equal steps of the logit $\log \frac{t}{1-t}$ in the block from `edges[k]` to the next.

    >>> blocks_grid([-1.0, 0.0, 1.0], [1, 2]).times.round(3).tolist()
    [0.269, 0.5, 0.622, 0.731]
    """
    parts = [np.linspace(a, b, k + 1)[:-1] for a, b, k in zip(edges[:-1], edges[1:], steps, strict=True)]
    return TimeGrid(1 / (1 + np.exp(-np.append(np.concatenate(parts), edges[-1]))))


def root_mass_grid(profile: GrowthProfile, steps: int) -> TimeGrid:
    r"""Equal shares of $\int \sqrt q\, d\lambda$, linear between cells (arXiv 2608.13520, Theorem 3).

    It has the least `bernoulli_kl` as $N \to \infty$, which is about $(\int \sqrt q)^2 / 2N$.

    >>> from mdmjax import InformationCurve
    >>> from mdmjax.information.ugc import growth_profile
    >>> bits = InformationCurve(jnp.array([0.0, 0.5, 1.0]), jnp.array(1.0))  # h' is constant
    >>> root_mass_grid(growth_profile(bits), 2).times.round(3).tolist()
    [0.333, 0.5, 0.667]
    """
    root, logits = (np.asarray(values, np.float64) for values in (profile.root, profile.logits))
    if root[-1] == 0:
        return blocks_grid(logits[[0, -1]].tolist(), [steps])
    inner = np.interp(np.arange(1, steps) / steps * root[-1], root, logits)
    return TimeGrid(1 / (1 + np.exp(-np.concatenate([logits[:1], inner, logits[-1:]]))))


def shrinking_grid(n: int, steps: int) -> TimeGrid:
    r"""A step reveals each masked token with one probability $\beta = 1 - n^{-1/K}$, up to $t = 1 - 1/n$.

    $\mathrm{KL} \le \beta\, \mathrm{TC}$, for $\frac{q-u}{1-u} \le \beta$: random sizes that know nothing
    of the data, and need $\tilde O(\mathrm{TC}/\varepsilon)$ steps (after Zhao and Cai, arXiv 2602.20126,
    whose law of sizes was not found: this one, and its constant, are ours).

    >>> shrinking_grid(4, 2).times.round(3).tolist()
    [0.0, 0.5, 0.75]
    """
    return TimeGrid(1 - float(n) ** (-np.arange(steps + 1) / steps))


def growing_grid(n: int, steps: int) -> TimeGrid:
    r"""A step multiplies the share that is known by $1 + \rho = n^{1/K}$, from $t = 1/n$ to 1.

    $\mathrm{KL} \le \rho\, \mathrm{DTC}$, for $\frac{q-u}{u} \le \rho$ (ours, as `shrinking_grid`, which it
    mirrors).

    >>> growing_grid(4, 2).times.round(3).tolist()
    [0.25, 0.5, 1.0]
    """
    return TimeGrid(np.minimum(float(n) ** (np.arange(steps + 1) / steps - 1), 1.0))


def exponential_then_constant(first: float, last: float, kappa: float) -> TimeGrid:
    r"""Steps of $s = \log \frac1t$ from `first` down to `last`, at most $\kappa \min(1, s_{\text{end}})$.

    There is one step before, from $t = 0$, and one after, to $t = 1$ (Dmitriev, Huang, Wei, arXiv
    2602.15008, Cor. 2). $\Gamma(p, q) \le (e^\kappa - 1) \int_p^q u \min(1, \log \tfrac1u) h'$, as
    $\frac{q-u}{u} \le e^{\kappa \min(1, s)} - 1$ (the constant is ours).

    >>> exponential_then_constant(2.0, 0.5, 1.0).times.round(3).tolist()
    [0.0, 0.135, 0.368, 0.607, 1.0]
    """
    s, growth = [last], math.log1p(kappa)
    turn = min(first, 1.0)
    if last < turn:
        count = math.ceil(math.log(turn / last) / growth)
        s += np.geomspace(last, turn, count + 1)[1:].tolist()
    if s[-1] < first:
        count = math.ceil((first - s[-1]) / kappa)
        s += np.linspace(s[-1], first, count + 1)[1:].tolist()
    return TimeGrid(np.concatenate([[0.0], np.exp(-np.array(s[::-1])), [1.0]]))
