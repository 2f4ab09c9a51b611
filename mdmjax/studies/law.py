"""The exact law of a decoder beside the truth, and all decoders in one table: what `mdmjax law` shows."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx

from .._errors import InvalidInputError, refuse
from .._types import Array, Float
from ..decoders.base import AbstractDecoder
from ..denoisers.base import AbstractDenoiser
from ..denoisers.fallback import Fallback
from ..denoisers.oracle import Oracle
from ..denoisers.table import tabulate_denoiser
from ..distributions.base import AbstractDistribution
from ..distributions.block_hmm import BlockHMM
from ..distributions.joint import tabulate
from ..divergences.blocks import block_incoherence, parity_violation_rate
from ..divergences.tables import chi_square, hellinger, incoherence, kl, reverse_kl, total_variation
from ..laws._rows import with_tables
from ..laws.exact import exact_law
from ..laws.law import AbstractLaw, BlockChainLaw, Law
from ..losses.exact import KlSplit, kl_split
from ..policies.regret import CallsHull, Regret, calls_hull, regret
from .law_table import parts_of_all, parts_of_one
from .report import AbstractReport
from .subject import Subject, Track, untracked
from .table import Part

TABULATED = 2**16
"""Contexts up to which a denoiser is made a table: each decoder then compiles a look-up (our choice)."""


class Named(NamedTuple):
    """A decoder with the name and the parameters that a report calls it by."""

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
            "call": self.law.call,
        }
        if self.samples is not None:
            found["samples"] = self.samples
        if isinstance(self.law, Law):
            found["unfinished"] = self.law.unfinished
        if self.law.least_calls is not None:
            found["least_proposals"] = self.law.least_calls
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


def law_study(
    truth: AbstractDistribution,
    decoder: Named | AbstractDecoder,
    *,
    denoiser: AbstractDenoiser | None = None,
    epsilon: float = 1e-8,
    with_regret: bool = False,
    hull: CallsHull | None = None,
    subject: Subject | None = None,
    head: Mapping[str, Any] | None = None,
) -> LawReport:
    """The exact law of `decoder` with `denoiser` (the oracle if none is given), beside the truth.

    `exact_law` picks the way. `epsilon`: sequences (blocks of a Block-HMM) with at most this probability
    count as incoherent. With `with_regret` also how far the forward KL is from that of the best policy
    with as many calls; `hull`, if it is known already, must be that of the decoder's writer.

    Raises:
        InvalidInputError: as `exact_law` and `regret`; `epsilon` outside `[0, 1]`.

    >>> import mdmjax as mj
    >>> report = law_study(mj.noisy_repeated_bit(4, 0.1), mj.Reveal(mj.ConfidenceThreshold(0.8)))
    >>> round(float(report.divergences["forward_kl"]), 4), report.law.way
    (0.2128, 'frontier')
    """
    if not 0 <= epsilon <= 1:
        refuse("epsilon", epsilon, "a probability in [0, 1]")
    named = decoder if isinstance(decoder, Named) else Named(decoder, type(decoder).__name__)
    denoiser = oracle_of(truth) if denoiser is None else denoiser
    law = exact_law(denoiser, named.decoder)
    subject = subject or Subject.of(truth)
    known = {"epsilon": epsilon, "head": head or {}}
    if isinstance(law, BlockChainLaw):
        if with_regret:
            refuse("regret", "asked for", f"a law that is a table; this one is of {truth.n} positions")
        return LawReport(subject, truth, named, law, law.divergences(epsilon), **known)
    joint = tabulate(truth)
    block = truth.block_size if isinstance(truth, BlockHMM) else None
    found = LawReport(
        subject, truth, named, law, _divergences(joint.probs, law.probs, block, epsilon), **known
    )
    if law.schedule is not None:
        split = kl_split(joint, named.decoder.writer(denoiser), law.schedule)
        found = dataclasses.replace(found, split=split)
    if with_regret:
        found = dataclasses.replace(
            found, regret=regret(joint, denoiser, named.decoder, law=law, hull=hull)
        )
    return found


def comparison_study(
    truth: AbstractDistribution,
    decoders: Sequence[Named | Refused],
    *,
    denoiser: AbstractDenoiser | None = None,
    epsilon: float = 1e-8,
    subject: Subject | None = None,
    head: Mapping[str, Any] | None = None,
    track: Track = untracked,
) -> ComparisonReport:
    """`law_study` of many decoders, each with its regret; one that cannot be had says why.

    The hull in the report is that of the first decoder's writer.

    >>> import mdmjax as mj
    >>> rules = [mj.RandomSubset(mj.Schedule([2, 1])), mj.ConfidenceThreshold(0.8)]
    >>> decoders = [Named(mj.Reveal(rule), type(rule).__name__) for rule in rules]
    >>> report = comparison_study(mj.noisy_repeated_bit(3, 0.1), decoders)
    >>> [row.decoder.name for row in report.rows]
    ['RandomSubset', 'ConfidenceThreshold']
    """
    denoiser = oracle_of(truth) if denoiser is None else denoiser
    subject, joint = subject or Subject.of(truth), tabulate(truth)
    known = {"denoiser": denoiser, "epsilon": epsilon, "subject": subject, "with_regret": True}
    hulls = [(denoiser, calls_hull(joint, denoiser))]

    def hull_of(writer: AbstractDenoiser) -> CallsHull:
        for other, hull in hulls:
            if writer is other or eqx.tree_equal(writer, other) is True:
                return hull
        hulls.append((writer, calls_hull(joint, writer)))
        return hulls[-1][1]

    rows: list[LawReport | Refused] = []
    for one in track(decoders, "decoding"):
        if isinstance(one, Refused):
            rows.append(one)
            continue
        try:
            hull = hull_of(one.decoder.writer(denoiser))
            rows.append(law_study(truth, one, hull=hull, **known))
        except InvalidInputError as error:
            rows.append(Refused(one.name, one.parameters, str(error)))
    writers = [one.decoder.writer(denoiser) for one in decoders if isinstance(one, Named)]
    best = hull_of(writers[0] if writers else denoiser)
    return ComparisonReport(subject, truth, tuple(rows), best, epsilon, head or {})


def oracle_of(truth: AbstractDistribution) -> AbstractDenoiser:
    """The denoiser that knows the truth, uniform in contexts that the data never have (`Fallback`)."""
    return Fallback(Oracle(truth))


def tabulated(denoiser: AbstractDenoiser) -> AbstractDenoiser:
    """The denoiser as a table where that is small: each decoder then compiles a look-up only."""
    if (denoiser.q + 1) ** denoiser.n > TABULATED:
        return denoiser
    return tabulate_denoiser(with_tables(denoiser))


@eqx.filter_jit
def _divergences(
    truth: Float[Array, "..."], law: Float[Array, "..."], block: int | None, epsilon: float
) -> dict[str, Any]:
    """Everything that compares two tables, compiled once for all decoders; `block` is a Block-HMM's."""
    return {
        "forward_kl": kl(truth, law),
        "reverse_kl": reverse_kl(truth, law),
        "total_variation": total_variation(truth, law),
        "chi_square": chi_square(truth, law),
        "hellinger": hellinger(truth, law),
        "incoherence": block_incoherence(truth, law, block, epsilon)
        if block
        else incoherence(truth, law, epsilon),
        "violation_rate": parity_violation_rate(law, block) if block else None,
    }
