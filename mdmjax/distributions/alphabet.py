"""Alphabets of text: which symbol each character, or each byte, is."""

import abc
import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Integer

from .._errors import refuse
from .._types import Array

REPLACEMENT = "\ufffd"  # every character that an alphabet does not have
MASKED = "░"  # how a masked position is shown


class AbstractAlphabet(eqx.Module):
    """Text to symbols `0..q-1` and back; the mask token `q` is shown as `░`."""

    @property
    @abc.abstractmethod
    def q(self) -> int:
        """Size of the alphabet."""

    @abc.abstractmethod
    def encode(self, text: str) -> Integer[np.ndarray, " tokens"]:
        """The symbols of a text, as `uint8` or, of a larger alphabet, `uint16`."""

    @abc.abstractmethod
    def decode(self, tokens: Integer[Array | np.ndarray, " tokens"]) -> str:
        """The text of symbols."""


class Alphabet(AbstractAlphabet):
    r"""One symbol a character, at most 65536, no two alike; the last, `\ufffd`, is every other character.

    >>> letters = Alphabet(("a", "b", "\ufffd"))
    >>> letters.encode("abc").tolist(), letters.decode(np.array([1, 0, 3]))
    ([0, 1, 2], 'ba░')
    """

    symbols: tuple[str, ...] = eqx.field(static=True)
    q = property(lambda self: len(self.symbols))

    def __check_init__(self):
        if not 1 <= self.q <= 2**16 or self.symbols[-1] != REPLACEMENT:
            refuse("symbols", f"{self.q} strings", r"1 to 65536 characters, the last '\ufffd'")
        if len(set(self.symbols)) < self.q or any(len(symbol) != 1 for symbol in self.symbols):
            refuse("symbols", "with one twice or not of length 1", "different single characters")

    def encode(self, text: str) -> Integer[np.ndarray, " tokens"]:
        """The symbol of every character, by one look-up in a table of code points."""
        codes, known = code_points(text), code_points("".join(self.symbols))
        size = max(int(codes.max(initial=0)), int(known.max())) + 1
        table = np.full(size, self.q - 1, np.uint8 if self.q <= 2**8 else np.uint16)
        table[known] = np.arange(self.q)
        return table[codes]

    def decode(self, tokens: Integer[Array | np.ndarray, " tokens"]) -> str:
        """The characters of the symbols."""
        return "".join((*self.symbols, MASKED)[token] for token in np.asarray(tokens).tolist())


class ByteAlphabet(AbstractAlphabet):
    r"""The 256 bytes of UTF-8; bytes that are no character are decoded as `\ufffd`.

    >>> ByteAlphabet().encode("aé").tolist(), ByteAlphabet().decode(np.array([97, 256, 98]))
    ([97, 195, 169], 'a░b')
    """

    q = 256  # pyright: ignore[reportAssignmentType]

    def encode(self, text: str) -> Integer[np.ndarray, " tokens"]:
        """The bytes."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)

    def decode(self, tokens: Integer[Array | np.ndarray, " tokens"]) -> str:
        """The text of the bytes between masks."""
        shown = [*(bytes([byte]) for byte in range(256)), MASKED.encode()]
        return b"".join(shown[token] for token in np.asarray(tokens).tolist()).decode("utf-8", "replace")


def code_points(text: str) -> Integer[np.ndarray, " characters"]:
    """The code point of every character, of a lone surrogate too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def common_characters(texts: Iterable[str], most: int = 255, least_share: float = 1e-5) -> Alphabet:
    r"""The `most` frequent characters of the texts, in order of their code points, and `\ufffd`.

    A character that is less than `least_share` of the texts (our choice) is left out. The texts should be
    those of the training alone: what is held out may not shape the model.

    >>> common_characters(["abracadabra", "a!"], most=3).symbols
    ('a', 'b', 'r', '\ufffd')
    """
    counts = Counter(itertools.chain.from_iterable(texts))
    del counts[REPLACEMENT]
    least = least_share * counts.total()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return Alphabet((*sorted(symbol for symbol, count in ranked if count >= least), REPLACEMENT))


def alphabet_to_json(alphabet: Alphabet | ByteAlphabet) -> dict[str, Any]:
    """The alphabet as JSON has it.

    >>> alphabet_to_json(ByteAlphabet())
    {'bytes': True}
    """
    is_bytes = isinstance(alphabet, ByteAlphabet)
    return {"bytes": True} if is_bytes else {"characters": "".join(alphabet.symbols)}


def alphabet_from_json(document: Any) -> AbstractAlphabet:
    r"""The alphabet that `alphabet_to_json` wrote; anything else is refused.

    >>> alphabet_from_json({"characters": "ab\ufffd"}).q
    3
    """
    if document == {"bytes": True}:
        return ByteAlphabet()
    characters = document.get("characters") if isinstance(document, dict) else None
    if not isinstance(characters, str):
        refuse("alphabet", repr(document)[:80], "an object with characters, or bytes true")
    return Alphabet(tuple(characters))
