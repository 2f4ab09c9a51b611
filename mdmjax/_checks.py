"""Parameters of a distribution: one float type, and a clear line for what cannot be one."""

import contextlib
import contextvars
import math
import numbers
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ._errors import refuse, shown
from ._types import Array, Float

Numbers = ArrayLike | Sequence
"""A number, an array, or nested lists of numbers."""


Good = Callable[[float], bool]

_later: contextvars.ContextVar[list[tuple[Array, Good]] | None] = contextvars.ContextVar(
    "_later", default=None
)


@contextlib.contextmanager
def traced_checks() -> Iterator[list[tuple[Array, Good]]]:
    """The checks of traced numbers, which pass here: each number, and whether a value of it is good."""
    later: list[tuple[Array, Good]] = []
    token = _later.set(later)
    try:
        yield later
    finally:
        _later.reset(token)


def as_floats(*values: Numbers) -> list[Float[Array, "..."]]:
    """The values as arrays of one float type: that of float arrays among them, or the default."""
    types = [v.dtype for v in values if isinstance(v, jax.Array | np.ndarray)]
    types = [t for t in types if jnp.issubdtype(t, jnp.floating)]
    dtype = jax.dtypes.canonicalize_dtype(np.result_type(*types) if types else np.float64)
    return [jnp.asarray(v, dtype) for v in values]


def check_kind(argument: str, value: object, kind: Any, wanted: str, remedy: str) -> None:
    """Refuse an object of another type, with how to make one that fits."""
    if not isinstance(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
        refuse(argument, found, wanted, remedy)


def check_shape(argument: str, value: Array | np.ndarray, wanted: tuple[int, ...], words: str) -> None:
    """Refuse an array that has not the `wanted` shape, which `words` says in the user's terms."""
    if value.shape != wanted:
        refuse(argument, f"of shape {value.shape}", f"shape {words} = {wanted}")


def scalar(
    argument: str, value: Numbers, wanted: str = "", good: Good = lambda x: True
) -> Float[Array, ""]:
    """The value as one number of a float type; refused if it has axes, or is known and not `good`."""
    (number,) = as_floats(value)
    check_shape(argument, number, (), "()")
    if isinstance(number, Tracer):
        _postpone(lambda: number, good)
    elif not good(float(number)):
        refuse(argument, f"{float(number):.6g}", wanted)
    return number


def _postpone(number: Callable[[], Array], good: Good) -> None:
    if (later := _later.get()) is not None:
        later.append((number(), good))


def positive(argument: str, value: Numbers) -> Float[Array, ""]:
    """The value as one number, refused if it is known and not finite and above 0."""
    return scalar(argument, value, "a finite number > 0", lambda x: 0 < x < math.inf)


def probability(argument: str, value: Numbers) -> Float[Array, ""]:
    """The value as one number, refused if it is known and not in `[0, 1]`."""
    return scalar(argument, value, "a probability in [0, 1]", lambda x: 0 <= x <= 1)


def check_probability(argument: str, value: Float[Array, "..."]) -> None:
    """Refuse known numbers that are not in `[0, 1]`."""
    if isinstance(value, Tracer):
        _postpone(lambda: jnp.all((value >= 0) & (value <= 1)), bool)
        return
    entries = np.asarray(value)
    wrong = entries[~((entries >= 0) & (entries <= 1))]
    if wrong.size:
        refuse(argument, f"{wrong.flat[0]:.6g}", "a probability in [0, 1]")


def check_rows(argument: str, value: Float[Array, "... outcomes"]) -> None:
    """Refuse rows (last axis) that are not probabilities of sum one; a traced value passes."""
    check_probability(argument, value)
    tolerance = 1e-9 if value.dtype == np.float64 else 1e-4
    if isinstance(value, Tracer):
        _postpone(lambda: jnp.all(jnp.abs(value.sum(-1) - 1) <= tolerance), bool)
        return
    totals = np.asarray(value).sum(-1, dtype=np.float64)
    wrong = totals[np.abs(totals - 1) > tolerance]
    if wrong.size:
        refuse(argument, f"of sum {wrong.flat[0]:.12g}", "a sum of 1", "divide by the sum")


def check_integer(argument: str, value: Any, least: int) -> int:
    """The value as an `int`, refused if it is not an integer `>= least`."""
    wanted = f"an integer >= {least}"
    try:
        number = operator.index(value)
    except TypeError:
        refuse(argument, shown(repr(value)), wanted)
    if number < least or isinstance(value, bool):
        refuse(argument, value, wanted)
    return number


def check_number(argument: str, value: Any, wanted: str, good: Callable[[float], bool]) -> float:
    """The value as a finite `float`, refused if it is no real number or not `good`."""
    try:
        number = float(value) if isinstance(value, numbers.Real) else math.nan
    except OverflowError:
        number = math.inf
    if isinstance(value, bool) or not math.isfinite(number) or not good(number):
        refuse(argument, shown(repr(value) if isinstance(value, str) else value), wanted)
    return number
