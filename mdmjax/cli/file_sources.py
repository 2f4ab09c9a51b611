"""Every SOURCE of the command line that is read from files: a table, a text, a loss curve."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from .._errors import refuse
from .loaded import Loaded, Model, Sized, Track, check_positions, enumerated

if TYPE_CHECKING:
    from ..information.loss_curve import LossTable


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
    """A text file, or a folder whose .py, .txt and .md files are read."""
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
        from ..information.enumeration import check_entropy_size

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
        from ..files.loss_table import read_loss_table

        check_bootstrap(self.bootstrap, self.seed)
        table = read_loss_table(self.file, self.length)
        title = f"loss table {self.file.name}"
        facts = {"length_given": self.length is not None}
        return measured(table, title, "measured on a model", facts, isotonic=self.isotonic)


def check_bootstrap(replicates: int, seed: int) -> None:
    """Refuse numbers that no bootstrap can have; 0 replicates are none."""
    if replicates and replicates < 2:
        refuse("bootstrap", replicates, "an integer >= 2", "200 give steady intervals")
    if not 0 <= seed < 2**63:
        refuse("seed", seed, "an integer in 0..2^63-1")


def measured(
    table: "LossTable",
    title: str,
    method: str,
    facts: dict[str, Any],
    *,
    isotonic: bool,
    q: int | None = None,
) -> Loaded:
    """The loss curve of a table, with what its reader should know of it."""
    import jax.numpy as jnp

    from ..information.loss_curve import curve_from_table, isotonic_fit

    check_positions(table.n)
    curve = curve_from_table(table)
    if isotonic:
        curve = isotonic_fit(curve)
    points = int(curve.measured.sum())
    facts = facts | {
        "rows": int(table.loss.size),
        "measured": points,
        "interpolated": curve.n - points,
        "repeated": table.repeated,
        "rises": int((jnp.diff(curve.loss[curve.measured]) > 0).sum()),
        "isotonic": isotonic,
    }
    return Loaded(curve, title, method, q, facts, table)


def python_version() -> str:
    """The version of the running interpreter."""
    return ".".join(map(str, sys.version_info[:3]))
