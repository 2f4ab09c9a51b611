r"""The exact masked-loss curve of a denoiser, and the split of a sampler's KL into its two errors."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._contexts import marginal_table, place_values, tokens_of
from .._errors import check_bytes, refuse
from .._numerics import kl_terms
from .._types import Array, Float, Int
from ..denoisers.base import AbstractDenoiser
from ..denoisers.table import whole_batch
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ..information.enumeration import information_curve
from ..information.loss_curve import LossCurve
from ..schedules.schedule import Schedule, expected_kl, nll


class KlSplit(NamedTuple):
    """The two errors of a sampler in nats; each is a mean over ordered partitions, and they add."""

    sampling: Float[Array, ""]
    learning: Float[Array, ""]


def denoiser_loss_curve(joint: Joint, denoiser: AbstractDenoiser) -> LossCurve:
    r"""$c(m) = \mathbb{E}\left[-\log \hat p(x_i \mid x_S)\right]$ in nats, $m = 0..n-1$, exactly.

    The mean is over uniformly random $S$ with $|S| = m$ and $i \notin S$, and $x \sim p$: the loss that
    trainers log. The `nll` of a schedule less $H(X)$ is the mean over ordered partitions of
    $\mathrm{KL}(p \| \text{law given the partition})$ of the sampler that uses this denoiser (arXiv
    2511.04647, App. G). It is `inf` where the denoiser rules out what occurs. Cost: $(q+1)^n$ calls.

    Raises:
        InvalidInputError: sizes that differ, $(q+1)^n$ numbers that need more than `MAX_TABLE_BYTES`, or a
            denoiser that is NaN in a context that occurs.

    >>> from mdmjax import Mixed, Oracle
    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(abs(x), 4) for x in denoiser_loss_curve(pair, Mixed(Oracle(pair), 0.5)).loss.tolist()]
    [0.6931, 0.2877]
    """
    return _checked_curve(joint, denoiser, True)


def learning_error_curve(joint: Joint, denoiser: AbstractDenoiser) -> LossCurve:
    r"""$\mathbb{E}\,\mathrm{KL}(p(x_i \mid x_S) \,\|\, \hat p(x_i \mid x_S))$ in nats, $m = |S| = 0..n-1$.

    It is `denoiser_loss_curve` less the curve of the oracle, without cancellation: zero if and only if the
    denoiser is right in every context that occurs. Costs and errors as there.
    """
    return _checked_curve(joint, denoiser, False)


def kl_split(joint: Joint, denoiser: AbstractDenoiser, schedule: Schedule) -> KlSplit:
    r"""What a random-order sampler loses by its schedule, and what by its denoiser, in nats.

    `sampling` is the `expected_kl` of the schedule with the oracle, `learning` is
    $\sum_t s_t\, e(N_t)$ with $e$ the `learning_error_curve` and $N_t$ tokens revealed before step $t$.
    Their sum is the mean over ordered partitions of $\mathrm{KL}(p \| \text{law given the partition})$
    (arXiv 2511.04647, Lemma 35 with the hat on the right side). The KL to the sampler's own law, the
    mixture over partitions, is no larger, and does not split like this.

    Raises:
        InvalidInputError: as `denoiser_loss_curve`; counts that do not sum to `n`.

    >>> from mdmjax import Mixed, Oracle
    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> split = kl_split(pair, Mixed(Oracle(pair), 0.5), Schedule([2]))
    >>> round(float(split.sampling), 4), round(abs(float(split.learning)), 4)
    (0.6931, 0.0)
    """
    sampling = expected_kl(information_curve(joint), schedule)
    return KlSplit(sampling, nll(learning_error_curve(joint, denoiser), schedule))


def check_sizes(joint: Joint, denoiser: AbstractDenoiser) -> None:
    """Refuse sizes that differ or are too large."""
    n, q = joint.n, joint.q
    if (denoiser.n, denoiser.q) != (n, q):
        refuse("denoiser", f"of n, q = {denoiser.n}, {denoiser.q}", f"n, q = {n}, {q} of the joint")
    need = 2 * (q + 1) ** n * joint.probs.dtype.itemsize
    check_bytes(need, MAX_TABLE_BYTES, f"a table of {q + 1}^{n} contexts", "use fewer positions")


def mean_by_size(totals: Float[Array, " S"], sizes: Int[Array, " S"], n: int, chosen: int) -> Array:
    r"""Sums over contexts $S$ and `chosen` masked positions, as means by $m = |S| = 0..n-$`chosen`."""
    ways = [math.comb(n, m) * math.comb(n - m, chosen) for m in range(n - chosen + 1)]
    return jax.ops.segment_sum(totals, sizes, n + 1)[: len(ways)] / jnp.array(ways, totals.dtype)


def _checked_curve(joint: Joint, denoiser: AbstractDenoiser, whole_loss: bool) -> LossCurve:
    """The curve, refused if it is NaN; a traced one passes."""
    check_sizes(joint, denoiser)
    curve = _curve(joint, denoiser, whole_loss)
    if not isinstance(curve, Tracer) and np.isnan(curve).any():
        size = int(np.argmax(np.isnan(curve)))
        refuse("denoiser", f"NaN in a context of {size} tokens that occurs", "rows that sum to one")
    return LossCurve(curve)


@eqx.filter_jit
def _curve(joint: Joint, denoiser: AbstractDenoiser, whole_loss: bool) -> Float[Array, " n"]:
    """The mean loss, or only its excess over the oracle's, by the number of revealed tokens."""
    n, q = joint.n, joint.q
    marginals = marginal_table(joint.probs).reshape(-1)
    places = jnp.asarray(place_values(n, q))

    def losses(code):
        tokens = jnp.asarray(tokens_of(code, n, q))
        masked = tokens == q
        # With the digit q at i replaced by a, the context's number is that of (x_S, x_i = a).
        codes = code + jnp.where(masked, places, 0)[:, None] * (jnp.arange(q) - q)[None, :]
        mass = jnp.where(masked[:, None], marginals[codes], 0.0)
        log_probs = denoiser(tokens).astype(mass.dtype)
        if whole_loss:
            terms = jnp.where(mass == 0, 0.0, -mass * log_probs)
        else:
            terms = kl_terms(mass, jnp.exp(log_probs) * marginals[code])
        used = masked[:, None] & (marginals[code] > 0)
        return jnp.sum(~masked), jnp.sum(jnp.where(used, terms, 0.0))

    codes = jnp.arange((q + 1) ** n)
    sizes, totals = jax.lax.map(losses, codes, batch_size=whole_batch(2**12, n, q))
    return mean_by_size(totals, sizes, n, 1)
