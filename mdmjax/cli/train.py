"""`mdmjax train SOURCE --out DIR`: train a masked diffusion model, or go on with one."""

import sys
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from .choices import SHOWN, TEXT_PATH, families
from .options import Choice, Command, Option, Parsed, Slot
from .task_words import TRAINED_TASKS

SIZE_NAMES = ("mini", "tiny", "little", "small", "base", "large")  # of `SIZES`, which imports JAX


def run(parsed: Parsed) -> int:
    """Train, and say how good the model is; the code of a signal that ended it, if one did."""
    from ..files.atomic import check_writable_folder
    from ..studies.sources import rooted
    from .inputs import key_of, source_of
    from .output import progress_bar, show, track, write
    from .signals import stop_on_signals

    values, chosen, out = parsed.values, parsed.chosen["source"], parsed.values["out"]
    check_writable_folder("out", out)
    key, plan, is_text = key_of(values["seed"]), _plan(values), chosen.name == "text"
    source = source_of(chosen, "law")
    _config(values, is_text, 1, 1)  # refuses a shape before any data are read
    examples = source.examples(track)
    config = _config(values, is_text, examples.training.n, examples.training.q)
    with stop_on_signals() as stop, progress_bar("training", plan.steps) as advance:

        def callback(progress: Any) -> bool:
            loss = progress.log.loss
            if not len(loss) and not values["json"]:
                write(heading(examples, config, plan, progress.step, out) + "\n")
            advance(progress.step, f"loss {loss.mean():.3f}" if len(loss) else "compiling")
            return bool(stop)

        told = {"source": rooted(source).to_json(), "callback": callback}
        report = mj.training_study(key, examples, config, plan, out, **told)
    if stop:
        print(f"stopped at step {report.steps}; the same command goes on", file=sys.stderr)
        return stop.exit_code
    show(report, json=values["json"])
    return 0


def _plan(values: dict[str, Any]) -> "mj.TrainingPlan":
    from ..training.loss import ratio_masks, stratified_masks, whole_masks

    names = ("steps", "batch", "learning_rate", "weight_decay", "clip", "ema")
    if values["causal"] and values["masks"] is not None:
        refuse(
            "masks", values["masks"], "left out with --causal", "nothing is masked: each token is predicted"
        )
    masks = {"stratified": stratified_masks, "ratio": ratio_masks}[values["masks"] or "stratified"]
    masks = whole_masks if values["causal"] else masks
    warmup = min(1000, values["steps"] // 20) if values["warmup"] is None else values["warmup"]
    return mj.TrainingPlan(**{name: values[name] for name in names}, warmup=warmup, masks=masks)


def _config(values: dict[str, Any], is_text: bool, n: int, q: int) -> "mj.TransformerConfig":
    from ..denoisers.transformer import SIZES

    names = ("compute", "attention", "remat", "causal")
    size = {"width": 128, "depth": 1, "heads": 4} | SIZES.get(values["size"], {})
    size |= {
        name: values[name] for name in ("width", "depth", "heads", "hidden") if values[name] is not None
    }
    size.setdefault("hidden", -(-size["width"] * 8 // 24) * 8)
    learned = values["positions"] == "learned" if values["positions"] else not is_text
    given = {name: values[name] for name in names}
    return mj.TransformerConfig(n, q, learned_positions=learned, **size, **given)


def heading(
    examples: Any, config: "mj.TransformerConfig", plan: "mj.TrainingPlan", begun: int, out: Path
) -> str:
    """What is trained on what."""
    lines = [f"{examples.title}; q = {config.q} symbols"]
    if "held_out" in examples.facts:
        lines.append(f"held out: {examples.facts['held_out']}")
    shape = f"width {config.width}, depth {config.depth}, heads {config.heads}" + ", causal" * config.causal
    lines.append(f"{config.parameters} parameters: {shape}")
    lines.append(f"{plan.steps} steps of {plan.batch} sequences of {config.n} tokens")
    if begun == plan.steps:
        lines.append(f"{out} is finished: all of them were done before")
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
    slots=(Slot("source", (TEXT, *TRAINED_TASKS, *families("law"))),),
    options=(
        Option("out", Path, None, "Folder of the model, its checkpoint and log.", "DIR", required=True),
        Option("size", str, None, "Width, depth, heads and hidden by name.", choices=SIZE_NAMES),
        Option("width", int, None, "Numbers at a position; 128."),
        Option("depth", int, None, "Blocks of attention and feed-forward part; 1."),
        Option("heads", int, None, "Heads of attention; 4."),
        Option("hidden", int, None, "Width of the feed-forward part; 8/3 of the width, to 8."),
        Option(
            "positions",
            str,
            None,
            "rotary: by distances alone, as in LLaDA; learned: each has a vector too. Rotary for a text, "
            "learned for a distribution and for a task.",
            choices=("rotary", "learned"),
        ),
        Option("causal", bool, False, "A left-to-right network: each token by those before it alone."),
        Option("compute", str, "float32", "Type of the matrix products.", choices=("float32", "bfloat16")),
        Option("attention", str, None, "cudnn: fused, on NVIDIA, bfloat16.", choices=("xla", "cudnn")),
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
            None,
            "Number of masks spread over a batch (if nothing is said), or a random ratio t, of weight 1/t.",
            choices=("stratified", "ratio"),
        ),
        Option("seed", int, 0, "Seed of the start, the data and the masks."),
        *SHOWN,
    ),
    examples=(
        ("mdmjax train text --out model", "characters of Python's own library; a minute on two cores"),
        ("mdmjax train block-hmm --out hmm", "then: mdmjax law block-hmm --model hmm"),
        (
            "mdmjax train task:addition --digits 4 --size tiny --out sums",
            "answers alone; then: mdmjax decode sums",
        ),
    ),
)
