r"""Drawing a symbol from each row of probabilities, in any float type, with the law that the rows say.

Sums over a vocabulary, held against one random number, lose what is small: in float32 a symbol below
$2^{-24}$ may never be drawn, for the number and the sum have no digits for it (and so it is with Gumbel
noise: `mdmjax.decoders.finite_gumbel`). Here each random number decides between two halves only.
"""

import jax
import jax.numpy as jnp

from ._types import Array, Float, Int, Key

HALVINGS = 9  # of the blocks of symbols that are summed at once


def drawn_from(key: Key[Array, ""], probs: Float[Array, "n symbols"]) -> Int[Array, " n"]:
    r"""One symbol from each row, which need not sum to one; 0 for a row of zeros or with NaN.

    A tree of sums is descended from the whole to a symbol: at each node the smaller half is entered if a
    number finer than $2^{-2m}$ is below its share, with $m$ the digits of the float type (23 in float32).
    So every probability is right to a relative error of about $2^{-m} \log_2 q$, unless a half has less
    than $2^{-2m}$ of its node, and a symbol of probability zero is never drawn. Takes `2 n log2(q)` random
    numbers.
    """
    probs = probs if probs.dtype.itemsize >= 4 else probs.astype(jnp.float32)
    n, q = probs.shape
    size = 2**HALVINGS
    if q <= size:
        return _descended(key, probs)
    choosing, drawing = jax.random.split(key)
    blocks = jnp.pad(probs, ((0, 0), (0, -q % size))).reshape(n, -1, size)
    block = drawn_from(choosing, jnp.sum(blocks, axis=-1))
    return block * size + _descended(drawing, blocks[jnp.arange(n), block])


def _descended(key: Key[Array, ""], probs: Float[Array, "n symbols"]) -> Int[Array, " n"]:
    """A symbol of each row by the tree of sums over pairs, pairs of pairs, and so on."""
    n, q = probs.shape
    depth = (q - 1).bit_length()
    levels = [jnp.pad(probs, ((0, 0), (0, 2**depth - q)))]
    for _ in range(depth):
        levels.append(jnp.sum(levels[-1].reshape(n, -1, 2), axis=-1))
    # The children of node k are 2 k and 2 k + 1; the root is 1.
    tree = jnp.concatenate([jnp.zeros_like(levels[-1]), *reversed(levels)], axis=1)
    rows, root = jnp.arange(n), jnp.ones((n,), int)

    def descend(node, uniform):
        left, right = tree[rows, 2 * node], tree[rows, 2 * node + 1]
        smaller = uniform * (left + right) < jnp.minimum(left, right)
        return 2 * node + jnp.where((left < right) ^ smaller, 1, 0), None

    return jax.lax.scan(descend, root, fine_uniform(key, (depth, n), probs.dtype))[0] - 2**depth


def fine_uniform(key: Key[Array, ""], shape: tuple[int, ...], dtype: jnp.dtype) -> Float[Array, "..."]:
    r"""Uniform in `[0, 1)` on a grid of $2^{-2m}$ below one half, with $m$ the digits of the float type."""
    high, low = jax.random.uniform(key, (2, *shape), dtype)
    return jnp.where(high >= 0.5, high, high + low * 2.0 ** -jnp.finfo(dtype).nmant)
