"""A text as a source: classes of characters in its windows, and what to train on."""

import dataclasses
import sys
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import refuse
from ..distributions.alphabet import ByteAlphabet, alphabet_to_json, common_characters
from ..distributions.joint import Joint
from ..distributions.text import CharacterClasses, text_joint
from ..files.corpus import corpus_files, held_out_split, read_corpus, standard_library_files
from ..information.curve import InformationCurve
from ..training.data import Windows
from ._source import Examples, check_enumerable, enumerated
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
        classes, (texts, facts, of) = self.alphabet(), _read(self.path, track)
        symbols = [classes.classify(text) for text in track(texts, "classifying")]
        joint = text_joint(symbols, self.window, classes.q)
        title = f"windows of {self.window} characters of the {of}"
        return joint, Subject(title, self.to_json(), "", joint.q, facts | {"classes": list(classes.names)})

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
        texts, facts, of = _read(self.path, track)
        split = held_out_split(texts)
        alphabet = ByteAlphabet() if self.bytes else common_characters(split.training)
        sides = [alphabet.encode("".join(side)) for side in (split.training, split.held_out)]
        for side, what in zip(sides, ("to train on", "held out"), strict=True):
            if side.size < self.length:
                refuse("length", self.length, f"at most the {side.size} tokens of the text {what}")
        training, held_out = (Windows(jnp.asarray(side), self.length, alphabet.q) for side in sides)
        seen, new = (np.bincount(side, minlength=alphabet.q) for side in sides)
        rows = np.log((seen + 1) / (seen.sum() + alphabet.q))
        of = of if self.path else f"the {of}"
        facts = {"of": self.path.name if self.path else of, **facts}
        facts |= {"held_out": split.rule, "fingerprint": split.fingerprint}
        facts |= {"alphabet": alphabet_to_json(alphabet)}
        title = f"windows of {self.length} {'bytes' if self.bytes else 'characters'} of {of}"
        known = {"by the frequencies of the symbols alone": float(-(new / new.sum()) @ rows)}
        return Examples(training, held_out, alphabet, title, facts, known)


def _read(path: Path | None, track: Track) -> tuple[tuple[str, ...], dict[str, Any], str]:
    """The texts of a path or of the standard library, facts about them, and what they are of."""
    files = standard_library_files() if path is None else corpus_files(path)
    corpus = read_corpus(track(files, "reading"))
    facts = {
        "files": len(corpus.texts),
        "skipped_files": corpus.skipped,
        "characters": corpus.characters,
    }
    version = ".".join(map(str, sys.version_info[:3]))
    return corpus.texts, facts, str(path) if path else f"standard library of Python {version}"
