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
from .report import AbstractReport, Subject, run_lengths, six_decimals
from .table import Column, Part, Table


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


@dataclasses.dataclass(frozen=True, eq=False)
class LawReport(AbstractReport):
    """How far the law of one decoder is from the truth, and what it costs; divergences in nats.

    `divergences` are by name as in JSON: `forward_kl` is KL(p || law), `reverse_kl` KL(law || p). `split`
    is of random orders; its sum, the mean over ordered partitions, is no smaller than `forward_kl`, that
    of the mixture which the sampler draws from. `stderr` is of estimates.
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
    head: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # counts, the denoiser's error

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
        found = self.row()
        if isinstance(self.law, Law):
            found["calls"], found["finalised"] = self.law.calls, self.law.finalised
        return _document(self, found)

    def whole(self) -> dict[str, Any]:
        """The two tables, flat: the truth and the law of every sequence."""
        both = {"truth": tabulate(self.truth), "law": self.law} if isinstance(self.law, Law) else {}
        return {name: table.probs.reshape(-1) for name, table in both.items()}

    def tables(self) -> list[Part]:
        """What a reader is shown: every number with what it is, and a legend."""
        found, stderr = self.fields(), self.stderr or {}
        labels = {key: label for key, label in _labels(found).items() if found.get(key) is not None}
        rows = [(label, found[key], stderr.get(key, "")) for key, label in labels.items()]
        columns = [Column(_name(found["decoder"]), 0, justify="left"), Column("", 1, six_decimals)]
        columns += [Column("stderr", 2, six_decimals)] * bool(stderr)
        return [_heading(found), Table(columns, rows), *_legend([found], several=False)]


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

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        rows = [
            {"decoder": {"name": row.name, **row.parameters}, "skipped": row.why}
            if isinstance(row, Refused)
            else row.row()
            for row in self.rows
        ]
        best = {"calls": self.hull.calls, "kl": self.hull.kl}
        return _document(self, {"decoders": rows, "best_policies": best})

    def tables(self) -> list[Part]:
        """What a reader is shown: one row a decoder, the least forward KL first."""
        found = self.fields()
        known = [row for row in found["decoders"] if "skipped" not in row]
        rows = sorted(known, key=lambda row: (float(row["forward_kl"]), float(row["expected_calls"])))
        numbers = {"forward_kl": "forward KL", "reverse_kl": "reverse KL", "total_variation": "TV"}
        numbers |= {"incoherence": "incoherent", "violation_rate": "parity", "regret": "regret"}
        if all(row["violation_rate"] is None for row in rows):
            del numbers["violation_rate"]
        columns = [Column("decoder", lambda row: _name(row["decoder"]), justify="left")]
        columns.append(Column("calls", "expected_calls", "{:.3f}".format))
        columns += [Column(heading, key, six_decimals) for key, heading in numbers.items()]
        refused = [row for row in found["decoders"] if "skipped" in row]
        skipped = [f"{_name(row['decoder'])}: {row['skipped']}" for row in refused]
        return [_heading(found), Table(columns, rows), *skipped, *_legend(rows, several=True)]


def _document(report: LawReport | ComparisonReport, found: dict[str, Any]) -> dict[str, Any]:
    """What is found between what it is of and the facts of its source."""
    sizes = {"n": report.truth.n, "q": report.truth.q, "epsilon": report.epsilon}
    return report.subject.head() | sizes | dict(report.head) | found | dict(report.subject.facts)


def _heading(found: dict[str, Any]) -> str:
    lines = [found["title"], f"n = {found['n']} positions, q = {found['q']} symbols"]
    if "denoiser" in found:
        told = found["denoiser"]
        if not isinstance(told, str):
            told = ", ".join(f"{key} {_value(value)}" for key, value in told.items())
        lines[-1] += f"; denoiser: {told}"
    if "counts" in found:
        lines[-1] += f"; counts {run_lengths(found['counts'])} where a decoder takes any"
    if "local_circulation" in found:
        worst = max(float(x) for x in found["local_circulation"])
        what = "local circulation: log-ratio of the two orders of a pair of tokens, mean size at most"
        lines.append(f"{what} {six_decimals(worst)} nats")
    return "\n".join(lines)


def _labels(row: dict[str, Any]) -> dict[str, str]:
    """What each key of a row is, in words, in the order of the table."""
    return {
        "forward_kl": "forward KL(p || law), nats",
        "expected_kl": "mean over random partitions of KL(p || law given the partition), nats",
        "sampling_error": "  of it by the schedule",
        "learning_error": "  of it by the denoiser",
        "reverse_kl": "reverse KL(law || p), nats",
        "total_variation": "total variation",
        "chi_square": "chi-square(p || law)",
        "hellinger": "Hellinger distance",
        "incoherence": f"incoherence: mass of {row['incoherence_of']} with p <= {row['epsilon']:g}",
        "violation_rate": "blocks that violate their parity",
        "accepted_mass": "mass of p that the constraint accepts",
        "accepted_forward_kl": "  forward KL(p given that || law), nats",
        "accepted_reverse_kl": "  reverse KL(law || p given that), nats",
        "accepted_total_variation": "  total variation from p given that",
        "expected_calls": f"expected calls, NFE ({row['call']})",
        "least_proposals": "  no fewer than (Prop. 5.1)",
        "unfinished": "mass that had not finished",
        "regret": "regret: forward KL less that of the best policy with as many calls, nats",
    }


def _legend(rows: list[dict[str, Any]], *, several: bool) -> list[str]:
    """What to take from the numbers."""
    lines = []
    if not several and "expected_kl" in rows[0]:
        lines.append(
            "A random order has two numbers: the law is the mixture over partitions; its forward KL is at "
            "most the mean over partitions, which is what `mdmjax schedule` minimises."
        )
    if any("regret" in row for row in rows):
        lines.append(
            "regret: against the lower convex hull of (expected calls over the data, KL) of all "
            "deterministic decoders that only reveal, by Bellman's recursion with the same denoiser. "
            "Below 0 is possible for a decoder that is random, masks again or verifies; undefined where "
            "every policy has an infinite KL."
        )
    if any(float(row.get("unfinished", 0)) for row in rows):
        lines.append("Mass that had not finished counts as one more outcome, which the data never have.")
    if all(row["exact"] for row in rows):
        way = "" if several else f" (way: {rows[0]['way']})"
        return [*lines, f"Exact: the law is propagated, not sampled{way}."]
    return [*lines, f"Estimated from {rows[0]['samples']} sequences."]


def _name(decoder: dict[str, Any]) -> str:
    """The decoder with its parameters, as `threshold  threshold 0.9`."""
    options = [(key, value) for key, value in decoder.items() if key != "name"]
    told = [f"{key} {_value(value)}" for key, value in options if value is not None and value is not False]
    return f"{decoder['name']}  {' '.join(told)}".strip()


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(f"{item:g}" for item in value)
    return "" if value is True else f"{value:g}" if isinstance(value, float) else str(value)
