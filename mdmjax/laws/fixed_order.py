"""The exact law of an ordered partition: a product over its blocks, on tables."""

from functools import partial

import numpy as np

from .._errors import check_bytes
from .._types import Bool, Float, Int
from ..decoders.base import AbstractDecoder
from ..decoders.orders import FixedPartition
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, check_table_size
from ._rows import check_calls, checked_probs, denoised, with_tables
from .law import Law, Plan, stepwise

CONTEXTS_AT_ONCE = 2**14
"""Contexts whose rows are alive."""


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

    >>> import jax.numpy as jnp
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
    """The blocks in their order, by one sort: O(n log n)."""
    levels = np.asarray(rule.levels)
    ends = np.cumsum(np.bincount(levels))[:-1]
    return [block.tolist() for block in np.split(np.argsort(levels, kind="stable"), ends)]


def check_size(denoiser: AbstractDenoiser, blocks: list[list[int]], what: str) -> None:
    """Refuse tables, or calls of the denoiser, that are too many, before they are tried."""
    n, q = denoiser.n, denoiser.q
    check_table_size(n, q)
    known = np.cumsum([0, *map(len, blocks[:-1])]).tolist()
    rows = min(CONTEXTS_AT_ONCE, q ** known[-1]) * 5 * n * q
    check_bytes(8 * (6 * q**n + rows), MAX_TABLE_BYTES, what, "use fewer positions")
    check_calls(denoiser, sum(q**m for m in known), what)


def contexts_of(known: list[int], n: int, q: int, start: int, stop: int) -> Int[np.ndarray, "contexts n"]:
    """The contexts `start..stop-1` where the positions `known` are known, the first the highest digit."""
    contexts = np.full((stop - start, n), q)
    place = q ** np.arange(len(known) - 1, -1, -1)
    contexts[:, known] = np.arange(start, stop)[:, None] // place % q
    return contexts


def block_products(
    denoiser: AbstractDenoiser,
    known: list[int],
    block: list[int],
    reached: Bool[np.ndarray, " contexts"] | None = None,
) -> tuple[Float[np.ndarray, "contexts words"], Bool[np.ndarray, " contexts"]]:
    r"""$\prod_{i \in B} \hat p(x_i \mid x_P)$ of every word of a block in every context; and which are NaN.

    The denoiser must have rows where a context is `reached`; everywhere else the products are 1. If that is
    not said, contexts where it is NaN in the block are marked, and their products are 0.

    Raises:
        InvalidInputError: rows that are NaN or do not sum to one at a context that is reached.
    """
    n, q = denoiser.n, denoiser.q
    count = q ** len(known)
    products, missing = np.ones((count, q ** len(block))), np.zeros(count, bool)
    for start in range(0, count, CONTEXTS_AT_ONCE):
        stop = min(start + CONTEXTS_AT_ONCE, count)
        here = np.arange(start, stop) if reached is None else start + np.flatnonzero(reached[start:stop])
        contexts = contexts_of(known, n, q, start, stop)[here - start]
        rows = denoised(denoiser, contexts)
        if reached is None:
            missing[start:stop] = np.isnan(rows[:, block]).any(axis=(1, 2))
            products[start:stop][missing[start:stop]] = 0.0
            usable = ~missing[start:stop]
            here, rows, contexts = here[usable], rows[usable], contexts[usable]
        rows, words = checked_probs(rows, contexts), np.ones((here.size, 1))
        for position in block:
            words = (words[:, :, None] * rows[:, position, None, :]).reshape(here.size, -1)
        products[here] = words
    return products, missing
