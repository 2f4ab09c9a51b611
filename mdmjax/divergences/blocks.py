"""What decoding does to the blocks of a Block-HMM, from tables `[2]*n` of both laws (arXiv 2602.00286)."""

import jax.numpy as jnp
import numpy as np

from .._types import Array, Float


def block_incoherence(
    p: Float[Array, "..."], law: Float[Array, "..."], block_size: int, epsilon: float
) -> Float[Array, ""]:
    r"""The mean fraction of decoded blocks with $p(x^{(m)} \mid x^{<m}) \le$ `epsilon` (App. E.5).

    A block after a prefix that $p$ does not have counts as incoherent (our choice).
    """
    words, fractions, before = 2**block_size, [], jnp.ones((1, 1), p.dtype)
    for m in range(p.ndim // block_size):
        here, decoded = (table.reshape(words**m, words, -1).sum(2) for table in (p, law))
        fractions.append(jnp.sum(decoded, where=here <= epsilon * before))
        before = here.reshape(-1, 1)
    return jnp.mean(jnp.stack(fractions))


def parity_violation_rate(law: Float[Array, "..."], block_size: int) -> Float[Array, ""]:
    """The mean fraction of decoded blocks whose first bit is not the parity of the others."""
    words = 2**block_size
    odd = np.array([word.bit_count() % 2 for word in range(words)], bool)
    tables = [law.reshape(words**m, words, -1).sum((0, 2)) for m in range(law.ndim // block_size)]
    return jnp.mean(jnp.stack([jnp.sum(table, where=odd) for table in tables]))
