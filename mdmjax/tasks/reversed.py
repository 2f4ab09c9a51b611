"""A task whose answers are written backwards, as NanoAdder's reversed sums are."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .task import AbstractTask, Flags, Problems, Symbols


@dataclasses.dataclass(frozen=True)
class Reversed(AbstractTask):
    """The problems of `task` with the free positions of each in reverse: the last is written first.

    Prompts stay as they are. Checks and texts are those of the task, of answers that are turned back.

    >>> from mdmjax.tasks.addition import Addition
    >>> task = Reversed(Addition(digits=2))
    >>> tokens, given = task.prompt("17+5=")
    >>> task.decode(task.answered(tokens, given, "22")), task.decode(task.answered(tokens, given, "103"))
    ('17+ 5=22 ', '17+ 5=301')
    """

    task: AbstractTask
    name = property(lambda self: self.task.name)  # type: ignore[assignment]
    help = property(lambda self: self.task.help)  # type: ignore[assignment]
    checks = property(lambda self: self.task.checks)  # type: ignore[assignment]
    kinds = property(lambda self: self.task.kinds)  # type: ignore[assignment]
    n = property(lambda self: self.task.n)  # type: ignore[assignment]
    symbols = property(lambda self: self.task.symbols)  # type: ignore[assignment]

    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """Those of the task, turned."""
        found = self.task.draw(rng, count)
        return found._replace(tokens=turned(found.tokens, found.given))

    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """What the answers fail, turned back."""
        return self.task.failed(turned(tokens, given), given)

    def to_text(self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]) -> tuple[str, str]:
        """Prompt and answer as text, turned back."""
        return self.task.to_text(turned(tokens[None], given[None])[0], given)

    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """That of the task: what is masked is the same backwards."""
        return self.task.prompt(text)

    def answered(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"], answer: str
    ) -> UInt8[np.ndarray, " n"]:
        """A prompt with an answer written backwards."""
        return turned(self.task.answered(tokens, given, answer)[None], given[None])[0]


def turned(tokens: Symbols, given: Flags) -> Symbols:
    """Each row with what is at its free positions in reverse order; twice is nothing.

    >>> turned(np.array([[7, 1, 2, 3]], np.uint8), np.array([[True, False, False, False]])).tolist()
    [[7, 3, 2, 1]]
    """
    places = np.argsort(given, axis=1, kind="stable")  # the free positions first, in order
    free = np.sum(~given, axis=1)[:, None]
    rank = np.arange(given.shape[1])[None, :]
    back = np.where(rank < free, free - 1 - rank, rank)
    out = np.empty_like(tokens)
    np.put_along_axis(out, places, np.take_along_axis(tokens, np.take_along_axis(places, back, 1), 1), 1)
    return out
