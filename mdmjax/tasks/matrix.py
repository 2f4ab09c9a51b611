"""Fill in a table of digits of which every row and every column sums to a multiple of ten."""

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._checks import check_integer
from .._errors import refuse, shown
from .grids import AbstractGrid
from .task import Flags, Problems, Symbols

BASE = 10


@dataclasses.dataclass(frozen=True)
class Matrix(AbstractGrid):
    r"""A `size` x `size` table of digits with blanks: each row and each column sums to 0 modulo 10.

    Ours, in the spirit of MathMatrix (2601.15593), of which no definition is published.

    A blank is an edge between its row and its column. The solution is unique if and only if these edges
    have no cycle: along a cycle of blanks one may add 1, -1, 1, ... So there are at most
    $2 \cdot \mathrm{size} - 1$ blanks, and some row or column always has a single one, which its sum
    determines: `rounds` says in which round of this a blank is. Problems have `blanks` of them, or a
    uniform number of 1 to `2 size - 1` where it is 0. Kinds are the number of rounds: 1, 2, 3, 4 or more.

    Raises:
        InvalidInputError: `size` not in 2..16, `blanks` not in 0..`2 size - 1`.

    >>> task = Matrix(size=2)
    >>> tokens, given = task.prompt("19 .1")
    >>> task.failed(task.answered(tokens, given, "1991")[None], given[None]).tolist()
    [-1]
    >>> task.rounds(given[None]).tolist()
    [[0, 0, 1, 0]]
    """

    name: ClassVar[str] = "matrix"
    help: ClassVar[str] = "A table whose rows and columns sum to multiples of ten (ours)."
    checks: ClassVar[tuple[str, ...]] = ("row", "column")
    kinds: ClassVar[tuple[str, ...]] = ("1 round", "2 rounds", "3 rounds", "4 or more rounds")
    size: int = 4
    blanks: int = 0
    symbols = property(lambda self: "0123456789")  # type: ignore[assignment]
    n = property(lambda self: self.size**2)  # type: ignore[assignment]

    def __post_init__(self):
        if check_integer("size", self.size, 2) > 16:
            refuse("size", self.size, "an integer in 2..16")
        if check_integer("blanks", self.blanks, 0) > 2 * self.size - 1:
            refuse(
                "blanks", self.blanks, f"an integer in 0..{2 * self.size - 1}", "more have no one solution"
            )

    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """A uniform table; cells in random order are blank unless they close a cycle, as many as wanted."""
        size = self.size
        table = np.zeros((count, size, size), np.uint8)
        table[:, :-1, :-1] = rng.integers(0, BASE, (count, size - 1, size - 1))
        table[:, :-1, -1] = -table.sum(axis=2, dtype=int)[:, :-1] % BASE
        table[:, -1] = -table.sum(axis=1, dtype=int) % BASE
        wanted = np.full(count, self.blanks) if self.blanks else rng.integers(1, 2 * size, count)
        given, left, part = (
            np.ones((count, self.n), bool),
            wanted.copy(),
            np.tile(np.arange(2 * size), (count, 1)),
        )
        for cells in rng.permuted(np.tile(np.arange(self.n), (count, 1)), axis=1).T:
            row, column = (part[np.arange(count), end] for end in (cells // size, size + cells % size))
            new = (row != column) & (left > 0)  # no path joins them: the edge makes no cycle
            part = np.where((part == column[:, None]) & new[:, None], row[:, None], part)
            given[np.arange(count), cells] &= ~new
            left -= new
        depth = self.rounds(given).max(axis=1)
        return Problems(table.reshape(count, -1), given, np.minimum(depth, len(self.kinds)) - 1)

    def rounds(self, given: Flags) -> Int[np.ndarray, "count n"]:
        """The round in which a blank is the only one left of its row or column; 0: given, `n`: never."""
        size = self.size
        blank = ~given.reshape(-1, size, size)
        depth = np.where(blank, self.n, 0)
        for number in range(1, 2 * size):
            single = blank & ((blank.sum(axis=2) == 1)[:, :, None] | (blank.sum(axis=1) == 1)[:, None, :])
            depth = np.where(single, number, depth)
            blank &= ~single
        return depth.reshape(-1, self.n)

    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """The first of rows and columns in which a sum is no multiple of ten."""
        table = tokens.reshape(-1, self.size, self.size).astype(int)
        rows, columns = ((table.sum(axis=axis) % BASE == 0).all(axis=1) for axis in (2, 1))
        return np.where(~rows, 0, np.where(~columns, 1, -1))

    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of `n` cells, `.` or `_` where blank; refused unless it has one solution."""
        tokens, given = self.read(text)
        depth = self.rounds(given[None])[0]
        table = np.where(given, tokens, 0).astype(int).reshape(self.size, self.size)
        for number in range(1, 2 * self.size):
            for cell in np.flatnonzero(depth == number):
                row, column = divmod(cell, self.size)
                along = (depth.reshape(table.shape)[row] >= number).sum() == 1
                table[row, column] = -(table[row] if along else table[:, column]).sum() % BASE
        if self.failed(table.astype(np.uint8).reshape(1, -1), given[None])[0] >= 0 and depth.max() < self.n:
            refuse("prompt", shown(repr(text)), "one solution", "it has none")
        if depth.max() == self.n:
            refuse(
                "prompt",
                shown(repr(text)),
                "one solution",
                "it has none or several: its blanks have a cycle",
            )
        return tokens, given
