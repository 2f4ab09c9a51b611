"""What a task is: problems that are drawn from a seed, as symbols and as text, and an exact checker."""

import abc
import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._errors import refuse, shown

CHUNK = 1024
"""Problems of one stream of random numbers: problem `i` of a seed is the same however many are drawn."""

Symbols = UInt8[np.ndarray, "count n"]
Flags = Bool[np.ndarray, "count n"]


class Problems(NamedTuple):
    """Sequences with a true answer, the positions of their prompts, the number of each in `task.kinds`."""

    tokens: Symbols
    given: Flags
    kind: Int[np.ndarray, " count"]


@dataclasses.dataclass(frozen=True)
class AbstractTask(abc.ABC):
    """Problems of `n` positions, some of them given, over `symbols`: one character each.

    The prompt is never masked; a model writes the rest. What is shorter than its place is padded, to the
    left or to the right, with `PAD`, then the last of the symbols. `checks` are what an answer may fail, in
    the order in which they are looked at.
    """

    PAD: ClassVar[str] = " "
    name: ClassVar[str]
    help: ClassVar[str]
    checks: ClassVar[tuple[str, ...]] = ("answer",)
    kinds: ClassVar[tuple[str, ...]] = ("any",)

    @property
    @abc.abstractmethod
    def n(self) -> int:
        """Positions of prompt and answer."""

    @property
    @abc.abstractmethod
    def symbols(self) -> str:
        """The characters; the symbol of each is its place."""

    @property
    def q(self) -> int:
        """How many symbols there are."""
        return len(self.symbols)

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """`count` problems of one stream of random numbers."""

    @abc.abstractmethod
    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """The number of the first check that each sequence fails, -1 where it is right."""

    @abc.abstractmethod
    def to_text(self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]) -> tuple[str, str]:
        """Prompt and answer as text, without padding."""

    @abc.abstractmethod
    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of a prompt, `q` (the mask) where the answer goes, and which are given."""

    @abc.abstractmethod
    def answered(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"], answer: str
    ) -> UInt8[np.ndarray, " n"]:
        """A prompt with an answer written into it.

        Raises:
            InvalidInputError: another length (its argument is `answer`) or alphabet (it is `text`).
        """

    def problems(self, seed: int, count: int, start: int = 0) -> Problems:
        """Problems `start` to `start + count` of a seed: each is the same however many are drawn.

        >>> from mdmjax.tasks.addition import Addition
        >>> task = Addition(digits=2)
        >>> bool((task.problems(0, 3).tokens[2:] == task.problems(0, 1, start=2).tokens).all())
        True
        """
        first, last = start // CHUNK, (start + count - 1) // CHUNK
        parts = [self.draw(np.random.default_rng([seed, at]), CHUNK) for at in range(first, last + 1)]
        kept = slice(start - first * CHUNK, start - first * CHUNK + count)
        return Problems(*(np.concatenate(column)[kept] for column in zip(*parts, strict=True)))

    def encode(self, text: str) -> UInt8[np.ndarray, " length"]:
        """The symbols of a text; a character that is none is refused."""
        for character in text:
            if character not in self.symbols:
                wanted = f"characters among {self.symbols!r}"
                refuse("text", shown(repr(text)), wanted, f"{character!r} is no symbol of {self.name}")
        return np.array([self.symbols.index(character) for character in text], np.uint8)

    def decode(self, tokens: UInt8[np.ndarray, " length"]) -> str:
        """The text of symbols; the mask is `?`."""
        return "".join((*self.symbols, "?")[token] for token in tokens.tolist())


@dataclasses.dataclass(frozen=True)
class AbstractRandomTask(AbstractTask):
    """A task whose answers are random: every right answer to a prompt is as likely as any other."""

    @abc.abstractmethod
    def answers(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "parts n"]:
        """The prompt with every right answer, each once."""
