r"""Entropies of all $2^n$ subsets of a joint in one pass.

An axis of length `q` grows its marginal (`q+1` entries), every entry becomes $-p \log p$, and the axis
shrinks to two: the marginal, and the sum over symbols. Over all axes that is a logarithm for every
probability of every marginal. Groups of axes are one fused kernel each, and the first three go in blocks
that stay in cache, so that the $(q+1)^n$ numbers never reach memory.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import readable_bytes, refuse
from .._numerics import neg_xlogx
from .._types import Array, Float
from ..distributions.joint import Joint
from .curve import InformationCurve, curve_from_mean_entropies

MAX_BYTES = 2**32  # that the entropies of a joint may take
GROUP_SIZE = 64  # entries of the axes of a group once grown: more compiles longer (our choice)
INNER_GROUPS = 3  # of axes, grown and shrunk within a block (our choice)
BLOCK_ENTRIES = 2**20  # once grown; the kernels hold about a third at a time (our choice)


def subset_entropies(joint: Joint) -> Float[Array, " subsets"]:
    r"""$H(X_S)$ in nats of every subset $S$; bit `i` of the index says whether position `i` is in $S$.

    $$H(X_S) = -\sum_{x_S} p(x_S) \log p(x_S)$$

    Costs $(q+1)^n$ logarithms, in about $2 q^{3g} (q+1)^{n-3g}$ numbers of memory, where $g$ is the
    number of axes that grow to at most `GROUP_SIZE` entries together. Refuses more than `MAX_BYTES`.

    >>> xor = jnp.zeros((2, 2, 2)).at[(0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0)].set(0.25)
    >>> [round(abs(h) / 0.693147, 3) for h in subset_entropies(Joint(xor)).tolist()]
    [0.0, 1.0, 1.0, 2.0, 1.0, 2.0, 2.0, 2.0]
    """
    check_entropy_size(joint.n, joint.q, joint.probs.dtype.itemsize)
    return _subset_entropies(joint.probs)


def entropy_bytes(n: int, q: int, itemsize: int = 8) -> int:
    """Bytes that `subset_entropies` needs at its peak, apart from the joint itself."""
    inner = min(n, INNER_GROUPS * _group(q))
    grown = q**inner * (q + 1) ** (n - inner)
    return itemsize * (2 * grown + 2 * BLOCK_ENTRIES + 2**n)


def check_entropy_size(n: int, q: int, itemsize: int = 8) -> None:
    """Refuse, before anything is made, a joint whose entropies would take more than `MAX_BYTES`."""
    counted = min(n, 2**16)  # beyond, the number of bytes would itself be too large
    need = q**counted * itemsize + entropy_bytes(counted, q, itemsize)
    if need > MAX_BYTES or counted < n:
        wanted = f"a joint and entropies of all its subsets in at most {readable_bytes(MAX_BYTES)}"
        needed = f"these need {'over ' * (counted < n)}{readable_bytes(need)}"
        refuse("n, q", f"{n}, {q}", wanted, f"{needed}; use fewer positions or a closed form")


def _group(q: int) -> int:
    """How many axes of length `q` grow to at most `GROUP_SIZE` entries, and at least one."""
    axes = 1
    while (q + 1) ** (axes + 1) <= GROUP_SIZE:
        axes += 1
    return axes


@eqx.filter_jit
def _subset_entropies(probs: Float[Array, "..."]) -> Float[Array, " subsets"]:
    n, q = probs.ndim, probs.shape[0]
    if q == 1:
        return jnp.zeros(2**n, probs.dtype)
    size = _group(q)
    groups = [size] * (n // size) + [n % size] * (n % size > 0)
    inner = len(groups[:INNER_GROUPS])
    table = probs.reshape([q**axes for axes in groups])
    for axis in range(inner, table.ndim):
        table = _along(axis, _grow, table, q)
    outer = table.shape[inner:]
    table = table.reshape(*table.shape[:inner], -1)
    columns = table.shape[-1]
    width = min(columns, max(8, BLOCK_ENTRIES // (q + 1) ** sum(groups[:inner])))
    blocks = -(-columns // width)
    table = jnp.pad(table, [(0, 0)] * inner + [(0, blocks * width - columns)])

    def block(index):
        part = jax.lax.dynamic_slice_in_dim(table, index * width, width, axis=inner)
        for axis in range(inner - 1, 0, -1):
            part = _along(axis, _grow, part, q)
        kept = _entropies(_slices(part, 0), q)
        for axis in range(inner - 1):
            kept = [_along(axis, _shrink, terms, q) for terms in kept]
        return kept

    result = jnp.moveaxis(jnp.stack(jax.lax.map(block, jnp.arange(blocks))), 1, -2)
    inside = result.shape[:inner]
    result = result.reshape(*inside, -1)[..., :columns].reshape(*inside, *outer)
    for axis in range(inner, result.ndim):
        result = _along(axis, _shrink, result, q)
    return result.reshape((2,) * n).transpose(range(n)[::-1]).reshape(-1)


def _along(axis, transform, table, q):
    """`transform` the list of slices of `table` along `axis`; unrolled, so that XLA fuses it."""
    return jnp.stack(transform(_slices(table, axis), q), axis)


def _slices(table, axis):
    return [jax.lax.index_in_dim(table, i, axis, keepdims=False) for i in range(table.shape[axis])]


def _split(slices, parts):
    """The slices of each value of the first axis of a group, and their sums over its symbols."""
    size = len(slices) // parts
    return [slices[i * size : (i + 1) * size] for i in range(parts)]


def _sum(lists):
    return [sum(terms[1:], start=terms[0]) for terms in zip(*lists, strict=True)]


def _grow(slices, q):
    """`q^g` slices to `(q+1)^g`: each axis followed by its marginal."""
    if len(slices) == 1:
        return slices
    symbols = _split(slices, q)
    return [s for part in [*symbols, _sum(symbols)] for s in _grow(part, q)]


def _shrink(slices, q):
    """`(q+1)^g` slices to `2^g`: each axis to its marginal and the sum over its symbols."""
    if len(slices) == 1:
        return slices
    *symbols, marginal = _split(slices, q + 1)
    return _shrink(marginal, q) + _shrink(_sum(symbols), q)


def _entropies(slices, q):
    """`q^g` slices of probabilities to `2^g` slices of entropy terms: grow, -p log p, shrink."""
    if len(slices) == 1:
        return [neg_xlogx(slices[0])]
    symbols = _split(slices, q)
    return _entropies(_sum(symbols), q) + _sum([_entropies(part, q) for part in symbols])


@jax.jit
def mean_entropies(entropies: Float[Array, " subsets"]) -> Float[Array, " points"]:
    r"""$H(k)$, the mean of $H(X_S)$ over $|S| = k$, for $k = 0..n$, in nats (arXiv 2511.04647, Def. 12).

    >>> mean_entropies(jnp.array([0.0, 1.0, 2.0, 3.0])).tolist()
    [0.0, 1.5, 3.0]
    """
    n = entropies.shape[0].bit_length() - 1
    sums = entropies[None]  # [positions taken so far, subset of the others]
    for _ in range(n):
        without, taken = jnp.split(sums, 2, axis=1)
        sums = jnp.pad(without, ((0, 1), (0, 0))) + jnp.pad(taken, ((1, 0), (0, 0)))
    return sums[:, 0] / jnp.array([math.comb(n, k) for k in range(n + 1)], sums.dtype)


def information_curve(joint: Joint) -> InformationCurve:
    r"""The exact information curve of a joint, from the entropies of all its subsets, in nats.

    Each $Z_j$ is a difference of mean entropies: its absolute error is a few `eps` of $H(X)$.

    >>> curve = information_curve(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> [round(abs(z), 5) for z in curve.information.tolist()]
    [0.0, 0.69315]
    """
    return curve_from_mean_entropies(mean_entropies(subset_entropies(joint)))
