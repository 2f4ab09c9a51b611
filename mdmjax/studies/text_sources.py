"""A text as a source: classes of characters in its windows, and what to train on."""

import dataclasses
import sys
from pathlib import Path
from typing import Any, ClassVar

from .._checks import check_integer
from .._errors import refuse
from ..distributions.alphabet import ByteAlphabet
from ..distributions.joint import Joint
from ..distributions.text import CharacterClasses, text_joint
from ..files.corpus import Corpus, corpus_files, read_corpus, standard_library_files
from ..information.curve import InformationCurve
from ._source import check_enumerable, enumerated
from .examples import Examples, text_examples
from .subject import Subject, Track, untracked


@dataclasses.dataclass(frozen=True)
class TextSource:
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

    def to_json(self) -> dict[str, Any]:
        """The name and the options."""
        return {
            "name": self.name,
            "path": self.path and str(self.path),
            "window": self.window,
            "classes": list(self.classes),
        }

    def alphabet(self) -> CharacterClasses:
        """The classes."""
        for text in self.classes:
            if "=" not in text:
                refuse("classes", text, "NAME=SET, as digit=0-9")
        pairs = tuple(
            (name, characters) for name, _, characters in (c.partition("=") for c in self.classes)
        )
        return CharacterClasses(pairs) if pairs else CharacterClasses()

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
class CorpusSource:
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

    def to_json(self) -> dict[str, Any]:
        """The name and the options."""
        path = self.path and str(self.path)
        return {"name": self.name, "path": path, "length": self.length, "bytes": self.bytes}

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
