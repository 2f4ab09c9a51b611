"""Alphabets of text: which symbol each character, or each byte, is."""

import abc
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from jaxtyping import Integer

from .._errors import refuse
from .._types import Array

REPLACEMENT = "\ufffd"
"""Stands for every character that an alphabet does not have."""

MASKED = "░"
"""How a masked position is shown."""

LEAST_SHARE = 1e-5
"""A character that is rarer in the training text has no symbol of its own (our choice)."""


class AbstractAlphabet(eqx.Module):
    """Text to symbols `0..q-1` and back; the mask token `q` is shown as `░`."""

    if TYPE_CHECKING:

        @property
        def q(self) -> int: ...  # noqa: D102
    else:
        q: eqx.AbstractVar[int]

    @abc.abstractmethod
    def encode(self, text: str) -> Integer[np.ndarray, " tokens"]:
        """The symbols of a text, as `uint8` or, of a larger alphabet, `uint16`."""

    @abc.abstractmethod
    def decode(self, tokens: Integer[Array | np.ndarray, " tokens"]) -> str:
        """The text of symbols."""


class Alphabet(AbstractAlphabet):
    r"""One symbol a character; the last, `\ufffd`, is every other character.

    Raises:
        InvalidInputError: a symbol that is not one character or is there twice; a last one that is not
            `\ufffd`; more than 65536.

    >>> letters = Alphabet(("a", "b", "\ufffd"))
    >>> letters.encode("abc").tolist(), letters.decode(np.array([1, 0, 3]))
    ([0, 1, 2], 'ba░')
    """

    symbols: tuple[str, ...] = eqx.field(static=True)

    def __check_init__(self):
        """Refuse what is no alphabet."""
        if not 1 <= self.q <= 2**16 or self.symbols[-1] != REPLACEMENT:
            refuse("symbols", f"{self.q} strings", r"1 to 65536 characters, the last '\ufffd'")
        if len(set(self.symbols)) < self.q or any(len(symbol) != 1 for symbol in self.symbols):
            refuse("symbols", "with one twice or not of length 1", "different single characters")

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return len(self.symbols)

    def encode(self, text: str) -> Integer[np.ndarray, " tokens"]:
        """The symbol of every character, by one look-up in a table of code points."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        known = np.array([ord(symbol) for symbol in self.symbols])
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
        shown = MASKED.encode()
        data = b"".join(shown if token == 256 else bytes([token]) for token in np.asarray(tokens).tolist())
        return data.decode("utf-8", "replace")


def common_characters(texts: Iterable[str], most: int = 255, least_share: float = LEAST_SHARE) -> Alphabet:
    r"""The `most` frequent characters of the texts, in order of their code points, and `\ufffd`.

    A character that is less than `least_share` of the texts is left out. The texts should be those of the
    training alone: what is held out may not shape the model.

    >>> common_characters(["abracadabra", "a!"], most=3).symbols
    ('a', 'b', 'r', '\ufffd')
    """
    counts = Counter()
    for text in texts:
        counts.update(text)
    del counts[REPLACEMENT]
    least = least_share * counts.total()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return Alphabet((*sorted(symbol for symbol, count in ranked if count >= least), REPLACEMENT))


def alphabet_to_json(alphabet: Alphabet | ByteAlphabet) -> dict[str, Any]:
    """The alphabet as JSON has it.

    >>> alphabet_to_json(ByteAlphabet())
    {'bytes': True}
    """
    if isinstance(alphabet, ByteAlphabet):
        return {"bytes": True}
    return {"characters": "".join(alphabet.symbols)}


def alphabet_from_json(document: Any) -> AbstractAlphabet:
    r"""The alphabet that `alphabet_to_json` wrote.

    Raises:
        InvalidInputError: anything else.

    >>> alphabet_from_json({"characters": "ab\ufffd"}).q
    3
    """
    if document == {"bytes": True}:
        return ByteAlphabet()
    characters = document.get("characters") if isinstance(document, dict) else None
    if not isinstance(characters, str):
        refuse("alphabet", repr(document)[:80], "an object with characters, or bytes true")
    return Alphabet(tuple(characters))
