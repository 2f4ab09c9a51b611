"""The engine of a sweep: the rows of a chunk of points.

Cases that differ in floats and keys alone are stacked and their numbers are one program, mapped in tiles
of `TILE` cases; the tiles are sharded over the local devices by the one axis of a mesh. What a device does
with a tile is the same program wherever it runs, so that no number depends on how many devices there are.
A case that fails is a row with its reason.
"""

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from .._checks import traced_checks
from .._errors import InvalidInputError
from .._types import Array
from .cases import Study, check_schedule
from .columns import DRAWS, Point
from .config import Config
from .known import Known
from .studies import STUDIES

TILE = 16  # cases that are one vector, on every machine (our choice: their arrays stay in the cache)

Numbers = Callable[[Any], Mapping[str, Any]]
Device = Any  # a `jax.Device`, which type checkers take for a variable

MAPPED = 128
"""Cases below which a program is not worth its seconds of compiling: one law takes 10 ms (measured)."""

Number = float | list[float]

Rows = dict[str, list[Any]]
"""Columns: the `point`, its values, its numbers, and why it `failed`."""


def rows_of(
    config: Config,
    indices: Sequence[int],
    devices: Sequence[Device] | None = None,
    mapped_from: int = MAPPED,
) -> Rows:
    """The rows of some points of a sweep; fewer than `mapped_from` are done one by one.

    >>> from mdmjax.sweeps.config import parse_config
    >>> axes = {"source": [{"name": "noisy-bit", "n": 3, "flip": [0.1, 0.2]}], "decoder": ["random"]}
    >>> rows = rows_of(parse_config({"study": "law", "axes": axes}), [0, 1])
    >>> rows["point"], rows["source.flip"], rows["failed"]
    ([0, 1], [0.1, 0.2], [None, None])
    """
    study = STUDIES[config.study]
    points, failed = completed(config, indices)
    names = study.kept(config.keep)
    more = [one for one in study.more if set(one.names) & set(names)]
    found: dict[int, dict[str, Number]] = {}
    if study.numbers is not None and len(points) >= mapped_from:
        good = {place: point for place, point in enumerate(points) if failed[place] is None}
        for group in built(study, good):
            found |= _many(study.numbers, group, devices or jax.local_devices())
    for place, point in enumerate(points):
        if failed[place] is None and (more or place not in found):
            try:
                case = study.case(point)
                if place not in found:
                    found[place] = _plain(study.one(case))
                for one in more:
                    found[place] |= _plain(one.of(case))
            except Exception as error:
                failed[place] = _reason(error)
    values = {name: [found.get(place, {}).get(name) for place in range(len(points))] for name in names}
    values = {name: [_known(value) for value in column] for name, column in values.items()}
    columns = dict.fromkeys(key for point in points for key in point)
    given = {key: [point.get(key) for point in points] for key in columns}
    return {"point": list(indices)} | given | values | {"failed": failed}


def check_points(config: Config) -> None:
    """Refuse a schedule that is not known, or a source too large for its study, before anything is made."""
    study = STUDIES[config.study]
    for name in {part["schedule"]: None for axis in config.axes for part in axis if "schedule" in part}:
        check_schedule(name, study.searched)
    sized = lambda part: tuple((k, v) for k, v in part.items() if k == "decoder" or k.startswith("source"))
    for parts in itertools.product(*(dict.fromkeys(map(sized, axis)) for axis in config.axes)):
        study.check(dict(itertools.chain(*parts)))


def completed(config: Config, indices: Sequence[int]) -> tuple[list[Point], list[str | None]]:
    """Some points with their defaults, and why a point has none."""
    study, points = STUDIES[config.study], [config.point(index) for index in indices]
    failed: list[str | None] = [None] * len(points)
    for place, point in enumerate(points):
        try:
            points[place] = study.complete(point, config.seed)
        except Exception as error:
            failed[place] = _reason(error)
    return points, failed


class Group(NamedTuple):
    """Cases of one program: where they are, what differs stacked, and what does not."""

    places: list[int]
    arrays: Any
    known: Known


def built(study: Study, points: Mapping[int, Point]) -> list[Group]:
    """The cases of points by their place, but for those that have none.

    Those of points that differ in floats and seeds alone are built at once, as a function of these; where
    it is none, or a number is not what it may be, they are built one by one.
    """
    alike: dict[Any, list[int]] = {}
    for place, point in points.items():
        shape = tuple((k, isinstance(v, float) or k in DRAWS or str(v)) for k, v in point.items())
        alike.setdefault(shape, []).append(place)
    groups, left = [], []
    for places in alike.values():
        group = _together(study, places, [points[place] for place in places])
        groups += [] if group is None else [group]
        left += places if group is None else sorted(set(places) - set(group.places))
    cases = {}
    for place in left:
        with contextlib.suppress(Exception):  # who measures it alone says why
            cases[place] = study.case(points[place])
    return groups + _alike(cases)


def _together(study: Study, places: list[int], points: list[Point]) -> Group | None:
    """The cases of points that differ in floats and seeds alone, in one call of `study.case`."""
    columns = {key: [point[key] for point in points] for key in points[0]}
    varied = {
        key: np.array(column) for key, column in columns.items() if column.count(column[0]) < len(column)
    }
    varied = {key: jnp.asarray(column) for key, column in varied.items()}  # of a list it would be slow
    found: list[Any] = []
    goods: list[Any] = []

    def case(values: Point) -> tuple[Any, list[Array]]:
        with traced_checks() as checks:
            differs, same = eqx.partition(study.case(points[0] | values), _differs)
        found.append(same)
        own = [check for check in checks if _is_of_this_trace(check[0])]
        goods.extend(good for _, good in own)
        return jax.tree.map(jnp.asarray, differs), [number for number, _ in own]

    try:
        arrays, numbers = jax.vmap(case)(varied)
        known = Known(found[0])
    except Exception:  # no function of arrays
        return None
    checks = [[good(x) for x in column.tolist()] for column, good in zip(numbers, goods, strict=True)]
    right = np.all(np.array(checks, bool).reshape(-1, len(points)), axis=0)
    kept = np.flatnonzero(right)
    if kept.size < len(points):
        arrays = jax.tree.map(lambda leaf: leaf[kept], arrays)
    return Group([places[k] for k in kept], arrays, known) if kept.size else None


def _is_of_this_trace(number: Array) -> bool:
    """Not of a program that is compiled within: what it is made of was checked outside."""
    try:
        jnp.negative(number.astype(float))
    except jax.errors.UnexpectedTracerError:
        return False
    return True


def _many(numbers: Numbers, group: Group, devices: Sequence[Device]) -> dict[int, dict[str, Number]]:
    """The numbers of cases of one program by their places; none where it is no function of arrays."""
    try:
        many = mapped(numbers, group.arrays, group.known, len(group.places), devices)
    except Exception:  # or no room for it
        return {}
    rows = zip(*(column.astype(float).tolist() for column in many.values()), strict=True)
    found = {
        place: dict(zip(many, row, strict=True)) for place, row in zip(group.places, rows, strict=True)
    }
    first = next(iter(many))
    return {place: row for place, row in found.items() if not np.isnan(row[first])}  # `one` says why


def _alike(cases: Mapping[int, Any]) -> list[Group]:
    """Cases that were built one by one, those of one program together."""
    groups: dict[Any, tuple[list[int], list[Any], Known]] = {}
    for place, case in cases.items():
        differs, same = eqx.partition(case, _differs)
        differs, known = jax.tree.map(jnp.asarray, differs), Known(same)
        leaves, structure = jax.tree.flatten(differs)
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        places, several, _ = groups.setdefault((known, structure, shapes), ([], [], known))
        places.append(place)
        several.append(differs)
    stack = lambda *leaves: jnp.stack(leaves)
    return [Group(places, jax.tree.map(stack, *several), k) for places, several, k in groups.values()]


def _differs(leaf: Any) -> bool:
    """Whether a leaf may be another in each case of a program: a number with a point, or a key."""
    if eqx.is_array(leaf):
        return jnp.issubdtype(leaf.dtype, jnp.floating) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return isinstance(leaf, float)


def mapped(
    numbers: Numbers, arrays: Any, known: Known, count: int, devices: Sequence[Device], tile: int = TILE
) -> dict[str, np.ndarray]:
    """The numbers of `count` cases, whose arrays have them as their first axis.

    They are padded to whole tiles for every device with the last one of them.
    """
    whole = tile * len(devices)
    places = np.minimum(np.arange(-(-count // whole) * whole), count - 1)
    padded = jax.tree.map(lambda leaf: leaf[places], arrays)
    found = _sharded(numbers, padded, known, Mesh(np.array(devices), ("cases",)), tile)
    return {name: np.asarray(value)[:count] for name, value in found.items()}


@partial(jax.jit, static_argnums=(0, 2, 3, 4))
def _sharded(numbers: Numbers, arrays: Any, known: Known, mesh: Mesh, tile: int) -> Any:
    each = jax.vmap(lambda arrays: numbers(eqx.combine(arrays, known.tree)))

    def shard(arrays: Any) -> Any:
        tiles = jax.tree.map(lambda leaf: leaf.reshape(-1, tile, *leaf.shape[1:]), arrays)
        found = jax.lax.map(each, tiles)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)

    spec = PartitionSpec("cases")
    return jax.shard_map(shard, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(arrays)


def _plain(numbers: Mapping[str, Any]) -> dict[str, Number]:
    """Each a float, or a list of them."""
    return {name: np.asarray(value).astype(float).tolist() for name, value in numbers.items()}


def _known(value: Number | None) -> Number | None:
    """The number, `None` where it is undefined."""
    return None if isinstance(value, float) and np.isnan(value) else value


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, InvalidInputError) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())}"[:500]
