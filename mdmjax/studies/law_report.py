"""What is found of the law of a decoder, and of many beside each other: the reports of `mdmjax law`."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from ..decoders.base import AbstractDecoder
from ..distributions.base import AbstractDistribution
from ..distributions.block_hmm import BlockHMM
from ..distributions.joint import tabulate
from ..laws.law import AbstractLaw, Law
from ..laws.rejection import RejectionLaw
from ..losses.exact import KlSplit
from ..policies.hull import CallsHull
from ..policies.regret import Regret
from .law_table import parts_of_all, parts_of_one
from .report import AbstractReport
from .subject import Subject
from .table import Part


class Named(NamedTuple):
    """A decoder with the name and the parameters that a report calls it by.

    >>> from mdmjax import ConfidenceThreshold, Reveal
    >>> Named(Reveal(ConfidenceThreshold(0.9)), "threshold", {"threshold": 0.9}).to_json()
    {'name': 'threshold', 'threshold': 0.9}
    """

    decoder: AbstractDecoder
    name: str
    parameters: Mapping[str, Any] = {}

    def to_json(self) -> dict[str, Any]:
        """One object of the name and the parameters."""
        return {"name": self.name, **self.parameters}


class Refused(NamedTuple):
    """A decoder that cannot be had, and why."""

    name: str
    parameters: Mapping[str, Any]
    why: str

    def to_json(self) -> dict[str, Any]:
        """One object of the decoder and the reason."""
        return {"decoder": {"name": self.name, **self.parameters}, "skipped": self.why}


@dataclasses.dataclass(frozen=True, eq=False)
class LawReport(AbstractReport):
    """How far the law of one decoder is from the truth, and what it costs; divergences in nats.

    `divergences` are by name as in JSON: `forward_kl` is KL(p || law), `reverse_kl` KL(law || p). `split`
    is of random orders: `expected_kl` of JSON is its sum, the mean over ordered partitions, which is no
    smaller than `forward_kl`, that of the mixture which the sampler draws from. `stderr` is of estimates.
    """

    schema: ClassVar[str] = "mdmjax.report.law"

    subject: Subject
    truth: AbstractDistribution
    decoder: Named
    law: AbstractLaw
    divergences: Mapping[str, Any]
    epsilon: float
    split: KlSplit | None = None
    regret: Regret | None = None
    stderr: Mapping[str, Any] | None = None
    samples: int | None = None
    head: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else the reader should know: counts, the denoiser's error."""

    def row(self) -> dict[str, Any]:
        """The numbers of the decoder alone, as one row of a comparison."""
        found = {
            "decoder": self.decoder.to_json(),
            "exact": self.samples is None,
            "way": self.law.way,
            "stderr": self.stderr,
            **self.divergences,
            "incoherence_of": "blocks" if isinstance(self.truth, BlockHMM) else "sequences",
            "expected_calls": self.law.expected_calls,
            "call": self.law.calls_of,
            "samples": self.samples,
        }
        if isinstance(self.law, Law):
            found["unfinished"] = self.law.unfinished
        if isinstance(self.law, RejectionLaw):
            found["least_proposals"] = self.law.bound
        if self.split is not None:
            found["expected_kl"] = self.split.sampling + self.split.learning
            found["sampling_error"], found["learning_error"] = self.split
        if self.regret is not None:
            found["regret"] = self.regret.value
            found["regret_calls"], found["regret_calls_over"] = self.regret.calls, self.regret.over
        return found

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has, but for the law itself (`whole`)."""
        sizes = {"n": self.truth.n, "q": self.truth.q, "epsilon": self.epsilon}
        found = self.subject.head() | sizes | dict(self.head) | self.row()
        if isinstance(self.law, Law):
            found["calls"], found["finalised"] = self.law.calls, self.law.finalised
        return found | dict(self.subject.facts)

    def whole(self) -> dict[str, Any]:
        """The two tables, flat: the truth and the law of every sequence."""
        if not isinstance(self.law, Law):
            return {}
        return {"truth": tabulate(self.truth).probs.reshape(-1), "law": self.law.probs.reshape(-1)}

    def tables(self) -> list[Part]:
        """What a reader is shown: every number with what it is, and a legend."""
        return parts_of_one(self.fields())


@dataclasses.dataclass(frozen=True, eq=False)
class ComparisonReport(AbstractReport):
    """Many decoders on one truth with one denoiser, and the hull of the best policies."""

    schema: ClassVar[str] = "mdmjax.report.comparison"

    subject: Subject
    truth: AbstractDistribution
    rows: tuple[LawReport | Refused, ...]
    hull: CallsHull
    epsilon: float
    head: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def whole(self) -> dict[str, Any]:
        """A comparison has no law of its own."""
        return {}

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        rows = [row.row() if isinstance(row, LawReport) else row.to_json() for row in self.rows]
        sizes = {"n": self.truth.n, "q": self.truth.q, "epsilon": self.epsilon}
        best = {"calls": self.hull.calls, "kl": self.hull.kl}
        found = {"decoders": rows, "best_policies": best}
        return self.subject.head() | sizes | dict(self.head) | found | dict(self.subject.facts)

    def tables(self) -> list[Part]:
        """What a reader is shown: one row a decoder, the least forward KL first."""
        return parts_of_all(self.fields())
