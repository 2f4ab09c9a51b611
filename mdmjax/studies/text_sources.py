"""What sources share, and a text as one: classes of characters in its windows, or what to train on."""

import dataclasses
import sys
from pathlib import Path
from typing import Any, ClassVar

from .._checks import check_integer
from .._errors import InvalidInputError, refuse
from ..distributions.alphabet import ByteAlphabet
from ..distributions.base import AbstractDistribution
from ..distributions.joint import Joint, tabulate
from ..distributions.text import CharacterClasses, text_joint
from ..files.corpus import Corpus, corpus_files, read_corpus, standard_library_files
from ..information.curve import InformationCurve
from ..information.enumeration import check_entropy_size, information_curve
from .examples import Examples, text_examples
from .report import to_plain
from .subject import Subject, Track, untracked


@dataclasses.dataclass(frozen=True)
class AbstractSource:
    """A name, and the few values that are its fields."""

    name: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The name and the values."""
        return {"name": self.name} | to_plain(self)


def enumerated(
    distribution: AbstractDistribution, subject: Subject, sizes: dict[str, int]
) -> tuple[InformationCurve, Subject]:
    """The curve of a distribution that has no closed form: every state, every subset."""
    n, q = distribution.n, distribution.q
    check_enumerable(n, q, sizes)
    method = f"enumeration of {q}^{n} states and 2^{n} subsets"
    return information_curve(tabulate(distribution)), dataclasses.replace(subject, method=method)


def check_enumerable(n: int, q: int, sizes: dict[str, int]) -> None:
    """`check_entropy_size`, in the words of the `sizes` that were given."""
    try:
        check_entropy_size(n, q)
    except InvalidInputError as error:
        refuse(", ".join(sizes), ", ".join(map(str, sizes.values())), error.wanted, error.remedy)


@dataclasses.dataclass(frozen=True)
class TextSource(AbstractSource):
    """Classes of characters in every overlapping window of a text; without a path, the standard library's.

    `path` is a text file, or a folder whose .py, .txt and .md files are read. `classes` are sets as inside
    a regular expression's brackets, `"NAME=SET"`; the rest is 'other'. Without them: `SOURCE_CODE`.

    Raises:
        InvalidInputError: no window, classes that are none, or more windows than can be enumerated.
    """

    name: ClassVar[str] = "text"
    path: Path | None = None
    window: int = 12
    classes: tuple[str, ...] = ()

    def __post_init__(self):
        window, q = check_integer("window", self.window, 1), self.alphabet().q
        check_enumerable(window, q, {"window": window})

    def alphabet(self) -> CharacterClasses:
        """The classes."""
        pairs = []
        for text in self.classes:
            name, equal, characters = text.partition("=")
            if not equal:
                refuse("classes", text, "NAME=SET, as digit=0-9")
            pairs.append((name, characters))
        return CharacterClasses(tuple(pairs)) if pairs else CharacterClasses()

    def distribution(self, track: Track = untracked) -> tuple[Joint, Subject]:
        """The joint of every window of every file."""
        classes, (corpus, of) = self.alphabet(), _read(self.path, track)
        symbols = [classes.classify(text) for text in track(corpus.texts, "classifying")]
        joint = text_joint(symbols, self.window, classes.q)
        title = f"windows of {self.window} characters of the {of}"
        facts = {
            "files": len(corpus.texts),
            "skipped_files": corpus.skipped,
            "characters": corpus.characters,
            "classes": list(classes.names),
        }
        return joint, Subject(title, self.to_json(), "", joint.q, facts)

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """By enumeration."""
        return enumerated(*self.distribution(track), {"window": self.window})


@dataclasses.dataclass(frozen=True)
class CorpusSource(AbstractSource):
    """Random windows of a text to train on; without a path, the standard library's.

    One file in ten is held out. A token is a character that is common in the training files; with `bytes`,
    a byte of UTF-8.
    """

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


def _read(path: Path | None, track: Track) -> tuple[Corpus, str]:
    """The texts of a path or of the standard library, and what they are of."""
    files = standard_library_files() if path is None else corpus_files(path)
    corpus = read_corpus(track(files, "reading"))
    version = ".".join(map(str, sys.version_info[:3]))
    return corpus, str(path) if path else f"standard library of Python {version}"
