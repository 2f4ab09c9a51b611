"""Text as symbols: classes of characters, and the counts of its windows."""

import re
import warnings
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Integer, UInt8

from .._checks import check_integer
from .._errors import refuse
from .._types import Int
from .alphabet import code_points
from .empirical import empirical_joint
from .joint import Joint, check_table_size

SOURCE_CODE = (("letter", "A-Za-z_"), ("digit", "0-9"), ("space", r"\s"))  # our default; the rest is other


class CharacterClasses(eqx.Module):
    """An alphabet of classes of characters: the first class that has a character is its symbol.

    `classes` are pairs of a name and the inside of a regular expression's brackets, as `"A-Za-z_"`. The
    last symbol is `other`, for characters of no class, so that `q = len(classes) + 1`. Refuses no pairs or
    more than 255, a name used twice, and a set that is not one.

    >>> CharacterClasses().classify("x = 12").tolist()
    [0, 2, 3, 2, 1, 1]
    """

    classes: tuple[tuple[str, str], ...] = eqx.field(static=True, default=SOURCE_CODE)

    def __check_init__(self):
        if not 1 <= len(self.classes) <= 255:
            refuse("classes", f"{len(self.classes)} pairs", "1 to 255 pairs of a name and a set")
        for name in self.names:
            if not name or self.names.count(name) > 1:
                refuse("classes", f"with the name {name!r}", "different names, not 'other'")
        for name, characters in self.classes:
            _compile(name, characters)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every symbol, `other` last."""
        return (*(name for name, _ in self.classes), "other")

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return len(self.classes) + 1

    def classify(self, text: str) -> UInt8[np.ndarray, " characters"]:
        """The symbol of every character, by one look-up in a table of code points."""
        codes = code_points(text)
        size = int(codes.max(initial=0)) + 1
        occurs = np.zeros(size, bool)
        occurs[codes] = True
        alphabet = "".join(map(chr, np.flatnonzero(occurs)))
        table = np.full(size, self.q - 1, np.uint8)
        for symbol in range(self.q - 2, -1, -1):
            table[code_points("".join(_compile(*self.classes[symbol]).findall(alphabet)))] = symbol
        return table[codes]


def text_windows(
    symbol_arrays: Sequence[Integer[np.ndarray, " _"]], window: int, q: int
) -> tuple[Int[np.ndarray, "parts n"], Int[np.ndarray, " parts"]]:
    """The different windows of `window` symbols, in lexicographic order, and how often each occurs.

    Every overlapping window inside each array (a file) is counted; none crosses from one array to the next.
    Refuses `window < 1`, symbols not in `0..q-1`, no window at all, and windows whose code exceeds 63 bits.

    >>> samples, counts = text_windows([np.array([0, 1, 0, 1])], 2, 2)
    >>> samples.tolist(), counts.tolist()
    ([[0, 1], [1, 0]], [2, 1])
    """
    window, q = check_integer("window", window, 1), check_integer("q", q, 1)
    if q ** min(window, 63) >= 2**63:
        refuse("window, q", f"{window}, {q}", "q**window below 2**63", "use shorter windows")
    for symbols in symbol_arrays:
        if symbols.size and not 0 <= int(symbols.min()) <= int(symbols.max()) < q:
            refuse("symbol_arrays", f"holding {symbols.max()}", f"symbols 0..{q - 1}")
    long_enough = [symbols for symbols in symbol_arrays if symbols.size >= window]
    if not long_enough:
        longest = max((symbols.size for symbols in symbol_arrays), default=0)
        refuse("window", window, f"at most the length of the text, {longest}", "use a shorter window")
    size, dtype = q**window, np.uint32 if q**window <= 2**32 else np.int64
    codes = np.concatenate([_rolling_codes(s.astype(dtype), window, q) for s in long_enough])
    if size <= max(2**24, codes.size):
        table = np.bincount(codes, minlength=size)
        different = np.flatnonzero(table)
        counts = table[different]
    else:
        different, counts = np.unique(codes, return_counts=True)
    places = np.array([q**i for i in range(window - 1, -1, -1)], np.int64)
    samples = different.astype(np.int64)[:, None] // places % q
    return samples.astype(np.int32), counts.astype(np.int64)


def text_joint(symbol_arrays: Sequence[Integer[np.ndarray, " _"]], window: int, q: int) -> Joint:
    """The dense table of the windows of `text_windows`, counted on the host in float64; errors as there.

    >>> text_joint([np.array([0, 1, 0, 1, 1])], 2, 2).probs.tolist()
    [[0.0, 0.5], [0.25, 0.25]]
    """
    window, q = check_integer("window", window, 1), check_integer("q", q, 1)
    check_table_size(window, q, window=window, q=q)
    return empirical_joint(*text_windows(symbol_arrays, window, q), q)


def _rolling_codes(symbols: np.ndarray, window: int, q: int) -> np.ndarray:
    """Codes of all windows of one array by doubling: a code of `2m` symbols is two codes of `m`."""
    codes, length = symbols, 1
    for bit in bin(window)[3:]:
        codes = codes[:-length] * codes.dtype.type(q**length) + codes[length:]
        length *= 2
        if bit == "1":
            codes = codes[:-1] * codes.dtype.type(q) + symbols[length:]
            length += 1
    return codes


def _compile(name: str, characters: str) -> re.Pattern:
    """The pattern of one character of the class."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            return re.compile(f"[{characters}]")
    except (re.error, FutureWarning) as error:
        refuse("classes", f"{name!r}: {characters!r}", "the inside of a regex set", str(error))
