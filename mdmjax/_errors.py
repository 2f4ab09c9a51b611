"""The one way the package refuses an input: a single line that says what is wrong and what to do."""

from collections.abc import Iterable
from typing import Any, NoReturn

LONGEST = 60  # characters of a word for which a near one is looked for
MOST = 300
"""Characters of a value that a message shows: a path has room in it, a cell of a file has `shown(cell)`."""


class InvalidInputError(ValueError):
    """An argument that cannot be used; the message is one line fit for a user's terminal.

    Its parts are attributes, so that a program can call the argument by another name: `argument` (or
    several, with ", " between), `value`, `wanted` and `remedy`.

    >>> try:
    ...     refuse("steps", 0, "an integer in 1..8")
    ... except InvalidInputError as error:
    ...     print(error, error.argument, sep="; ")
    steps is 0: want an integer in 1..8; steps
    """

    argument: str = ""
    value: Any = None
    wanted: str = ""
    remedy: str = ""


def refuse(argument: str, value: Any, wanted: str, remedy: str = "") -> NoReturn:
    """Raise `InvalidInputError` that names the argument, the value, what is wanted and what to do."""
    line = f"{argument} is {shown(value, MOST)}: want {shown(wanted, 2 * MOST)}"
    error = InvalidInputError(printable(f"{line}; {shown(remedy, 2 * MOST)}" if remedy else line, keep=""))
    error.argument, error.value, error.wanted, error.remedy = argument, value, wanted, remedy
    raise error


def shown(value: Any, most: int = 60) -> str:
    """A value of the user's, or of a file, as a line can show it: on one line, cut in its middle."""
    large = isinstance(value, int) and value.bit_length() > 2000  # whose digits Python would not print
    text = f"2^{value.bit_length() - 1} and more" if large else str(value)
    text = printable(" ".join(text.split()), keep="")
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def printable(text: str, keep: str = "\n\t") -> str:
    """`text` with what could steer a terminal escaped, but for the characters of `keep`."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def perhaps(word: str, near: Iterable[str]) -> str:
    """`perhaps NAME` with the name that the word is near to, if there is one.

    >>> perhaps("noisy-bt", ["markov", "noisy-bit"])
    'perhaps noisy-bit'
    """
    from difflib import get_close_matches

    bare = {name.lstrip("-"): name for name in near}
    found = get_close_matches(word.lstrip("-"), bare, 1) if len(word) <= LONGEST else []
    return "".join(f"perhaps {bare[name]}" for name in found)


def readable_bytes(count: int) -> str:
    """`count` bytes in the largest binary unit that keeps it at least one."""
    if count.bit_length() > 80:
        return f"2^{count.bit_length() - 51} PiB"
    power = min(max(count.bit_length() - 1, 0) // 10, 5)
    digits = (".0f", ".1f", ".1f", ".1f", ".1f", ".3g")[power]
    return f"{count / 1024**power:{digits}} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"


def check_bytes(need: int, limit: int, what: str, remedy: str, /, **sizes: int) -> None:
    """Refuse `need` bytes for `what`, before they are taken; the arguments `sizes` ask for them."""
    if need <= limit:
        return
    needed, most = readable_bytes(need), f"at most {readable_bytes(limit)}"
    if not sizes:
        refuse(what, f"of {needed}", most, remedy)
    values = ", ".join(map(str, sizes.values()))
    refuse(", ".join(sizes), values, f"{what} of {most}", f"{needed} are needed; {remedy}")
