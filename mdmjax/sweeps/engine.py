"""The engine of a sweep: the rows of a chunk of points.

Cases that differ in floats and keys alone are stacked and their numbers are one program, mapped in tiles
of `TILE` cases; the tiles are sharded over the local devices by the one axis of a mesh. What a device does
with a tile is the same program wherever it runs, so that no number depends on how many devices there are.
A case that fails is a row with its reason.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from .._errors import InvalidInputError
from .cases import Study
from .config import Config, Point
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
    points, cases, failed = cases_of(config, indices)
    names = study.kept(config.keep)
    found = _numbers(study, cases, failed, devices or jax.local_devices(), mapped_from)
    for one in study.more:
        if set(one.names) & set(names):
            for place in found:
                found[place] |= {name: _numeric(value) for name, value in one.of(cases[place]).items()}
    values = {name: [found.get(place, {}).get(name) for place in range(len(points))] for name in names}
    values = {name: [_known(value) for value in column] for name, column in values.items()}
    columns = dict.fromkeys(key for point in points for key in point)
    given = {key: [point.get(key) for point in points] for key in columns}
    return {"point": list(indices)} | given | values | {"failed": failed}


def check_points(config: Config) -> None:
    """Refuse a sweep with a source too large for its study, before anything is made."""
    sources = {
        tuple((k, v) for k, v in config.point(index).items() if k == "decoder" or k.startswith("source"))
        for index in range(config.size)
    }
    for source in sorted(sources):
        STUDIES[config.study].check(dict(source))


def cases_of(
    config: Config, indices: Sequence[int]
) -> tuple[list[Point], dict[int, Any], list[str | None]]:
    """Some points with their defaults, their cases by place, and why a point has none."""
    study, points = STUDIES[config.study], [config.point(index) for index in indices]
    cases: dict[int, Any] = {}
    failed: list[str | None] = [None] * len(points)
    for place, point in enumerate(points):
        try:
            points[place] = study.complete(point, config.seed)
            cases[place] = study.case(points[place])
        except Exception as error:
            failed[place] = _reason(error)
    return points, cases, failed


def _numbers(
    study: Study,
    cases: Mapping[int, Any],
    failed: list[str | None],
    devices: Sequence[Device],
    least: int,
) -> dict[int, dict[str, Number]]:
    """The numbers of cases: of those alike in one call if there is a pure function, else one by one."""
    found: dict[int, dict[str, Number]] = {}
    if study.numbers is not None and len(cases) >= least:
        for places, arrays, known in _alike(cases):
            try:
                many = mapped(study.numbers, arrays, known, len(places), devices)
            except InvalidInputError:
                continue  # no function of arrays
            for place, *row in zip(places, *many.values(), strict=True):
                numbers: dict[str, Number] = dict(zip(many, map(float, row), strict=True))
                if not np.isnan(row[0]):  # else `one` says why, if it is wrong
                    found[place] = numbers
    for place in cases.keys() - found.keys():
        try:
            found[place] = {name: _numeric(value) for name, value in study.one(cases[place]).items()}
        except Exception as error:
            failed[place] = _reason(error)
    return found


def _alike(cases: Mapping[int, Any]) -> list[tuple[list[int], Any, Known]]:
    """Cases of one program: where they are, what differs stacked, and what does not."""
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
    return [(places, jax.tree.map(stack, *several), known) for places, several, known in groups.values()]


def _differs(leaf: Any) -> bool:
    """Whether a leaf may be another in each case of a program: a number with a point, or a key."""
    if eqx.is_array(leaf):
        return jnp.issubdtype(leaf.dtype, jnp.floating) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return isinstance(leaf, float)


def mapped(
    numbers: Numbers, arrays: Any, known: Known, count: int, devices: Sequence[Device]
) -> dict[str, np.ndarray]:
    """The numbers of `count` cases, whose arrays have them as their first axis.

    They are padded to whole tiles for every device with the last one of them.
    """
    whole = TILE * len(devices)
    places = np.minimum(np.arange(-(-count // whole) * whole), count - 1)
    padded = jax.tree.map(lambda leaf: leaf[places], arrays)
    found = _sharded(numbers, padded, known, Mesh(np.array(devices), ("cases",)))
    return {name: np.asarray(value)[:count] for name, value in found.items()}


@partial(jax.jit, static_argnums=(0, 2, 3))
def _sharded(numbers: Numbers, arrays: Any, known: Known, mesh: Mesh) -> Any:
    each = jax.vmap(lambda arrays: numbers(eqx.combine(arrays, known.tree)))

    def shard(arrays: Any) -> Any:
        tiles = jax.tree.map(lambda leaf: leaf.reshape(-1, TILE, *leaf.shape[1:]), arrays)
        found = jax.lax.map(each, tiles)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)

    spec = PartitionSpec("cases")
    return jax.shard_map(shard, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(arrays)


def _numeric(value: Any) -> Number:
    """A float, or a list of them."""
    return np.asarray(value).astype(float).tolist()


def _known(value: Number | None) -> Number | None:
    """The number, `None` where it is undefined."""
    return None if isinstance(value, float) and np.isnan(value) else value


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, InvalidInputError) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())}"[:500]
