"""The table of `mdmjax schedule`, plain where the output is not a terminal."""

from collections.abc import Sequence
from io import TextIOBase
from itertools import groupby
from typing import Any, NamedTuple

from rich.box import ASCII, HEAVY_HEAD, Box
from rich.console import Console
from rich.table import Table

COMPARED = ("llada_uniform", "dllm_cosine", "pyramid")
"""Baselines that are shown for every number of steps; `--json` has them all."""

LEAST_ROOM = 16
"""Characters of a list of counts below which other columns, or the list, are left out (our choice)."""

PLAIN_WIDTH = 120
"""Columns of an output that is not a terminal."""


def show(result: dict[str, Any], stream: TextIOBase) -> None:
    """Write the result of `result.build`: what it is of, the frontier, the baselines, and what is what."""
    terminal = stream.isatty()
    console = Console(file=stream, width=None if terminal else PLAIN_WIDTH, highlight=False)
    box = HEAVY_HEAD if terminal and console.encoding.startswith("utf") else ASCII
    unit = Unit("KL", "expected_kl") if result["exact"] else Unit("NLL", "nll")
    with console.capture() as captured:  # rich would exit by itself where the reader of a pipe left
        console.print(_heading(result), markup=False)
        if "frontier" in result:
            console.print("\nThe best schedule of every number of steps:")
            console.print(_frontier(result, unit, box, console.width))
        steps = len(result["steps"])
        console.print(f"\n{steps} step{'s' * (steps > 1)}: {result['criterion']}.")
        table, in_full = _baselines(result, unit, box, console.width)
        console.print(table)
        if not in_full:
            console.print(f"\nThe best {steps}: {run_lengths(result['steps'])}.", markup=False)
        for line in _legend(result, unit):
            console.print(f"\n{line}", markup=False)
    stream.write(captured.get())


class Unit(NamedTuple):
    """What a schedule is judged by: the heading of its column, and its key in the result."""

    heading: str
    key: str


def _heading(result: dict[str, Any]) -> str:
    sizes = f"n = {result['n']} positions"
    if result["q"]:
        sizes += f", q = {result['q']} symbols"
    lines = [result["title"], f"{sizes}; {result['method']}"]
    if "classes" in result:
        lines.append(
            f"{result['files']} files, {result['characters']} characters, "
            f"classes: {', '.join(result['classes'])}"
            + (f"; {result['skipped_files']} files are not UTF-8" if result["skipped_files"] else "")
        )
    if result["exact"]:
        entropy, tc, dtc = (
            _number(result[key]) for key in ("entropy", "total_correlation", "dual_total_correlation")
        )
        lines.append(f"entropy H(X) {entropy}, total correlation {tc}, dual total correlation {dtc} nats")
    else:
        lines.append(_measured(result))
    return "\n".join(lines)


def _measured(result: dict[str, Any]) -> str:
    line = (
        f"{result['rows']} rows; {result['measured']} of {result['n']} mask counts measured, "
        f"{result['interpolated']} interpolated"
    )
    if result["repeated"]:
        line += f", {result['repeated']} averaged over repeated rows"
    if not result["length_given"]:
        line += "; n is the largest n_masked (--length sets it)"
    if result["isotonic"]:
        line += "; isotonic fit"
    if result["rises"]:
        line += (
            f"\nThe loss rises at {result['rises']} measured points where more tokens are known, as no "
            "perfect model's does: the best schedule uses the dips, which may be noise (see --isotonic)"
        )
    return line


def _frontier(result: dict[str, Any], unit: Unit, box: Box, width: int) -> Table:
    """The best schedule of every number of steps, beside as many of `COMPARED` as fit."""
    headings = ("steps", f"{unit.heading} best", *COMPARED)
    rows = []
    for steps, entry in result["frontier"].items():
        best = entry[unit.key]
        others = (_beside(entry["baselines"][name], best, result) for name in COMPARED)
        rows.append((steps, _number(best), *others))
    shown = len(headings)
    while shown > 2 and _room(headings[:shown], rows, width) < LEAST_ROOM:
        shown -= 1
    room = _room(headings[:shown], rows, width)
    table = Table(box=box, show_edge=False)
    for heading in headings[:shown]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("best counts", no_wrap=True, overflow="crop")
    for row, entry in zip(rows, result["frontier"].values(), strict=True):
        chosen = "bold" if len(result["steps"]) == int(row[0]) else None
        table.add_row(*row[:shown], _shortened(entry["steps"], room), style=chosen)
    return table


def _baselines(result: dict[str, Any], unit: Unit, box: Box, width: int) -> tuple[Table, bool]:
    """The best schedule and every baseline of as many steps, best first; are the best counts in full?"""
    headings = ("schedule", unit.heading, "ratio" if result["exact"] else "excess")
    best = result[unit.key]
    rows, counts = [("best", _number(best), "")], [result["steps"]]
    for name, entry in sorted(result["baselines"].items(), key=lambda item: item[1][unit.key]):
        score = entry[unit.key]
        beside = _ratio(score, best) if result["exact"] else f"{score - best:+.4f}"
        rows.append((name, _number(score), beside))
        counts.append(entry["steps"])
    room = _room(headings, rows, width)
    table = Table(box=box, show_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "schedule" else "right", no_wrap=True)
    if room >= LEAST_ROOM:
        full = "tokens revealed at each step"
        table.add_column(full if len(full) <= room else "counts", no_wrap=True, overflow="crop")
    for row, steps in zip(rows, counts, strict=True):
        listed = (_shortened(steps, room),) if room >= LEAST_ROOM else ()
        table.add_row(*row, *listed, style="bold" if row[0] == "best" else None)
    return table, len(run_lengths(result["steps"])) <= room


def _room(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """Characters that these columns leave for one more: each has two of padding, and a bar after it."""
    columns = zip(headings, *rows, strict=False)
    return width - 2 - sum(max(map(len, column)) + 3 for column in columns)


def _legend(result: dict[str, Any], unit: Unit) -> list[str]:
    """What to take from the tables, and what each number is."""
    counts = "1x3 means three steps of one token."
    lines = [_as_good(result, unit)] if "frontier" in result else []
    if "bootstrap" in result:
        lines.append(_intervals(result["bootstrap"]))
    if result["exact"]:
        lines.append(
            "KL: expected KL(data || sampler) in nats, the mean over random ordered partitions of the "
            "positions, exact for a perfect denoiser (arXiv 2511.04647, Thm 4). "
            f"x2.00: twice the KL of the best. {counts}"
        )
    else:
        lines.append(
            "NLL: mean negative log-likelihood in nats of a sequence under the random-order sampler of "
            "this model, from its loss curve. The entropy of the data is not known, so that only "
            "differences (+: excess over the best) say how good a schedule is; they flatter the best, "
            "which is chosen on the curve that judges it. One token a step has "
            f"{result['nll_one_by_one']:.4f}. {counts}"
        )
    return lines


def _as_good(result: dict[str, Any], unit: Unit) -> str:
    """How many steps the compared baselines need for what the best schedule reaches."""
    best, frontier = result[unit.key], result["frontier"]
    slack = best + 1e-12 * abs(best)
    needs = []
    for name in COMPARED:
        good = [k for k, entry in frontier.items() if entry["baselines"][name] <= slack]
        needs.append(f"{name} {good[0] if good else 'more than ' + list(frontier)[-1]}")
    listed = "" if len(frontier) == result["n"] else ", of the numbers of steps listed"
    return f"Steps needed to do as well as the best {len(result['steps'])}: {', '.join(needs)}{listed}."


def _intervals(found: dict[str, Any]) -> str:
    """The bootstrap in words."""
    boundaries = ", ".join(
        f"{at} [{low:g}, {high:g}]"
        for at, (low, high) in zip(found["boundaries"], found["boundary_intervals"], strict=True)
    )
    own, fixed = (
        "[{:.4f}, {:.4f}]".format(*found[key]) for key in ("gain_interval", "fixed_schedule_interval")
    )
    return (
        f"Gain over llada_uniform: {found['gain_over_uniform']:.4f} nats; 95% percentile intervals of "
        f"{found['replicates']} bootstrap replicates: {fixed} for this schedule, {own} when it is chosen "
        f"again on each replicate. Choosing and judging on the same data flatters it by about "
        f"{found['optimism']:.4f}. Tokens revealed before each later step: {boundaries or 'none'}."
    )


def _beside(score: float, best: float, result: dict[str, Any]) -> str:
    """A baseline's number, and how it compares with the best."""
    if result["exact"]:
        return f"{_number(score)} {_ratio(score, best):>7}"
    return f"{score - best:+.4f}"


def _ratio(score: float, best: float) -> str:
    """`score / best` where that means something: not where the best is zero up to rounding."""
    if best <= 1e-12 or score <= 1e-12:
        return ""
    return f"x{score / best:.2f}" if score < 100 * best else f"x{score / best:.1e}"


def _number(value: float) -> str:
    if abs(value) < 1e-12:
        return "0.0000"
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.1e}"


def _shortened(counts: list[int], room: int) -> str:
    """`run_lengths` in at most `room` characters."""
    text = run_lengths(counts)
    return text if len(text) <= room else f"{text[: room - 4].rsplit(' ', 1)[0]} ..."


def run_lengths(counts: list[int]) -> str:
    """Counts with repeats written once: `1x12` is twelve steps of one token.

    >>> run_lengths([1, 1, 1, 2, 9])
    '1x3 2 9'
    """
    runs = [(value, len(list(run))) for value, run in groupby(counts)]
    return " ".join(f"{value}x{times}" if times > 1 else str(value) for value, times in runs)
