"""What a study of a sweep is: how its points become cases, and which numbers are measured of them.

A study `complete`s a point with its defaults, makes its `case`, a pytree, and gives the `numbers` of a
case: as a pure function of arrays where there is one, which is mapped over many cases of one structure, and
else one by one. The names and the defaults are those of the commands.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import perhaps, refuse
from ..families import FAMILIES
from ..schedules.guaranteed import austin_for_steps, theorem9_dtc_for_steps, theorem9_tc_for_steps
from ..studies.sources import FamilySource
from ..studies.table_sources import HMMSource, JointSource, MixtureSource
from .columns import FILES, Point

SCHEDULES: Mapping[str, Callable[[int, int], mj.Schedule]] = {
    **mj.NAMED,
    "theorem9_tc": theorem9_tc_for_steps,
    "theorem9_dtc": theorem9_dtc_for_steps,
    "austin": austin_for_steps,
}
"""Every schedule that is a function of the length and the number of steps."""


@dataclasses.dataclass(frozen=True)
class More:
    """Numbers that a row has only if they are asked for: each case costs a call of `of`.

    `None` where there is none; with `lists` each is a list of numbers.
    """

    names: tuple[str, ...]
    of: Callable[[Any], Mapping[str, Any]]
    lists: bool = False


@dataclasses.dataclass(frozen=True)
class Study:
    """How the points of a study are measured: `numbers` of one case or, where that is `None`, `one`.

    `check` refuses a point whose arrays have no room, before anything is made; `searched` are schedules
    that it knows beside `SCHEDULES`.
    """

    names: tuple[str, ...]
    complete: Callable[[Point, int], Point]
    case: Callable[[Point], Any]
    one: Callable[[Any], Mapping[str, Any]]
    numbers: Callable[[Any], Mapping[str, Any]] | None = None
    more: tuple[More, ...] = ()
    check: Callable[[Point], None] = lambda point: None
    searched: tuple[str, ...] = ("best",)

    @property
    def known(self) -> dict[str, bool]:
        """Every number by name, and whether it is a list."""
        return dict.fromkeys(self.names, False) | {n: one.lists for one in self.more for n in one.names}

    def kept(self, keep: tuple[str, ...]) -> tuple[str, ...]:
        """The numbers that a row has: those of `keep`, or `names`; refused where one is not known."""
        for name in keep:
            if name not in self.known:
                refuse("keep", name, f"some of {', '.join(self.known)}", perhaps(name, self.known))
        return keep or self.names


def source_of(point: Point) -> FamilySource | JointSource | HMMSource | MixtureSource:
    """The source of a point; parameters of a family that are not given have the default of a law."""
    name, given = point["source"], parameters(point, "source")
    if name in FAMILIES:
        return _of_family(name, tuple(given.items()))
    if "file" not in given:
        refuse("source.file", "not given", f'a file: source = [{{ name = "{name}", file = "..." }}]')
    more = {"n": given["n"]} if "n" in given else {}
    return FILES[name](Path(given["file"]), **more)


@functools.lru_cache(maxsize=1024)  # points of a chunk that differ in something else
def _of_family(name: str, given: tuple[tuple[str, Any], ...]) -> FamilySource:
    return FamilySource(name, FAMILIES[name].values("law", **dict(given)))


def complete_source(point: Point) -> Point:
    """The point with every parameter of its source."""
    values = source_of(point).to_json()
    return point | {f"source.{name}": value for name, value in values.items() if name != "name"}


def truth_of(point: Point) -> mj.AbstractDistribution:
    """The distribution of a complete point, whose parameters were checked then; now some may be traced."""
    if point["source"] in FAMILIES:
        return FAMILIES[point["source"]].distribution(**parameters(point, "source"))
    return source_of(point).distribution()[0]


def parameters(point: Point, kind: str) -> dict[str, Any]:
    """The parameters of the source, the decoder or the model that the point gives."""
    start = f"{kind}."
    return {key.removeprefix(start): value for key, value in point.items() if key.startswith(start)}


def check_schedule(name: str, searched: Iterable[str]) -> None:
    """Refuse a name of no schedule."""
    known = [*searched, *SCHEDULES]
    if name not in known:
        refuse("schedule", name, f"one of {', '.join(known)}", perhaps(name, known))


def named_schedule(point: Point, n: int, best: Mapping[str, Callable[[int], mj.Schedule]]) -> mj.Schedule:
    """The schedule of a point, of `n` steps if it gives no number; `best` are those that are searched."""
    steps, name = point.get("steps"), point["schedule"]
    steps = n if steps is None else steps
    if not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}")
    check_schedule(name, best)
    return best[name](steps) if name in best else SCHEDULES[name](n, steps)
