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
from ._rows import check_calls, denoised, masked_probs, with_tables
from .law import Law, Plan, stepwise

CONTEXTS_AT_ONCE = 2**14  # whose rows are alive


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
    r"""The law $\prod_t \prod_{i \in B_t} \hat p(x_i \mid x_{B_1 \cup \dots \cup B_{t-1}})$."""
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


def contexts_of(known: list[int], n: int, q: int, numbers: Int[np.ndarray, " m"]) -> Int[np.ndarray, "m n"]:
    """The contexts of these numbers where the positions `known` are known, the first the highest digit."""
    contexts = np.full((numbers.size, n), q)
    contexts[:, known] = numbers[:, None] // q ** np.arange(len(known) - 1, -1, -1) % q
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
    """
    n, q = denoiser.n, denoiser.q
    count, masked = q ** len(known), np.setdiff1d(np.arange(n), known)
    products, missing = np.ones((count, q ** len(block))), np.zeros(count, bool)
    for start in range(0, count, CONTEXTS_AT_ONCE):
        here = np.arange(start, min(start + CONTEXTS_AT_ONCE, count))
        here = here if reached is None else here[reached[here]]
        contexts = contexts_of(known, n, q, here)
        rows = denoised(denoiser, contexts)
        if reached is None:
            missing[here] = lacks = np.isnan(rows[:, block]).any(axis=(1, 2))
            products[here[lacks]] = 0.0
            here, rows, contexts = here[~lacks], rows[~lacks], contexts[~lacks]
        rows = masked_probs(rows, contexts).reshape(here.size, masked.size, q)
        words = np.ones((here.size, 1))
        for position in np.searchsorted(masked, block):
            words = (words[:, :, None] * rows[:, position, None, :]).reshape(here.size, -1)
        products[here] = words
    return products, missing
