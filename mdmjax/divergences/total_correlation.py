r"""What a decoder pays for revealing a block at once: conditional total correlation in both directions.

With $p_\Pi(x_B \mid x_P) = \prod_{i \in B} p(x_i \mid x_P)$ (arXiv 2602.00286, Eq. 5), all with the exact
conditionals of the joint: there is no model error here.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from .._errors import refuse
from .._numerics import kl_terms
from .._types import Array, Float, Tokens
from ..distributions.base import token_weights
from ..distributions.joint import Joint


def forward_ctc(joint: Joint, tokens: Tokens, block: Sequence[int]) -> Float[Array, ""]:
    r"""$\mathrm{KL}(p(x_B \mid x_P) \,\|\, p_\Pi(x_B \mid x_P))$ in nats: the truth comes first (Eq. 15).

    The forward conditional total correlation $\mathrm{CTC}^{\to}(x_P)$. $x_P$ are the revealed `tokens`,
    $B$ the masked positions `block`; what `tokens` says at the block is not used, and positions in neither
    are summed out. An exact accept-reject sampler of the block needs at least its exponential in proposals
    (Prop. 5.1). NaN if the context cannot occur.

    Raises:
        InvalidInputError: an empty block, a position twice or not in `0..n-1`.

    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> round(float(forward_ctc(pair, jnp.array([2, 2]), [0, 1])), 4)
    0.6931
    """
    exact, product = _block_tables(joint, tokens, block)
    return jnp.sum(kl_terms(exact, product))


def reverse_ctc(joint: Joint, tokens: Tokens, block: Sequence[int]) -> Float[Array, ""]:
    r"""$\mathrm{KL}(p_\Pi(x_B \mid x_P) \,\|\, p(x_B \mid x_P))$ in nats: the product comes first (Eq. 17).

    Reverse conditional total correlation, `inf` if the product makes a block that cannot occur (Lemma C.1).
    Arguments and errors as `forward_ctc`.

    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> float(reverse_ctc(pair, jnp.array([2, 2]), [0, 1]))
    inf
    """
    exact, product = _block_tables(joint, tokens, block)
    return jnp.sum(kl_terms(product, exact))


def forward_ctc_by_step(joint: Joint, partition: Sequence[Sequence[int]]) -> Float[Array, " steps"]:
    r"""The mean `forward_ctc` of every step in nats, over contexts from the *truth*.

    Their sum is $\mathrm{KL}(p \| p_B)$, with $p_B$ the law of the decoder that reveals the blocks of
    `partition` in turn (Eq. 16).

    Raises:
        InvalidInputError: blocks that are not a partition of `0..n-1`.

    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> forward_ctc_by_step(pair, [[0, 1]]).round(4).tolist()
    [0.6931]
    """
    return _by_step(joint, partition)[0]


def reverse_ctc_by_step(joint: Joint, partition: Sequence[Sequence[int]]) -> Float[Array, " steps"]:
    r"""The mean `reverse_ctc` of every step in nats, over contexts from the *decoder*.

    Their sum is $\mathrm{KL}(p_B \| p)$ (Eq. 18), the blocks as in `forward_ctc_by_step`. Once a step is
    `inf`, later ones leave out the contexts that cannot occur, which have no conditionals.

    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> reverse_ctc_by_step(pair, [[0], [1]]).tolist()
    [0.0, 0.0]
    """
    return _by_step(joint, partition)[1]


def _block_tables(
    joint: Joint, tokens: Tokens, block: Sequence[int]
) -> tuple[Float[Array, " words"], Float[Array, " words"]]:
    """p(x_B | x_P) and its product of marginals, flat."""
    _check_positions(block, joint.n)
    order = [*block, *(i for i in range(joint.n) if i not in block)]
    table = jnp.transpose(joint.probs, order)
    weights = token_weights(tokens, joint.q, table.dtype)
    for i in reversed(order[len(block) :]):
        table = jnp.tensordot(table, weights[i], axes=1)
    exact = table.reshape(1, -1) / jnp.sum(table)
    return exact[0], _products(exact, len(block), joint.q)[0]


def _by_step(
    joint: Joint, partition: Sequence[Sequence[int]]
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """Both sums, by propagating the marginals of the truth and of the decoder on the revealed positions."""
    order = [i for block in partition for i in block]
    _check_positions(order, joint.n)
    if len(order) != joint.n or not all(partition):
        refuse("partition", [list(b) for b in partition], f"blocks that partition 0..{joint.n - 1}")
    table = jnp.transpose(joint.probs, order)
    decoder = jnp.ones(1, table.dtype)
    forward, reverse, seen = [], [], 0
    for size in map(len, partition):
        revealed = joint.q**seen, joint.q**size
        seen += size
        truth = jnp.sum(table, axis=tuple(range(seen, joint.n))).reshape(revealed)
        mass = jnp.sum(truth, axis=1)
        occurs = mass > 0
        exact = truth / jnp.where(occurs, mass, 1.0)[:, None]
        product = _products(exact, size, joint.q)
        forward.append(jnp.sum(mass * jnp.sum(kl_terms(exact, product), axis=1)))
        visited = occurs & (decoder > 0)
        divergence = jnp.where(visited, jnp.sum(kl_terms(product, exact), axis=1), 0.0)
        reverse.append(jnp.sum(decoder * divergence))
        decoder = (decoder[:, None] * product).reshape(-1)
    return jnp.stack(forward), jnp.stack(reverse)


def _products(rows: Float[Array, "contexts words"], size: int, q: int) -> Float[Array, "contexts words"]:
    """For each row, a table over `size` positions, the product of its one-position marginals."""
    shape = (q,) * size

    def one(row: Float[Array, " words"]) -> Float[Array, " words"]:
        table = row.reshape(shape)
        result = jnp.ones(1, row.dtype)
        for i in range(size):
            marginal = jnp.sum(table, axis=tuple(j for j in range(size) if j != i))
            result = (result[:, None] * marginal[None, :]).reshape(-1)
        return result

    return jax.vmap(one)(rows)


def _check_positions(positions: Sequence[int], n: int) -> None:
    """Refuse no positions, a position twice, or one that is not in `0..n-1`."""
    if not positions or len(set(positions)) != len(positions) or not set(positions) <= set(range(n)):
        refuse("block", list(positions), f"different positions in 0..{n - 1}, at least one")
