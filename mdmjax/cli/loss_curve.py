"""`mdmjax loss-curve MODEL`: the masked-loss curve of a model on data that it was not trained on."""

import dataclasses
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from .choices import MEASURING, SHOWN
from .models import EITHER, FOR_HUGGING_FACE, is_hugging_face, opened
from .options import Command, Option, Parsed


def run(parsed: Parsed) -> None:
    """Measure, write the file, and show; or write the script that measures elsewhere."""
    from .inputs import check_suffix
    from .output import show, write

    values, model = parsed.values, str(parsed.values["folder"] or "")
    if (script := values["script"]) is not None:
        from ..files.atomic import write_bytes

        if model:
            refuse("MODEL", model, "left out with --script", "the script measures the model beside it")
        if (blocks := values["block_length"]) is not None:
            refuse("block_length", blocks, "left out with --script", "the script measures whole regions")
        check_suffix("script", script, ".py")
        write_bytes(script, (Path(__file__).parent.parent / "studies" / "measure_torch.py").read_bytes())
        write(f"written to {script}: it needs torch and NumPy only\n")
        return
    if not model:
        refuse("MODEL", "not given", "a folder of `mdmjax train`, or hf:FOLDER of Hugging Face")
    is_hf = is_hugging_face(model, values, OUTSIDE)
    name = "loss_curve.csv" if values["block_length"] is None else "block_losses.csv"
    path = values["out"] or (Path() if is_hf else Path(model)) / name
    if is_hf:
        check_suffix("out", path, ".csv")
        report = _hugging_face(values, model, path)
    else:
        report = _trained(values, Path(model), path)
    show(dataclasses.replace(report, model=model, file=str(path)), json=values["json"])


def _trained(values: dict[str, Any], folder: Path, path: Path) -> Any:
    """The report of what `mdmjax train` wrote."""
    from ..files.model_folder import MODEL
    from ..studies.measure import fingerprint
    from .inputs import check_suffix, key_of
    from .output import track

    key, trained = key_of(values["seed"]), mj.open_model(folder)
    check_suffix("out", path, ".csv")
    sizes = {name: values[name] for name in ("sequences", "block_length", "batch")}
    how = {**sizes, "facts": {"model": fingerprint(folder / MODEL)}, "track": track}
    return mj.loss_curve_study(key, trained.network, trained.held_out(track), path, **how)


def _hugging_face(values: dict[str, Any], model: str, path: Path) -> Any:
    """The report of a folder of Hugging Face on the sequences of a file."""
    from ..studies.measure import measure_study
    from .inputs import key_of
    from .output import track

    key_of(values["seed"])
    opened_model = opened(model, values)
    measurable = opened_model.measurable(values["data"], length=values["length"], most=values["sequences"])
    how = {name: values[name] for name in ("block_length", "masks", "cfg_scale", "batch")}
    return measure_study(values["seed"], measurable, path, **how, track=track)


OUTSIDE = (
    Option("data", Path, None, "With hf: sequences; .fasta, .jsonl of `text` or of `prompt` and `answer`, "
           "else one a line.", "FILE"),
    *FOR_HUGGING_FACE,
    Option("masks", str, "nested", "With hf: an order a sequence, one a call, or one and its reverse.",
           choices=("nested", "independent", "antithetic")),
    Option("cfg-scale", float, 0.0, "With hf: guidance as in LLaDA's sampler; two calls a row."),
)  # fmt: skip

COMMAND = Command(
    "loss-curve",
    "Masked-loss curve of a model by number of masked tokens, on data it was not trained on.",
    run,
    positionals=(dataclasses.replace(EITHER, required=False),),
    options=(
        Option("out", Path, None, "Where it goes; MODEL/loss_curve.csv, for `mdmjax decode`; with hf here. "
               "Of blocks it is block_losses.csv.", "FILE.csv"),
        Option("block-length", int, None, "Of every block of as many tokens, those before it known, those "
               "after it masked: what a sampler sees that writes block by block."),
        *MEASURING,
        Option("seed", int, 0, "Seed of the sequences and of their masks."),
        *OUTSIDE,
        Option("script", Path, None, "Only write a script that measures torch models.", "FILE.py"),
        *SHOWN,
    ),
    examples=(
        ("mdmjax loss-curve model", "then: mdmjax schedule loss-curve model/loss_curve.csv"),
        ("mdmjax loss-curve hf:esm2 --data proteins.fasta", "a local folder; pip install 'mdmjax[hf]'"),
        ("mdmjax loss-curve model --block-length 16", "into model/block_losses.csv"),
        ("mdmjax loss-curve --script measure.py", "to paste beside a torch model"),
    ),
)  # fmt: skip
