r"""What a trace says of its decoder: how parallel it was, and in which order it wrote."""

from typing import NamedTuple

import jax.numpy as jnp

from .._types import Array, Float
from ..decoders.run import Trace


class TraceStatistics(NamedTuple):
    r"""`parallelism`: tokens a step; `kendall_tau`: position against step; `tie_fraction`: of pairs.

    `parallelism` is the number of finalised tokens over the number of steps in which at least one was
    (AFP of arXiv 2601.15593: steps that finalise nothing are not counted). `kendall_tau` is Kendall's
    tau-b of position and step: 1 is left to right, -1 right to left, near 0 neither. Pairs of one step
    are ties, `tie_fraction` of all pairs; the source does not say how it treats them (tau-b is our
    choice). If all pairs are ties, as in one step, tau is NaN.
    """

    parallelism: Float[Array, ""]
    kendall_tau: Float[Array, ""]
    tie_fraction: Float[Array, ""]


def trace_statistics(trace: Trace, q: int) -> TraceStatistics:
    r"""The statistics of one trace over the positions that are not masked (`q`) at its end.

    With $P$ pairs $i < j$ of which $T$ are ties, tau-b is
    $\sum_{i<j} \operatorname{sign}(f_j - f_i) / \sqrt{P (P - T)}$ where $f$ are the steps. `jax.vmap` over
    traces.

    >>> trace = Trace(jnp.array([0, 1, 0, 1]), jnp.array([0, 2, 1, 2]), jnp.array(3))
    >>> [round(float(x), 4) for x in trace_statistics(trace, 2)]
    [1.3333, 0.5477, 0.1667]
    """
    counted, step = trace.tokens != q, trace.finalised
    n = step.shape[0]
    dtype = jnp.result_type(float)
    pairs = counted[:, None] & counted[None, :] & jnp.triu(jnp.ones((n, n), bool), 1)
    signs = jnp.sign(step[None, :] - step[:, None])
    total = jnp.sum(pairs).astype(dtype)
    parted = jnp.sum(pairs & (signs != 0)).astype(dtype)
    agreement = jnp.sum(jnp.where(pairs, signs, 0)).astype(dtype)
    # A position opens its step if no counted one before it has the same.
    repeats = jnp.any(pairs & (signs == 0), axis=0)
    steps = jnp.sum(counted & ~repeats)
    return TraceStatistics(
        jnp.sum(counted).astype(dtype) / steps.astype(dtype),
        jnp.where(parted > 0, agreement / jnp.sqrt(total * jnp.maximum(parted, 1.0)), jnp.nan),
        jnp.where(total > 0, (total - parted) / jnp.maximum(total, 1.0), jnp.nan),
    )
