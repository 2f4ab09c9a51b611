"""What a reader is shown of a schedule report: the frontier, the baselines, and what is what."""

from typing import Any

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
    "from its loss curve. The entropy of the data is not known, so that only differences (+: excess over "
    "the best) say how good a schedule is; they flatter the best, which is chosen on the curve that judges "
    "it. One token a step has {:.4f}."
)


def parts_of(found: dict[str, Any]) -> list[Part]:
    """The heading, one or two tables, and the legend, from what JSON has."""
    steps, parts, legend = found["steps"], list[Part]([_heading(found)]), []
    key, unit = ("expected_kl", "KL") if found["exact"] else ("nll", "NLL")
    if "frontier" in found:
        parts += ["The best schedule of every number of steps:", _frontier(found, key, unit)]
        legend.append(_as_good(found, key))
    if "bootstrap" in found:
        legend.append(_intervals(found["bootstrap"]))
    what = KL if found["exact"] else NLL.format(float(found["nll_one_by_one"]))
    legend.append(f"{what} 1x3 means three steps of one token.")
    chosen = f"{steps} step{'s' * (steps > 1)}: {found['criterion']}."
    return [*parts, chosen, _baselines(found, key, unit), *legend]


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
        lines.append(_measured(found))
    return "\n".join(lines)


def _measured(facts: dict[str, Any]) -> str:
    """How much of a loss curve was measured."""
    points = (
        f"{facts['measured']} of {facts['n']} mask counts measured, {facts['interpolated']} interpolated"
    )
    line = f"{facts['rows']} rows; {points}"
    if facts["repeated"]:
        line += f", {facts['repeated']} averaged over repeated rows"
    if not facts["length_given"]:
        line += "; n is the largest n_masked (--length sets it)"
    if facts["isotonic"]:
        line += "; isotonic fit"
    if (most := facts["largest_measured"]) < facts["n"]:
        line += f"\nNo loss is known above n_masked = {most}: it is held at what it is there, and the "
        line += "first steps of the best schedule rest on that"
    if facts["rises"] and not facts.get("reversed"):
        line += f"\nThe loss rises at {facts['rises']} measured points where more tokens are known, as no "
        line += "perfect model's does: the best schedule uses the dips, which may be noise (see --isotonic)"
    return "\n".join([line, *notes(facts)])


def _frontier(found: dict[str, Any], key: str, unit: str) -> Table:
    """The best schedule of every number of steps, beside as many of `COMPARED` as fit."""
    rows, exact = [], found["exact"]
    for steps, entry in found["frontier"].items():
        scores = (entry["baselines"][name] for name in COMPARED)
        beside = [(score, _beside(score, entry[key], exact)) for score in scores]
        others = (f"{four_decimals(score)} {text:>7}" if exact else text for score, text in beside)
        rows.append((steps, four_decimals(entry[key]), *others, run_lengths(entry["counts"])))
    columns = [
        Column("steps", 0),
        Column(f"{unit} best", 1),
        *(Column(name, place, optional=True) for place, name in enumerate(COMPARED, 2)),
        Column("best counts", len(COMPARED) + 2, justify="left", shorten=True),
    ]
    return Table(columns, rows, bold=lambda row: row[0] == str(found["steps"]))


def _baselines(found: dict[str, Any], key: str, unit: str) -> Table:
    """The best schedule and every baseline of as many steps, best first."""
    counts, exact = run_lengths(found["counts"]), found["exact"]
    rows = [("best", four_decimals(found[key]), "", counts)]
    for name, entry in sorted(found["baselines"].items(), key=lambda item: item[1][key]):
        beside = _beside(entry[key], found[key], exact)
        rows.append((name, four_decimals(entry[key]), beside, run_lengths(entry["counts"])))
    columns = [
        Column("schedule", 0, justify="left"),
        Column(unit, 1),
        Column("ratio" if exact else "excess", 2),
        Column("tokens revealed at each step", 3, justify="left", shorten=True),
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


def _intervals(found: dict[str, Any]) -> str:
    """The bootstrap in words."""
    own, fixed = (
        "[{:.4f}, {:.4f}]".format(*found[f"{name}_interval"]) for name in ("gain", "fixed_schedule")
    )
    ends = zip(found["boundaries"], found["boundary_intervals"], strict=True)
    boundaries = ", ".join(f"{at} [{low:g}, {high:g}]" for at, (low, high) in ends)
    return (
        f"Gain over llada_uniform: {found['gain_over_uniform']:.4f} nats; 95% percentile intervals of "
        f"{found['replicates']} bootstrap replicates: {fixed} for this schedule, {own} when it is chosen "
        f"again on each replicate. Choosing and judging on the same data flatters it by about "
        f"{found['optimism']:.4f}. Tokens revealed before each later step: {boundaries or 'none'}."
    )


def _beside(score: float, best: float, exact: bool) -> str:
    """The ratio to the best, if that is not zero up to rounding; of a loss curve the difference."""
    if not exact:
        return f"{score - best:+.4f}"
    if best <= 1e-12 or score <= 1e-12:
        return ""
    return f"x{score / best:.2f}" if score < 100 * best else f"x{score / best:.1e}"
