"""Sequences of symbols of which some are not seen, as a user types them or a file has them, one a line."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._errors import refuse, shown
from .._types import Int
from .arrays import read_text

MISSING = ("?", "mask")
"""What stands for a symbol that is not seen."""


class Observed(NamedTuple):
    """The words of one sequence, and how a message calls it: by what was typed, or by its line."""

    words: Sequence[str]
    place: str


def typed_observations(text: str) -> list[Observed]:
    """The one sequence that a text is.

    >>> typed_observations("0 ? 1")[0].words, typed_observations("0?1")[0].words
    (['0', '?', '1'], ['0', '?', '1'])
    """
    if not (words := _words(text)):
        refuse("given", "''", "symbols, and ? where none is seen, as '0 ? 1'")
    return [Observed(words, shown(text))]


def read_observations(path: Path) -> list[Observed]:
    """The sequences of a text file, one a line; empty lines are passed over."""
    lines = enumerate(read_text("data", path).splitlines(), 1)
    found = [Observed(words, f"{path}, line {number}") for number, line in lines if (words := _words(line))]
    if not found:
        refuse("data", f"{path} without a sequence", "one a line: symbols, and ? where none is seen")
    return found


def observed_tokens(
    argument: str, observed: Sequence[Observed], n: int, q: int, names: Sequence[str] = ()
) -> Int[np.ndarray, "sequences n"]:
    """The tokens of `n` positions: numbers below `q`, or `names` of symbols; the mask `q` where not seen.

    Raises:
        InvalidInputError: a sequence of another length, a word that is no symbol.

    >>> observed_tokens("given", typed_observations("1, ?, 0"), 3, 2).tolist()
    [[1, 2, 0]]
    """
    known = dict.fromkeys(MISSING, q) | {name: symbol for symbol, name in enumerate(names)}
    tokens = np.empty((len(observed), n), np.int32)
    for row, (words, place) in enumerate(observed):
        if len(words) != n:
            found = f"{place}, of {len(words)} symbol{'s' * (len(words) != 1)}"
            refuse(argument, found, f"n = {n} of the source", "? stands for a symbol that is not seen")
        for position, word in enumerate(words):
            number = int(word) if word.isdecimal() and len(word) < 10 else q
            symbol = known.get(word, number)
            if symbol >= q and word not in known:
                wanted = f"symbols 0..{q - 1}" + (f" or {', '.join(names)}" if names else "")
                found = f"{place}, with {shown(word)} at position {position} (from 0)"
                refuse(argument, found, f"{wanted}, and ? where none is seen")
            tokens[row, position] = symbol
    return tokens


def _words(line: str) -> list[str]:
    """What is between spaces or commas; of one word alone its characters, as `0?1`."""
    words = line.replace(",", " ").split()
    return list(words[0]) if len(words) == 1 and words[0] not in MISSING else words
