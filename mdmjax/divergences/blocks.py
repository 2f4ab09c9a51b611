"""What decoding does to the blocks of a Block-HMM, from the tables of both laws (arXiv 2602.00286)."""

import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float


def block_incoherence(
    p: Float[Array, "..."], law: Float[Array, "..."], block_size: int, epsilon: float
) -> Float[Array, ""]:
    r"""The mean fraction of decoded blocks with $p(x^{(m)} \mid x^{<m}) \le$ `epsilon` (App. E.5).

    `p` and `law` are tables `[2]*n`, blocks of `block_size` positions from the left. A block after a prefix
    that $p$ does not have counts as incoherent (our choice).

    Raises:
        InvalidInputError: a block size that does not divide `n`, or a threshold outside `[0, 1]`.

    >>> same = jnp.array([[0.5, 0.0], [0.0, 0.5]])
    >>> float(block_incoherence(same, jnp.full((2, 2), 0.25), 1, 1e-8))
    0.25
    """
    if not 0 <= epsilon <= 1:
        refuse("epsilon", epsilon, "a probability in [0, 1]")
    blocks, words = _blocks(p, block_size)
    fractions, before = [], jnp.ones((1, 1), p.dtype)
    for m in range(blocks):
        here, decoded = (table.reshape(words**m, words, -1).sum(2) for table in (p, law))
        fractions.append(jnp.sum(decoded, where=here <= epsilon * before))
        before = here.reshape(-1, 1)
    return jnp.mean(jnp.stack(fractions))


def parity_violation_rate(law: Float[Array, "..."], block_size: int) -> Float[Array, ""]:
    """The mean fraction of decoded blocks whose first bit is not the parity of the others.

    Raises:
        InvalidInputError: a block size that does not divide `n`, or an alphabet that is not of bits.

    >>> float(parity_violation_rate(jnp.full((2, 2), 0.25), 2))
    0.5
    """
    if law.shape[0] != 2:
        refuse("law", f"on {law.shape[0]} symbols", "a law on bits")
    blocks, words = _blocks(law, block_size)
    odd = np.array([word.bit_count() % 2 for word in range(words)], bool)
    tables = [law.reshape(words**m, words, -1).sum((0, 2)) for m in range(blocks)]
    return jnp.mean(jnp.stack([jnp.sum(table, where=odd) for table in tables]))


def _blocks(table: Float[Array, "..."], block_size: int) -> tuple[int, int]:
    """The number of blocks, and of words of a block."""
    n, q = table.ndim, table.shape[0]
    if block_size < 1 or n % block_size:
        refuse("block_size", block_size, f"a divisor of n = {n}")
    return n // block_size, q**block_size
