"""`mdmjax loss-curve DIR`: the masked-loss curve of a trained model on held-out data."""

import dataclasses
from pathlib import Path

import mdmjax as mj

from .choices import JSON, MEASURING, MODEL_FOLDER
from .options import Command, Option, Parsed


def run(parsed: Parsed) -> None:
    """Measure, write the file, and show."""
    from ..files.loss_table import write_loss_table
    from ..studies.trained import LOSS_CURVE
    from .inputs import check_suffix, key_of
    from .output import show, track

    values, folder = parsed.values, parsed.values["folder"]
    key, path = key_of(values["seed"]), values["out"] or folder / LOSS_CURVE
    trained = mj.open_model(folder)
    check_suffix("out", path, ".csv")
    sizes = {name: values[name] for name in ("sequences", "batch")}
    report = mj.loss_curve_study(key, trained.network, trained.held_out(track), **sizes, track=track)
    write_loss_table(path, report.losses.table())
    show(dataclasses.replace(report, model=str(folder), file=str(path)), json=values["json"])


COMMAND = Command(
    "loss-curve",
    "Masked-loss curve of a trained model by number of masked tokens, on data it was not trained on.",
    run,
    positionals=(MODEL_FOLDER,),
    options=(
        Option("out", Path, None, "Where it goes; DIR/loss_curve.csv, for `mdmjax decode`.", "FILE.csv"),
        *MEASURING,
        Option("seed", int, 0, "Seed of the sequences and of their masks."),
        JSON,
    ),
    examples=(("mdmjax loss-curve model", "then: mdmjax schedule loss-curve model/loss_curve.csv"),),
)
