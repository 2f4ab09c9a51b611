"""What commands and sweeps name by words: distributions of a family or a file, texts, and loss tables.

A source is a name and a few values, with JSON both ways. It gives what it can of three things: a
`distribution` and a `curve`, each with the `Subject` of a report, and `examples` to train on.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp

from .._errors import InvalidInputError, refuse
from ..distributions.base import AbstractDistribution
from ..distributions.joint import Joint
from ..families import FAMILIES, Family
from ..files.arrays import read_joint, reading
from ..files.loss_table import read_loss_table
from ..information.curve import InformationCurve
from ..information.loss_curve import LossCurve, LossTable, curve_from_table, isotonic_fit
from .examples import Examples, distribution_examples
from .subject import Subject, Track, untracked
from .text_sources import AbstractSource, CorpusSource, TextSource, enumerated


@dataclasses.dataclass(frozen=True)
class FamilySource:
    """A distribution of a family, by every value of its parameters.

    Raises:
        InvalidInputError: a name that is no family's, or see `Family.check`.

    >>> FamilySource("markov", {"n": 8, "q": 2, "flip": 0.25}).curve()[0].n
    8
    """

    name: str
    values: Mapping[str, Any]

    def __post_init__(self):
        if self.name not in FAMILIES:
            refuse("source", self.name, f"one of {', '.join(FAMILIES)}")
        object.__setattr__(self, "values", self.family.check(**self.values))

    @property
    def family(self) -> Family:
        """Its entry in the registry."""
        return FAMILIES[self.name]

    def to_json(self) -> dict[str, Any]:
        """The name and the values."""
        return {"name": self.name, **self.values}

    def distribution(self, track: Track = untracked) -> tuple[AbstractDistribution, Subject]:
        """The distribution."""
        return self.family.distribution(**self.values), self._subject()

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """Its information curve: in closed form, or by enumeration."""
        if self.family.curve is not None:
            return self.family.curve(**self.values), self._subject("closed form")
        sizes = {p.name: self.values[p.name] for p in self.family.parameters if p.kind is int}
        return enumerated(*self.distribution(), sizes)

    def examples(self, track: Track = untracked) -> Examples:
        """Samples."""
        return _samples(self)

    def _subject(self, method: str = "") -> Subject:
        title, q = self.family.title(**self.values), self.family.q(**self.values)
        return Subject(title, self.to_json(), method, q)


@dataclasses.dataclass(frozen=True)
class JointSource(AbstractSource):
    """A table of probabilities from an `.npz` file: array `probs` of shape `(q,)*n`."""

    name: ClassVar[str] = "joint"
    file: Path

    def distribution(self, track: Track = untracked) -> tuple[Joint, Subject]:
        """The table."""
        joint = read_joint(self.file)
        return joint, Subject(f"table {self.file.name}", self.to_json(), q=joint.q)

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """By enumeration."""
        joint, subject = self.distribution()
        return enumerated(joint, subject, {"n": joint.n, "q": joint.q})

    def examples(self, track: Track = untracked) -> Examples:
        """Samples."""
        with reading("file", self.file):
            return _samples(self, fingerprint=hashlib.sha256(self.file.read_bytes()).hexdigest()[:16])


@dataclasses.dataclass(frozen=True)
class LossTableSource(AbstractSource):
    """Measured losses of a trained model, from a .csv, .jsonl or .npz file: see `read_loss_table`.

    `length` is the number of positions: needed with `mask_ratio`, else the largest `n_masked`.
    """

    name: ClassVar[str] = "loss-curve"
    file: Path
    length: int | None = None
    isotonic: bool = False

    def table(self) -> LossTable:
        """The rows: what a bootstrap draws again."""
        return read_loss_table(self.file, self.length)

    def curve(self, track: Track = untracked) -> tuple[LossCurve, Subject]:
        """The measured curve, or the nonincreasing one nearest to it."""
        curve, facts = curve_and_facts(self.table(), isotonic=self.isotonic)
        facts = {"length_given": self.length is not None} | facts
        method = "measured on a model"
        return curve, Subject(f"loss table {self.file.name}", self.to_json(), method, None, facts)


Source = FamilySource | JointSource | TextSource | CorpusSource | LossTableSource
"""Any of them."""


WRITTEN: dict[type, dict[str, Any]] = {
    JointSource: {"file": str},
    TextSource: {"path": str | None, "window": int, "classes": list},
    CorpusSource: {"path": str | None, "length": int, "bytes": bool},
    LossTableSource: {"file": str, "length": int | None, "isotonic": bool},
}
"""The keys, but for the name, and the types of what each source writes."""


def source_from_json(document: Any) -> Source:
    """The source whose `to_json` is `document`: of a report, or of the metadata of a trained model.

    Raises:
        InvalidInputError: anything else.

    >>> source_from_json({"name": "text", "path": None, "length": 16, "bytes": True})
    CorpusSource(path=None, length=16, bytes=True)
    """
    options = dict(document) if isinstance(document, Mapping) else {}
    name = options.pop("name", None)
    if isinstance(name, str) and name in FAMILIES:
        return FamilySource(name, options)
    for kind, types in WRITTEN.items():
        if kind.name == name and options.keys() == types.keys():
            for key, value in options.items():
                good = isinstance(value, types[key])
                if not good or (key == "classes" and not all(isinstance(one, str) for one in value)):
                    refuse(key, repr(value)[:80], f"what the source {name} writes")
            change = {"file": Path, "path": lambda path: path and Path(path), "classes": tuple}
            return kind(**{key: change.get(key, lambda v: v)(value) for key, value in options.items()})
    return refuse("source", repr(document)[:80], "a name and its options", "no source has written this")


def rooted(source: Source) -> Source:
    """The source with its path absolute: it means the same from any folder."""
    if isinstance(source, FamilySource):
        return source
    paths = {key: value.resolve() for key, value in vars(source).items() if isinstance(value, Path)}
    return dataclasses.replace(source, **paths)


def curve_and_facts(table: LossTable, *, isotonic: bool) -> tuple[LossCurve, dict[str, Any]]:
    """The loss curve of a table, and what its reader should know of it."""
    curve = curve_from_table(table)
    if isotonic:
        curve = isotonic_fit(curve)
    points = int(curve.measured.sum())
    return curve, {
        "rows": int(table.loss.size),
        "measured": points,
        "interpolated": curve.n - points,
        "repeated": table.repeated,
        "rises": int((jnp.diff(curve.loss[curve.measured]) > 0).sum()),
        "isotonic": isotonic,
    }


def _samples(source: FamilySource | JointSource, **facts: str) -> Examples:
    """Samples of a distribution, with its entropies where its curve can be had."""
    distribution, subject = source.distribution()
    try:
        curve, _ = source.curve()
    except InvalidInputError:
        curve = None
    return distribution_examples(distribution, subject.title, facts, curve)
