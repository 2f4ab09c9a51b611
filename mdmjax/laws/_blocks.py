"""Blocks of positions drawn from the product of their rows, in every context of other positions: tables."""

import numpy as np

from .._types import Bool, Float, Int
from ..denoisers.base import AbstractDenoiser
from ._rows import checked_probs, denoised

CONTEXTS_AT_ONCE = 2**14
"""Contexts whose rows are alive."""


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
