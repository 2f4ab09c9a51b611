"""The config of a sweep: which study, over which axes, and what is kept.

A config is a TOML file. Its axes are a product, the last one fastest; axes of one list of `zip` go
together. A value is a scalar, or `{from, to, count}` for many (`scale = "log"` for a geometric row). One of
`source`, `decoder` and `model` may be a table of a name, parameters and other columns, whose lists are a
product as well:

    study = "law"
    zip = [["source.n", "steps"]]

    [axes]
    source = [{ name = "noisy-bit", flip = { from = 0.1, to = 0.4, count = 4 } }, "markov"]
    "source.n" = [4, 8]
    steps = [2, 4]
    decoder = ["random", { name = "threshold", threshold = [0.7, 0.9], mix = [0.0, 0.1] }]
"""

import dataclasses
import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .axes import MOST, axis_of, check_known, one_of
from .columns import COLUMNS, DRAWS, HOLDERS, Point, parameters_of

KEYS = ("study", "axes", "zip", "keep", "seed", "chunk")


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
        """Points by program: those of one differ in floats and draws, whatever axes these are of."""
        code = np.zeros(1, np.int64)
        for axis in self.axes:
            kinds: dict[tuple, int] = {}
            for part in axis:
                kinds.setdefault(_but_numbers(part), len(kinds))
            own = np.array([kinds[_but_numbers(part)] for part in axis])
            code = (code[:, None] * len(kinds) + own).reshape(-1)
        _, first, which = np.unique(code, return_index=True, return_inverse=True)
        order, sizes = np.argsort(first[which], kind="stable"), np.bincount(which)[np.argsort(first)]
        return [some.tolist() for some in np.split(order, np.cumsum(sizes)[:-1])]


def _but_numbers(part: Point) -> tuple:
    """What a part says, but for the values of floats and draws."""
    return tuple((k, None if isinstance(v, float) or k in DRAWS else v) for k, v in part.items())


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
        check_known("key", key, KEYS)
    study = one_of("study", document.get("study", "not given"), COLUMNS)
    tables = document.get("axes")
    if not isinstance(tables, Mapping) or "source" not in tables:
        refuse("axes", "without source", 'a table [axes] with a list source = ["NAME", ...]')
    axes = {name: axis_of(study, name, value) for name, value in _flat(tables)}
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
            if parameter not in parameters_of(kind, holder):
                remedy = f'write it where it belongs: {kind} = [{{ name = "...", {parameter} = ... }}]'
                refuse(f"axes.{name}", f"for {holder} too", f"a parameter that every {kind} has", remedy)


def _flat(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Axes by name; `[axes.source]` written as a table of parameters is no list of values."""
    for name, value in tables.items():
        if name in HOLDERS and isinstance(value, Mapping) and "name" not in value:
            refuse(f"axes.{name}", "a table without name", f'{name} = ["NAME"], "{name}.PARAMETER" = [...]')
        yield name, value


def _zipped(axes: Mapping[str, tuple[Point, ...]], groups: Any) -> Iterator[tuple[Point, ...]]:
    """The axes, those of one group as one, in the place of its first."""
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        refuse("zip", groups, 'a list of lists of axes, as [["source.n", "steps"]]')
    member: dict[str, list[str]] = {}
    for group in groups:
        for name in group:
            check_known("axis of zip", name, list(axes))
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
