r"""Entropies of all $2^n$ subsets of a joint in one pass."""

import jax
import jax.numpy as jnp

from .._numerics import xlogx
from .._types import Array, Float
from ..distributions.joint import Joint
from .curve import InformationCurve, curve_from_mean_entropies


def subset_entropies(joint: Joint) -> Float[Array, " subsets"]:
    r"""$H(X_S)$ in nats for every subset $S$; bit `i` of the index says whether position `i` is in $S$."""
    table, n = joint.probs, joint.n
    # Position i's axis of length q becomes q+1 (its marginal last), then q+1 terms become 2.
    for axis in range(n):
        table = jnp.concatenate([table, table.sum(axis, keepdims=True)], axis)
    terms = -xlogx(table)
    for axis in range(n):
        marginal = jax.lax.slice_in_dim(terms, joint.q, joint.q + 1, axis=axis)
        kept = jax.lax.slice_in_dim(terms, 0, joint.q, axis=axis).sum(axis, keepdims=True)
        terms = jnp.concatenate([marginal, kept], axis)
    return terms.transpose(range(n)[::-1]).reshape(-1)


def mean_entropies(entropies: Float[Array, " subsets"]) -> Float[Array, " points"]:
    r"""$H(k)$, the mean over the subsets of size $k$, for $k = 0..n$, in nats."""
    n = entropies.shape[0].bit_length() - 1
    sizes = jax.lax.population_count(jnp.arange(2**n))
    sums = jax.ops.segment_sum(entropies, sizes, num_segments=n + 1)
    return sums / jax.ops.segment_sum(jnp.ones_like(entropies), sizes, num_segments=n + 1)


def information_curve(joint: Joint) -> InformationCurve:
    r"""The exact information curve of a joint, from the entropies of all its subsets."""
    return curve_from_mean_entropies(mean_entropies(subset_entropies(joint)))
