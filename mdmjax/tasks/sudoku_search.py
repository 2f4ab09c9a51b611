"""A search for the solutions of a Sudoku, on bit masks; and minimal puzzles, found with it."""

import functools

import numpy as np
from jaxtyping import Bool, Int

from .._errors import refuse
from .propagation import units_of

MAX_NODES = 200_000
"""Cells that a search may fill in: some seconds."""


def solutions(cells: list[int], size: int, most: int) -> list[list[int]]:
    """At most so many solutions of a puzzle of `1..size`, 0 where blank, each of symbols `0..size-1`.

    A cell of the fewest candidates is filled in first.

    Raises:
        InvalidInputError: a puzzle on which `MAX_NODES` cells were tried.

    >>> solutions([1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 0, 0], 4, 2)
    [[0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0]]
    """
    places, every = _places(size), 2**size - 1
    used = [0] * (3 * size)
    for cell, symbol in enumerate(cells):
        if symbol:
            bit, (row, column, box) = 1 << (symbol - 1), places[cell]
            if (used[row] | used[column] | used[box]) & bit:
                return []
            used[row] |= bit
            used[column] |= bit
            used[box] |= bit
    filled, found = [symbol - 1 for symbol in cells], list[list[int]]()
    blanks, tried = [cell for cell, symbol in enumerate(cells) if not symbol], 0

    def search() -> bool:
        """Whether enough were found."""
        nonlocal tried
        if not blanks:
            found.append(filled.copy())
            return len(found) == most
        least, best, options = size + 1, 0, 0
        for at, cell in enumerate(blanks):
            row, column, box = places[cell]
            free = every & ~(used[row] | used[column] | used[box])
            if (number := free.bit_count()) < least:
                least, best, options = number, at, free
                if number <= 1:
                    break
        cell = blanks[best]
        blanks[best] = blanks[-1]
        blanks.pop()
        row, column, box = places[cell]
        enough = False
        while options and not enough:
            bit = options & -options
            options ^= bit
            if (tried := tried + 1) > MAX_NODES:
                refuse("prompt", "a puzzle with few clues", f"one decided by {MAX_NODES} trials")
            used[row] |= bit
            used[column] |= bit
            used[box] |= bit
            filled[cell] = bit.bit_length() - 1
            enough = search()
            used[row] ^= bit
            used[column] ^= bit
            used[box] ^= bit
        filled[cell] = -1
        blanks.append(cell)
        blanks[best], blanks[-1] = blanks[-1], blanks[best]
        return enough

    search()
    return found


def minimal_puzzle(
    rng: np.random.Generator, size: int
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """A solved grid and clues of it, of which none can be left out: clues are removed in random order.

    A clue can go if no other symbol of its cell leads to a solution.

    >>> grid, clues = minimal_puzzle(np.random.default_rng(0), 4)
    >>> len(solutions(np.where(clues, grid + 1, 0).tolist(), 4, 2))
    1
    """
    n, side = size * size, round(size**0.5)
    found = list[list[int]]()
    while not found:  # a fill of the boxes on the diagonal, some of which have none if they are 2x2
        start = np.zeros((size, size), int)
        for at in range(0, size, side):
            start[at : at + side, at : at + side] = rng.permutation(size).reshape(side, side) + 1
        found = solutions(start.ravel().tolist(), size, 1)
    grid = found[0]
    cells, clues = [symbol + 1 for symbol in grid], np.ones(n, bool)
    for cell in rng.permutation(n).tolist():
        cells[cell] = 0
        row, column, box = _peers(size)[cell]
        seen = {cells[other] for other in (*row, *column, *box)}
        clues[cell] = False
        for symbol in range(1, size + 1):
            if symbol == grid[cell] + 1 or symbol in seen:
                continue
            cells[cell] = symbol
            if solutions(cells, size, 1):
                cells[cell], clues[cell] = grid[cell] + 1, True
                break
            cells[cell] = 0
    return np.array(grid), clues


@functools.cache
def _places(size: int) -> list[tuple[int, int, int]]:
    """The numbers of the three units of each cell."""
    side = round(size**0.5)
    cells = [divmod(cell, size) for cell in range(size * size)]
    return [(r, size + c, 2 * size + r // side * side + c // side) for r, c in cells]


@functools.cache
def _peers(size: int) -> list[list[list[int]]]:
    """The three units of each cell."""
    units = units_of(size).tolist()
    return [[units[unit] for unit in places] for places in _places(size)]
