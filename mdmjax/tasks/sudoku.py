"""Sudoku, 4x4 and 9x9: puzzles of one solution, made from minimal ones by symmetries and further clues."""

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._checks import check_integer
from .._errors import refuse, shown
from .grids import AbstractGrid
from .propagation import propagated, units_of
from .sudoku_search import minimal_puzzle, solutions
from .task import Flags, Problems, Symbols

SHARED = 32
"""Problems of one stream that come from one minimal puzzle."""


@dataclasses.dataclass(frozen=True)
class Sudoku(AbstractGrid):
    r"""The sequence is the grid, row by row; the clues are given and the blanks are filled in.

    A minimal puzzle (no clue can be left out) is found by search. 32 problems of a stream come from one,
    each by a uniform symmetry (symbols, rows in a band, bands, columns likewise, transposition) and with
    further cells of its solution as clues, which keep it unique. There are `clues` of them, or a uniform
    number between those of the minimal puzzle and 3/4 of the cells where `clues` is 0; where a minimal
    puzzle has more than `clues`, its own. All of this is ours. ParallelBench: `size=4,clues=12`.

    Kinds are what solves it (ours): naked singles alone, with hidden singles, or only a search.

    Raises:
        InvalidInputError: `size` not 4 or 9, `clues` not in 0..n.

    >>> task = Sudoku(size=4, clues=6)
    >>> problems = task.problems(0, 100)
    >>> set(problems.given.sum(axis=1).tolist()), set(task.failed(*problems[:2]).tolist())
    ({6}, {-1})
    >>> tokens, given = task.prompt("12.. 34.. 21.. ....")
    Traceback (most recent call last):
    mdmjax._errors.InvalidInputError: prompt is '12.. 34.. 21.. ....': want one solution; it has several
    """

    name: ClassVar[str] = "sudoku"
    help: ClassVar[str] = "Sudoku with one solution, its blanks to be filled in."
    checks: ClassVar[tuple[str, ...]] = ("row", "column", "box")
    kinds: ClassVar[tuple[str, ...]] = ("naked", "hidden", "search")
    size: int = 9
    clues: int = 0
    symbols = property(lambda self: "123456789"[: self.size])  # type: ignore[assignment]
    n = property(lambda self: self.size**2)  # type: ignore[assignment]

    def __post_init__(self):
        if self.size not in (4, 9):
            refuse("size", self.size, "4 or 9")
        if check_integer("clues", self.clues, 0) > self.n:
            refuse("clues", self.clues, f"an integer in 0..{self.n}")

    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """Minimal puzzles, each dressed up to 32 times."""
        bases = [minimal_puzzle(rng, self.size) for _ in range(-(-count // SHARED))]
        base = np.repeat(np.arange(len(bases)), SHARED)[:count]
        grids = np.array([grid for grid, _ in bases], np.uint8)[base]
        clues = np.array([clues for _, clues in bases])[base]
        cells = _symmetries(rng, count, self.size)
        names = rng.permuted(np.tile(np.arange(self.size, dtype=np.uint8), (count, 1)), axis=1)
        tokens = np.take_along_axis(names, np.take_along_axis(grids, cells, 1).astype(int), 1)
        clues = np.take_along_axis(clues, cells, 1)
        least = clues.sum(1)
        wanted = np.full(count, self.clues) if self.clues else rng.integers(least, 3 * self.n // 4 + 1)
        rank = np.argsort(np.argsort(np.where(clues, -1.0, rng.random(clues.shape)), axis=1), axis=1)
        given = rank < np.maximum(least, wanted)[:, None]
        order = rng.permutation(count)  # else neighbours would be alike
        tokens, given = tokens[order], given[order]
        return Problems(tokens, given, self.difficulty(tokens, given))

    def difficulty(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """The number in `kinds` of each puzzle."""
        naked = np.all(propagated(tokens, given, self.size, hidden=False).depth < self.n, axis=1)
        both = np.all(propagated(tokens, given, self.size).depth < self.n, axis=1)
        return np.where(naked, 0, np.where(both, 1, 2))

    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """The first of row, column and box in which a symbol is there twice."""
        sets = np.sort(tokens[:, units_of(self.size)], axis=2)
        right = np.all(sets == np.arange(self.size, dtype=np.uint8), axis=2)
        by_kind = right.reshape(len(tokens), 3, self.size).all(axis=2)
        return np.where(by_kind.all(axis=1), -1, np.argmin(by_kind, axis=1))

    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of `n` cells, `.`, `_` or `0` where blank; refused unless it has one solution."""
        tokens, given = self.read(text)
        found = solutions(np.where(given, tokens + 1, 0).tolist(), self.size, 2)
        if len(found) != 1:
            refuse("prompt", shown(repr(text)), "one solution", f"it has {'several' if found else 'none'}")
        return tokens, given


def _symmetries(rng: np.random.Generator, count: int, size: int) -> Int[np.ndarray, "count n"]:
    """The old cell of each new cell: uniform among what maps rows, columns and boxes on such."""
    side = round(size**0.5)

    def lines() -> Int[np.ndarray, "count size"]:
        bands = rng.permuted(np.tile(np.arange(side), (count, 1)), axis=1)
        within = rng.permuted(np.tile(np.arange(side), (count, side, 1)), axis=2)
        return (bands[:, :, None] * side + within).reshape(count, size)

    rows, columns = lines(), lines()
    cells = rows[:, :, None] * size + columns[:, None, :]
    turned = rng.random(count) < 0.5
    return np.where(turned[:, None, None], cells.transpose(0, 2, 1), cells).reshape(count, -1)
