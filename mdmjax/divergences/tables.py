r"""Divergences between two dense tables: the truth $p$ and the law $r$ of a decoder, in this order.

Mass that a table lacks (that of decoders that had not finished: `Law.unfinished`) is one more outcome,
which the other never has; what it lacks by rounding (`1e-9`, or `1e-4` in float32) is none. Infinite
divergences are `inf`; none is NaN unless a table has NaN. Tables of different shapes are refused.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from .._errors import refuse
from .._numerics import kl_terms, safe_log
from .._types import Array, Float


@runtime_checkable
class Tabulated(Protocol):
    """What has a table of probabilities of shape `[q]*n`, such as a `Joint` or a `Law`."""

    probs: Float[Array, "..."]


Table = Tabulated | Float[Array, "..."]
"""A distribution as a table of probabilities `[q]*n`, or what has one."""


def kl(p: Table, law: Table) -> Float[Array, ""]:
    r"""Forward $\mathrm{KL}(p \| r) = \sum_x p(x) \log \frac{p(x)}{r(x)}$ in nats: the truth comes first.

    `inf` if the law misses something that $p$ has.

    >>> round(float(kl(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5]))), 4)
    0.6931
    """
    return jnp.sum(kl_terms(*_pair(p, law)))


def reverse_kl(p: Table, law: Table) -> Float[Array, ""]:
    r"""Reverse $\mathrm{KL}(r \| p) = \sum_x r(x) \log \frac{r(x)}{p(x)}$ in nats: the law comes first.

    `inf` if the law makes something that $p$ never has (arXiv 2602.00286, Cor. C.2).

    >>> float(reverse_kl(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])))
    inf
    """
    return jnp.sum(kl_terms(*_pair(p, law)[::-1]))


def total_variation(p: Table, law: Table) -> Float[Array, ""]:
    r"""$\frac12 \sum_x |p(x) - r(x)|$, in `[0, 1]`; the same in both directions.

    >>> float(total_variation(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])))
    0.5
    """
    truth, made = _pair(p, law)
    return jnp.sum(jnp.abs(truth - made)) / 2


def chi_square(p: Table, law: Table) -> Float[Array, ""]:
    r"""$\chi^2(p \| r) = \sum_x (p(x) - r(x))^2 / r(x) \ge e^{\mathrm{KL}(p \| r)} - 1$; `inf` where KL is.

    >>> float(chi_square(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])))
    1.0
    """
    truth, made = _pair(p, law)
    positive = made > 0
    ratio = (truth - made) / jnp.where(positive, made, 1.0)
    missed = jnp.where(truth > 0, jnp.inf, truth + made)  # 0, or NaN of either table
    return jnp.sum(jnp.where(positive, ratio * (truth - made), missed))


def hellinger(p: Table, law: Table) -> Float[Array, ""]:
    r"""The distance $(\frac12 \sum_x (\sqrt{p(x)} - \sqrt{r(x)})^2)^{1/2}$, in `[0, 1]`; symmetric.

    >>> round(float(hellinger(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5]))), 4)
    0.5412
    """
    truth, made = _pair(p, law)
    return jnp.sqrt(jnp.sum((jnp.sqrt(truth) - jnp.sqrt(made)) ** 2) / 2)


class SupportMismatch(NamedTuple):
    """`missed`: mass of the truth where the law has none; `invalid`: the law's where the truth has none."""

    missed: Float[Array, ""]
    invalid: Float[Array, ""]


def support_mismatch(p: Table, law: Table) -> SupportMismatch:
    """The mass that each puts where the other has none.

    Forward KL is finite if and only if `missed` is 0, reverse KL if and only if `invalid` is.

    >>> [float(x) for x in support_mismatch(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5]))]
    [0.0, 0.5]
    """
    truth, made = _pair(p, law)
    return SupportMismatch(jnp.sum(truth, where=made == 0), jnp.sum(made, where=truth == 0))


def cross_entropy_risk(p: Table, law: Table) -> Float[Array, ""]:
    r"""$R = \mathbb{E}_{x \sim r}[-\log p(x)]$ in nats, with $x$ from the law (arXiv 2602.00286, Eq. 13).

    It is the reverse KL plus the entropy of the law: a low one may only mean a law of low entropy.

    >>> round(float(cross_entropy_risk(jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0]))), 4)
    0.6931
    """
    truth, made = _pair(p, law)
    return -jnp.sum(jnp.where(made == 0, 0.0, made * safe_log(truth)))


def incoherence(p: Table, law: Table, epsilon: float) -> Float[Array, ""]:
    r"""$\Pr_{x \sim r}[p(x) \le \epsilon]$, with $x$ a sequence of the law (arXiv 2602.00286, Eq. 14).

    At most $R / \log(1/\epsilon)$ for $\epsilon < 1$ (Lemma C.3), $R$ the `cross_entropy_risk`.
    A negative `epsilon` raises `InvalidInputError`.

    >>> float(incoherence(jnp.array([1.0, 0.0]), jnp.array([0.75, 0.25]), 1e-8))
    0.25
    """
    if not epsilon >= 0:
        refuse("epsilon", epsilon, "a probability >= 0")
    truth, made = _pair(p, law)
    return jnp.sum(made, where=truth <= epsilon)


def _pair(p: Table, law: Table) -> tuple[Float[Array, " outcomes"], Float[Array, " outcomes"]]:
    """Both tables flat, of the dtype of the truth, with the mass that each lacks as one more outcome."""
    truth, made = (x if isinstance(x, jax.Array) else x.probs for x in (p, law))
    if truth.shape != made.shape:
        refuse("law", f"of shape {made.shape}", f"the shape {truth.shape} of the truth")
    return _completed(truth), _completed(made).astype(truth.dtype)


def _completed(table: Float[Array, "..."]) -> Float[Array, " outcomes"]:
    lacking = 1 - jnp.sum(table)
    rounding = 1e-9 if table.dtype == jnp.float64 else 1e-4
    return jnp.append(table.reshape(-1), jnp.where(lacking > rounding, lacking, 0.0))
