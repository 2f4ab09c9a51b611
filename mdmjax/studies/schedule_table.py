"""What a reader is shown of a schedule report: the frontier, the baselines, and what is what."""

import math
from typing import Any

from ..information.loss_means import KINDS
from .plan import plan_parts
from .report import four_decimals, run_lengths
from .table import Column, Part, Table
from .table_notes import notes

COMPARED = ("llada_uniform", "dllm_cosine", "pyramid")  # for every number of steps; JSON has all

KL = (
    "KL: expected KL(data || sampler) in nats, the mean over random ordered partitions of the positions, "
    "exact for a perfect denoiser (arXiv 2511.04647, Thm 4). x2.00: twice the KL of the best."
)
NLL = (
    "NLL: mean negative log-likelihood in nats of a sequence under the random-order sampler of this model, "
    "from its loss curve. The entropy of the data is not known, so that only differences say how good a "
    "schedule is. One token a step has {:.4f}."
)
UNKNOWN = (
    "The best is chosen on the curve that judges it, so that differences of NLL (+: excess over the best) "
    "flatter it, and nothing here tells by how much: the table has no standard errors, no repeated rows "
    "and no sequences. A column stderr, or several rows for every mask count, tell."
)
ORDER = (
    "These numbers are for random order. LLaDA, Fast-dLLM and dLLM reveal the most confident positions "
    "first by default: mdmjax likelihood has the number for that order."
)
GAIN = (
    "Gain: what the best saves in nats a sequence against that schedule, judged on data that did not "
    "choose it ({repetitions} random halves choose, the others judge), with the {level:.0%} interval; "
    "its errors are known from {errors}. It is the gain of choosing with half of the data, a little less "
    "than with all. Differences of NLL in this table flatter the best, and are no gains."
)


def parts_of(found: dict[str, Any]) -> list[Part]:
    """The heading, one or two tables, and the legend, from what JSON has."""
    steps, parts, legend = found["steps"], list[Part]([_heading(found)]), []
    judged = found.get("judged")
    key, unit = ("expected_kl", "KL") if found["exact"] else ("nll", "NLL")
    if "frontier" in found:
        parts += ["The best schedule of every number of steps:", _frontier(found, key, unit)]
        legend += [] if judged else [_as_good(found, key)]
    what = KL if found["exact"] else NLL.format(float(found["nll_one_by_one"]))
    legend.append(f"{what} 1x3 means three steps of one token.")
    if judged:
        legend += [_verdict(found), GAIN.format(**judged | {"errors": KINDS[judged["errors"]]})]
    elif not found["exact"]:
        legend.append(UNKNOWN)
    legend.append(ORDER)
    parts += [f"{steps} step{'s' * (steps > 1)}: {found['criterion']}.", _baselines(found, key, unit)]
    return [*parts, *(plan_parts(found["plan"], key, unit) if "plan" in found else []), *legend]


def _heading(found: dict[str, Any]) -> str:
    sizes = f"n = {found['n']} positions" + (f", q = {found['q']} symbols" if found["q"] else "")
    lines = [found["title"], f"{sizes}; {found['method']}"]
    if "classes" in found:
        skipped = f"; {found['skipped_files']} files are not UTF-8" if found["skipped_files"] else ""
        files = f"{found['files']} files, {found['characters']} characters"
        lines.append(f"{files}, classes: {', '.join(found['classes'])}{skipped}")
    if found["exact"]:
        keys = ("entropy", "total_correlation", "dual_total_correlation")
        entropy, tc, dual = (four_decimals(float(found[key])) for key in keys)
        lines.append(f"entropy H(X) {entropy}, total correlation {tc}, dual total correlation {dual} nats")
    elif "rows" in found:
        lines.append(measured_line(found))
    return "\n".join(lines)


def measured_line(facts: dict[str, Any]) -> str:
    """How much of a loss curve was measured."""
    points = (
        f"{facts['measured']} of {facts['n']} mask counts measured, {facts['interpolated']} interpolated"
    )
    line = f"{facts['rows']} rows; {points}"
    if facts["repeated"]:
        line += f", {facts['repeated']} averaged over repeated rows"
    if not facts["length_given"]:
        line += "; n is the largest n_masked (--length sets it)"
    line += {"rows": "", "isotonic": "; isotonic fit", "spline": "; smooth fit that never rises"}[
        facts["fit"]
    ]
    if (most := facts["largest_measured"]) < facts["n"]:
        bound = f"log q = {math.log(facts['q']):.4f}" if facts["q"] else "any height"
        line += (
            f"\nNo loss is known above n_masked = {most}: it is held at what it is there, but can be up to "
        )
        line += f"{bound}, and what the first steps cost rests on that: measure n_masked = {facts['n']}"
    if (least := facts["least_measured"]) > 1:
        line += f"\nNo loss is known below n_masked = {least}: it is held at what it is there, but can be 0"
    if facts["rises"] and facts["fit"] == "rows" and not facts.get("reversed"):
        line += f"\nThe loss rises at {facts['rises']} measured points where more tokens are known, as no "
        line += (
            "perfect model's does: the best schedule uses the dips, which may be noise. Standard errors "
        )
        line += "would tell"
    return "\n".join([line, *notes(facts)])


def _frontier(found: dict[str, Any], key: str, unit: str) -> Table:
    """The best schedule of every number of steps, beside as many of `COMPARED` as fit."""
    rows, exact, judged = [], found["exact"], found.get("judged")
    for steps, entry in found["frontier"].items():
        scores = (entry["baselines"][name] for name in COMPARED)
        beside = [(four_decimals(score), _beside(score, entry[key], exact)) for score in scores]
        others = (f"{score} {text:>7}" if exact else score if judged else text for score, text in beside)
        rows.append((steps, score(entry, key), *others, run_lengths(entry["counts"])))
    columns = [
        Column("steps", 0),
        Column(f"{unit} best", 1),
        *(Column(name, place, optional=True) for place, name in enumerate(COMPARED, 2)),
        Column("best counts", len(COMPARED) + 2, justify="left", shorten=True),
    ]
    return Table(columns, rows, bold=lambda row: row[0] == str(found["steps"]))


def _baselines(found: dict[str, Any], key: str, unit: str) -> Table:
    """The best schedule and every baseline of as many steps, best first."""
    counts, exact, judged = run_lengths(found["counts"]), found["exact"], found.get("judged")
    rows = [("best", score(found, key), "", "", counts)]
    for name, entry in sorted(found["baselines"].items(), key=lambda item: item[1][key]):
        beside = f"{entry['gain']:.4f}" if judged else _beside(entry[key], found[key], exact)
        interval = "{:.4f} to {:.4f}".format(*entry["gain_interval"]) if judged else ""
        rows.append((name, score(entry, key), beside, interval, run_lengths(entry["counts"])))
    columns = [
        Column("schedule", 0, justify="left"),
        Column(unit, 1),
        Column("gain" if judged else "ratio" if exact else "excess", 2),
        *([Column(f"{judged['level']:.0%} interval", 3)] if judged else []),
        Column("tokens revealed at each step", 4, justify="left", shorten=True),
    ]
    in_full = f"The best {found['steps']}: {counts}."
    return Table(columns, rows, bold=lambda row: row[0] == "best", in_full=in_full)


def _as_good(found: dict[str, Any], key: str) -> str:
    """How many steps the compared baselines need for what the best schedule reaches."""
    best, frontier = found[key], found["frontier"]
    slack, needs = best + 1e-12 * abs(best), []
    for name in COMPARED:
        good = (k for k, entry in frontier.items() if entry["baselines"][name] <= slack)
        needs.append(f"{name} {next(good, 'more than ' + list(frontier)[-1])}")
    some = "" if len(frontier) == found["n"] else ", of the numbers of steps listed"
    return f"Steps needed to do as well as the best {found['steps']}: {', '.join(needs)}{some}."


def _verdict(found: dict[str, Any]) -> str:
    """Whether the data tell the best from equal steps; if not, how many more would."""
    low, high = found["gain_interval"]
    if not low <= 0 <= high:
        what = "gains" if low > 0 else "loses"
        return f"The best {what} against llada_uniform, as far as these data can tell."
    text = "These data do not tell the best from llada_uniform: the interval of its gain holds 0. "
    if not math.isfinite(high - low):
        return f"{text}Measure n_masked = {found['n']}."
    if (needs := found["gain_needs"]) is None:
        return f"{text}How many more would cannot be said: the gain is not above 0, or losses are missing."
    what = "sequences" if found["judged"]["errors"] == "sequences" else "data"
    return f"{text}About {math.ceil(needs)} times as many {what} would, if the gain is what it seems."


def score(entry: dict[str, Any], key: str) -> str:
    """What a schedule costs: an interval where losses that it needs are not known."""
    low, high = entry.get(f"{key}_interval", [entry[key]] * 2)
    return four_decimals(entry[key]) if low == high else f"{four_decimals(low)} to {four_decimals(high)}"


def _beside(score: float, best: float, exact: bool) -> str:
    """The ratio to the best, if that is not zero up to rounding; of a loss curve the difference."""
    if not exact:
        return f"{score - best:+.4f}"
    if best <= 1e-12 or score <= 1e-12:
        return ""
    return f"x{score / best:.2f}" if score < 100 * best else f"x{score / best:.1e}"
