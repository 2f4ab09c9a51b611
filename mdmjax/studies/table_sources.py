"""Distributions that users bring as arrays in a file: a table of probabilities, a hidden Markov model."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .._errors import InvalidInputError, refuse
from ..distributions.base import AbstractDistribution
from ..distributions.hmm import HMM
from ..distributions.joint import Joint, tabulate
from ..files.arrays import read_hmm, read_joint, reading
from ..information.curve import InformationCurve
from ..information.enumeration import check_entropy_size, information_curve
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


def file_samples(source: JointSource | HMMSource) -> Examples:
    """Samples of the distribution of a file, with what identifies the file."""
    with reading("file", source.file):
        return samples_of(source, fingerprint=hashlib.sha256(source.file.read_bytes()).hexdigest()[:16])
