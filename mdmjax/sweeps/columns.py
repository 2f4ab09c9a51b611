"""The columns of a sweep: what a point may say, and of which kind it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .._errors import refuse
from ..families import FAMILIES
from ..studies.named_decoders import DECODERS
from ..studies.table_sources import HMMSource, JointSource, MixtureSource
from .models import MODELS

Point = dict[str, Any]
"""The value of every column that an axis sets; a parameter is `source.flip`, `decoder.threshold`."""

COLUMNS: Mapping[str, Mapping[str, type]] = {
    "law": {
        "source": str,
        "decoder": str,
        "model": str,
        "mix": float,
        "dirichlet": float,
        "entropy_noise": float,
        "temperature": float,
        "schedule": str,
        "steps": int,
        "seed": int,
    },
    "schedule": {"source": str, "schedule": str, "steps": int},
    "steps": {"source": str, "schedule": str, "epsilon": float, "share": float},
}
"""The columns that a study takes, beside those of the parameters of what it takes."""

FILES = {source.name: source for source in (JointSource, HMMSource, MixtureSource)}
"""Distributions of a file, which must not change while a sweep goes on."""

HOLDERS: Mapping[str, Mapping[str, Any]] = {
    "source": {**FAMILIES, **FILES},
    "decoder": DECODERS,
    "model": MODELS,
}
"""Columns of names that have parameters."""

DRAWS = ("seed", "source.draw")
"""Integers that are data of a program, as floats are."""

WORDS = {str: "a name", int: "an integer", float: "a number", bool: "true or false"}


class Kind(NamedTuple):
    """Of which type a value is, and of how many numbers where it is a list."""

    of: type
    size: int | None = None

    def checked(self, name: str, value: Any) -> Any:
        """The value as its type; refused if it is none."""
        if self.size is not None:
            if not isinstance(value, list) or len(value) != self.size:
                refuse(
                    name, value, f"a list of {self.size} numbers", "a list of lists goes through several"
                )
            return tuple(Kind(self.of).checked(name, one) for one in value)
        good = isinstance(value, int | float if self.of is float else self.of)
        if not good or (isinstance(value, bool) and self.of is not bool):
            refuse(name, value, WORDS[self.of])
        return self.of(value)


def parameters_of(holder_kind: str, name: str) -> dict[str, Kind]:
    """The parameters of a source, a decoder or a model."""
    holder = HOLDERS[holder_kind][name]
    if holder in FILES.values():
        return {"file": Kind(str)} | ({} if holder is JointSource else {"n": Kind(int)})
    known = holder.parameters if holder_kind == "source" else holder.knobs
    return {one.name: Kind(one.kind, getattr(one, "size", None)) for one in known}
