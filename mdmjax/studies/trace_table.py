"""The tables of `TraceReport`: the numbers of a file with their intervals, and what they leave out."""

from collections.abc import Mapping
from typing import Any

from ..traces.intervals import Interval
from .report import four_decimals
from .table import Column, Part, Table

LABELS = {
    "n": "tokens that count (n)",
    "steps": "steps that finalise any of them",
    "afp": "tokens a step that finalises any (AFP)",
    "kendall_tau_b": "Kendall's tau-b of position and step (1: left to right)",
    "tie_fraction": "pairs of positions finalised in one step",
    "kendall_tau_sorted": "tau-b of the sorted steps and the steps (ParallelBench)",
    "spearman": "Spearman's rho of position and step",
    "edits": "edits a position",
    "calls": "calls of the model (NFE)",
}
WORDS = ("first", "middle", "last")
PARTED = {
    "stages": "tokens a step, by third of the steps",
    "spans": "tokens a step, by third of the positions",
    "times": "when it was written (0 to 1), by third of the positions",
}


def table_of(title: str, means: Mapping[str, Interval]) -> Table:
    """The means that there are, with their intervals."""
    rows = [_row(label, means[name]) for name, label in LABELS.items() if name in means]
    for name, label in PARTED.items():
        if f"{name}_0" in means:
            rows += [_row(f"{label}: {word}", means[f"{name}_{i}"]) for i, word in enumerate(WORDS)]
    for name in means:
        if name.endswith("_tau"):
            what = name.removesuffix("_tau")
            rows.append(_row(f"tau-b of {what} and step (1: least first)", means[name]))
            rows.append(_row(f"Spearman's rho of {what} and step", means[f"{what}_rho"]))
    columns = [Column("", "label", justify="left")]
    columns += [Column(name, name, four_decimals) for name in ("mean", "low", "high")]
    return Table(columns, rows, title)


def _row(label: str, value: Interval) -> dict[str, Any]:
    return {"label": label} | value._asdict()


def notes_of(samples: int, without_order: int, never_finalised: int) -> list[Part]:
    """What has no part in the means, in words."""
    notes = list[Part]()
    if without_order:
        notes.append(
            f"{without_order} of {samples} samples were finalised in one step, which has no "
            "order: they have no part in the means of tau and rho."
        )
    if never_finalised:
        notes.append(f"{never_finalised} positions were never finalised: they do not count.")
    return notes
