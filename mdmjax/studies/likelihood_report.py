"""What the likelihood of decoders on data is: the report of `mdmjax likelihood`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..information.estimate import Estimate, estimate
from ..laws.likelihood import Paths
from .law_report import Named, Refused
from .report import AbstractReport, Subject, run_lengths
from .table import Column, Part, Table

KINDS = (
    "exact NLL: mean of -log q(x), q the law of the decoder with this model: KL(data || q) plus the "
    "entropy of the data. bound: mean of -log of the mean over {orders} orders of q(x | order), above "
    "-log q(x) in the mean; it tightens with more. path: mean of -log q(x | order), the looser bound "
    "that a loss curve predicts. Only a difference of two exact NLLs is a difference of KLs. A bound "
    "below an exact NLL is the better decoder, up to the errors; one above it says nothing. "
    "perplexity: e to the NLL of a token. Nats a sequence of {n}; +-: standard error over {sequences} "
    "sequences, of differences paired."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """A decoder with its paths to every sequence."""

    decoder: Named
    paths: Paths

    @property
    def kind(self) -> str:
        """Which number `nll` is: `exact_nll`, or the bound `importance_nll`."""
        return "exact_nll" if self.paths.exact else "importance_nll"

    @property
    def nll(self) -> np.ndarray:
        """The tightest that is known, in nats, by sequence."""
        return self.paths.path_nll if self.paths.exact else self.paths.importance_nll

    def less(self, other: "Scored") -> dict[str, Any]:
        """What it is worse by than `other`, paired; of paths too where both are random."""
        found: dict[str, Any] = {"of": "KL" if self.paths.exact and other.paths.exact else "bounds"}
        found |= {"nll": _estimate(self.nll - other.nll)}
        both = not self.paths.exact and not other.paths.exact
        return found | ({"path_nll": _estimate(self.paths.path_nll - other.paths.path_nll)} if both else {})

    def row(self, n: int, first: "Scored") -> dict[str, Any]:
        """Everything that JSON has of it."""
        paths, nll = self.paths, _estimate(self.nll)
        token = Estimate(nll.mean / n, nll.stderr / n)
        perplexity = float(np.exp(token.mean))
        found = {
            "decoder": self.decoder.to_json(),
            "kind": self.kind,
            self.kind: nll,
            "nll_per_token": token,
            "perplexity": Estimate(perplexity, perplexity * token.stderr),
            "calls": _estimate(paths.calls.mean(axis=1)),
            "difference": self.less(first),
        }
        return found if paths.exact else found | {"path_nll": _estimate(paths.path_nll)}


@dataclasses.dataclass(frozen=True, eq=False)
class LikelihoodReport(AbstractReport):
    """The negative log-likelihood of data under decoders with one model, in nats a sequence.

    `first` is the one that others are compared with: the lowest NLL, exact or a bound, unless the study
    says otherwise. With `priced` the cost of a path is in milliseconds. `settings` are what a sampler needs
    to be the best within a `budget`.
    """

    schema: ClassVar[str] = "mdmjax.report.likelihood"
    subject: Subject
    n: int
    orders: int
    scored: Sequence[Scored]
    first: int
    refused: Sequence[Refused] = ()
    priced: bool = False
    frontier: bool = False
    budget: float | int | None = None
    settings: Mapping[str, Any] | None = None
    seconds: float | None = None

    @property
    def sequences(self) -> int:
        """How many sequences were scored."""
        return len(self.scored[0].nll)

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        first = self.scored[self.first]
        rows = [one.row(self.n, first) for one in self.scored]
        if self.priced:
            for row, one in zip(rows, self.scored, strict=True):
                row["milliseconds"] = _estimate(one.paths.cost.mean(axis=1))
        return {
            **self.subject.head(),
            "q": self.subject.q,
            **self.subject.facts,
            "n": self.n,
            "sequences": self.sequences,
            "orders": self.orders,
            "budget": self.budget,
            "settings": self.settings,
            "compared_with": first.decoder.to_json(),
            "decoders": rows,
            "refused": [{"name": one.name, **one.parameters, "why": one.why} for one in self.refused],
            "seconds": self.seconds,
        }

    def tables(self) -> list[Part]:
        """One row a decoder, the words, and what cannot be said."""
        found = self.fields()
        head = f"{self.subject.title}\nn = {self.n} positions; {self.sequences} sequences"
        rows = _unbeaten(found["decoders"]) if self.frontier else found["decoders"]
        parts: list[Part] = [head, self._table(rows, found["decoders"][self.first])]
        if self.frontier:
            parts.append(
                f"Of {len(found['decoders'])} decoders those that no other beats at as many calls or fewer,"
                " bounds taken as they are; --json has all, --plot draws them."
            )
        parts.append(KINDS.format(orders=self.orders, n=self.n, sequences=self.sequences))
        if any("tokens_at" in one.decoder.parameters for one in self.scored):
            parts.append(
                "tokens_at=1: it writes the argmax; its choices are scored, with tokens drawn at 1."
            )
        if self.budget is not None:
            parts.append(_verdict(found, self.budget))
        if self.refused:
            why = "; ".join(f"{one.name}: {one.why}" for one in self.refused)
            parts.append(f"not here: {why}")
        return parts

    def _table(self, rows: list[dict[str, Any]], best: dict[str, Any]) -> Table:
        nats = "{:.3f}".format
        above = lambda row: "" if row is best else _signed(row["difference"]["nll"])
        columns = [
            Column("decoder", lambda row: words_of(row["decoder"]), justify="left"),
            Column("calls", lambda row: f"{row['calls'].mean:.2f}"),
            *([Column("ms", lambda row: f"{row['milliseconds'].mean:.1f}")] if self.priced else []),
            Column("exact NLL", lambda row: _shown(row.get("exact_nll"))),
            Column("bound", lambda row: _shown(row.get("importance_nll"))),
            Column("path", lambda row: _shown(row.get("path_nll"))),
            Column("+-", lambda row: nats(row[row["kind"]].stderr)),
            Column("perplexity", lambda row: f"{row['perplexity'].mean:.3f}", optional=True),
            Column("above the lowest", above),
        ]
        return Table(columns, rows, bold=lambda row: row is best)


def _unbeaten(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By calls, each of a lower NLL than all before it."""
    found = list[dict[str, Any]]()
    for row in sorted(rows, key=lambda row: (row["calls"].mean, row[row["kind"]].mean)):
        if not found or row[row["kind"]].mean < found[-1][found[-1]["kind"]].mean:
            found.append(row)
    return found


def words_of(decoder: dict[str, Any]) -> str:
    """A decoder as the command line takes it: `threshold:threshold=0.9`."""
    values = [
        f"{key}={_plain(value)}" for key, value in decoder.items() if key != "name" and value is not None
    ]
    return decoder["name"] + (":" + ",".join(values) if values else "")


def _verdict(found: dict[str, Any], budget: float | int) -> str:
    """The winner as settings of the sampler, and whether the data tell it from the next."""
    rows = sorted(found["decoders"], key=lambda row: row[row["kind"]].mean)
    best, others = rows[0], rows[1:]
    line = f"Within {budget:g} calls: {words_of(best['decoder'])} on the half that did not tune it."
    near = [
        words_of(row["decoder"])
        for row in others
        if row["difference"]["nll"].mean < 1.96 * row["difference"]["nll"].stderr
    ]
    if near:
        line += f" These data do not tell it from {', '.join(near)}: their intervals of 95% hold 0."
    elif others:
        line += " Every other is above it by more than 1.96 standard errors"
        bounds = sum(row["kind"] != "exact_nll" for row in others)
        line += f", of which {bounds} are bounds and may be less." if bounds else "."
    if far := [words_of(row["decoder"]) for row in rows if row["calls"].mean < 0.8 * budget]:
        line += f" Further below the budget, and without a value nearer to it: {', '.join(far)}."
    if best["kind"] != "exact_nll":
        line += " Its NLL is a bound: the decoder is at least as good."
    settings = dict(found["settings"])
    if (counts := settings.pop("counts", None)) is not None:
        settings["tokens revealed at each step"] = run_lengths(counts.tolist())
    told = ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in settings.items())
    return f"{line}\nTo give to the sampler: {told}."


def _estimate(values: np.ndarray) -> Estimate:
    """The mean and its error; infinite where a sequence cannot be written."""
    if not np.all(np.isfinite(values)):
        return Estimate(float(np.mean(values)), float("nan"))
    return estimate(values)


def _shown(value: Estimate | None) -> str:
    return "" if value is None else f"{value.mean:.3f}"


def _signed(value: Estimate) -> str:
    return f"{value.mean:+.3f} +- {value.stderr:.3f}"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
