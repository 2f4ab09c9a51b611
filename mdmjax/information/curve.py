r"""What decides every schedule: a curve by the number of tokens revealed, in nats.

A step that starts when $N$ tokens are revealed pays the left-Riemann error of the curve there: every one of
its tokens is drawn as if only $N$ were known.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_integer
from .._errors import readable_bytes, refuse
from .._types import Array, Bool, Float, Int

MAX_POSITIONS = 2**24  # the longest sequence whose curve is made (our choice)
POSITION_BYTES = 64  # about: a place in the curve and in a handful of arrays of every schedule


class AbstractCurve(eqx.Module):
    r"""A curve that schedules are paid by, in nats.

    `loss[m]` is $c(m)$, $m = 0..n-1$: the mean loss of a masked token after $m$ random tokens are revealed.
    """

    loss: eqx.AbstractVar[Float[Array, " n"]]

    @property
    @abc.abstractmethod
    def heights(self) -> Float[Array, " n"]:
        """$v_m = -c(m)$ up to a constant, whose left-Riemann error is the cost; exact ones do not fall."""

    def __check_init__(self):
        if self.heights.ndim != 1 or self.n < 1:
            refuse("curve", f"of shape {self.heights.shape}", "shape (n,), n >= 1")

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.heights.shape[0]

    def step_cost(self, start: int | Int[Array, ""], size: int | Int[Array, ""]) -> Float[Array, ""]:
        r"""$\sum_{j=0}^{s-1} (v_{N+j} - v_N)$: a step of `size` $s$ from `start` $N$; traceable, vmaps."""
        inside = (jnp.arange(self.n) >= start) & (jnp.arange(self.n) < start + size)
        return jnp.sum(jnp.where(inside, self.heights - self.heights[start], 0.0))

    def total_cost(self, starts: Int[Any, " n"]) -> Float[Array, ""]:
        r"""$\sum_m (v_m - v_{N(m)})$, with $N(m)$ the `starts` of a `Schedule`: all `step_cost`s; vmaps."""
        return jnp.sum(self.heights - self.heights[starts])

    def total_cost_of_mask(self, is_start: Bool[Array, " n"]) -> Float[Array, ""]:
        """`total_cost` of the schedule whose steps start where `is_start[m]` (and at 0).

        A mask has one shape for every number of steps and an eighth of the bytes: `vmap` over very many.
        """

        def reveal(state: tuple, position: tuple) -> tuple:
            (seen, total), (value, starts) = state, position
            seen = jnp.where(starts, value, seen)
            return (seen, total + (value - seen)), None

        begin = (self.heights[0], jnp.zeros_like(self.heights[0]))
        return jax.lax.scan(reveal, begin, (self.heights, is_start))[0][1]


class InformationCurve(AbstractCurve):
    r"""The information curve $Z_1 \le \dots \le Z_n$ of a distribution, in nats.

    `information[j-1]` is $Z_j = \mathbb{E}_{|S| = j-1,\, i \notin S}\, I(X_i; X_S)$ over uniformly random
    $S$ and $i$, so $Z_1 = 0$ (arXiv 2511.04647, Def. 3); it is nondecreasing by Han's inequality.
    `marginal_entropy` is $H_1 = \frac1n \sum_i H(X_i)$. $Z$ is what schedules pay; differences of the mean
    entropies $H(k) = k H_1 - \sum_{j \le k} Z_j$ (Lemma 13) would lose digits where $H(k)$ is large.

    >>> round(float(InformationCurve([0.0, 0.6931, 0.6931], 0.6931).total_correlation), 4)
    1.3862
    """

    information: Float[Array, " n"]
    marginal_entropy: Float[Array, ""]
    heights = property(lambda self: self.information)

    def __init__(self, information: Numbers, marginal_entropy: Numbers):
        self.information, self.marginal_entropy = as_floats(information, marginal_entropy)

    @property
    def loss(self) -> Float[Array, " n"]:
        r"""$c(m) = H_1 - Z_{m+1}$: a masked token's mean entropy after $m$ random ones are revealed."""
        return self.marginal_entropy - self.information

    @property
    def mean_entropies(self) -> Float[Array, " points"]:
        r"""$H(k)$, the mean of $H(X_S)$ over $|S| = k$, for $k = 0..n$ (Def. 12), in nats."""
        sizes = jnp.arange(self.n + 1, dtype=self.information.dtype)
        return sizes * self.marginal_entropy - jnp.pad(jnp.cumsum(self.information), (1, 0))

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
        r"""Tononi-Sporns-Edelman complexity $\sum_{k=1}^n [H(k) - \frac kn H(X)]$: `ugc_mass` $(n+1)/2$."""
        return self.ugc_mass * ((self.n + 1) / 2)

    @property
    def ugc_mass(self) -> Float[Array, ""]:
        r"""$H(0,1) = \int_0^1 t(1-t)h'(t)\,dt = \sum_{j<n} \frac{j(n-j)}{n+1}(Z_{j+1} - Z_j)$ in nats.

        arXiv 2608.13520, Eq. 2c, with $h$ as in `ugc`; at most $\min(\mathrm{TC}, \mathrm{DTC})$.
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
    found = "an array" if hasattr(curve, "shape") else f"a {type(curve).__name__}"
    if not isinstance(curve, AbstractCurve):
        remedy = "pass InformationCurve(information, marginal_entropy) or LossCurve(loss), in nats"
        refuse("curve", found, "an InformationCurve or a LossCurve", remedy)
    if not isinstance(curve, kind):
        remedy = "the entropy of its data is not known: use nll, or step_gap for what steps cost"
        refuse("curve", found, f"an {kind.__name__}", remedy)


def check_positions(value: Any, least: int = 1, argument: str = "n") -> int:
    """A number of positions as an `int`, refused where a curve of so many would fill the memory."""
    number = check_integer(argument, value, least)
    if number > MAX_POSITIONS:
        need = readable_bytes(POSITION_BYTES * number)
        refuse(argument, number, f"at most {MAX_POSITIONS}", f"a curve and its schedules need {need}")
    return number
