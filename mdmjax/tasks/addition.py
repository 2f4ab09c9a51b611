"""Addition in decimal digits: the task of arXiv 2602.00286, with its mix of difficulties."""

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._checks import check_integer
from .._errors import refuse, shown
from .task import AbstractTask, Flags, Problems, Symbols

DIGITS = "0123456789"
PLUS, EQUALS, BLANK = 10, 11, 12


@dataclasses.dataclass(frozen=True)
class Addition(AbstractTask):
    r"""Sums of two numbers of up to `digits` digits: `a+b=`, then the sum, each padded to the left.

    Kinds and their shares are those of arXiv 2602.00286 (App. D), for 10 digits: easy (10%, 1 to 3 digits
    both), medium (20%, 4 to 6), hard (30%, 7 to 9), extreme (20%, 10), edge (10%: in equal parts a
    carry through all digits, $99 \dots 9$ plus 1 to 9; plus zero; sums near the largest) and mixed (10%, a
    long and a short number). Other sizes take thirds of `digits - 1` for the first three (ours); `uniform`
    draws the length of each number uniformly, as the paper's training does.

    Raises:
        InvalidInputError: `digits` not in 2..18.

    >>> task = Addition(digits=4)
    >>> problems = task.problems(0, 100)
    >>> set(task.failed(problems.tokens, problems.given).tolist())
    {-1}
    >>> tokens, given = task.prompt("12+9=")
    >>> task.decode(task.answered(tokens, given, "21"))
    '  12+   9=   21'
    """

    name: ClassVar[str] = "addition"
    help: ClassVar[str] = "Sums of two numbers (2602.00286)."
    kinds: ClassVar[tuple[str, ...]] = ("easy", "medium", "hard", "extreme", "edge", "mixed")
    shares: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.3, 0.2, 0.1, 0.1)
    digits: int = 10
    uniform: bool = False
    symbols = property(lambda self: DIGITS + "+=" + self.PAD)  # type: ignore[assignment]
    n = property(lambda self: 3 * self.digits + 3)  # type: ignore[assignment]

    def __post_init__(self):
        if check_integer("digits", self.digits, 2) > 18:
            refuse("digits", self.digits, "an integer in 2..18", "their sums are 64-bit integers")

    def draw(self, rng: np.random.Generator, count: int) -> Problems:
        """By the shares of the kinds, or of uniform lengths; numbers of one length are uniform."""
        if self.uniform:
            kind = np.zeros(count, int)
            lengths = rng.integers(1, self.digits + 1, (2, count))
            a, b = _of_length(rng, lengths[0]), _of_length(rng, lengths[1])
            return self.of(a, b, kind)
        kind = rng.choice(len(self.kinds), count, p=self.shares)
        most = self.digits
        thirds = [1 + (most - 1) * third // 3 for third in range(4)]
        low = np.array([*thirds[:3], most, 1, 1])[kind]
        high = np.array([*(max(1, x - 1) for x in thirds[1:]), most, most, most])[kind]
        lengths = rng.integers(np.minimum(low, high), high + 1, (2, count))
        half = np.maximum(1, most // 3)
        mixed = kind == self.kinds.index("mixed")
        lengths[0] = np.where(mixed, most, lengths[0])
        lengths[1] = np.where(mixed, rng.integers(1, half + 1, count), lengths[1])
        a, b = _of_length(rng, lengths[0]), _of_length(rng, lengths[1])
        which, largest = rng.integers(0, 3, count), 10**most - 1
        edge = kind == self.kinds.index("edge")
        nines = 10 ** rng.integers(1, most + 1, count) - 1
        cases = [edge & (which == case) for case in range(3)]
        a = np.select(cases, [nines, a, largest - rng.integers(0, 10, count)], a)
        b = np.select(cases, [rng.integers(1, 10, count), np.zeros_like(b), largest - b % 10], b)
        swap = rng.random(count) < 0.5
        return self.of(np.where(swap, b, a), np.where(swap, a, b), kind)

    def of(
        self, a: Int[np.ndarray, " count"], b: Int[np.ndarray, " count"], kind: Int[np.ndarray, " count"]
    ) -> Problems:
        """The problems of given numbers."""
        signs = [np.full((a.size, 1), sign, np.uint8) for sign in (PLUS, EQUALS)]
        places = (self.digits, self.digits, self.digits + 1)
        a_, b_, sum_ = (_digits(x, size) for x, size in zip((a, b, a + b), places, strict=True))
        tokens = np.concatenate([a_, signs[0], b_, signs[1], sum_], axis=1)
        return Problems(tokens, np.tile(self._given(), (a.size, 1)), kind)

    def failed(self, tokens: Symbols, given: Flags) -> Int[np.ndarray, " count"]:
        """0 where the answer is not the sum as it is written, digit by digit."""
        d = self.digits
        a, b = _numbers(tokens[:, :d]), _numbers(tokens[:, d + 1 : 2 * d + 1])
        right = np.all(tokens[:, 2 * d + 2 :] == _digits(a + b, d + 1), axis=1)
        return np.where(right, -1, 0)

    def to_text(self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]) -> tuple[str, str]:
        """`12+9=` and `21`."""
        text = self.decode(tokens)
        cut = 2 * self.digits + 2
        return text[:cut].replace(self.PAD, ""), text[cut:].replace(self.PAD, "")

    def prompt(self, text: str) -> tuple[UInt8[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The tokens of `12+9=`."""
        left, plus, rest = text.partition("+")
        right, equals, more = rest.partition("=")
        numbers = left.isdecimal() and right.isdecimal() and plus and equals and not more
        if not numbers or max(len(left), len(right)) > self.digits or not text.isascii():
            refuse("prompt", shown(repr(text)), f"A+B= of numbers of at most {self.digits} digits")
        tokens = self.of(np.array([int(left)]), np.array([int(right)]), np.zeros(1, int)).tokens[0]
        given = self._given()
        return np.where(given, tokens, self.q).astype(np.uint8), given

    def answered(
        self, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"], answer: str
    ) -> UInt8[np.ndarray, " n"]:
        """The prompt with a number."""
        if len(answer) > self.digits + 1:
            refuse("answer", shown(repr(answer)), f"at most {self.digits + 1} digits")
        out = np.where(given, tokens, BLANK).astype(np.uint8)
        out[self.n - len(answer) :] = self.encode(answer)
        return out

    def _given(self) -> Bool[np.ndarray, " n"]:
        return np.arange(self.n) < 2 * self.digits + 2


def _of_length(rng: np.random.Generator, lengths: Int[np.ndarray, " count"]) -> Int[np.ndarray, " count"]:
    """A uniform number of so many digits; of one digit it may be 0."""
    least = np.where(lengths == 1, 0, 10 ** (lengths - 1))
    return rng.integers(least, 10**lengths)


def _digits(numbers: Int[np.ndarray, " count"], size: int) -> UInt8[np.ndarray, "count size"]:
    """The decimal digits, padded to the left; 0 is one digit."""
    powers = 10 ** np.arange(size - 1, -1, -1)
    digits = numbers[:, None] // powers % 10
    blank = (numbers[:, None] < powers) & (powers > 1)
    return np.where(blank, BLANK, digits).astype(np.uint8)


def _numbers(digits: UInt8[np.ndarray, "count size"]) -> Int[np.ndarray, " count"]:
    """The numbers of digits; blanks count as nothing."""
    powers = 10 ** np.arange(digits.shape[1] - 1, -1, -1)
    return np.where(digits == BLANK, 0, digits).astype(np.int64) @ powers
