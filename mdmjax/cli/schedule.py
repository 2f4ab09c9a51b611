"""`mdmjax schedule SOURCE`: the best unmasking schedule of a source, beside those in use."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from . import assigned
from .choices import JSON, LOSS_CURVE, MODEL, families, text_choice
from .options import Chosen, Command, Option, Parsed, Slot

WITH_OTHERS = dataclasses.replace(LOSS_CURVE, options=(*LOSS_CURVE.options, *assigned.OPTIONS))


def run(parsed: Parsed) -> None:
    """Compute, write the files that are asked for, and show."""
    from ..files.schedule_files import export_schedule
    from .inputs import check_picture, key_of, source_of, write_picture
    from .output import show, track

    values, chosen = parsed.values, parsed.chosen["source"]
    options = chosen.values
    check(values)
    check_picture(values["plot"])
    key, repetitions = key_of(options.get("seed", 0)), options.get("repetitions", 2)
    if repetitions < 2:
        refuse("repetitions", repetitions, "an integer >= 2", "20 or more give steady gains")
    if options.get("with") or options.get("budget") is not None:
        for name in ("infill", "lengths", "block_length"):
            if values[name] is not None:
                what, remedy = "not given with --with", "the models share one plan"
                refuse(name.replace("_", "-"), values[name], what, remedy)
        assigned.run(values, chosen, key)
        return
    means, source, own = None, None, values["objective"] == "forward-kl"
    if own and chosen.name in ("loss-curve", "model"):
        remedy = (
            "its own law is not known from losses: mdmjax likelihood --schedules bounds it; schedule of a "
        )
        refuse("objective", f"forward-kl of a {chosen.name}", "expected-kl", f"{remedy}distribution has it")
    if chosen.name == "loss-curve" and (report := _of_blocks(values, chosen, key)):
        for name in ("block_length", "lengths"):
            if values[name] is not None:
                refuse(
                    name.replace("_", "-"), values[name], "left out", "the table says what the blocks are"
                )
        write_picture(values["plot"], report.mean)
        if values["export"]:
            kept, found = ("source", "title", "method", "criterion", "nll"), report.to_json()
            plan = report.plan(_numbers("infill", values["infill"]))
            export_schedule(values["export"], plan, {name: found[name] for name in kept})
        show(report, json=values["json"])
        return
    if chosen.name == "model":
        means, curve, subject = _measured(options, key)
    else:
        source = source_of(chosen, "curve")
        curve, subject = source.curve(track)
        if chosen.name == "loss-curve":
            means = mj.loss_means(source.table())
    report = mj.schedule_study(curve, steps=values["steps"], epsilon=values["epsilon"], subject=subject)
    if own and source is not None:
        from ..studies.own_schedule import own_schedule_study

        report = own_schedule_study(report, source)
    if means is not None:
        report = report.with_gains(key, means, subject.facts["fit"], repetitions=repetitions)
    if values["export"]:
        masks, others = _numbers("infill", values["infill"]), _lengths(chosen, values, report)
        report = report.with_plan(infill=masks, block_length=values["block_length"], lengths=others)
    write_picture(values["plot"], report)
    if report.plan is not None:
        kept, found = ("source", "title", "method", "criterion", "expected_kl", "nll"), report.to_json()
        found |= found["plan"] if report.plan.blocks else {}
        export_schedule(values["export"], report.plan, {name: found[name] for name in kept})
    show(report, json=values["json"])


def check(values: dict[str, Any]) -> None:
    """Refuse, before any work, options that do not fit or files that could not be written."""
    from ..files.atomic import check_writable_folder

    steps, epsilon = values["steps"], values["epsilon"]
    if steps is not None and epsilon is not None:
        refuse("steps, epsilon", f"{steps}, {epsilon}", "only one of the two")
    if steps is not None and steps < 1:
        refuse("steps", steps, "an integer in 1..n")
    if epsilon is not None and not 0 < epsilon < math.inf:
        refuse("epsilon", epsilon, "a positive number of nats")
    if values["objective"] == "forward-kl":
        if steps is None:
            refuse(
                "objective", "forward-kl", "--steps K beside it", "it is searched for one number of steps"
            )
        for name in ("infill", "lengths", "block_length"):
            if values[name] is not None:
                refuse(name.replace("_", "-"), values[name], "left out with --objective forward-kl")
    for name in ("infill", "lengths", "block_length"):
        if values[name] is not None and not values["export"]:
            refuse(
                name.replace("_", "-"), values[name], "--export DIR beside it", "it says what is exported"
            )
    if values["block_length"] is not None and values["lengths"] is not None:
        refuse(
            "block-length, lengths", f"{values['block_length']}, {values['lengths']}", "only one of the two"
        )
    for name in ("infill", "lengths"):
        _numbers(name, values[name])
    if values["export"]:
        check_writable_folder("export", values["export"])


def _numbers(name: str, text: str | None) -> list[int] | None:
    """Integers above 0 with commas between them."""
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        refuse(name, text, "integers >= 1 with commas between them, as 64,128")
    return sorted({int(part) for part in parts})


def _lengths(chosen: Any, values: dict[str, Any], report: Any) -> list[Any]:
    """The reports of the other lengths of generation, each of its own curve."""
    from .inputs import source_of
    from .output import track

    lengths = _numbers("lengths", values["lengths"]) or []
    reports = []
    for length in lengths:
        if length == report.curve.n:
            continue
        if "n" not in chosen.values:
            remedy = "measure a curve at that length; --infill is for rows of this one with fewer masks"
            refuse("lengths", length, f"n = {report.curve.n} alone of {chosen.name}", remedy)
        source = source_of(dataclasses.replace(chosen, values=chosen.values | {"n": length}), "curve")
        curve, subject = source.curve(track)
        asked = {name: values[name] for name in ("steps", "epsilon")}
        reports.append(mj.schedule_study(curve, **asked, subject=subject))
    return reports


def _of_blocks(values: dict[str, Any], chosen: Chosen, key: Any) -> Any:
    """The report of a loss table with a column `block`, None of another."""
    from ..studies.block_schedule import block_schedule_study
    from .inputs import source_of

    options = chosen.values
    tables, subject = source_of(chosen, "curve").blocks()
    if not tables:
        if (total := options["total_steps"]) is not None:
            refuse("total_steps", total, "left out", "it is for a table with a column block")
        return None
    how = {name: options[name] for name in ("total_steps", "fit", "repetitions")}
    how |= {name: values[name] for name in ("steps", "epsilon")}
    return block_schedule_study(key, tables, subject=subject, **how)


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
    slots=(Slot("source", (*families("curve"), text_choice(12), WITH_OTHERS, MODEL)),),
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
            choices=("expected-kl", "forward-kl"),
        ),
        JSON,
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
