"""`mdmjax train SOURCE --out DIR`: train a masked diffusion model, or go on with one."""

import contextlib
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from .._errors import refuse
from ..files.atomic import check_writable_folder
from .loaded import options_of
from .setting import OptionalInt
from .train_sources import Examples, TrainSource, examples_of, rooted, sized

if TYPE_CHECKING:
    from ..denoisers.transformer import TransformerConfig
    from ..training.fit import TrainingPlan, TrainState

CHUNK = 25
"""Steps between two looks at the log: part of the meaning of "the same training", to the last bit."""

SAVE_SECONDS = 30.0
"""A checkpoint is written when the last one is this old (our choice)."""

HELD_OUT_BATCH, HELD_OUT_BATCHES = 64, 64
"""Sequences that the final loss is measured on (our choice)."""


@dataclasses.dataclass(frozen=True)
class TrainCommand:
    """Train a masked diffusion model; the same command again goes on where it was stopped."""

    source: TrainSource
    """What to train on."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of the model: model.safetensors, checkpoint.eqx and log.csv."""
    width: int = 64
    """Numbers at a position."""
    depth: int = 3
    """Blocks of attention and feed-forward part."""
    heads: int = 2
    """Heads of attention."""
    hidden: OptionalInt = None
    """Width of the feed-forward part; 8/3 of the width, to a multiple of 8."""
    compute: Literal["float32", "bfloat16"] = "float32"
    """Type of the matrix products; weights are float32."""
    remat: bool = False
    """Compute activations again in the backward pass, to save memory."""
    steps: int = 1000
    """Updates of the weights."""
    batch: int = 32
    """Sequences in a step."""
    learning_rate: float = 3e-3
    """Highest learning rate."""
    warmup: OptionalInt = None
    """Steps of rising learning rate; a twentieth of the steps, at most 1000. A cosine follows."""
    weight_decay: float = 0.01
    """Decay of AdamW."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    ema: float = 0.99
    """Decay of the running mean of the weights, which is the model."""
    masks: Literal["stratified", "ratio"] = "stratified"
    """How to mask: number of masks spread over a batch, or a random ratio t with weight 1/t."""
    seed: int = 0
    """Seed of the start, the data and the masks."""
    json: bool = False
    """Print one JSON object instead of the summary."""

    def run(self) -> None:
        """Train, and say how good the model is."""
        import jax

        from ..files.model_folder import LOG, resumed
        from ..files.training_log import begin_log
        from ..training.fit import TrainState, batch_sharding, on_every_device
        from .progress import track

        check_writable_folder("out", self.out)
        source, plan = sized(self.source), self._plan()
        self._config(1, 1)  # refuses a shape before any data are read
        examples = examples_of(source, track)
        config = self._config(examples.training.n, examples.training.q)
        header = {
            "source": options_of(rooted(source)),
            "data": examples.facts,
            "network": dataclasses.asdict(config),
            "plan": plan_to_json(plan),
        }
        devices = jax.devices()
        used = max(d for d in range(1, len(devices) + 1) if plan.batch % d == 0)
        sharding = batch_sharding(devices[:used]) if used > 1 else None
        self.out.mkdir(exist_ok=True)
        state = resumed(self.out, header, TrainState.create(plan, config))
        begun = int(state.step)
        before = begin_log(self.out / LOG, begun)
        if not self.json:
            print(heading(examples, config, plan, begun, self.out), flush=True)
        training, state = on_every_device((examples.training, state), sharding)
        examples = examples._replace(training=training)
        try:
            state, seconds = fit(self.out, header, state, examples, plan, sharding, before)
        except KeyboardInterrupt:
            print(f"stopped; the same command goes on from the checkpoint in {self.out}", file=sys.stderr)
            raise
        result = summary(self.out, examples, state, plan, seconds, begun) | {"source": header["source"]}
        print(json.dumps(result, allow_nan=False) if self.json else shown(result))

    def _plan(self) -> "TrainingPlan":
        from ..training.fit import TrainingPlan
        from ..training.loss import ratio_masks, stratified_masks

        if not 0 <= self.seed < 2**63:
            refuse("seed", self.seed, "an integer in 0..2^63-1")
        names = {field.name for field in dataclasses.fields(TrainingPlan)}
        given = {name: getattr(self, name) for name in names if hasattr(self, name)}
        given["warmup"] = min(self.steps // 20, 1000) if self.warmup is None else self.warmup
        given["masks"] = {"stratified": stratified_masks, "ratio": ratio_masks}[self.masks]
        return TrainingPlan(**given)

    def _config(self, n: int, q: int) -> "TransformerConfig":
        from ..denoisers.transformer import TransformerConfig

        hidden = -(-self.width * 8 // 24) * 8 if self.hidden is None else self.hidden
        return TransformerConfig(
            n,
            q,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            hidden=hidden,
            compute=self.compute,
            remat=self.remat,
        )


def fit(
    folder: Path,
    header: dict[str, Any],
    state: "TrainState",
    examples: Examples,
    plan: "TrainingPlan",
    sharding: Any,
    before: float,
) -> tuple["TrainState", float]:
    """Train to the end of the plan, with a log and checkpoints; returns the seconds it took in all.

    Raises:
        InvalidInputError: a loss that is not finite, or a disk that is full; the last checkpoint is left.
        KeyboardInterrupt: after a checkpoint.
    """
    import jax
    import numpy as np

    from ..files.model_folder import LOG, save
    from ..files.training_log import append_log
    from ..training.fit import train_steps
    from .progress import progress_bar

    step = saved = int(state.step)
    if step == plan.steps:
        return state, before
    save(folder, header, state)
    tokens = plan.batch * examples.training.n
    start = last = written = time.monotonic()
    with stop_signal() as stopped, progress_bar("training", plan.steps, step) as advance:
        while step < plan.steps:
            count = min(CHUNK - step % CHUNK, plan.steps - step)
            state, log = train_steps(state, examples.training, plan, count, sharding)
            log = jax.device_get(log)
            now = time.monotonic()
            good = np.isfinite(log.loss) & np.isfinite(log.gradient_norm)
            kept = count if good.all() else int(np.argmin(good))
            times = before + last - start + (now - last) * np.arange(1, count + 1) / count
            append_log(
                folder / LOG,
                [
                    (step + i + 1, *(float(x[i]) for x in log), (step + i + 1) * tokens, float(times[i]))
                    for i in range(kept)
                ],
            )
            if kept < count:
                what = "loss" if not np.isfinite(log.loss[kept]) else "gradient_norm"
                refuse(
                    what,
                    f"{getattr(log, what)[kept]} at step {step + kept + 1}",
                    "a finite number",
                    f"{folder} keeps the checkpoint of step {saved}; "
                    "train in another folder with a lower --learning-rate",
                )
            step, last = step + count, now
            if step == plan.steps or stopped() or now - written > SAVE_SECONDS:
                save(folder, header, state)
                saved, written = step, now
            if stopped():
                raise KeyboardInterrupt
            advance(step, f"loss {log.loss.mean():.3f}")
    return state, before + last - start


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; pressed again, it interrupts at once."""
    pressed = []

    def press(number: int, frame: Any) -> None:
        pressed.append(number)
        print("stopping after these steps; press again to stop at once", file=sys.stderr)
        signal.signal(signal.SIGINT, old)

    try:
        old = signal.signal(signal.SIGINT, press)
    except ValueError:  # not in the main thread, which alone gets signals
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, old)


def plan_to_json(plan: "TrainingPlan") -> dict[str, Any]:
    """The plan as JSON has it."""
    return dataclasses.asdict(plan) | {"betas": list(plan.betas), "masks": plan.masks.__name__}


def heading(
    examples: Examples, config: "TransformerConfig", plan: "TrainingPlan", begun: int, folder: Path
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


def summary(
    folder: Path,
    examples: Examples,
    state: "TrainState",
    plan: "TrainingPlan",
    seconds: float,
    begun: int,
) -> dict[str, Any]:
    """The result as one object of plain numbers and strings."""
    import jax

    from ..files.model_folder import CHECKPOINT, LOG, MODEL
    from ..training.loss import mean_loss

    config, key = state.network.config, jax.random.key(plan.seed)
    loss = mean_loss(key, state.ema, examples.held_out, HELD_OUT_BATCH, HELD_OUT_BATCHES)
    folder = str(folder)
    next_commands = [f"mdmjax loss-curve {folder} --out {folder}/loss.csv", f"mdmjax decode {folder}"]
    return {
        "title": examples.title,
        "n": config.n,
        "q": config.q,
        "parameters": config.parameters,
        "steps": plan.steps,
        "resumed_from": begun,
        "tokens": plan.steps * plan.batch * config.n,
        "seconds": seconds,
        "held_out_loss": loss.mean,
        "held_out_stderr": loss.stderr,
        "compare": examples.known,
        "folder": folder,
        "files": [MODEL, CHECKPOINT, LOG],
        "next": next_commands,
    }


def shown(result: dict[str, Any]) -> str:
    """The summary in words."""
    rate = f" ({result['tokens'] / result['seconds']:.0f} a second)" if result["seconds"] else ""
    lines = [
        f"\n{result['tokens']} tokens in {result['seconds']:.1f} s{rate}",
        f"held-out loss {result['held_out_loss']:.4f} +- {result['held_out_stderr']:.4f} nats a token, "
        "one token a step in random order; to compare:",
        *(f"  {value:.4f}  {what}" for what, value in result["compare"].items()),
        f"written to {result['folder']}: {', '.join(result['files'])}",
        "next:",
        *(f"  {command}" for command in result["next"]),
    ]
    return "\n".join(lines)
