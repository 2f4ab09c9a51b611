"""`mdmjax loss-curve DIR`: the masked-loss curve of a trained model on held-out data."""

import dataclasses
from pathlib import Path

from .choices import MEASURING
from .options import Command, Option, Parsed, Positional


def run(parsed: Parsed) -> None:
    """Measure, write the file, and show."""
    import jax

    from ..files.loss_table import write_loss_table
    from ..studies.loss_curve import loss_curve_study
    from ..studies.trained import LOSS_CURVE, open_model
    from .inputs import check_seed, check_suffix
    from .progress import track
    from .show import show

    values = parsed.values
    check_seed(values["seed"])
    folder, path = values["folder"], values["out"] or values["folder"] / LOSS_CURVE
    trained = open_model(folder)
    check_suffix("out", path, ".csv")
    sizes = {"sequences": values["sequences"], "batch": values["batch"]}
    key, data = jax.random.key(values["seed"]), trained.held_out(track)
    report = loss_curve_study(key, trained.network, data, **sizes, track=track)
    write_loss_table(path, report.losses.table())
    show(dataclasses.replace(report, model=str(folder), file=str(path)), json=values["json"])


COMMAND = Command(
    "loss-curve",
    "Masked-loss curve of a trained model by number of masked tokens, on data it was not trained on.",
    run,
    positionals=(Positional("folder", Path, "Folder that `mdmjax train` wrote.", "DIR"),),
    options=(
        Option(
            "out",
            Path,
            None,
            "Where the curve goes; loss_curve.csv in the model's folder, where `mdmjax decode` finds it.",
            "FILE.csv",
        ),
        *MEASURING,
        Option("seed", int, 0, "Seed of the sequences and of their masks."),
        Option("json", bool, False, "Print one JSON object instead of the table."),
    ),
    examples=(("mdmjax loss-curve model", "then: mdmjax schedule loss-curve model/loss_curve.csv"),),
)
