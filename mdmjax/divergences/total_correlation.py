r"""What a decoder pays for revealing a block at once: conditional total correlation in both directions.

With $p_\Pi(x_B \mid x_P) = \prod_{i \in B} p(x_i \mid x_P)$ (arXiv 2602.00286, Eq. 5), all with the exact
conditionals of the joint: there is no model error here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp

from .._errors import refuse
from .._numerics import dot, kl_terms
from .._types import Array, Float, Tokens
from ..distributions.base import token_weights
from ..distributions.joint import Joint


class TotalCorrelation(NamedTuple):
    r"""`forward` $\mathrm{KL}(p \| p_\Pi)$ and `reverse` $\mathrm{KL}(p_\Pi \| p)$, in nats."""

    forward: Float[Array, "..."]
    reverse: Float[Array, "..."]


def conditional_total_correlation(joint: Joint, tokens: Tokens, block: Sequence[int]) -> TotalCorrelation:
    r"""$\mathrm{KL}$ between $p(x_B \mid x_P)$ and $p_\Pi(x_B \mid x_P)$ in both directions, in nats.

    $\mathrm{CTC}^{\to}(x_P)$ and $\mathrm{CTC}^{\gets}(x_P)$ (Eq. 15, 17). $x_P$ are the revealed `tokens`,
    $B$ the positions `block`, which count as masked; positions in neither are summed out. An exact
    accept-reject sampler of the block needs $e^{\text{forward}}$ proposals at least (Prop. 5.1). `reverse`
    is `inf` if the product makes a block that cannot occur (Lemma C.1). NaN if the context cannot occur.

    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(float(x), 4) for x in conditional_total_correlation(pair, jnp.array([2, 2]), [0, 1])]
    [0.6931, inf]
    """
    check_block(block, joint.n)
    order = [*block, *(i for i in range(joint.n) if i not in block)]
    table = jnp.transpose(joint.probs, order)
    weights = token_weights(tokens, joint.q, table.dtype)
    for i in reversed(order[len(block) :]):
        table = dot(table, weights[i])
    exact = table.reshape(1, -1) / jnp.sum(table)
    product = _products(exact, len(block), joint.q)
    return TotalCorrelation(jnp.sum(kl_terms(exact, product)), jnp.sum(kl_terms(product, exact)))


def total_correlation_by_step(joint: Joint, partition: Sequence[Sequence[int]]) -> TotalCorrelation:
    r"""The mean `conditional_total_correlation` of every step, for the blocks of `partition` in turn.

    `forward` is over contexts from the *truth*, and sums to $\mathrm{KL}(p \| p_B)$, $p_B$ the law of the
    decoder that reveals these blocks (Eq. 16). `reverse` is over contexts from the *decoder*, and sums to
    $\mathrm{KL}(p_B \| p)$ (Eq. 18); once a step is `inf`, later ones leave out impossible contexts.
    """
    n, q, order = joint.n, joint.q, [i for block in partition for i in block]
    check_block(order, n)
    if len(order) != n or not all(partition):
        refuse("partition", [list(b) for b in partition], f"blocks that partition 0..{n - 1}")
    table, decoder = jnp.transpose(joint.probs, order), jnp.ones(1, joint.probs.dtype)
    forward, reverse = [], []
    for size in map(len, partition):
        truth = table.reshape(decoder.size, q**size, -1).sum(2)
        mass = jnp.sum(truth, axis=1)
        occurs = mass > 0
        exact = truth / jnp.where(occurs, mass, 1.0)[:, None]
        product = _products(exact, size, q)
        forward.append(jnp.sum(mass * jnp.sum(kl_terms(exact, product), axis=1)))
        divergence = jnp.sum(kl_terms(product, exact), axis=1)
        reverse.append(jnp.sum(decoder * jnp.where(occurs & (decoder > 0), divergence, 0.0)))
        decoder = (decoder[:, None] * product).reshape(-1)
    return TotalCorrelation(jnp.stack(forward), jnp.stack(reverse))


def check_block(positions: Sequence[int], n: int) -> None:
    """Refuse no positions, a position twice, or one that is not in `0..n-1`."""
    if not positions or len(set(positions)) != len(positions) or not set(positions) <= set(range(n)):
        refuse("block", list(positions), f"different positions in 0..{n - 1}, at least one")


def _products(rows: Float[Array, "contexts words"], size: int, q: int) -> Float[Array, "contexts words"]:
    """For each row, a table over `size` positions, the product of its one-position marginals."""
    contexts = rows.shape[0]
    table, product = rows.reshape(contexts, *(q,) * size), jnp.ones((contexts, 1), rows.dtype)
    for i in range(1, size + 1):
        marginal = table.sum(tuple(j for j in range(1, size + 1) if j != i))
        product = (product[:, :, None] * marginal[:, None, :]).reshape(contexts, -1)
    return product
