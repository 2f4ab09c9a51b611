"""Every SOURCE of the command line: its options, and the curve it stands for.

A source is a frozen dataclass; its `load` imports what it needs, so that `--help` imports nothing.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeVar

import tyro

from .._errors import readable_bytes, refuse

if TYPE_CHECKING:
    from ..distributions.base import AbstractDistribution
    from ..information.curve import InformationCurve
    from ..information.loss_curve import LossCurve, LossTable

T = TypeVar("T")

Track = Callable[[Iterable[T], str], Iterable[T]]
"""Passes an iterable through and shows the progress under a title."""

MAX_POSITIONS = 2**24
"""The longest sequence of a closed form or a loss curve (our choice: 1 GiB)."""


class Loaded(NamedTuple):
    """What a source gives: its curve, how it was found, and facts for the reader."""

    curve: "InformationCurve | LossCurve"
    title: str
    method: str
    q: int | None
    facts: dict[str, Any]
    table: "LossTable | None" = None


def _enumerated(distribution: "AbstractDistribution", title: str, **facts: Any) -> Loaded:
    """The curve of a distribution that has no closed form: every state, every subset."""
    from ..distributions.joint import tabulate
    from ..information.entropy import check_entropy_size, information_curve

    n, q = distribution.n, distribution.q
    check_entropy_size(n, q)
    curve = information_curve(tabulate(distribution))
    return Loaded(curve, title, f"enumeration of {q}^{n} states and 2^{n} subsets", q, facts)


def _closed(curve: "InformationCurve", title: str, q: int) -> Loaded:
    return Loaded(curve, title, "closed form", q, {})


def _check_positions(n: int) -> None:
    """Refuse a sequence whose curve and schedules would fill the memory, before they are made."""
    need = 64 * n  # the curve, and a handful of arrays of its size for every schedule
    if n > MAX_POSITIONS:
        refuse("n", n, f"at most {MAX_POSITIONS}", f"its curve needs {readable_bytes(need)}")


@dataclasses.dataclass(frozen=True)
class BlockHMM:
    """Blocks of bits with a parity bit, driven by a hidden Markov chain (arXiv 2602.00286)."""

    name: ClassVar[str] = "block-hmm"

    blocks: int = 2
    """Number of blocks."""
    block_size: int = 8
    """Bits in a block, the parity bit included."""
    eta: float = 1e-8
    """Probability that a parity bit is wrong."""

    def load(self, track: Track) -> Loaded:
        """Enumerated."""
        from ..distributions.block_hmm import BlockHMM as Distribution

        model = Distribution(self.blocks, self.block_size, eta=self.eta)
        return _enumerated(model, f"Block-HMM, {self.blocks} blocks of {self.block_size} bits")


@dataclasses.dataclass(frozen=True)
class Markov:
    """Stationary Markov chain that keeps its symbol or moves to a uniformly random other one."""

    name: ClassVar[str] = "markov"

    n: int = 16
    """Number of positions."""
    q: int = 2
    """Size of the alphabet."""
    flip: float = 0.1
    """Probability of moving to another symbol."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..distributions.markov import symmetric_chain
        from ..information.markov import MAX_CHAIN_WORK, markov_curve

        _check_positions(self.n)
        if self.n > 1 and self.q**3 > MAX_CHAIN_WORK:
            refuse("q", self.q, f"at most {int(MAX_CHAIN_WORK ** (1 / 3))}", "the work grows as q^3")
        if 0 <= self.flip < sys.float_info.min:
            refuse("flip", self.flip, "a probability > 0", "a chain that never moves is `repetition`")
        transition = symmetric_chain(self.n, self.q, self.flip).transition
        title = f"Markov chain, flip {self.flip:g}"
        return _closed(markov_curve(transition, self.n), title, self.q)


@dataclasses.dataclass(frozen=True)
class Repetition:
    """One uniform symbol, repeated at every position."""

    name: ClassVar[str] = "repetition"

    n: int = 16
    """Number of positions."""
    q: int = 2
    """Size of the alphabet."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import repetition_curve

        _check_positions(self.n)
        return _closed(repetition_curve(self.n, self.q), "repetition code", self.q)


@dataclasses.dataclass(frozen=True)
class Parity:
    """Uniform symbols that sum to zero."""

    name: ClassVar[str] = "parity"

    n: int = 16
    """Number of positions."""
    q: int = 2
    """Size of the alphabet."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import parity_curve

        _check_positions(self.n)
        return _closed(parity_curve(self.n, self.q), "parity code", self.q)


@dataclasses.dataclass(frozen=True)
class ReedSolomon:
    """Uniform codeword of a Reed-Solomon code: any DIM symbols are free and fix the rest."""

    name: ClassVar[str] = "reed-solomon"

    n: int = 16
    """Number of positions, at most q."""
    q: int = 17
    """Size of the field: a prime power."""
    dim: int = 8
    """Dimension of the code."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import mds_curve

        _check_positions(self.n)
        if not _is_prime_power(self.q):
            refuse("q", self.q, "a prime power", "the code lives on a field of q elements")
        if self.n > self.q:
            refuse("n", self.n, f"at most q = {self.q}", "every position is a field element")
        title = f"Reed-Solomon code of dimension {self.dim}"
        return _closed(mds_curve(self.n, self.dim, self.q), title, self.q)


@dataclasses.dataclass(frozen=True)
class Permutation:
    """Uniform permutation of n symbols."""

    name: ClassVar[str] = "permutation"

    n: int = 16
    """Number of positions, and of symbols."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import permutation_curve

        _check_positions(self.n)
        return _closed(permutation_curve(self.n), "uniform permutation", self.n)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Independent pairs of equal symbols."""

    name: ClassVar[str] = "pairs"

    n: int = 16
    """Number of positions, even."""
    q: int = 2
    """Size of the alphabet."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import pairs_curve

        _check_positions(self.n)
        return _closed(pairs_curve(self.n, self.q), f"{self.n // 2} equal pairs", self.q)


@dataclasses.dataclass(frozen=True)
class NoisyBit:
    """One uniform bit, repeated at every position and flipped there independently."""

    name: ClassVar[str] = "noisy-bit"

    n: int = 16
    """Number of positions."""
    flip: float = 0.1
    """Probability that a position shows the other bit."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.exchangeable import noisy_bit_curve

        _check_positions(self.n)
        title = f"noisy repeated bit, flip {self.flip:g}"
        return _closed(noisy_bit_curve(self.n, self.flip), title, 2)


@dataclasses.dataclass(frozen=True)
class Joint:
    """Table of probabilities from an .npz file: array `probs` of shape (q,)*n."""

    name: ClassVar[str] = "joint"

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.npz")]
    """File written by numpy.savez(FILE, probs=table)."""

    def load(self, track: Track) -> Loaded:
        """Enumerated."""
        from ..files.joint_table import read_joint

        return _enumerated(read_joint(self.file), f"table {self.file.name}")


@dataclasses.dataclass(frozen=True)
class Text:
    """Character classes in windows of a text; without PATH, Python's standard library source."""

    name: ClassVar[str] = "text"

    path: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PATH")] = None
    """A text file, or a folder whose *.py files are read."""
    window: int = 12
    """Characters in a window: the n of the distribution."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=SET ...")] = ()
    """Alphabet: sets as inside a regex's brackets, as vowel=aeiou digit=0-9; the rest is 'other'.
    Letters, digits and spaces if not given."""

    def load(self, track: Track) -> Loaded:
        """Enumerated, from every overlapping window of every file."""
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
        name = str(self.path) if self.path else f"standard library of Python {_python_version()}"
        return _enumerated(
            joint,
            f"windows of {self.window} characters of the {name}",
            files=len(corpus.texts),
            skipped_files=corpus.skipped,
            characters=corpus.characters,
            classes=list(classes.names),
        )

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
        _check_positions(table.n)
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


Source = (
    Annotated[BlockHMM, tyro.conf.subcommand(BlockHMM.name)]
    | Annotated[Markov, tyro.conf.subcommand(Markov.name)]
    | Annotated[Repetition, tyro.conf.subcommand(Repetition.name)]
    | Annotated[Parity, tyro.conf.subcommand(Parity.name)]
    | Annotated[ReedSolomon, tyro.conf.subcommand(ReedSolomon.name)]
    | Annotated[Permutation, tyro.conf.subcommand(Permutation.name)]
    | Annotated[Pairs, tyro.conf.subcommand(Pairs.name)]
    | Annotated[NoisyBit, tyro.conf.subcommand(NoisyBit.name)]
    | Annotated[Joint, tyro.conf.subcommand(Joint.name)]
    | Annotated[Text, tyro.conf.subcommand(Text.name)]
    | Annotated[LossCurveFile, tyro.conf.subcommand(LossCurveFile.name)]
)
"""What a command reads its curve from."""


def _is_prime_power(q: int) -> bool:
    """Whether `q` is `p^m` of a prime `p`."""
    divisor = next((d for d in range(2, math.isqrt(max(q, 0)) + 1) if q % d == 0), q)
    while q > 1 and q % divisor == 0:
        q //= divisor
    return q == 1 and divisor > 1


def _python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
