"""`mdmjax schedule loss-curve FILE --with FILE:COST ... --budget B`: models that share the steps."""

import dataclasses
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import InvalidInputError, refuse
from .options import Chosen, Option

OPTIONS = (
    Option(
        "with",
        str,
        (),
        "Loss tables of other models, each with what a call of it costs; one of the first model costs 1. "
        "They are read as the first is.",
        "FILE:COST ...",
        repeated=True,
    ),
    Option("budget", str, None, "What the calls of all steps may cost together.", "COST"),
)


def run(values: dict[str, Any], chosen: Chosen, key: Any) -> None:
    """Find the assignment, write what is asked for, and show."""
    from ..files.schedule_files import export_schedule
    from ..schedules.assigned import exact_number
    from ..schedules.plan import Plan
    from ..studies.assigned import assigned_study
    from .inputs import source_of
    from .output import show, track

    options = chosen.values
    others = [_file_and_cost(word) for word in options["with"]]
    budget = _check(values, options)
    first = source_of(chosen, "curve")
    sources = [first, *(dataclasses.replace(first, file=file) for file, _ in others)]
    read = [source.curve(track) for source in sources]
    curves, subjects = [curve for curve, _ in read], [subject for _, subject in read]
    for (file, _), curve in zip(others, curves[1:], strict=True):
        if curve.n != curves[0].n:
            remedy = "--length sets that of all; else it is the largest n_masked"
            refuse("with", f"{file} of n = {curve.n}", f"n = {curves[0].n} of {first.file}", remedy)
    costs = [exact_number("with", 1), *(cost for _, cost in others)]
    report = assigned_study(curves, costs, budget, subjects=subjects)
    tables = [mj.loss_means(source.table()) for source in sources]
    fit, repetitions = subjects[0].facts["fit"], options["repetitions"]
    report = report.with_gains(key, tables, fit, repetitions=repetitions)
    if values["export"]:
        metadata = {
            "models": [str(source.file) for source in sources],
            "costs": [float(cost) for cost in costs],
            "budget": float(budget),
            "nll": report.plan.nll,
        }
        shared = Plan(report.plan.schedule, models=tuple(report.plan.models.tolist()))
        export_schedule(values["export"], shared, metadata)
    show(report, json=values["json"])


def _check(values: dict[str, Any], options: dict[str, Any]) -> Any:
    """The budget; refused with options that several models have no use for."""
    from ..schedules.assigned import exact_number
    from .inputs import left_out

    if not options["with"]:
        refuse("budget", options["budget"], "given with --with FILE:COST", "--steps is that of one model")
    if options["budget"] is None:
        refuse("budget", "not given", "what the calls of all steps may cost, as 16")
    unused = ("steps", "epsilon", "plot", "infill", "lengths", "block_length")
    left_out(values, unused, "left out with --with", "--budget says how much is spent")
    return exact_number("budget", options["budget"])


def _file_and_cost(word: str) -> tuple[Path, Any]:
    """The two parts of `FILE:COST`."""
    from ..schedules.assigned import exact_number

    file, colon, cost = word.rpartition(":")
    try:
        if not (colon and file):
            raise InvalidInputError(word)
        return Path(file), exact_number("with", cost)
    except InvalidInputError:
        refuse("with", word, "FILE:COST with a cost > 0, as small.csv:0.25")
