"""Latin squares: any square of the symbols of the prompt is right, so that answers are random."""

import dataclasses
import functools
import itertools
import string
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._checks import check_integer
from .._errors import refuse, shown
from .task import AbstractRandomTask, Flags, Problems, Symbols

MAX_SIZE = 5
"""161280 squares."""
LETTERS = string.ascii_uppercase + string.digits


@dataclasses.dataclass(frozen=True)
class Latin(AbstractRandomTask):
    """The prompt is `size` symbols in any order; the answer is a square, row by row, each as likely.

    As in ParallelBench (2510.04767: 4x4), where the symbols are drawn from 36 letters and digits; here
    from the first `letters` of them. The answer has as many symbols as the square has cells; nothing is
    padded, and `PAD` is no symbol.

    Raises:
        InvalidInputError: `size` not in 2..5, `letters` not in `size`..36.

    >>> task = Latin(size=3, letters=3)
    >>> tokens, given = task.prompt("ABC")
    >>> task.failed(task.answered(tokens, given, "ABC BCA CAB")[None], given[None]).tolist()
    [-1]
    >>> len(task.answers(tokens, given))
    12
    """

    name: ClassVar[str] = "latin"
    help: ClassVar[str] = "Any Latin square of the symbols that are given (2510.04767)."
    checks: ClassVar[tuple[str, ...]] = ("symbols", "row", "column")
    size: int = 4
    letters: int = 36
    symbols = property(lambda self: LETTERS[: self.letters])  # type: ignore[assignment]
    n = property(lambda self: self.size + self.size**2)  # type: ignore[assignment]

    def __post_init__(self):
        if check_integer("size", self.size, 2) > MAX_SIZE:
            refuse(
                "size", self.size, f"an integer in 2..{MAX_SIZE}", "squares are drawn from a list of all"
            )
        if not self.size <= check_integer("letters", self.letters, 2) <= len(LETTERS):
            refuse("letters", self.letters, f"an integer in {self.size}..{len(LETTERS)}")

    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """Uniform symbols and a uniform square."""
        every = rng.permuted(np.tile(np.arange(self.letters, dtype=np.uint8), (count, 1)), axis=1)
        names, squares = every[:, : self.size], latin_squares(self.size)
        square = squares[rng.integers(0, len(squares), count)].astype(int)
        tokens = np.concatenate([names, np.take_along_axis(names, square, 1)], axis=1)
        return Problems(tokens, np.tile(self._given(), (count, 1)), np.zeros(count, int))

    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """The first that fails: only symbols of the prompt, each once in a row, each once in a column."""
        names = np.sort(tokens[:, : self.size], axis=1)[:, None, :]
        square = tokens[:, self.size :].reshape(-1, self.size, self.size)
        known = (square[:, :, :, None] == names[:, :, None, :]).any(axis=3).all(axis=(1, 2))
        rows = (np.sort(square, axis=2) == names).all(axis=(1, 2))
        columns = (np.sort(square.transpose(0, 2, 1), axis=2) == names).all(axis=(1, 2))
        passed = np.stack([known, rows, columns], axis=1)
        return np.where(passed.all(axis=1), -1, np.argmin(passed, axis=1))

    def answers(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "parts n"]:
        """The prompt with every right answer, each as likely as any other."""
        squares = tokens[: self.size][latin_squares(self.size)]
        return np.concatenate([np.tile(tokens[: self.size], (len(squares), 1)), squares], axis=1)

    def to_text(self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]) -> tuple[str, str]:
        """`ABC`, and the cells row by row."""
        text = self.decode(tokens)
        return text[: self.size], text[self.size :]

    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of `size` symbols that differ."""
        if len(set(text)) != self.size or len(text) != self.size:
            refuse("prompt", shown(repr(text)), f"{self.size} symbols that differ")
        tokens, given = np.full(self.n, self.q, np.uint8), self._given()
        tokens[given] = self.encode(text)
        return tokens, given

    def answered(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"], answer: str
    ) -> UInt8[np.ndarray, " n"]:
        """The prompt with the cells of an answer; spaces and ends of lines are dropped."""
        cells = "".join(answer.split())
        if len(cells) != self.size**2:
            refuse(
                "answer", shown(repr(answer)), f"{self.size**2} cells, row by row", f"it has {len(cells)}"
            )
        out = tokens.copy()
        out[~given] = self.encode(cells)
        return out

    def _given(self) -> Bool[np.ndarray, " n"]:
        return np.arange(self.n) < self.size


@functools.cache
def latin_squares(size: int) -> UInt8[np.ndarray, "squares cells"]:
    """Every Latin square of `0..size-1`, row by row: 2, 12, 576, 161280 of sizes 2 to 5.

    >>> [len(latin_squares(size)) for size in (2, 3, 4)]
    [2, 12, 576]
    """
    rows = np.array(list(itertools.permutations(range(size))), np.uint8)
    found = rows[:, None, :]
    for _ in range(size - 1):
        fits = ~(found[:, None, :, :] == rows[None, :, None, :]).any(axis=(2, 3))
        old, new = np.nonzero(fits)
        found = np.concatenate([found[old], rows[new][:, None, :]], axis=1)
    return found.reshape(len(found), -1)
