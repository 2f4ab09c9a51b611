"""What commands and sweeps name by words: distributions of a family or a file, texts, and loss tables.

A source is a name and a few values, with JSON both ways. It gives what it can of three things: a
`distribution` and a `curve`, each with the `Subject` of a report, and `examples` to train on.
"""

import dataclasses
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from .._checks import check_integer
from .._errors import refuse
from .._types import Array
from ..distributions.alphabet import ByteAlphabet
from ..distributions.base import AbstractDistribution
from ..distributions.joint import Joint
from ..distributions.text import CharacterClasses, text_joint
from ..families import FAMILIES
from ..files.corpus import Corpus, corpus_files, read_corpus, standard_library_files
from ..files.loss_table import LossFile, read_loss_file
from ..information.curve import InformationCurve
from ..information.loss_blocks import BlockTables
from ..information.loss_curve import LossCurve, LossTable
from ..information.loss_means import loss_means
from ..information.loss_rows import PER, UNITS
from .examples import Examples, text_examples
from .report import Subject, Track, untracked
from .table_notes import check_losses, curve_and_facts, found_in
from .table_sources import (
    AbstractSource,
    HMMSource,
    JointSource,
    MixtureSource,
    MultisetSource,
    check_enumerable,
    enumerated,
    samples_of,
)
from .task_source import TaskSource


@dataclasses.dataclass(frozen=True)
class FamilySource:
    """A distribution of a family, by every value of its parameters (`Family.check`)."""

    name: str
    values: Mapping[str, Any]

    def __post_init__(self):
        if self.name not in FAMILIES:
            refuse("source", self.name, f"one of {', '.join(FAMILIES)}")
        object.__setattr__(self, "values", FAMILIES[self.name].check(**self.values))

    def to_json(self) -> dict[str, Any]:
        """The name and the values."""
        return {"name": self.name, **self.values}

    def distribution(self, track: Track = untracked) -> tuple[AbstractDistribution, Subject]:
        """The distribution."""
        return FAMILIES[self.name].distribution(**self.values), self._subject()

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """Its information curve: in closed form, or by enumeration."""
        family = FAMILIES[self.name]
        if family.curve is None:
            sizes = {p.name: self.values[p.name] for p in family.parameters if p.kind is int}
            return enumerated(*self.distribution(), sizes)
        return family.curve(**self.values), self._subject("closed form")

    def counts(self) -> tuple[Array, int] | None:
        """The log-probability of each type, and `q`, where words are exchangeable."""
        family = FAMILIES[self.name]
        return None if family.counts is None else (family.counts(**self.values), family.q(**self.values))

    def one_law(self) -> bool:
        """Whether every ordered partition makes a word with the same probability (`Family`)."""
        return FAMILIES[self.name].one_law

    def examples(self, track: Track = untracked) -> Examples:
        """Samples."""
        return samples_of(self)

    def _subject(self, method: str = "") -> Subject:
        family = FAMILIES[self.name]
        return Subject(family.title(**self.values), self.to_json(), method, family.q(**self.values))


@dataclasses.dataclass(frozen=True)
class TextSource(AbstractSource):
    """Classes of characters in every overlapping window of a text; without a path, the standard library's.

    `path` is a text file, or a folder whose .py, .txt and .md files are read. `classes` are `"NAME=SET"`,
    the set as inside a regular expression's brackets; the rest is 'other'. Without them: `SOURCE_CODE`.
    """

    name: ClassVar[str] = "text"
    path: Path | None = None
    window: int = 12
    classes: tuple[str, ...] = ()

    def __post_init__(self):
        check_integer("window", self.window, 1)
        check_enumerable(self.window, self.alphabet().q, {"window": self.window})

    def alphabet(self) -> CharacterClasses:
        """The classes."""
        for text in self.classes:
            if "=" not in text:
                refuse("classes", text, "NAME=SET, as digit=0-9")
        pairs = tuple((name, inside) for name, _, inside in (text.partition("=") for text in self.classes))
        return CharacterClasses(pairs) if pairs else CharacterClasses()

    def distribution(self, track: Track = untracked) -> tuple[Joint, Subject]:
        """The joint of every window of every file."""
        classes, (corpus, of) = self.alphabet(), _read(self.path, track)
        symbols = [classes.classify(text) for text in track(corpus.texts, "classifying")]
        joint = text_joint(symbols, self.window, classes.q)
        title = f"windows of {self.window} characters of the {of}"
        facts = {"files": len(corpus.texts), "skipped_files": corpus.skipped}
        facts |= {"characters": corpus.characters, "classes": list(classes.names)}
        return joint, Subject(title, self.to_json(), q=joint.q, facts=facts)

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """By enumeration."""
        return enumerated(*self.distribution(track), {"window": self.window})


@dataclasses.dataclass(frozen=True)
class CorpusSource(AbstractSource):
    """Random windows of a text to train on, of its common characters or of `bytes` of UTF-8."""

    name: ClassVar[str] = "text"
    path: Path | None = None
    length: int = 128
    bytes: bool = False

    def __post_init__(self):
        check_integer("length", self.length, 1)

    def examples(self, track: Track = untracked) -> Examples:
        """Windows of the training files, and of those held out."""
        corpus, of = _read(self.path, track)
        name = self.path.name if self.path else f"the {of}"
        return text_examples(corpus, self.length, ByteAlphabet() if self.bytes else None, of=name)


@dataclasses.dataclass(frozen=True)
class LossTableSource(AbstractSource):
    """Measured losses of a trained model, from a file of any kind that `read_loss_file` reads.

    `length` is the number of positions: needed with ratios, else the largest `n_masked`. `columns`, `unit`,
    `per` and `weighted` say what the file has; `vocabulary`, the number of symbols, checks its losses.
    """

    name: ClassVar[str] = "loss-curve"
    file: Path
    length: int | None = None
    fit: str | None = None
    columns: str | None = None
    unit: str = "nats"
    per: str = "token"
    weighted: bool = False
    vocabulary: int | None = None

    def __post_init__(self):
        for key, known in (("unit", UNITS), ("per", PER)):
            if getattr(self, key) not in known:
                refuse(key, getattr(self, key), f"one of {', '.join(known)}")
        if self.vocabulary is not None:
            check_integer("vocabulary", self.vocabulary, 2)

    def table(self) -> LossTable:
        """The rows: what honest gains are judged by; a table of blocks is refused."""
        return self._file.whole()

    def curve(self, track: Track = untracked) -> tuple[LossCurve, Subject]:
        """The curve that schedules are chosen on: see `curve_and_facts`; a table of blocks is refused."""
        curve, facts = curve_and_facts(loss_means(self.table()), self.fit)
        return curve, self._subject(facts)

    def blocks(self) -> tuple[BlockTables, Subject]:
        """The tables of all blocks, none in a file without a column `block`; facts are of their mean."""
        tables, mean = self._file.blocks, self._file.table
        facts = curve_and_facts(loss_means(mean), "rows")[1] if tables else {}
        each = tables.values()
        facts |= {"rows": sum(one.loss.size for one in each), "repeated": sum(one.repeated for one in each)}
        return tables, self._subject(facts)

    def _subject(self, facts: dict[str, Any]) -> Subject:
        facts = {"length_given": self.length is not None} | facts | self._file.facts
        facts |= found_in(self._file.table, self.vocabulary)
        title = f"loss table {self.file.name}"
        return Subject(title, self.to_json(), "measured on a model", self.vocabulary, facts)

    @functools.cached_property
    def _file(self) -> LossFile:
        """The file; refused where its axis is reversed beyond noise, or its losses are of another unit."""
        how: dict[str, Any] = {key: getattr(self, key) for key in ("columns", "unit", "per", "weighted")}
        read = read_loss_file(self.file, self.length, **how)
        check_losses(read, self.vocabulary)
        return read


DistributionSource = FamilySource | JointSource | HMMSource | MixtureSource | MultisetSource
Source = DistributionSource | TextSource | CorpusSource | TaskSource | LossTableSource

WRITTEN = {Path: str, Path | None: str | None, tuple[str, ...]: list, tuple[int, ...]: list}
"""What JSON has where a field of a source is of another type."""

PARTS = {"classes": str, "repeats": int}
"""Of what the fields that are lists are lists."""


FILES = (
    JointSource,
    HMMSource,
    MixtureSource,
    MultisetSource,
    TextSource,
    CorpusSource,
    TaskSource,
    LossTableSource,
)


def source_from_json(document: Any) -> Source:
    """The source whose `to_json` is `document`: of a report, or of the metadata of a trained model."""
    options = dict(document) if isinstance(document, Mapping) else {}
    name = options.pop("name", None)
    if isinstance(name, str) and name in FAMILIES:
        later = {p.name: p.law for p in FAMILIES[name].parameters if p.name in ("kept", "bias")}
        return FamilySource(name, later | options)  # files of before they were parameters
    for kind in FILES:
        types = {field.name: WRITTEN.get(field.type, field.type) for field in dataclasses.fields(kind)}
        if kind.name == name and options.keys() == types.keys():
            for key, value in options.items():
                good = isinstance(value, types[key])
                if not good or (key in PARTS and not all(isinstance(one, PARTS[key]) for one in value)):
                    refuse(key, repr(value)[:80], f"what the source {name} writes")
            change = {
                "file": Path,
                "path": lambda path: path and Path(path),
                **dict.fromkeys(PARTS, tuple),
            }
            return kind(**{key: change.get(key, lambda v: v)(value) for key, value in options.items()})
    return refuse("source", repr(document)[:80], "a name and its options", "no source has written this")


def rooted(source: Source) -> Source:
    """The source with its path absolute: it means the same from any folder."""
    paths = {key: value.resolve() for key, value in vars(source).items() if isinstance(value, Path)}
    return dataclasses.replace(source, **paths)


def _read(path: Path | None, track: Track) -> tuple[Corpus, str]:
    """The texts of a path or of the standard library, and what they are of."""
    files = standard_library_files() if path is None else corpus_files(path)
    corpus = read_corpus(track(files, "reading"))
    version = ".".join(map(str, sys.version_info[:3]))
    return corpus, str(path) if path else f"standard library of Python {version}"
