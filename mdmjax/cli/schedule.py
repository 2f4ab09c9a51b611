"""`mdmjax schedule SOURCE`: the best unmasking schedule of a source, beside those in use."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import refuse
from .choices import LOSS_CURVE, MODEL, families, text_choice
from .options import Command, Option, Parsed, Slot

if TYPE_CHECKING:
    from ..information.curve import AbstractCurve
    from ..information.loss_curve import LossTable
    from ..studies.subject import Subject


def run(parsed: Parsed) -> None:
    """Compute, write the files that are asked for, and show."""
    from ..studies.schedule import schedule_study
    from .inputs import check_picture, write_picture
    from .show import show

    values, chosen = parsed.values, parsed.chosen["source"]
    check(values)
    check_picture(values["plot"])
    curve, table, subject = _curve(parsed)
    report = schedule_study(curve, steps=values["steps"], epsilon=values["epsilon"], subject=subject)
    if table is not None and chosen.values["bootstrap"]:
        report = _with_bootstrap(report, table, chosen.values)
    write_picture(values["plot"], report)
    if values["export"]:
        from ..files.schedule_files import export_schedule

        found = report.to_json()
        kept = ("source", "title", "method", "criterion", "expected_kl", "nll")
        export_schedule(values["export"], report.schedule, {key: found[key] for key in kept})
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
    if values["export"]:
        check_writable_folder("export", values["export"])


def _curve(parsed: Parsed) -> tuple["AbstractCurve", "LossTable | None", "Subject"]:
    """The curve, the table that it is of if it was measured, and what it is."""
    from .inputs import check_seed, source_of
    from .progress import track

    chosen = parsed.chosen["source"]
    options = chosen.values
    if "bootstrap" in options:
        check_seed(options["seed"])
        if options["bootstrap"] and options["bootstrap"] < 2:
            refuse("bootstrap", options["bootstrap"], "an integer >= 2", "200 give steady intervals")
    if chosen.name == "model":
        return _measured(options)
    source = source_of(chosen, "curve")
    curve, subject = source.curve(track)
    return curve, source.table() if chosen.name == "loss-curve" else None, subject


def _measured(options: dict[str, Any]) -> tuple["AbstractCurve", "LossTable", "Subject"]:
    """The loss curve of a trained model, measured now."""
    import jax

    from ..studies.loss_curve import loss_curve_study
    from ..studies.sources import curve_and_facts
    from ..studies.subject import Subject
    from ..studies.trained import open_model
    from .progress import track

    trained = open_model(options["folder"])
    key, data = jax.random.key(options["seed"]), trained.held_out(track)
    sizes = {"sequences": options["sequences"], "batch": options["batch"]}
    found = loss_curve_study(key, trained.network, data, **sizes, track=track)
    table = found.losses.table()
    curve, facts = curve_and_facts(table, isotonic=options["isotonic"])
    facts |= {"length_given": True, "seconds": found.seconds}
    title, method = f"model {options['folder']}", f"measured on {found.sequences} held-out sequences"
    source = {"name": "model", **options}
    return curve, table, Subject(title, source, method, trained.network.q, facts)


def _with_bootstrap(report: Any, table: "LossTable", options: dict[str, Any]) -> Any:
    """The report with 95% intervals of the gain over uniform and of every boundary."""
    import jax

    from ..information.loss_curve import isotonic_fit
    from ..schedules.bootstrap import bootstrap_gain

    fit = {"fit": isotonic_fit} if options["isotonic"] else {}
    replicates, seed = options["bootstrap"], options["seed"]
    found = bootstrap_gain(jax.random.key(seed), table, report.schedule.steps, replicates, **fit)
    how = {"replicates": replicates, "seed": seed}
    return dataclasses.replace(report, bootstrap=found, replicates=how)


COMMAND = Command(
    "schedule",
    "Best unmasking schedule of a distribution, a text, or a model's loss curve.",
    run,
    slots=(Slot("source", (*families("curve"), text_choice(12), LOSS_CURVE, MODEL)),),
    options=(
        Option(
            "steps",
            int,
            None,
            "Number of steps. With neither this nor --epsilon: the best of every number.",
        ),
        Option(
            "epsilon",
            float,
            None,
            "Fewest steps whose expected KL in nats is at most this (loss curve: excess loss).",
        ),
        Option("json", bool, False, "Print one JSON object instead of the table."),
        Option("plot", Path, None, "Draw the curve, its steps and the error area into this .png or .pdf."),
        Option("export", Path, None, "Write the schedule for samplers into this folder.", "DIR"),
    ),
    examples=(
        ("mdmjax schedule text", "windows of Python's own library, every number of steps"),
        ("mdmjax schedule noisy-bit --n 1000000 --steps 32", "a closed form, of any length"),
        ("mdmjax schedule loss-curve loss.csv --length 256 --steps 16 --export plan", "your model's"),
    ),
)
