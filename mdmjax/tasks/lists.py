"""The list operations of ParallelBench (arXiv 2510.04767) on letters: one task, an operation as data."""

import dataclasses
import re
import string
from collections.abc import Iterator
from itertools import permutations
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._checks import check_integer
from .._errors import check_bytes, perhaps, refuse, shown
from .task import AbstractRandomTask, Flags, Problems, Symbols

Counts = Int[np.ndarray, " count"]
Items = UInt8[np.ndarray, "count most"]
MOST_ITEMS = 16
ANSWER_BYTES = 2**28


class Operation(NamedTuple):
    """What becomes of a list: with a new item or not, a place that is given or not, longer by `grows`."""

    help: str
    word: bool = False
    place: bool = False
    grows: int = 0


OPERATIONS = {
    "copy": Operation("The list as it is."),
    "reverse": Operation("From the last item to the first."),
    "sort": Operation("In the order of the alphabet."),
    "shuffle": Operation("Any other order of the items."),
    "replace-index": Operation("The new item instead of that at a place.", True, True),
    "replace-random": Operation("The new item instead of any.", True, False),
    "insert-index": Operation("The new item after that at a place.", True, True, 1),
    "insert-random": Operation("The new item anywhere.", True, False, 1),
    "remove-index": Operation("Without the item at a place.", False, True, -1),
    "remove-random": Operation("Without any one item.", False, False, -1),
}
"""The ten of the benchmark."""


@dataclasses.dataclass(frozen=True)
class Lists(AbstractRandomTask):
    r"""Lists of `least` to `most` letters that differ, uniform, and what an operation makes of them.

    The benchmark's operations (arXiv 2510.04767, and its code), on letters where it has words: places
    count from 1, an item is inserted after the one at its place, or, where the place is random, before the
    first too; a new item is none of the list. A shuffled list must differ from the list. Any right
    answer is as likely as any other. The sequence is the list padded to `most` items, the new item, the
    place in two digits, as far as the operation has them, and the answer. Kinds are the lengths.

    Raises:
        InvalidInputError: no such operation; not `2 <= least <= most <= 16`; `letters` not in
            `most + 1`..26.

    >>> task = Lists(operation="replace-index")
    >>> tokens, given = task.prompt("abc+z@2")
    >>> answers = np.stack([task.answered(tokens, given, answer) for answer in ("azc", "az", "zbc")])
    >>> task.failed(answers, np.tile(given, (3, 1))).tolist()
    [-1, 0, 1]
    """

    name: ClassVar[str] = "lists"
    help: ClassVar[str] = "Copy, reverse, sort, shuffle, replace, insert, remove (2510.04767)."
    checks: ClassVar[tuple[str, ...]] = ("length", "items", "order")
    operation: str = "copy"
    least: int = 3
    most: int = 6
    letters: int = 26
    kinds = property(lambda self: tuple(f"{n} items" for n in range(self.least, self.most + 1)))  # type: ignore[assignment]

    def __post_init__(self):
        if self.operation not in OPERATIONS:
            near = perhaps(str(self.operation), OPERATIONS)
            refuse("operation", shown(self.operation), f"one of {', '.join(OPERATIONS)}", near)
        if (
            not 2
            <= check_integer("least", self.least, 2)
            <= check_integer("most", self.most, 2)
            <= MOST_ITEMS
        ):
            refuse("least, most", f"{self.least}, {self.most}", f"2 <= least <= most <= {MOST_ITEMS}")
        if not self.most < check_integer("letters", self.letters, 1) <= 26:
            refuse("letters", self.letters, f"an integer in {self.most + 1}..26")

    @property
    def how(self) -> Operation:
        """The operation."""
        return OPERATIONS[self.operation]

    @property
    def symbols(self) -> str:
        """Letters, digits where there is a place, and padding."""
        return string.ascii_lowercase[: self.letters] + string.digits * self.how.place + self.PAD

    @property
    def n(self) -> int:
        """The list, what the operation needs, and the answer."""
        return self._start + self.most + self.how.grows

    @property
    def _start(self) -> int:
        """Where the answer begins."""
        return self.most + self.how.word + 2 * self.how.place

    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """Uniform lengths, items, places, and one of the right answers."""
        pad, how = self.q - 1, self.how
        length = rng.integers(self.least, self.most + 1, count)
        every = rng.permuted(np.tile(np.arange(self.letters, dtype=np.uint8), (count, 1)), axis=1)
        items = np.where(np.arange(self.most) < length[:, None], every[:, : self.most], pad).astype(
            np.uint8
        )
        word = every[:, self.most]
        first = 0 if self.operation == "insert-random" else 1
        place = rng.integers(first, length + 1)
        answer = (
            _shuffled(rng, items, length)
            if self.operation == "shuffle"
            else self._made(items, length, word, place)
        )
        parts = [items] + [word[:, None]] * how.word
        if how.place:
            tens = np.where(place < 10, pad, self.letters + place // 10)
            parts += [tens[:, None].astype(np.uint8), (self.letters + place % 10)[:, None].astype(np.uint8)]
        tokens = np.concatenate([*parts, answer], axis=1)
        return Problems(tokens, np.tile(self._given(), (count, 1)), length - self.least)

    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """The first that fails: as many items as there should be, the right ones, in a right order."""
        pad, (items, length, word, place) = self.q - 1, self._read(tokens)
        answer = tokens[:, self._start :]
        wanted = np.arange(answer.shape[1]) < (length + self.how.grows)[:, None]
        right_length = ((answer != pad) == wanted).all(axis=1)
        mine, right_items, right = np.sort(answer, axis=1), False, False
        for at in self._places(place, length):
            made = self._made(items, length, word, at)
            allowed = at <= length
            right_items |= allowed & (np.sort(made, axis=1) == mine).all(axis=1)
            right |= allowed & (made == answer).all(axis=1)
        if self.operation == "shuffle":
            right = right_items & ~right
        passed = np.stack([right_length, right_items, right], axis=1)
        return np.where(passed.all(axis=1), -1, np.argmin(passed, axis=1))

    def answers(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "parts n"]:
        """The prompt with every right answer, each once."""
        items, length, word, place = self._read(tokens[None])
        if self.operation == "shuffle":
            size = int(length[0])
            need = self.n * int(np.prod(np.arange(1, size + 1), dtype=float))
            check_bytes(need, ANSWER_BYTES, "orders of a list", "use a shorter one", items=size)
            orders = np.array(list(permutations(range(size))))[1:]
            made = np.tile(items, (len(orders), 1))
            made[:, :size] = items[0][orders]
        else:
            at = [at for at in self._places(place, length) if at[0] <= length[0]]
            made = np.concatenate([self._made(items, length, word, one) for one in at])
        return np.concatenate([np.tile(tokens[: self._start], (len(made), 1)), made], axis=1)

    def to_text(self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]) -> tuple[str, str]:
        """`abc+z@2` and `azc`."""
        text, how = self.decode(tokens), self.how
        prompt, rest = text[: self.most], text[self.most : self._start]
        prompt += "+" * how.word + rest[: how.word] + "@" * how.place + rest[how.word :]
        return prompt.replace(self.PAD, ""), text[self._start :].replace(self.PAD, "")

    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of `abc`, with `+z` and `@2` where the operation has them."""
        how = self.how
        parts = re.fullmatch("([a-z]+)" + r"\+([a-z])" * how.word + "@([1-9][0-9]?)" * how.place, text)
        if parts is None or set("".join(parts.groups())) - set(self.symbols):
            wanted = f"LIST{'+ITEM' * how.word}{'@PLACE' * how.place}"
            refuse("prompt", shown(repr(text)), f"{wanted} of the first {self.letters} letters")
        items, word, place = (
            parts[1],
            parts[2] if how.word else "",
            parts[how.word + 2] if how.place else "",
        )
        if len({*items, *word}) < len(items + word) or not self.least <= len(items) <= self.most:
            wanted = f"{self.least} to {self.most} letters that differ"
            refuse("prompt", shown(repr(text)), wanted, "a new item is none of the list")
        if how.place and int(place) > len(items):
            refuse("prompt", shown(repr(text)), f"a place in 1..{len(items)}")
        tokens, given = np.full(self.n, self.q, np.uint8), self._given()
        tokens[given] = self.encode(items.ljust(self.most) + word + place.rjust(2 * how.place))
        return tokens, given

    def answered(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"], answer: str
    ) -> UInt8[np.ndarray, " n"]:
        """The prompt with a list."""
        if len(answer) > (most := self.most + self.how.grows):
            refuse("answer", shown(repr(answer)), f"at most {most} items")
        out = np.where(given, tokens, self.q - 1).astype(np.uint8)
        out[self._start : self._start + len(answer)] = self.encode(answer)
        return out

    def _given(self) -> Bool[np.ndarray, " n"]:
        return np.arange(self.n) < self._start

    def _read(self, tokens: Symbols) -> tuple[Items, Counts, UInt8[np.ndarray, " count"], Counts]:
        """The padded lists, their lengths, new items and places of prompts; 0 where there is none."""
        how, items, nothing = self.how, tokens[:, : self.most], np.zeros(len(tokens), np.uint8)
        word = tokens[:, self.most] if how.word else nothing
        digits = tokens[:, self._start - 2 : self._start].astype(int) - self.letters
        tens = np.where(digits[:, 0] > 9, 0, digits[:, 0])
        place = 10 * tens + digits[:, 1] if how.place else nothing.astype(int)
        return items, (items != self.q - 1).sum(axis=1), word, place

    def _places(self, place: Counts, length: Counts) -> Iterator[Counts]:
        """The place of each prompt; where it is random, one place after the other."""
        if not self.operation.endswith("-random"):
            yield place
            return
        for at in range(0 if self.how.grows > 0 else 1, self.most + 1):
            yield np.full_like(length, at)

    def _made(
        self, items: Items, length: Counts, word: UInt8[np.ndarray, " count"], at: Counts
    ) -> UInt8[np.ndarray, "count _"]:
        """What becomes of lists, with a place for each; of the shuffled, the list itself."""
        places, at = np.arange(self.most + self.how.grows), at[:, None]
        match self.operation.partition("-")[0]:
            case "reverse":
                source = np.where(places < length[:, None], length[:, None] - 1 - places, places)
                return np.take_along_axis(items, source, 1)
            case "sort":
                return np.sort(items, axis=1)  # the padding is the last symbol
            case "replace":
                return np.where(places == at - 1, word[:, None], items)
            case "insert":
                moved = np.take_along_axis(items, np.minimum(places - (places > at), self.most - 1), 1)
                return np.where(places == at, word[:, None], moved)
            case "remove":
                return np.take_along_axis(items, places + (places >= at - 1), 1)
        return items


def _shuffled(rng: np.random.Generator, items: Items, length: Counts) -> Items:
    """A uniform order of each list that is not its own; the padding stays."""
    places, out = np.arange(items.shape[1]), items.copy()
    same = np.ones(len(items), bool)
    while same.any():
        keys = np.where(places < length[same, None], rng.random((same.sum(), places.size)), 1.0 + places)
        out[same] = np.take_along_axis(items[same], np.argsort(keys, axis=1), 1)
        same = (out == items).all(axis=1)
    return out
