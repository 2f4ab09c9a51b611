"""The exact law of an ordered partition: a product over its blocks, on tables."""

from functools import partial

import numpy as np

from .._errors import check_bytes
from ..decoders.base import AbstractDecoder
from ..decoders.orders import FixedPartition
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, check_table_size
from ._blocks import CONTEXTS_AT_ONCE, block_products
from ._rows import check_calls, with_tables
from .law import Law, Plan, stepwise


def plan(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> Plan | None:
    """`fixed_order_law`, if the decoder reveals the blocks of a partition, and has the steps for all."""
    if not (isinstance(decoder, Reveal) and isinstance(decoder.rule, FixedPartition)):
        return None
    blocks = blocks_of(decoder.rule)
    if (max_steps is not None and max_steps < len(blocks)) or sum(map(len, blocks)) != denoiser.n:
        return None
    denoiser = decoder.writer(denoiser)
    check_size(denoiser, blocks, "the law of a fixed order")
    return partial(fixed_order_law, denoiser, blocks)


def fixed_order_law(denoiser: AbstractDenoiser, blocks: list[list[int]]) -> Law:
    r"""$\prod_t \prod_{i \in B_t} \hat p(x_i \mid x_{B_1 \cup \dots \cup B_{t-1}})$: the law of `Reveal`.

    $\sum_t q^{|B_1| + \dots + |B_{t-1}|}$ calls of the denoiser, and some tables of $q^n$.

    Raises:
        InvalidInputError: a denoiser that is NaN, or whose rows do not sum to one, at a context that is
            reached.

    >>> from mdmjax import Joint, Oracle
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> fixed_order_law(same, [[0, 1]]).probs.tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    n, q, steps = denoiser.n, denoiser.q, len(blocks)
    denoiser, law, order = with_tables(denoiser), np.ones(1), []
    for block in blocks:
        products, _ = block_products(denoiser, order, block, law > 0)
        products *= law[:, None]
        law, order = products.reshape(-1), order + block
    probs = law.reshape((q,) * n).transpose(np.argsort(order))
    level = np.repeat(np.arange(steps), [len(block) for block in blocks])[np.argsort(order)]
    return stepwise(probs, level[:, None] == np.arange(steps), "fixed order")


def blocks_of(rule: FixedPartition) -> list[list[int]]:
    """The blocks in their order."""
    levels = np.asarray(rule.levels)
    return [np.flatnonzero(levels == level).tolist() for level in range(levels.max() + 1)]


def check_size(denoiser: AbstractDenoiser, blocks: list[list[int]], what: str) -> None:
    """Refuse tables, or calls of the denoiser, that are too many, before they are tried."""
    n, q = denoiser.n, denoiser.q
    check_table_size(n, q)
    known = np.cumsum([0, *map(len, blocks[:-1])]).tolist()
    rows = min(CONTEXTS_AT_ONCE, q ** known[-1]) * 5 * n * q
    check_bytes(8 * (6 * q**n + rows), MAX_TABLE_BYTES, what, "use fewer positions")
    check_calls(denoiser, sum(q**m for m in known), what)
