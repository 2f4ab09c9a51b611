"""The axes of a config: lists, ranges and tables become the parts of points that an axis goes through."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._checks import check_integer
from .._errors import perhaps, refuse
from .columns import COLUMNS, HOLDERS, Kind, Point, parameters_of

MOST = 10**6  # points (our choice)
RANGE = {"from", "to", "count", "scale"}


def axis_of(study: str, name: str, value: Any) -> tuple[Point, ...]:
    """The parts of points that an axis goes through.

    Raises:
        InvalidInputError: a name that is not known, with the nearest that is; a value of another kind.

    >>> axis_of("law", "mix", {"from": 0.0, "to": 0.5, "count": 2})
    ({'mix': 0.0}, {'mix': 0.5})
    """
    kind, dot, parameter = name.partition(".")
    check_known("axis", kind, COLUMNS[study])
    if kind in HOLDERS and not dot:
        parts = [part for one in _values(f"axes.{name}", value) for part in _parts(study, name, one)]
    else:
        parts = [{name: one} for one in _checked(f"axes.{name}", value, _kind_of(study, kind, parameter))]
    if not parts:
        refuse(f"axes.{name}", "empty", "at least one value")
    return tuple(parts)


def _kind_of(study: str, column: str, parameter: str) -> Kind:
    """The kind of a column, or of a parameter that several sources, decoders or models have."""
    if not parameter:
        return Kind(COLUMNS[study][column])
    if column not in HOLDERS:
        refuse("axis", f"{column}.{parameter}", f"a parameter of {', '.join(HOLDERS)}")
    known = {key: kind for name in HOLDERS[column] for key, kind in parameters_of(column, name).items()}
    check_known(f"parameter of axes.{column}", parameter, sorted(known))
    return known[parameter]


def _parts(study: str, kind: str, value: Any) -> Iterator[Point]:
    """The parts of a name, or of a table of parameters and other columns: the product of its lists."""
    given = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = one_of(f"axes.{kind}", given.pop("name", "without name"), HOLDERS[kind])
    own = parameters_of(kind, name)
    others = {key: Kind(of) for key, of in COLUMNS[study].items() if key not in HOLDERS}
    lists = {}
    for key, one in given.items():
        check_known(f"parameter of {name}", key, own, tuple(others))
        column = f"{kind}.{key}" if key in own else key
        lists[column] = _checked(f"{name}.{key}", one, own[key] if key in own else others[key])
    for values in itertools.product(*lists.values()):
        yield {kind: name} | dict(zip(lists, values, strict=True))


def _checked(name: str, value: Any, kind: Kind) -> list[Any]:
    """Every value of a list or a range; where a value is a list itself, those of a list of lists."""
    if kind.size is not None:
        several = isinstance(value, list) and bool(value) and isinstance(value[0], list)
        return [kind.checked(name, one) for one in (value if several else [value])]
    return [kind.checked(name, one) for one in _values(name, value)]


def _values(name: str, value: Any) -> Sequence[Any]:
    """A list as it is, a range as its values, a scalar or a table as one."""
    if isinstance(value, list):
        return [one for part in value for one in ([part] if _is_plain(part) else _values(name, part))]
    if not isinstance(value, Mapping) or "name" in value:
        return [value]
    if not value.keys() <= RANGE or not value.keys() >= {"from", "to", "count"}:
        refuse(name, dict(value), "{ from, to, count }", 'and perhaps scale = "log"')
    start, end, count = value["from"], value["to"], value["count"]
    if check_integer(f"{name}.count", count, 1) > MOST:
        refuse(f"{name}.count", count, f"at most {MOST}")
    scale = one_of(f"{name}.scale", value.get("scale", "linear"), ("linear", "log"))
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in (start, end)):
        refuse(name, dict(value), "numbers from and to")
    if scale == "log":
        if not (start > 0 and end > 0):
            refuse(name, dict(value), "from and to > 0 on a log scale")
        found = np.geomspace(start, end, count)
    else:
        found = np.linspace(start, end, count)
    whole = isinstance(start, int) and isinstance(end, int) and np.all(found == np.round(found))
    return [int(x) if whole else float(x) for x in found.tolist()]


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Mapping | list) or (isinstance(value, Mapping) and "name" in value)


def one_of(name: str, value: Any, known: Any) -> str:
    """The value, refused if it is not among the known ones."""
    if value not in known:
        near = perhaps(str(value), known) if isinstance(value, str) else ""
        refuse(name, value, f"one of {', '.join(known)}", near)
    return value


def check_known(what: str, name: Any, known: Any, others: Sequence[str] = ()) -> None:
    """Refuse an unknown name, with the nearest that there is; `others` are known as well."""
    if name not in known and name not in others:
        wanted = f"one of {', '.join(known)}" + f", or of the columns {', '.join(others)}" * bool(others)
        refuse(what, name, wanted, perhaps(str(name), [*known, *others]))
