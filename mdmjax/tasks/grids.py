"""Tasks whose sequence is a square table, row by row: some cells are given, the others are filled in."""

import dataclasses

import numpy as np
from jaxtyping import Bool, UInt8

from .._errors import refuse, shown
from .task import AbstractTask

BLANKS = "._0"
"""Characters of a blank cell in a prompt (`0` only where it is no symbol); the first is written."""


@dataclasses.dataclass(frozen=True)
class AbstractGrid(AbstractTask):
    """A table of `n` cells; the answer is the whole table, without padding (`PAD` is no symbol)."""

    def to_text(self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]) -> tuple[str, str]:
        """The cells with `.` for blanks, and all the cells."""
        text = self.decode(tokens)
        return "".join(c if known else BLANKS[0] for c, known in zip(text, given, strict=True)), text

    def answered(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"], answer: str
    ) -> UInt8[np.ndarray, " n"]:
        """All the cells of the answer, spaces and ends of lines dropped; also those that were given."""
        return self.encode(self._cells("answer", answer))

    def read(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of a prompt, and which are given, before it is known whether it has an answer."""
        cells = self._cells("prompt", text)
        given = np.array([cell in self.symbols or cell not in BLANKS for cell in cells])
        tokens = np.full(self.n, self.q, np.uint8)
        tokens[given] = self.encode(
            "".join(cell for cell, known in zip(cells, given, strict=True) if known)
        )
        return tokens, given

    def _cells(self, argument: str, text: str) -> str:
        cells = "".join(text.split())
        if len(cells) != self.n:
            refuse(argument, shown(repr(cells)), f"{self.n} cells, row by row", f"it has {len(cells)}")
        return cells
