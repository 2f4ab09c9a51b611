"""`mdmjax certify SOURCE`: what each theory promises for an error, and what is true."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from .choices import ESTIMATING, LOSS_CURVE, MEASURING, NOISE, SHOWN, TABLE, families, text_choice
from .models import EITHER, FOR_HUGGING_FACE, judged_of
from .options import Choice, Chosen, Command, Option, Parsed, Slot

FIT = dataclasses.replace(
    NOISE[0],
    help="The curve: the nearest losses that never rise (isotonic), or smooth as well (spline). Spline "
    "where errors are known, else isotonic.",
    choices=("isotonic", "spline"),
)

SEQUENCES = 64  # of a model, unless others are asked for (our choice)


def run(parsed: Parsed) -> None:
    """Compute, draw where it is asked for, and show."""
    from .inputs import check_picture, key_of, write_picture
    from .output import show

    values, chosen = parsed.values, parsed.chosen["source"]
    if not 0 < values["epsilon"] < math.inf:
        refuse("epsilon", values["epsilon"], "a positive number of nats")
    check_picture(values["plot"])
    found = {"loss-curve": _of_losses, "model": _of_model}.get(chosen.name, _of_distribution)
    report = found(chosen, values, key_of(values["seed"]))
    write_picture(values["plot"], report)
    show(report, json=values["json"])


def _how(values: dict[str, Any]) -> dict[str, Any]:
    from .._checks import check_integer

    if not 0 < values["confidence"] < 1:
        refuse("confidence", values["confidence"], "a probability in (0, 1)")
    blocks = check_integer("parts", values["parts"], 1)
    return {"blocks": blocks, "eta": 1 - values["confidence"], "moment": values["moment"]}


def _of_distribution(chosen: Chosen, values: dict[str, Any], key: Any) -> Any:
    """Of a curve, and of draws where there are not too many tokens."""
    from ..schedules.certify import check_certifiable
    from ..studies.certify import certify_study
    from ..studies.growth_sample import distribution_sample
    from .inputs import estimated, source_of
    from .output import track

    source, samples = source_of(chosen, "curve"), values["samples"]
    if "losses" in chosen.values:  # a hidden Markov model
        curve, subject = estimated(source, chosen.values | {"seed": values["seed"]})[2:]
    else:
        curve, subject = source.curve(track)
    check_certifiable(curve, values["epsilon"])
    sample = None
    if samples != 0:
        sample = distribution_sample(key, source.distribution(track)[0], samples, **_how(values))
    return certify_study(curve, values["epsilon"], sample=sample, subject=subject)


def _of_losses(chosen: Chosen, values: dict[str, Any], key: Any) -> Any:
    """Of the curve of a loss table, made to never rise."""
    from ..studies.certify import certify_study
    from .inputs import source_of

    if values["samples"]:
        refuse("samples", values["samples"], "left out", "a table has no sequences: certify model DIR has")
    source = source_of(chosen, "curve")
    if source.fit is None:
        fit = "isotonic" if mj.loss_means(source.table()).stderr is None else "spline"
        source = dataclasses.replace(source, fit=fit)
    curve, subject = source.curve()
    return certify_study(curve, values["epsilon"], subject=subject)


def _of_model(chosen: Chosen, values: dict[str, Any], key: Any) -> Any:
    """Of the losses of a model on sequences, measured now, and of draws of the same sequences."""
    import jax

    from ..studies.certify_model import certify_model_study
    from .output import track

    options, count = chosen.values, SEQUENCES if values["samples"] is None else values["samples"]
    if count < 2:
        refuse("samples", count, "an integer >= 2 of a model", "its losses are measured on them")
    choosing, measuring = jax.random.split(key)
    judged = judged_of(str(options["folder"]), options, choosing, count)
    subject = dataclasses.replace(judged.subject, source={"name": "model", **options})
    judged = dataclasses.replace(judged, subject=subject)
    how = {**_how(values), "fit": options["fit"] or "spline", "batch": options["batch"]}
    return certify_model_study(measuring, judged, values["epsilon"], **how, track=track)


HIDDEN = (*ESTIMATING[:3], FIT)
"""What else is asked of a hidden Markov model, whose curve may be estimated."""

LOSSES = dataclasses.replace(LOSS_CURVE, options=(*TABLE, FIT))
MODEL = Choice(
    "model",
    "Trained model: its sampling error, by losses measured now; not what it does not know itself.",
    (
        Option("data", Path, None, "Text, .fasta or .jsonl; else what `mdmjax train` held out.", "FILE"),
        FIT,
        MEASURING[1],
        *FOR_HUGGING_FACE,
    ),
    (EITHER,),
)

COMMAND = Command(
    "certify",
    "What each theory promises for an error: its steps, its bound, and what is true of them.",
    run,
    slots=(Slot("source", (*families("curve", HIDDEN), text_choice(12), LOSSES, MODEL)),),
    options=(
        Option(
            "epsilon", float, None, "Expected KL (or excess loss) in nats that may be left.", required=True
        ),
        Option(
            "samples",
            int,
            None,
            "Sequences that growth masses are estimated from; 0 for none. 1000 where that is little work, "
            "64 of a model, whose losses are measured on them too.",
        ),
        Option("parts", int, 1, "Equal blocks of the logit axis that they are estimated in."),
        Option("confidence", float, 0.95, "Probability with which all of their intervals hold."),
        Option(
            "moment",
            float,
            None,
            "A bound B of order 4 that is known of the data; else the one that holds for all data.",
        ),
        Option("seed", int, 0, "Seed of the draws, and of what is measured."),
        *SHOWN,
        Option("plot", Path, None, "Draw promised and true KL against calls into this .png or .pdf."),
    ),
    examples=(
        ("mdmjax certify noisy-bit --n 128 --flip 0.01 --epsilon 0.5", "a closed form"),
        ("mdmjax certify markov --n 64 --epsilon 1 --samples 100000", "more draws, narrower intervals"),
        ("mdmjax certify loss-curve loss.csv --length 256 --epsilon 2", "your model's losses"),
        ("mdmjax certify model model --epsilon 1", "measured now"),
        ("mdmjax certify model hf:esm2 --data proteins.fasta --epsilon 1", "pip install 'mdmjax[hf]'"),
    ),
)
