r"""What decides every schedule: a curve by the number of tokens revealed, in nats.

A step that starts when $N$ tokens are revealed pays the left-Riemann error of the curve there: every one of
its tokens is drawn as if only $N$ were known. Every schedule function takes an `InformationCurve`, of a
distribution, or a `LossCurve` (`loss_curve`), of a trained model.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_integer
from .._errors import readable_bytes, refuse
from .._types import Array, Bool, Float, Int

MAX_POSITIONS = 2**24
"""The longest sequence whose curve is made (our choice)."""

POSITION_BYTES = 64
"""What a position takes, about: its place in the curve and in a handful of arrays of every schedule."""


class AbstractCurve(eqx.Module):
    r"""A curve that schedules are paid by, in nats: `loss[m]` is $c(m)$, $m = 0..n-1$.

    That is the mean loss of a masked token after $m$ random tokens are revealed. `heights` are $-c(m)$ up
    to a constant; they are what costs are differences of.
    """

    loss: eqx.AbstractVar[Float[Array, " n"]]

    @property
    @abc.abstractmethod
    def heights(self) -> Float[Array, " n"]:
        """$v_m$, whose left-Riemann error is the cost: nondecreasing for exact curves."""

    def __check_init__(self):
        """Refuse what is not a curve."""
        if self.heights.ndim != 1 or self.n < 1:
            refuse("curve", f"of shape {self.heights.shape}", "shape (n,), n >= 1")

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.heights.shape[0]

    def step_cost(self, start: int | Int[Array, ""], size: int | Int[Array, ""]) -> Float[Array, ""]:
        r"""$\sum_{j=0}^{s-1} (v_{N+j} - v_N)$: a step of `size` $s$ from `start` $N$; traceable, vmaps.

        >>> curve = InformationCurve([0.0, 1.0, 3.0, 4.0], 4.0)
        >>> float(curve.step_cost(1, 3))
        5.0
        """
        m, values = jnp.arange(self.n), self.heights
        return jnp.sum(jnp.where((m >= start) & (m < start + size), values - values[start], 0.0))

    def total_cost(self, starts: Int[Any, " n"]) -> Float[Array, ""]:
        r"""$\sum_m (v_m - v_{N(m)})$, with `starts` $N(m)$ the start of the step of reveal $m$; vmaps.

        The sum of `step_cost` over the steps; `Schedule.starts` are such starts.

        >>> float(InformationCurve([0.0, 1.0, 3.0, 4.0], 4.0).total_cost(jnp.array([0, 1, 1, 1])))
        5.0
        """
        return jnp.sum(self.heights - self.heights[starts])

    def total_cost_of_mask(self, is_start: Bool[Array, " n"]) -> Float[Array, ""]:
        """`total_cost` of the schedule whose steps start where `is_start[m]` (and at 0).

        As a mask a schedule has one shape for every number of steps and an eighth of the bytes, so that
        very many are evaluated by one `vmap`: `n` vector operations over all.

        >>> curve = InformationCurve([0.0, 1.0, 3.0], 4.0)
        >>> float(curve.total_cost_of_mask(jnp.array([True, False, True])))
        1.0
        """

        def reveal(state: tuple, position: tuple) -> tuple:
            (seen, total), (value, starts) = state, position
            seen = jnp.where(starts, value, seen)
            return (seen, total + (value - seen)), None

        begin = (self.heights[0], jnp.zeros_like(self.heights[0]))
        return jax.lax.scan(reveal, begin, (self.heights, is_start))[0][1]


class InformationCurve(AbstractCurve):
    r"""The information curve $Z_1 \le \dots \le Z_n$ of a distribution, in nats.

    $Z_j = \mathbb{E}_{|S| = j-1,\, i \notin S}\, I(X_i; X_S)$ over uniformly random $S$ and $i$, so
    $Z_1 = 0$ (arXiv 2511.04647, Def. 3); it is nondecreasing by Han's inequality. `information[j-1]`
    is $Z_j$, and `marginal_entropy` is $H_1 = \frac1n \sum_i H(X_i)$. The mean entropies of random
    subsets follow: $H(k) = k H_1 - \sum_{j \le k} Z_j$ (Lemma 13).

    $Z$ is what schedules pay; differences of $H(k)$ would lose digits where $H(k)$ is large.

    >>> round(float(InformationCurve([0.0, 0.6931, 0.6931], 0.6931).total_correlation), 4)
    1.3862
    """

    information: Float[Array, " n"]
    marginal_entropy: Float[Array, ""]

    def __init__(self, information: Numbers, marginal_entropy: Numbers):
        self.information, self.marginal_entropy = as_floats(information, marginal_entropy)

    @property
    def heights(self) -> Float[Array, " n"]:
        r"""$v_m = Z_{m+1}$."""
        return self.information

    @property
    def loss(self) -> Float[Array, " n"]:
        r"""$c(m) = H_1 - Z_{m+1}$: a masked token's mean entropy after $m$ random ones are revealed."""
        return self.marginal_entropy - self.information

    @property
    def mean_entropies(self) -> Float[Array, " points"]:
        r"""$H(k)$, the mean of $H(X_S)$ over $|S| = k$, for $k = 0..n$ (Def. 12), in nats."""
        sizes = jnp.arange(self.n + 1, dtype=self.information.dtype)
        lost = jnp.concatenate([jnp.zeros_like(self.information[:1]), jnp.cumsum(self.information)])
        return sizes * self.marginal_entropy - lost

    @property
    def entropy(self) -> Float[Array, ""]:
        r"""$H(X) = H(n)$ in nats."""
        return jnp.sum(self.loss)

    @property
    def total_correlation(self) -> Float[Array, ""]:
        r"""$\mathrm{TC} = \sum_i H(X_i) - H(X) = \sum_j Z_j$ in nats (Lemma 8)."""
        return jnp.sum(self.information)

    @property
    def dual_total_correlation(self) -> Float[Array, ""]:
        r"""$\mathrm{DTC} = H(X) - \sum_i H(X_i \mid X_{-i}) = n Z_n - \sum_j Z_j$ in nats (Lemma 8)."""
        return jnp.sum(self.information[-1] - self.information)

    @property
    def tse_complexity(self) -> Float[Array, ""]:
        r"""Tononi-Sporns-Edelman complexity $\sum_{k=1}^n [H(k) - \frac kn H(X)]$ in nats.

        It is $\sum_{j<n} \frac{j(n-j)}{2} (Z_{j+1} - Z_j)$, and so $\frac{n+1}{2}$ times `ugc_mass`.
        """
        return self.ugc_mass * ((self.n + 1) / 2)

    @property
    def ugc_mass(self) -> Float[Array, ""]:
        r"""$H(0,1) = \int_0^1 t(1-t)h'(t)\,dt = \sum_{j<n} \frac{j(n-j)}{n+1}(Z_{j+1} - Z_j)$ in nats.

        (arXiv 2608.13520, Eq. 2c, with $h$ the Bernstein polynomial of $n Z_{j+1}$; the sum is that
        integral in closed form.) At most $\min(\mathrm{TC}, \mathrm{DTC})$.
        """
        j = jnp.arange(1, self.n, dtype=self.information.dtype)
        return jnp.sum(j * (self.n - j) / (self.n + 1) * jnp.diff(self.information))


def curve_from_mean_entropies(mean_entropies: Float[Array, " points"]) -> InformationCurve:
    r"""The curve $Z_j = H_1 + H_{j-1} - H_j$ of mean entropies $H(0..n)$ in nats (Lemma 13).

    >>> curve_from_mean_entropies(jnp.array([0.0, 1.0, 1.0])).information.tolist()
    [0.0, 1.0]
    """
    marginal = mean_entropies[1]
    return InformationCurve(marginal - jnp.diff(mean_entropies), marginal)


def check_curve(curve: Any, kind: type[AbstractCurve] = AbstractCurve) -> None:
    """Refuse what is not a curve of this kind, with what to pass."""
    if isinstance(curve, kind):
        return
    if isinstance(curve, AbstractCurve):
        remedy = "the entropy of its data is not known: use nll, or step_gap for what steps cost"
        refuse("curve", f"a {type(curve).__name__}", f"an {kind.__name__}", remedy)
    found = "an array" if hasattr(curve, "shape") else f"a {type(curve).__name__}"
    remedy = "pass InformationCurve(information, marginal_entropy) or LossCurve(loss), in nats"
    refuse("curve", found, "an InformationCurve or a LossCurve", remedy)


def check_positions(value: Any, least: int = 1, argument: str = "n") -> int:
    """A number of positions as an `int`, refused where a curve of so many would fill the memory."""
    number = check_integer(argument, value, least)
    if number > MAX_POSITIONS:
        need = readable_bytes(POSITION_BYTES * number)
        refuse(argument, number, f"at most {MAX_POSITIONS}", f"a curve and its schedules need {need}")
    return number
