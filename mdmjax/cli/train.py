"""`mdmjax train SOURCE --out DIR`: train a masked diffusion model, or go on with one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .choices import TEXT_PATH, families
from .options import Choice, Command, Option, Parsed, Slot

if TYPE_CHECKING:
    from ..denoisers.transformer import TransformerConfig
    from ..studies.examples import Examples
    from ..training.plan import TrainingPlan


def run(parsed: Parsed) -> int:
    """Train, and say how good the model is; the code of a signal that ended it, if one did."""
    import jax

    from ..files.atomic import check_writable_folder
    from ..studies.sources import rooted
    from ..studies.training import training_study
    from .inputs import check_seed, training_source
    from .output import write
    from .progress import progress_bar, track
    from .show import show
    from .signals import stop_on_signals

    values = parsed.values
    check_writable_folder("out", values["out"])
    check_seed(values["seed"])
    plan = _plan(values)
    source = training_source(parsed.chosen["source"])
    is_text = parsed.chosen["source"].name == "text"
    _config(values, is_text, 1, 1)  # refuses a shape before any data are read
    examples = source.examples(track)
    config = _config(values, is_text, examples.training.n, examples.training.q)
    with stop_on_signals() as stop, progress_bar("training", plan.steps, 0) as advance:

        def callback(progress: Any) -> bool:
            loss = progress.log.loss
            if not len(loss) and not values["json"]:
                write(heading(examples, config, plan, progress.step, values["out"]) + "\n")
            advance(progress.step, f"loss {loss.mean():.3f}" if len(loss) else "compiling")
            return bool(stop)

        report = training_study(
            jax.random.key(values["seed"]),
            examples,
            config,
            plan,
            values["out"],
            source=rooted(source).to_json(),
            callback=callback,
        )
    if stop:
        print(f"stopped at step {report.steps}; the same command goes on", file=sys.stderr)
        return stop.exit_code
    show(report, json=values["json"])
    return 0


def _plan(values: dict[str, Any]) -> "TrainingPlan":
    from ..training.loss import ratio_masks, stratified_masks
    from ..training.plan import TrainingPlan

    steps, warmup = values["steps"], values["warmup"]
    names = ("steps", "batch", "learning_rate", "weight_decay", "clip", "ema")
    masks = {"stratified": stratified_masks, "ratio": ratio_masks}[values["masks"]]
    warmup = min(1000, steps // 20) if warmup is None else warmup
    return TrainingPlan(**{name: values[name] for name in names}, warmup=warmup, masks=masks)


def _config(values: dict[str, Any], is_text: bool, n: int, q: int) -> "TransformerConfig":
    from ..denoisers.transformer import TransformerConfig

    hidden = -(-values["width"] * 8 // 24) * 8 if values["hidden"] is None else values["hidden"]
    positions = values["positions"] or ("rotary" if is_text else "learned")
    names = ("width", "depth", "heads", "compute", "attention", "remat")
    given = {name: values[name] for name in names}
    return TransformerConfig(n, q, hidden=hidden, learned_positions=positions == "learned", **given)


def heading(
    examples: "Examples", config: "TransformerConfig", plan: "TrainingPlan", begun: int, folder: Path
) -> str:
    """What is trained on what."""
    lines = [
        f"{examples.title}; q = {config.q} symbols",
        f"{config.parameters} parameters: width {config.width}, depth {config.depth}, heads {config.heads}",
        f"{plan.steps} steps of {plan.batch} sequences of {config.n} tokens",
    ]
    if "held_out" in examples.facts:
        lines.insert(1, f"held out: {examples.facts['held_out']}")
    if begun == plan.steps:
        lines.append(f"{folder} is finished: all of them were done before")
    elif begun:
        lines.append(f"going on from step {begun}")
    return "\n".join(lines)


TEXT = Choice(
    "text",
    "Windows of a text; without PATH, Python's standard library source. One file in ten is held out.",
    (
        Option("length", int, 128, "Tokens in a window: the n of the network."),
        Option("bytes", bool, False, "One token a byte of UTF-8, not one a common character."),
    ),
    (TEXT_PATH,),
)

COMMAND = Command(
    "train",
    "Train a masked diffusion model; the same command again goes on where it was stopped.",
    run,
    slots=(Slot("source", (TEXT, *families("law"))),),
    options=(
        Option(
            "out", Path, None, "Folder of the model: weights, checkpoint and log.", "DIR", required=True
        ),
        Option("width", int, 128, "Numbers at a position."),
        Option("depth", int, 1, "Blocks of attention and feed-forward part."),
        Option("heads", int, 4, "Heads of attention."),
        Option("hidden", int, None, "Width of the feed-forward part; 8/3 of the width, to 8."),
        Option(
            "positions",
            str,
            None,
            "rotary: by distances alone, as in LLaDA; learned: each has a vector too. Rotary for a text, "
            "learned for a distribution.",
            choices=("rotary", "learned"),
        ),
        Option("compute", str, "float32", "Type of the matrix products.", choices=("float32", "bfloat16")),
        Option(
            "attention", str, None, "cudnn is fused, on NVIDIA with bfloat16.", choices=("xla", "cudnn")
        ),
        Option("remat", bool, False, "Compute activations again in the backward pass, to save memory."),
        Option("steps", int, 4000, "Updates of the weights."),
        Option("batch", int, 16, "Sequences in a step."),
        Option("learning-rate", float, 4e-3, "Highest learning rate."),
        Option("warmup", int, None, "Steps of rising learning rate; a twentieth, at most 1000."),
        Option("weight-decay", float, 0.01, "Decay of AdamW."),
        Option("clip", float, 1.0, "Largest norm of a gradient."),
        Option("ema", float, 0.99, "Decay of the running mean of the weights, which is the model."),
        Option(
            "masks",
            str,
            "stratified",
            "Number of masks spread over a batch, or a random ratio t with weight 1/t.",
            choices=("stratified", "ratio"),
        ),
        Option("seed", int, 0, "Seed of the start, the data and the masks."),
        Option("json", bool, False, "Print one JSON object instead of the summary."),
    ),
    examples=(
        ("mdmjax train text --out model", "characters of Python's own library; a minute on two cores"),
        ("mdmjax train block-hmm --out hmm", "then: mdmjax law block-hmm --model hmm"),
    ),
)
