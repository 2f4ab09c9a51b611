"""The one way the package refuses an input: a single line that says what is wrong and what to do."""

from typing import Any, NoReturn

MOST = 300
"""Characters of a value that a message shows: a path has room in it, a cell of a file has `shown(cell)`."""


class InvalidInputError(ValueError):
    """An argument that cannot be used; the message is one line fit for a user's terminal.

    Its parts are attributes, so that a program can call the argument by another name: `argument` (or
    several, with ", " between), `value`, `wanted` and `remedy`, as `refuse` has them.

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
    """Raise `InvalidInputError` that names the argument, the value, what is wanted and what to do.

    >>> refuse("steps", 0, "an integer in 1..8", "ask for at least one step")
    Traceback (most recent call last):
        ...
    mdmjax._errors.InvalidInputError: steps is 0: want an integer in 1..8; ask for at least one step
    """
    line = f"{argument} is {shown(value, MOST)}: want {shown(wanted, 2 * MOST)}"
    error = InvalidInputError(printable(f"{line}; {shown(remedy, 2 * MOST)}" if remedy else line, keep=""))
    error.argument, error.value, error.wanted, error.remedy = argument, value, wanted, remedy
    raise error


def shown(value: Any, most: int = 60) -> str:
    r"""A value of the user's, or of a file, as a line can show it: on one line, cut in its middle.

    >>> shown("a" * 99, 9), shown("\x1b]0;title"), shown(10**5000)
    ('aaa...aaa', '\\x1b]0;title', '2^16609 and more')
    """
    large = isinstance(value, int) and value.bit_length() > 2000  # whose digits Python would not print
    text = f"2^{value.bit_length() - 1} and more" if large else str(value)
    text = printable(" ".join(text.split()), keep="")
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def printable(text: str, keep: str = "\n\t") -> str:
    r"""`text` with what could steer a terminal escaped, but for the characters of `keep`.

    >>> printable("\x1b]0;title")
    '\\x1b]0;title'
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def readable_bytes(count: int) -> str:
    """`count` bytes in the largest binary unit that keeps it at least one.

    >>> readable_bytes(3 * 2**30)
    '3.0 GiB'
    >>> readable_bytes(2**2000)
    '2^1950 PiB'
    """
    if count.bit_length() > 80:
        return f"2^{count.bit_length() - 51} PiB"
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.3g} PiB"


def check_bytes(need: int, limit: int, what: str, remedy: str, /, **sizes: int) -> None:
    """Refuse `need` bytes for `what`, before they are taken; `sizes` are the arguments that ask for them.

    >>> check_bytes(2**40, 2**31, "a table", "use less", n=9)
    Traceback (most recent call last):
        ...
    mdmjax._errors.InvalidInputError: n is 9: want a table of at most 2.0 GiB; 1.0 TiB are needed; use less
    """
    if need > limit and sizes:
        wanted = f"{what} of at most {readable_bytes(limit)}"
        values = ", ".join(map(str, sizes.values()))
        refuse(", ".join(sizes), values, wanted, f"{readable_bytes(need)} are needed; {remedy}")
    if need > limit:
        refuse(what, f"of {readable_bytes(need)}", f"at most {readable_bytes(limit)}", remedy)
