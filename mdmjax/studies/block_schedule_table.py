"""What a reader is shown of plans for blocks: each block, the plans of all, and what is what."""

from typing import Any

from ..information.loss_means import KINDS
from .report import four_decimals, run_lengths
from .schedule_table import measured_line, score
from .table import Column, Part, Table

NLL = (
    "NLL: mean negative log-likelihood in nats under a sampler that writes block after block, each in "
    "random order: of a block given those before it, and of all blocks, which is the sum. Only differences "
    "say how good a plan is."
)
UNKNOWN = (
    "Plans are chosen on the curves that judge them, so that differences of NLL (+: excess over the own "
    "plans) flatter those that fit best: the table has no standard errors, repeated rows or sequences."
)
GAIN = (
    "Gain: what the blocks' own plans save in nats a sequence against that line, judged on data that did "
    "not choose them ({repetitions} random halves choose, the others judge), with the {level:.0%} "
    "interval; its errors are known from {errors}. It is the gain of choosing with half of the data, a "
    "little less than with all."
)
NAMES = {"own": "each block its own", "mean": "one for all blocks", "split": "best split of the steps"}


def parts_of(found: dict[str, Any]) -> list[Part]:
    """The heading, a table of the blocks, one of the plans, and the legend, from what JSON has."""
    count, steps, judged = len(found["blocks"]), found["steps"], found["judged"]
    heading = [found["title"], f"{count} blocks of n = {found['n']} positions; {found['method']}"]
    heading += [measured_line(found)] if "rows" in found else []
    legend = [NLL]
    legend += [GAIN.format(**judged | {"errors": KINDS[judged["errors"]]})] if judged else [UNKNOWN]
    legend.insert(1, _verdict(found)) if judged else None
    total = found["split"]["steps"]
    return [
        "\n".join(heading),
        f"{steps} steps a block ({found['criterion']}), and the best split of {total} over all blocks:",
        _blocks(found),
        _plans(found),
        *legend,
    ]


def _blocks(found: dict[str, Any]) -> Table:
    """Every block: its own plan, what it costs, what it saves, and its part of the split."""
    judged, rows = found["judged"], []
    for one in found["blocks"]:
        excess = f"{one['nll_llada_uniform'] - one['nll']:+.4f}"
        rows.append(
            (
                one["block"],
                score(one, "nll"),
                four_decimals(one["gain"]) if judged else excess,
                four_decimals(one["gain_stderr"]) if judged else "",
                len(one["split"]),
                run_lengths(one["counts"]),
                run_lengths(one["split"]),
            )
        )
    columns = [
        Column("block", 0),
        Column("NLL", 1),
        Column("gain over uniform" if judged else "uniform", 2),
        *([Column("stderr", 3)] if judged else []),
        Column("its own plan", 5, justify="left", shorten=True),
        Column("steps of the split", 4),
        Column("its part of the split", 6, justify="left", shorten=True),
    ]
    return Table(columns, rows)


def _plans(found: dict[str, Any]) -> Table:
    """The three plans and every baseline of as many steps a block, best first."""
    judged, own = found["judged"], found["own"]
    entries = {name: found[name] for name in NAMES} | found["baselines"]
    rows = []
    for name, one in sorted(entries.items(), key=lambda item: item[1]["nll"]):
        counts = run_lengths(one["counts"]) if name not in ("own", "split") else "as above"
        gain, interval = "", ""
        if name != "own":
            gain = four_decimals(one["gain"]) if judged else f"{one['nll'] - own['nll']:+.4f}"
            interval = "{:.4f} to {:.4f}".format(*one["gain_interval"]) if judged else ""
        rows.append((NAMES.get(name, name), one["steps"], score(one, "nll"), gain, interval, counts))
    columns = [
        Column("plan", 0, justify="left"),
        Column("steps", 1),
        Column("NLL", 2),
        Column("gain" if judged else "excess", 3),
        *([Column(f"{judged['level']:.0%} interval", 4)] if judged else []),
        Column("tokens revealed at each step of a block", 5, justify="left", shorten=True),
    ]
    return Table(columns, rows, bold=lambda row: row[0] == NAMES["own"])


def _verdict(found: dict[str, Any]) -> str:
    """Whether these data tell the own plans from one for all, and what they say is better than both."""
    low, high = found["mean"]["gain_interval"]
    line = "These data do not tell plans of each block's own from one plan for all blocks."
    if not low <= 0 <= high:
        what = "save" if low > 0 else "lose"
        line = f"Plans of each block's own {what} against one plan for all, as far as these data can tell."
    better = [name for name, one in found["baselines"].items() if one["gain_interval"][1] < 0]
    if better:
        line += (
            f" Chosen on half of the data they lose to {', '.join(better)} on the other half: with so few "
            "data a plan in use is the safer choice, and more sequences may tell."
        )
    return line
