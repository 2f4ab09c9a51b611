"""Every SOURCE of the command line that is read from files: a table, a text, a loss curve."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from .._errors import refuse
from .loaded import Loaded, Model, Sized, Track, check_positions, enumerated


@dataclasses.dataclass(frozen=True)
class Joint(Sized):
    """Table of probabilities from an .npz file: array `probs` of shape (q,)*n."""

    name: ClassVar[str] = "joint"

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.npz")]
    """File written by numpy.savez(FILE, probs=table)."""

    def load(self, track: Track) -> Loaded:
        """Enumerated."""
        return enumerated(self.model(track))

    def model(self, track: Track) -> Model:
        """The table."""
        from ..files.joint_table import read_joint

        return Model(read_joint(self.file), f"table {self.file.name}", {})


@dataclasses.dataclass(frozen=True)
class Text(Sized):
    """Character classes in windows of a text; without PATH, Python's standard library source."""

    name: ClassVar[str] = "text"
    curve_sizes: ClassVar[dict[str, int]] = {"window": 12}
    law_sizes: ClassVar[dict[str, int]] = {"window": 5}

    path: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PATH")] = None
    """A text file, or a folder whose *.py files are read."""
    window: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Characters in a window: the n of the distribution; 12, for a law 5."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=SET ...")] = ()
    """Alphabet: sets as inside a regex's brackets, as vowel=aeiou digit=0-9; the rest is 'other'.
    Letters, digits and spaces if not given."""

    def load(self, track: Track) -> Loaded:
        """Enumerated, from every overlapping window of every file."""
        return enumerated(self.model(track))

    def model(self, track: Track) -> Model:
        """The joint of every overlapping window of every file."""
        from ..distributions.text import CharacterClasses, text_joint
        from ..files.corpus import corpus_files, read_corpus, standard_library_files
        from ..information.entropy import check_entropy_size

        classes = CharacterClasses(self._pairs()) if self.classes else CharacterClasses()
        if self.window < 1:
            refuse("window", self.window, "an integer >= 1")
        check_entropy_size(self.window, classes.q)
        files = corpus_files(self.path) if self.path else standard_library_files()
        corpus = read_corpus(track(files, "reading"))
        symbols = [classes.classify(text) for text in track(corpus.texts, "classifying")]
        joint = text_joint(symbols, self.window, classes.q)
        name = str(self.path) if self.path else f"standard library of Python {python_version()}"
        facts = {
            "files": len(corpus.texts),
            "skipped_files": corpus.skipped,
            "characters": corpus.characters,
            "classes": list(classes.names),
        }
        return Model(joint, f"windows of {self.window} characters of the {name}", facts)

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        """The classes as pairs of a name and a set."""
        for text in self.classes:
            if "=" not in text:
                refuse("classes", text, "NAME=SET, as digit=0-9")
        return tuple((name, characters) for name, _, characters in (c.partition("=") for c in self.classes))


@dataclasses.dataclass(frozen=True)
class LossCurveFile:
    """Masked-loss table of a trained model: n_masked or mask_ratio, loss, [count, stderr]."""

    name: ClassVar[str] = "loss-curve"

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """A .csv, .jsonl or .npz file; loss in nats a masked token."""
    length: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions; without it, the largest n_masked. Needed with mask_ratio."""
    isotonic: bool = False
    """Replace the curve by its nearest nonincreasing fit."""
    bootstrap: int = 0
    """Replicates for 95% intervals of the gain over uniform and of each boundary."""
    seed: int = 0
    """Seed of the bootstrap."""

    def load(self, track: Track) -> Loaded:
        """Measured."""
        import jax.numpy as jnp

        from ..files.loss_table import read_loss_table
        from ..information.loss_curve import curve_from_table, isotonic_fit

        if self.bootstrap and self.bootstrap < 2:
            refuse("bootstrap", self.bootstrap, "an integer >= 2", "200 give steady intervals")
        if not 0 <= self.seed < 2**63:
            refuse("seed", self.seed, "an integer in 0..2^63-1")
        table = read_loss_table(self.file, self.length)
        check_positions(table.n)
        curve = curve_from_table(table)
        if self.isotonic:
            curve = isotonic_fit(curve)
        measured = int(curve.measured.sum())
        facts = {
            "length_given": self.length is not None,
            "rows": int(table.loss.size),
            "measured": measured,
            "interpolated": curve.n - measured,
            "repeated": table.repeated,
            "rises": int((jnp.diff(curve.loss[curve.measured]) > 0).sum()),
            "isotonic": self.isotonic,
        }
        return Loaded(curve, f"loss table {self.file.name}", "measured on a model", None, facts, table)


def python_version() -> str:
    """The version of the running interpreter."""
    return ".".join(map(str, sys.version_info[:3]))
