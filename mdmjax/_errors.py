"""The one way the package refuses an input: a single line that says what is wrong and what to do."""

from typing import Any, NoReturn


class InvalidInputError(ValueError):
    """An argument that cannot be used; the message is one line fit for a user's terminal.

    Its parts are attributes, so that a program can call the argument by another name: `argument` (or
    several, with ", " between), `value`, `wanted` and `remedy`, as `refuse` has them.
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
    line = f"{argument} is {value}: want {wanted}" + (f"; {remedy}" if remedy else "")
    error = InvalidInputError(" ".join(line.split()))
    error.argument, error.value, error.wanted, error.remedy = argument, value, wanted, remedy
    raise error


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
