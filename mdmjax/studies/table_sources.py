"""Distributions that users bring as arrays in a file: a table of probabilities, a hidden Markov model."""

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .._errors import InvalidInputError, refuse
from .._types import Array
from ..distributions.base import AbstractDistribution, check_sequence
from ..distributions.hmm import HMM
from ..distributions.joint import Joint, tabulate
from ..distributions.mixtures import MixtureOfProducts
from ..distributions.multiset import Multiset, check_repeats
from ..files.arrays import read_hmm, read_joint, read_mixture, reading
from ..information.counts import mixture_counts, multiset_counts
from ..information.curve import InformationCurve
from ..information.enumeration import check_entropy_size, information_curve
from ..information.exchangeable import identical_mixture_curve, multiset_curve
from ..information.markov import markov_curve, stationary_distribution
from .examples import Examples, distribution_examples
from .report import Subject, Track, to_plain, untracked


@dataclasses.dataclass(frozen=True)
class AbstractSource:
    """A name, and the few values that are its fields."""

    name: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The name and the values."""
        return {"name": self.name} | to_plain(self)


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
        return file_samples(self)


@dataclasses.dataclass(frozen=True)
class HMMSource(AbstractSource):
    """A hidden Markov model from an `.npz` or `.json` file: `initial`, `transition`, `emission`, `n`.

    `n` is the number of positions, where it is not that of the file.
    """

    name: ClassVar[str] = "hmm"
    file: Path
    n: int | None = None

    def distribution(self, track: Track = untracked) -> tuple[HMM, Subject]:
        """The model."""
        model = read_hmm(self.file, self.n)
        states = model.initial.size
        title = f"hidden Markov model {self.file.name}, {states} state{'s' * (states > 1)}"
        return model, Subject(title, self.to_json(), q=model.q)

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """Exactly: of a stationary Markov chain whose symbols are its states, or by enumeration."""
        model, subject = self.distribution()
        if (transition := markov_transition(model)) is not None:
            method = "closed form of a stationary Markov chain: every state shows a symbol of its own"
            return markov_curve(transition, model.n), dataclasses.replace(subject, method=method)
        return enumerated(model, subject, {"n": model.n, "q": model.q})

    def examples(self, track: Track = untracked) -> Examples:
        """Samples."""
        return file_samples(self)


@dataclasses.dataclass(frozen=True)
class MixtureSource(AbstractSource):
    """Independent draws of one hidden part, from an `.npz` or `.json` file: `weights`, `probs`, `n`.

    `n` is the number of positions, where it is not that of the file.
    """

    name: ClassVar[str] = "mixture"
    file: Path
    n: int | None = None

    def distribution(self, track: Track = untracked) -> tuple[MixtureOfProducts, Subject]:
        """The mixture."""
        weights, probs, n = self._file
        check_sequence(n, probs.size, n=n)  # of every part
        rows = np.broadcast_to(probs[:, None], (probs.shape[0], n, probs.shape[1]))
        return MixtureOfProducts(weights, rows), self._subject()

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """Exactly, by the counts of the symbols that are revealed."""
        return identical_mixture_curve(*self._file), self._subject("counts of the symbols revealed")

    def counts(self) -> tuple[Array, int]:
        """The log-probability of each type, and `q`."""
        weights, probs, n = self._file
        return mixture_counts(weights, probs, n), probs.shape[1]

    def examples(self, track: Track = untracked) -> Examples:
        """Samples."""
        return file_samples(self)

    @functools.cached_property
    def _file(self) -> tuple[np.ndarray, np.ndarray, int]:
        return read_mixture(self.file, self.n)

    def _subject(self, method: str = "") -> Subject:
        parts, q = self._file[1].shape
        title = f"mixture {self.file.name} of {parts} part{'s' * (parts > 1)}"
        return Subject(title, self.to_json(), method, q)


@dataclasses.dataclass(frozen=True)
class MultisetSource(AbstractSource):
    """A uniform order of a multiset, that has symbol `a` `repeats[a]` times."""

    name: ClassVar[str] = "multiset"
    repeats: tuple[int, ...]

    def __post_init__(self):
        check_repeats(self.repeats)

    def distribution(self, track: Track = untracked) -> tuple[Multiset, Subject]:
        """The orders."""
        return Multiset(self.repeats), self._subject()

    def curve(self, track: Track = untracked) -> tuple[InformationCurve, Subject]:
        """Exactly, by hypergeometric numbers."""
        return multiset_curve(self.repeats), self._subject("closed form")

    def counts(self) -> tuple[Array, int]:
        """The log-probability of each type, and `q`."""
        return multiset_counts(self.repeats), len(self.repeats)

    def examples(self, track: Track = untracked) -> Examples:
        """Samples."""
        return samples_of(self)

    def _subject(self, method: str = "") -> Subject:
        shown = " ".join(map(str, self.repeats[:8])) + " ..." * (len(self.repeats) > 8)
        return Subject(f"orders of a multiset, {shown}", self.to_json(), method, len(self.repeats))


def markov_transition(model: HMM) -> np.ndarray | None:
    """The transition of the stationary Markov chain that a model is; None of any other."""
    emission, transition = np.asarray(model.emission), np.asarray(model.transition)
    if emission.ndim == 3 or transition.ndim == 3 or emission.shape[0] != emission.shape[1]:
        return None
    if not (np.isin(emission, (0, 1)).all() and (emission.sum(axis=0) == 1).all()):
        return None
    try:
        stationary = np.asarray(stationary_distribution(transition))
    except InvalidInputError:  # of more than one closed class
        return None
    near = np.allclose(stationary, np.asarray(model.initial), rtol=1e-12, atol=1e-15)
    return transition if near else None


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


def samples_of(source: Any, **facts: str) -> Examples:
    """Samples of a distribution, with its entropies where its curve can be had."""
    distribution, subject = source.distribution()
    try:
        curve, _ = source.curve()
    except InvalidInputError:
        curve = None
    return distribution_examples(distribution, subject.title, facts, curve)


def file_samples(source: JointSource | HMMSource | MixtureSource) -> Examples:
    """Samples of the distribution of a file, with what identifies the file."""
    with reading("file", source.file):
        return samples_of(source, fingerprint=hashlib.sha256(source.file.read_bytes()).hexdigest()[:16])
