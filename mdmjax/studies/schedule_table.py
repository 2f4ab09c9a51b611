"""What a reader is shown of a schedule report: the frontier, the baselines, and what is what."""

from .report import four_decimals, run_lengths
from .schedule import BASELINES, ScheduleReport
from .table import Column, Part, Table

COMPARED = ("llada_uniform", "dllm_cosine", "pyramid")
"""Baselines that are shown for every number of steps; JSON has them all."""


def parts_of(report: ScheduleReport) -> list[Part]:
    """The heading, one or two tables, and the legend."""
    steps = report.schedule.steps
    parts: list[Part] = [_heading(report)]
    if report.frontier is not None:
        parts += ["The best schedule of every number of steps:", _frontier(report)]
    parts.append(f"{steps} step{'s' * (steps > 1)}: {report.criterion}.")
    parts.append(_baselines(report))
    return [*parts, *_legend(report)]


def _heading(report: ScheduleReport) -> str:
    subject, curve = report.subject, report.curve
    sizes = f"n = {curve.n} positions" + (f", q = {subject.q} symbols" if subject.q else "")
    lines = [subject.title, f"{sizes}; {subject.method}"]
    facts = subject.facts
    if "classes" in facts:
        skipped = f"; {facts['skipped_files']} files are not UTF-8" if facts["skipped_files"] else ""
        lines.append(
            f"{facts['files']} files, {facts['characters']} characters, "
            f"classes: {', '.join(facts['classes'])}{skipped}"
        )
    if report.exact:
        names = {
            "entropy H(X)": curve.entropy,
            "total correlation": curve.total_correlation,
            "dual total correlation": curve.dual_total_correlation,
        }
        lines.append(", ".join(f"{name} {four_decimals(x)}" for name, x in names.items()) + " nats")
    elif "rows" in facts:
        lines.append(_measured(facts, curve.n))
    return "\n".join(lines)


def _measured(facts: dict, n: int) -> str:
    """How much of a loss curve was measured."""
    line = (
        f"{facts['rows']} rows; {facts['measured']} of {n} mask counts measured, "
        f"{facts['interpolated']} interpolated"
    )
    if facts["repeated"]:
        line += f", {facts['repeated']} averaged over repeated rows"
    if not facts["length_given"]:
        line += "; n is the largest n_masked (--length sets it)"
    if facts["isotonic"]:
        line += "; isotonic fit"
    if facts["rises"]:
        line += (
            f"\nThe loss rises at {facts['rises']} measured points where more tokens are known, as no "
            "perfect model's does: the best schedule uses the dips, which may be noise (see --isotonic)"
        )
    return line


def _frontier(report: ScheduleReport) -> Table:
    """The best schedule of every number of steps, beside as many of `COMPARED` as fit."""
    assert report.frontier is not None
    rows = []
    for steps in report.shown_steps():
        schedule = report.frontier.schedule(steps)
        best = report.score(schedule)
        beside = (report.score(BASELINES[name](report.curve.n, steps)) for name in COMPARED)
        others = (_beside(score, best, report.exact) for score in beside)
        rows.append((str(steps), four_decimals(best), *others, run_lengths(schedule.counts)))
    columns = [
        Column("steps", 0),
        Column(f"{'KL' if report.exact else 'NLL'} best", 1),
        *(Column(name, place, optional=True) for place, name in enumerate(COMPARED, 2)),
        Column("best counts", len(COMPARED) + 2, justify="left", shorten=True),
    ]
    return Table(columns, rows, bold=lambda row: row[0] == str(report.schedule.steps))


def _baselines(report: ScheduleReport) -> Table:
    """The best schedule and every baseline of as many steps, best first."""
    best = report.score(report.schedule)
    rows = [("best", four_decimals(best), "", run_lengths(report.schedule.counts))]
    found = [(name, make(report.curve.n, report.schedule.steps)) for name, make in BASELINES.items()]
    scored = sorted(((report.score(s), name, s) for name, s in found), key=lambda row: row[0])
    for score, name, schedule in scored:
        beside = _ratio(score, best) if report.exact else f"{score - best:+.4f}"
        rows.append((name, four_decimals(score), beside, run_lengths(schedule.counts)))
    columns = [
        Column("schedule", 0, justify="left"),
        Column("KL" if report.exact else "NLL", 1),
        Column("ratio" if report.exact else "excess", 2),
        Column("tokens revealed at each step", 3, justify="left", shorten=True),
    ]
    in_full = f"The best {report.schedule.steps}: {rows[0][3]}."
    return Table(columns, rows, bold=lambda row: row[0] == "best", in_full=in_full)


def _legend(report: ScheduleReport) -> list[str]:
    """What to take from the tables, and what each number is."""
    counts = "1x3 means three steps of one token."
    lines = [] if report.frontier is None else [_as_good(report)]
    if report.bootstrap is not None:
        lines.append(_intervals(report))
    if report.exact:
        return [
            *lines,
            "KL: expected KL(data || sampler) in nats, the mean over random ordered partitions of the "
            "positions, exact for a perfect denoiser (arXiv 2511.04647, Thm 4). "
            f"x2.00: twice the KL of the best. {counts}",
        ]
    return [
        *lines,
        "NLL: mean negative log-likelihood in nats of a sequence under the random-order sampler of "
        "this model, from its loss curve. The entropy of the data is not known, so that only "
        "differences (+: excess over the best) say how good a schedule is; they flatter the best, "
        "which is chosen on the curve that judges it. One token a step has "
        f"{float(report.curve.loss.sum()):.4f}. {counts}",
    ]


def _as_good(report: ScheduleReport) -> str:
    """How many steps the compared baselines need for what the best schedule reaches."""
    best, listed = report.score(report.schedule), report.shown_steps()
    slack, needs = best + 1e-12 * abs(best), []
    for name in COMPARED:
        good = (k for k in listed if report.score(BASELINES[name](report.curve.n, k)) <= slack)
        needs.append(f"{name} {next(good, f'more than {listed[-1]}')}")
    some = "" if len(listed) == report.curve.n else ", of the numbers of steps listed"
    return f"Steps needed to do as well as the best {report.schedule.steps}: {', '.join(needs)}{some}."


def _intervals(report: ScheduleReport) -> str:
    """The bootstrap in words."""
    found, replicates = report.bootstrap, (report.replicates or {}).get("replicates")
    assert found is not None
    boundaries = ", ".join(
        f"{at} [{low:g}, {high:g}]"
        for at, (low, high) in zip(found.schedule.boundaries[1:-1], found.boundary_intervals, strict=True)
    )
    own, fixed = ("[{:.4f}, {:.4f}]".format(*x) for x in (found.gain_interval, found.fixed_interval))
    return (
        f"Gain over llada_uniform: {found.gain:.4f} nats; 95% percentile intervals of "
        f"{replicates} bootstrap replicates: {fixed} for this schedule, {own} when it is chosen "
        f"again on each replicate. Choosing and judging on the same data flatters it by about "
        f"{found.optimism:.4f}. Tokens revealed before each later step: {boundaries or 'none'}."
    )


def _beside(score: float, best: float, exact: bool) -> str:
    """A baseline's number, and how it compares with the best."""
    return f"{four_decimals(score)} {_ratio(score, best):>7}" if exact else f"{score - best:+.4f}"


def _ratio(score: float, best: float) -> str:
    """`score / best` where that means something: not where the best is zero up to rounding."""
    if best <= 1e-12 or score <= 1e-12:
        return ""
    return f"x{score / best:.2f}" if score < 100 * best else f"x{score / best:.1e}"
