"""The config of a sweep: which study, over which axes, and what is kept.

A config is a TOML file. Its axes are a product, the last one fastest; axes of one list of `zip` go
together. A value is a scalar, or `{from, to, count}` for many (`scale = "log"` for a geometric row). One of
`source`, `decoder` and `model` may be a table of a name and parameters, whose lists are a product as well:

    study = "law"
    zip = [["source.n", "steps"]]

    [axes]
    source = [{ name = "noisy-bit", flip = { from = 0.1, to = 0.4, count = 4 } }, "markov"]
    "source.n" = [4, 8]
    steps = [2, 4]
    decoder = ["random", { name = "threshold", threshold = [0.7, 0.9] }]
"""

import dataclasses
import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import check_integer
from .._errors import perhaps, refuse
from ..families import FAMILIES
from ..studies.named_decoders import DECODERS
from .models import MODELS

Point = dict[str, Any]
"""The value of every column that an axis sets; a parameter is `source.flip`, `decoder.threshold`."""

PLAIN = (
    "source",
    "decoder",
    "model",
    "mix",
    "dirichlet",
    "entropy_noise",
    "temperature",
    "schedule",
    "steps",
    "seed",
)
"""Columns that are no parameter of a source or a decoder."""

COLUMNS = {
    "law": PLAIN,
    "schedule": ("source", "schedule", "steps"),
    "steps": ("source", "schedule", "epsilon", "share"),
}
"""The columns that a study takes, beside those of the parameters of what it takes."""

HOLDERS: Mapping[str, Mapping[str, Any]] = {"source": FAMILIES, "decoder": DECODERS, "model": MODELS}
"""Columns of names that have parameters."""

MOST = 10**6  # points (our choice)
KEYS = ("study", "axes", "zip", "keep", "seed", "chunk")
RANGE = {"from", "to", "count", "scale"}


@dataclasses.dataclass(frozen=True)
class Config:
    """A sweep: axes as lists of parts of a point, whose product the points are.

    `keep` are the numbers that a row has, all of the study if empty; `chunk` is how many points are one
    piece of work, which is written whole.
    """

    study: str
    axes: tuple[tuple[Point, ...], ...]
    keep: tuple[str, ...] = ()
    seed: int = 0
    chunk: int = 256
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(map(len, self.axes))

    def point(self, index: int) -> Point:
        """The point of an index in `0..size-1`."""
        parts = []
        for axis in reversed(self.axes):
            index, place = divmod(index, len(axis))
            parts.append(axis[place])
        return {key: value for part in reversed(parts) for key, value in part.items()}

    def chunks(self) -> list[list[int]]:
        """Indices of the points that are one piece of work: those of a program, in pieces of `chunk`."""
        alike = self._alike()
        cuts = ((some, start) for some in alike for start in range(0, len(some), self.chunk))
        return [some[start : start + self.chunk] for some, start in cuts]

    @property
    def programs(self) -> int:
        """How many programs there are at most: one for all points that differ in floats and seeds only."""
        return len(self._alike())

    def _alike(self) -> list[list[int]]:
        found: dict[tuple, list[int]] = {}
        for index in range(self.size):
            shape = (
                (k, v) for k, v in self.point(index).items() if not isinstance(v, float) and k != "seed"
            )
            found.setdefault(tuple(shape), []).append(index)
        return list(found.values())


def read_config(path: Path) -> Config:
    """The sweep of a TOML file.

    Raises:
        InvalidInputError: no such file; no TOML; a key, an axis or a name that is not known; a zip of
            unequal lengths; more than `MOST` points.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        refuse("CONFIG", path, "a file that can be read", error.strerror or "")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        refuse("CONFIG", path, "a TOML file", str(error))
    return parse_config(document)


def parse_config(document: Mapping[str, Any]) -> Config:
    """The sweep that the tables of a config describe; see `read_config`.

    >>> flips = {"from": 0.1, "to": 0.2, "count": 2}
    >>> axes = {"source": ["noisy-bit"], "source.n": [3, 4], "source.flip": flips}
    >>> sweep = parse_config({"study": "schedule", "axes": axes})
    >>> sweep.size, sweep.point(0)
    (4, {'source': 'noisy-bit', 'source.n': 3, 'source.flip': 0.1})
    """
    for key in document:
        _check_known("key", key, KEYS)
    study = _one_of("study", document.get("study", "not given"), COLUMNS)
    tables = document.get("axes")
    if not isinstance(tables, Mapping) or "source" not in tables:
        refuse("axes", "without source", 'a table [axes] with a list source = ["NAME", ...]')
    axes = {name: _axis(study, name, value) for name, value in _flat(tables)}
    for name, parts in axes.items():
        for other in axes.keys() - {name}:
            twice = {key for part in parts for key in part} & {key for part in axes[other] for key in part}
            if twice:
                refuse(f"axes.{name}", f"an axis of {min(twice)}", f"one, as axes.{other} sets it too")
    _check_owners(axes)
    config = Config(
        study,
        tuple(_zipped(axes, document.get("zip", []))),
        _texts("keep", document.get("keep", [])),
        check_integer("seed", document.get("seed", 0), 0),
        check_integer("chunk", document.get("chunk", 256), 1),
        document,
    )
    if config.size > MOST:
        refuse("axes", f"of {config.size} points", f"at most {MOST}", "make several sweeps of it")
    return config


def _check_owners(axes: Mapping[str, tuple[Point, ...]]) -> None:
    """Refuse a parameter that one of the sources, or of the decoders, does not have."""
    for name in axes:
        kind, dot, parameter = name.partition(".")
        for holder in sorted({part[kind] for part in axes.get(kind, ())} if dot else ()):
            if parameter not in _parameters(kind, _holders(kind)[holder]):
                remedy = f'write it where it belongs: {kind} = [{{ name = "...", {parameter} = ... }}]'
                refuse(f"axes.{name}", f"for {holder} too", f"a parameter that every {kind} has", remedy)


def _flat(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Axes by name; `[axes.source]` written as a table of parameters is no list of values."""
    for name, value in tables.items():
        if name in HOLDERS and isinstance(value, Mapping) and "name" not in value:
            refuse(f"axes.{name}", "a table without name", f'{name} = ["NAME"], "{name}.PARAMETER" = [...]')
        yield name, value


def _axis(study: str, name: str, value: Any) -> tuple[Point, ...]:
    """The parts of points that an axis goes through."""
    kind, dot, parameter = name.partition(".")
    _check_known("axis", kind, COLUMNS[study])
    if dot:
        holders = _holders(kind)
        known = sorted({key for holder in holders.values() for key in _parameters(kind, holder)})
        _check_known(f"parameter of axes.{kind}", parameter, known)
    parts = [part for one in _values(f"axes.{name}", value) for part in _parts(name, one)]
    if not parts:
        refuse(f"axes.{name}", "empty", "at least one value")
    return tuple(parts)


def _parts(name: str, value: Any) -> Iterator[Point]:
    """The part of a value; those of a table, the product of its lists."""
    if name not in HOLDERS:
        if not isinstance(value, str | int | float):
            refuse(f"axes.{name}", value, "numbers or names")
        yield {name: value}
        return
    given = dict(value) if isinstance(value, Mapping) else {"name": value}
    holder = _one_of(f"axes.{name}", given.pop("name", "without name"), _holders(name))
    known = _parameters(name, _holders(name)[holder])
    for key in given:
        _check_known(f"parameter of {holder}", key, known)
    lists = [_values(f"{holder}.{key}", one) for key, one in given.items()]
    for values in itertools.product(*lists):
        yield {name: holder} | {f"{name}.{key}": one for key, one in zip(given, values, strict=True)}


def _holders(kind: str) -> Mapping[str, Any]:
    """What has parameters, by name."""
    if kind not in HOLDERS:
        refuse("axis", f"{kind}. with a parameter", f"a parameter of {', '.join(HOLDERS)}")
    return HOLDERS[kind]


def _parameters(kind: str, holder: Any) -> list[str]:
    """The names of its parameters."""
    return [one.name for one in (holder.parameters if kind == "source" else holder.knobs)]


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
    scale = _one_of(f"{name}.scale", value.get("scale", "linear"), ("linear", "log"))
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


def _zipped(axes: Mapping[str, tuple[Point, ...]], groups: Any) -> Iterator[tuple[Point, ...]]:
    """The axes, those of one group as one, in the place of its first."""
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        refuse("zip", groups, 'a list of lists of axes, as [["source.n", "steps"]]')
    member: dict[str, list[str]] = {}
    for group in groups:
        for name in group:
            _check_known("axis of zip", name, list(axes))
            if name in member:
                refuse("zip", f"{name} twice", "every axis once")
            member[name] = group
        lengths = {len(axes[name]) for name in group}
        if len(lengths) > 1:
            sizes = ", ".join(f"{name} of {len(axes[name])}" for name in group)
            refuse("zip", sizes, "axes of one length")
    for name, parts in axes.items():
        if name not in member:
            yield parts
        elif member[name][0] == name:
            together = zip(*(axes[other] for other in member[name]), strict=True)
            yield tuple({k: v for part in some for k, v in part.items()} for some in together)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        refuse(name, value, "a list of names")
    return tuple(value)


def _one_of(name: str, value: Any, known: Any) -> str:
    if value not in known:
        near = perhaps(str(value), known) if isinstance(value, str) else ""
        refuse(name, value, f"one of {', '.join(known)}", near)
    return value


def _check_known(what: str, name: Any, known: Any) -> None:
    """Refuse an unknown name, with the nearest that there is."""
    if name not in known:
        refuse(what, name, f"one of {', '.join(known)}", perhaps(str(name), known))
