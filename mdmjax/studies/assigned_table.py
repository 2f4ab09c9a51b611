"""What a reader is shown of models under one budget: the models, the plans, and what is what."""

from itertools import groupby
from typing import Any

from ..information.loss_means import KINDS
from .report import four_decimals, run_lengths
from .schedule_table import measured_line
from .table import Column, Part, Table

NLL = (
    "NLL: mean negative log-likelihood in nats of a sequence under the random-order sampler whose steps "
    "are by these models, from their loss curves; only differences compare plans. 0: 4 5; 1: 9x2 are a "
    "step of 4 and one of 5 tokens by model 0, then two of 9 by model 1. Each plan is the best of its kind "
    "for the budget. Alone: one model. Sandwich: another model before and after model 0 (either may be "
    "nothing). Prefix: two models, one after the other."
)
UNKNOWN = (
    "The best is chosen on the curves that judge it, so that differences of NLL (+: excess over the best) "
    "flatter it, and nothing here tells by how much: that takes errors of every table, from a column "
    "stderr, repeated rows, or the same sequences in all."
)
GAIN = (
    "Gain: what the best saves in nats a sequence against that plan, both chosen on one half of the data "
    "and judged on the other ({repetitions} random halves), with the {level:.0%} interval; errors are "
    "known from {errors}. Differences of NLL in this table flatter the best, and are no gains."
)


def parts_of(found: dict[str, Any]) -> list[Part]:
    """The models, one table of plans, and the legend, from what JSON has."""
    curves, judged = found["curves"], found["judged"]
    head = [f"n = {found['n']} positions, a budget of {found['budget']:g}"]
    for number, curve in enumerate(curves):
        line = f"{number}: {curve['title']}, cost {curve['cost']:g}"
        head.append(line + (f"; {measured_line(curve | {'n': found['n']})}" if "rows" in curve else ""))
    order = " ".join(map(str, found["order"]))
    chosen = f"The best: {found['steps']} steps, models in the order {order}, cost {found['cost']:g}."
    if judged:
        errors = " and ".join(KINDS[kind] for kind in judged["errors"])
        legend = GAIN.format(**{**judged, "errors": errors})
    else:
        legend = UNKNOWN
    return ["\n".join(head), chosen, _plans(found), NLL, legend]


def _plans(found: dict[str, Any]) -> Table:
    """The best plan, and the best of every kind, best first."""
    judged, steps = found["judged"], _steps(found)
    rows = [("best", _score(found), f"{found['cost']:g}", "", "", steps)]
    for name, entry in sorted(found["compared"].items(), key=lambda item: item[1]["nll"]):
        beside = f"{entry['gain']:.4f}" if judged else f"{entry['nll'] - found['nll']:+.4f}"
        interval = "{:.4f} to {:.4f}".format(*entry["gain_interval"]) if judged else ""
        title = f"{name.removeprefix('alone_')} alone" if name.startswith("alone_") else name
        rows.append((title, _score(entry), f"{entry['cost']:g}", beside, interval, _steps(entry)))
    columns = [
        Column("plan", 0, justify="left"),
        Column("NLL", 1),
        Column("cost", 2),
        Column("gain" if judged else "excess", 3),
        *([Column(f"{judged['level']:.0%} interval", 4)] if judged else []),
        Column("model: tokens revealed at each step", 5, justify="left", shorten=True),
    ]
    return Table(columns, rows, bold=lambda row: row[0] == "best", in_full=f"The best in full: {steps}.")


def _steps(entry: dict[str, Any]) -> str:
    """The steps of each model in turn, as `1: 2x3; 0: 5 6`."""
    pairs = zip(entry["models"], entry["counts"], strict=True)
    parts = groupby(pairs, key=lambda pair: int(pair[0]))
    return "; ".join(f"{model}: {run_lengths(int(size) for _, size in part)}" for model, part in parts)


def _score(entry: dict[str, Any]) -> str:
    """What a plan costs: an interval where losses that it needs are not known."""
    low, high = entry["nll_interval"]
    return four_decimals(entry["nll"]) if low == high else f"{four_decimals(low)} to {four_decimals(high)}"
