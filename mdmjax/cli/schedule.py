"""`mdmjax schedule SOURCE`: the best unmasking schedule of a source, beside those in use."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from . import assigned
from .choices import ESTIMATING, LOSS_CURVE, MODEL, SHOWN, families, text_choice
from .options import Chosen, Command, Option, Parsed, Slot

OWN_LAW = "forward-kl"
WITH_OTHERS = dataclasses.replace(LOSS_CURVE, options=(*LOSS_CURVE.options, *assigned.OPTIONS))

ESTIMATED = ("hmm", "block-hmm")
"""Sources whose curve is estimated where it is too long to be exact."""

EXPORTED = ("infill", "lengths", "block_length")
"""Options that say what is exported."""

KEPT = ("source", "title", "method", "criterion", "expected_kl", "nll")
"""Keys of a report that `schedule.json` has of it."""


def run(parsed: Parsed) -> None:
    """Compute, write the files that are asked for, and show."""
    from ..files.schedule_files import export_schedule
    from .inputs import check_picture, key_of, write_picture
    from .output import show

    values, chosen = parsed.values, parsed.chosen["source"]
    options = chosen.values
    check(values)
    check_picture(values["plot"])
    key = key_of(options["seed"]) if "seed" in options else None
    repetitions = options.get("repetitions", 2)
    if repetitions < 2:
        refuse("repetitions", repetitions, "an integer >= 2", "20 or more give steady gains")
    if options.get("with") or options.get("budget") is not None:
        assigned.run(values, chosen, key)
        return
    report = _report(values, chosen, key)
    write_picture(values["plot"], getattr(report, "mean", report))
    if report.plan is not None:
        found = report.to_json()
        found |= found["plan"] if report.plan.blocks else {}
        export_schedule(values["export"], report.plan, {name: found[name] for name in KEPT})
    show(report, json=values["json"])


def check(values: dict[str, Any]) -> None:
    """Refuse, before any work, options that do not fit or files that could not be written."""
    from ..files.atomic import check_writable_folder
    from .inputs import left_out

    steps, epsilon = values["steps"], values["epsilon"]
    if steps is not None and epsilon is not None:
        refuse("steps, epsilon", f"{steps}, {epsilon}", "only one of the two")
    if steps is not None and steps < 1:
        refuse("steps", steps, "an integer in 1..n")
    if epsilon is not None and not 0 < epsilon < math.inf:
        refuse("epsilon", epsilon, "a positive number of nats")
    if values["objective"] == OWN_LAW:
        if steps is None:
            refuse("objective", OWN_LAW, "--steps K beside it", "it is searched for one number of steps")
        left_out(values, EXPORTED, f"left out with --objective {OWN_LAW}")
    if not values["export"]:
        left_out(values, EXPORTED, "--export DIR beside it", "it says what is exported")
    if values["block_length"] is not None and values["lengths"] is not None:
        both = f"{values['block_length']}, {values['lengths']}"
        refuse("block_length, lengths", both, "only one of the two")
    for name in ("infill", "lengths"):
        _numbers(name, values[name])
    if values["export"]:
        check_writable_folder("export", values["export"])


def _report(values: dict[str, Any], chosen: Chosen, key: Any) -> Any:
    """The report of the source, with a plan where one is exported."""
    from ..studies.estimated import estimated_schedule_study, hidden_markov, streams
    from .inputs import estimated, left_out, source_of
    from .output import track

    options, means, source, hidden = chosen.values, None, None, None
    own, infill = values["objective"] == OWN_LAW, _numbers("infill", values["infill"])
    asked = {name: values[name] for name in ("steps", "epsilon")}
    if own and chosen.name in ("loss-curve", "model"):
        remedy = "of losses mdmjax likelihood --schedules bounds it; schedule of a distribution has it"
        refuse("objective", f"{OWN_LAW} of a {chosen.name}", "expected-kl", remedy)
    if chosen.name == "model":
        means, curve, subject = _measured(options, key)
    else:
        source = source_of(chosen, "curve")
        if chosen.name == "loss-curve" and (report := _of_blocks(source, options, asked, key)):
            left_out(values, ("block_length", "lengths"), "left out", "the table says what the blocks are")
            return report.with_plan(infill=infill) if values["export"] else report
        if chosen.name in ESTIMATED:
            if own and (found := hidden_markov(source)):
                size = f"{OWN_LAW} of {found[0].n} positions"
                refuse("objective", size, "expected-kl", "the own law is a table of all sequences")
            hidden, means, curve, subject = estimated(source, options)
            key = streams(options["seed"]).halving
        else:
            curve, subject = source.curve(track)
        if chosen.name == "loss-curve":
            means = mj.loss_means(source.table())
    report = mj.schedule_study(curve, **asked, subject=subject)
    if own and source is not None:
        from ..studies.own_schedule import own_schedule_study

        report = own_schedule_study(report, source)
    if means is not None:
        report = report.with_gains(key, means, subject.facts["fit"], repetitions=options["repetitions"])
    if hidden is not None:
        how = {"draws": subject.facts["draws"], "batch": options["batch"], "track": track}
        report = estimated_schedule_study(streams(options["seed"]).judging, report, hidden, **how)
    if not values["export"]:
        return report
    others = _lengths(chosen, _numbers("lengths", values["lengths"]) or (), asked, curve.n)
    return report.with_plan(infill=infill, block_length=values["block_length"], lengths=others)


def _numbers(name: str, text: str | None) -> list[int] | None:
    """Integers above 0 with commas between them."""
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        refuse(name, text, "integers >= 1 with commas between them, as 64,128")
    return sorted({int(part) for part in parts})


def _lengths(chosen: Chosen, lengths: Iterable[int], asked: dict[str, Any], n: int) -> list[Any]:
    """The reports of the other lengths of generation, each of its own curve."""
    from .inputs import source_of
    from .output import track

    reports = []
    for length in lengths:
        if length == n:
            continue
        if "n" not in chosen.values:
            remedy = "measure a curve at that length; --infill is for rows of this one with fewer masks"
            refuse("lengths", length, f"n = {n} alone of {chosen.name}", remedy)
        source = source_of(dataclasses.replace(chosen, values=chosen.values | {"n": length}), "curve")
        curve, subject = source.curve(track)
        reports.append(mj.schedule_study(curve, **asked, subject=subject))
    return reports


def _of_blocks(source: Any, options: dict[str, Any], asked: dict[str, Any], key: Any) -> Any:
    """The report of a loss table with a column `block`, None of another."""
    from ..studies.block_schedule import block_schedule_study

    tables, subject = source.blocks()
    if not tables:
        if (total := options["total_steps"]) is not None:
            refuse("total_steps", total, "left out", "it is for a table with a column block")
        return None
    how = {name: options[name] for name in ("total_steps", "fit", "repetitions")}
    return block_schedule_study(key, tables, subject=subject, **how, **asked)


def _measured(options: dict[str, Any], key: Any) -> tuple[Any, Any, Any]:
    """The losses of a trained model, measured now, their curve, and what it is."""
    from ..studies.report import Subject
    from ..studies.table_notes import curve_and_facts
    from .output import track

    trained = mj.open_model(options["folder"])
    sizes = {name: options[name] for name in ("sequences", "batch")}
    found = mj.loss_curve_study(key, trained.network, trained.held_out(track), **sizes, track=track)
    rows = found.losses
    means = mj.loss_means(mj.LossTable(rows.n, rows.n_masked, rows.loss, sequence=rows.sequence))
    curve, facts = curve_and_facts(means, options["fit"])
    facts |= {"length_given": True, "seconds": found.seconds}
    title, method = f"model {options['folder']}", f"measured on {found.sequences} held-out sequences"
    return means, curve, Subject(title, {"name": "model", **options}, method, trained.network.q, facts)


COMMAND = Command(
    "schedule",
    "Best unmasking schedule of a distribution, a text, or a model's loss curve.",
    run,
    slots=(Slot("source", (*families("curve", ESTIMATING), text_choice(12), WITH_OTHERS, MODEL)),),
    options=(
        Option("steps", int, None, "Number of steps. Without it and --epsilon: the best of every number."),
        Option(
            "epsilon", float, None, "Fewest steps of an expected KL (or excess loss) at most this, in nats."
        ),
        Option(
            "objective",
            str,
            "expected-kl",
            "What is least: the mean over partitions, or the KL of the sampler's own law, their mixture.",
            choices=("expected-kl", OWN_LAW),
        ),
        *SHOWN,
        Option("plot", Path, None, "Draw the curve, its steps and the error area into this .png or .pdf."),
        Option("export", Path, None, "Write the schedule for samplers into this folder.", "DIR"),
        Option(
            "block-length",
            int,
            None,
            "Exported for a sampler that finishes blocks of this length: a plan for each block, or for "
            "every one where it is n.",
        ),
        Option(
            "infill",
            str,
            None,
            "Exported too: plans of rows with so many masks, from the tail of the curve. All below n if "
            "they are few.",
            "M1,M2,...",
        ),
        Option("lengths", str, None, "Exported too: other lengths, each of its own curve.", "N1,N2,..."),
    ),
    examples=(
        ("mdmjax schedule text", "windows of Python's own library, every number of steps"),
        ("mdmjax schedule noisy-bit --n 1000000 --steps 32", "a closed form, of any length"),
        ("mdmjax schedule noisy-bit --n 128 --steps 4 --objective forward-kl", "the sampler's own law"),
        ("mdmjax schedule loss-curve loss.csv --length 256 --steps 16 --export plan", "your model's"),
        ("mdmjax schedule loss-curve large.csv --with small.csv:0.25 --budget 16", "two models"),
    ),
)
