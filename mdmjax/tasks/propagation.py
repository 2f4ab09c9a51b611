"""How hard a blank of a Sudoku is: its candidates, and the round of propagation that determines it."""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt16

from .task import Flags, Symbols


class Propagated(NamedTuple):
    """Of each cell: candidates at the start, and the round that determines it, `n` where none does."""

    candidates: Int[np.ndarray, "count n"]
    depth: Int[np.ndarray, "count n"]


def propagated(tokens: Symbols, given: Flags, size: int, *, hidden: bool = True) -> Propagated:
    """Candidates and depth of every cell of a batch of puzzles that have a solution.

    A candidate of a blank is a symbol that no given cell of its row, column and box has; a clue has none.
    A clue has depth 0. In each round every blank that is a naked single (one candidate) or, unless not
    `hidden`, a hidden single (the only place of a symbol in a row, column or box) is filled in, all at
    once; its depth is the number of the round, from 1. A cell that no round determines has depth `n`.

    >>> tokens = np.array([[0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0]], np.uint8)
    >>> given = np.array([[1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0]], bool)
    >>> found = propagated(tokens, given, 4)
    >>> found.candidates[0].reshape(4, 4)[:, 3].tolist(), found.depth[0].reshape(4, 4)[:, 3].tolist()
    ([1, 1, 1, 1], [1, 1, 1, 1])
    """
    units, n = units_of(size), size * size
    held = np.where(given, np.left_shift(np.uint16(1), tokens, dtype=np.uint16), np.uint16(0))
    depth, first = np.where(given, 0, n), np.zeros(given.shape, int)
    for number in range(1, n + 1):
        seen = _at_cells(np.bitwise_or.reduce(held[:, units], axis=2), size)
        possible = np.where(held == 0, ~seen & np.uint16(2**size - 1), np.uint16(0))
        if number == 1:
            first = np.bitwise_count(possible).astype(int)
        single = np.where(np.bitwise_count(possible) == 1, possible, np.uint16(0))
        if hidden:
            single |= possible & _at_cells(_once(possible[:, units]), size)
        single &= ~single + np.uint16(1)  # one symbol, should a puzzle without a solution have two
        if not single.any():
            break
        depth = np.where(single > 0, number, depth)
        held |= single
    return Propagated(first, depth)


def order_of(found: Propagated) -> Int[np.ndarray, "count n"]:
    """The cells in the oracle order: clues, then by round; in a round by candidates, then from the left.

    Cells that no round determines come last (ours). Each row is a permutation.

    >>> order_of(Propagated(np.array([[2, 0, 1]]), np.array([[1, 0, 1]]))).tolist()
    [[1, 2, 0]]
    """
    return np.lexsort((found.candidates, found.depth), axis=1)


@functools.cache
def units_of(size: int) -> Int[np.ndarray, "units size"]:
    """The cells of each row, then of each column, then of each box."""
    cells, side = np.arange(size * size).reshape(size, size), round(size**0.5)
    boxes = cells.reshape(side, side, side, side).swapaxes(1, 2).reshape(size, size)
    return np.concatenate([cells, cells.T, boxes])


def _once(masks: UInt16[np.ndarray, "count units size"]) -> UInt16[np.ndarray, "count units"]:
    """The symbols that one cell only of a unit has."""
    once, more = np.zeros_like(masks[:, :, 0]), np.zeros_like(masks[:, :, 0])
    for mask in np.moveaxis(masks, 2, 0):
        more |= once & mask
        once |= mask
    return once & ~more


def _at_cells(masks: UInt16[np.ndarray, "count units"], size: int) -> UInt16[np.ndarray, "count n"]:
    """The union over the three units of each cell."""
    row, column = np.divmod(np.arange(size * size), size)
    side = round(size**0.5)
    box = row // side * side + column // side
    return masks[:, row] | masks[:, size + column] | masks[:, 2 * size + box]
