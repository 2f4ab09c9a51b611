"""A training with a folder: logged, saved, stopped and resumed at any moment, and measured at its end."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import InvalidInputError, refuse
from .._types import Array, Key
from ..decoders.orders import left_to_right
from ..decoders.prompted import written_positions
from ..decoders.ranked import Ranked, confidence
from ..decoders.reveal import Reveal
from ..denoisers.transformer import Transformer, TransformerConfig
from ..files.atomic import new_folder
from ..files.model_folder import CHECKPOINT, LOG, MODEL, check_folder, is_saved, resumed, save
from ..files.training_log import append_log, begin_log
from ..information.estimate import estimate
from ..schedules.schedule import Schedule
from ..tasks.accuracy import task_accuracy
from ..tasks.task import Problems
from ..training.data import Pool
from ..training.fit import (
    NotFinite,
    Progress,
    StepLog,
    TrainState,
    batch_sharding,
    check_data,
    fit,
    on_every_device,
)
from ..training.loss import mean_loss
from ..training.plan import MAX_TRAINING_BYTES, TrainingPlan, check_training
from .examples import Examples, known_rows_of
from .report import AbstractReport
from .table import Part

SAVE_SECONDS = 30.0  # a checkpoint is written when the last one is this old (our choice)
HELD_OUT_BATCH, HELD_OUT_BATCHES = 64, 64  # sequences that the final loss is measured on (our choice)
HELD_OUT_PROBLEMS = 1024  # on which the accuracy is, of a task (our choice)


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The share of held-out problems that a decoder answers right, one token a step, the argmax of each."""

    decoder: str
    problems: int
    mean: float
    stderr: float
    new: int  # of which so many are not in the training
    new_mean: float
    new_stderr: float

    def lines(self) -> list[str]:
        """The two shares in words."""
        share = lambda mean, stderr: f"{100 * mean:.2f} +- {100 * stderr:.2f}%"
        return [
            f"{share(self.mean, self.stderr)} of {self.problems} held-out problems",
            f"{share(self.new_mean, self.new_stderr)} of the {self.new} that are not in the training",
        ]


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingReport(AbstractReport):
    """What a training came to. Losses are in nats a token, one token a step in random order.

    Those of a causal network are from left to right, those of a task of the answer alone.
    """

    schema: ClassVar[str] = "mdmjax.report.training"
    title: str
    n: int
    q: int
    parameters: int
    steps: int  # done in all
    finished: bool  # whether these are all of the plan; one that was stopped is not measured
    resumed_from: int  # steps that were done before
    tokens: int
    seconds: float  # of all steps, those done before too
    held_out_loss: float | None
    held_out_stderr: float | None
    accuracy: Accuracy | None  # of held-out problems of a task
    compare: dict[str, float]  # losses to compare with, by what they are
    folder: str
    source: Mapping[str, Any]  # where the data can be had again
    causal: bool = False
    files: tuple[str, ...] = (MODEL, CHECKPOINT, LOG)

    def fields(self) -> dict[str, Any]:
        """What JSON has: the fields, and the commands that come next."""
        return super().fields() | {
            "next": [f"mdmjax {verb} {self.folder}" for verb in ("loss-curve", "decode")]
        }

    def tables(self) -> list[Part]:
        """The summary in words."""
        rate = f" ({self.tokens / self.seconds:.0f} a second)" if self.seconds else ""
        lines = [f"{self.tokens} tokens in {self.seconds:.1f} s{rate}"]
        if self.held_out_loss is not None:
            loss = f"held-out loss {self.held_out_loss:.4f} +- {self.held_out_stderr:.4f} nats a token"
            order = "from left to right" if self.causal else "in random order"
            of = " of the answer" if self.accuracy else ""
            lines.append(f"{loss}{of}, one token a step {order}; to compare:")
            lines += [f"  {value:.4f}  {what}" for what, value in self.compare.items()]
        if (found := self.accuracy) is not None:
            lines.append(f"exact match by {found.decoder}, one token a step, at temperature 0:")
            lines += [f"  {line}" for line in found.lines()]
        lines.append(f"written to {self.folder}: {', '.join(self.files)}")
        return ["\n".join([*lines, "next:", *(f"  {command}" for command in self.fields()["next"])])]


def training_study(
    key: Key[Array, ""],
    examples: Examples,
    config: TransformerConfig,
    plan: TrainingPlan,
    folder: Path,
    *,
    source: Mapping[str, Any] | None = None,
    callback: Callable[[Progress], Any] | None = None,
    limit: int = MAX_TRAINING_BYTES,
) -> TrainingReport:
    """Train in `folder`, or go on with the same training where it was stopped, to the same bits.

    The folder gets `model.safetensors`, `checkpoint.eqx` and `log.csv`. `callback` is called once before
    the first step, with an empty log, and after every chunk; when it says something true or raises, the
    training ends with a checkpoint of all its steps. `source` (what JSON can hold) goes into the header,
    to say where the data can be had again. All devices that can share a batch evenly are used.

    Raises:
        InvalidInputError: data, a config and a plan that do not fit, or need more than `limit` bytes; a
            folder that cannot be written, or of another training; nothing is left of these. A loss that is
            not finite or a full disk, which leave the last checkpoint.

    >>> import tempfile
    >>> from mdmjax import parity_code
    >>> from mdmjax.studies.examples import distribution_examples
    >>> config = TransformerConfig(n=2, q=2, width=8, depth=1, heads=1, hidden=8)
    >>> examples = distribution_examples(parity_code(2, 2), "parity")
    >>> with tempfile.TemporaryDirectory() as name:
    ...     training_study(jax.random.key(0), examples, config, TrainingPlan(steps=2), Path(name)).tokens
    128
    """
    check_folder(folder)
    check_data(examples.training, config)
    if config.attention == "cudnn" and (jax.default_backend() != "gpu" or config.compute != "bfloat16"):
        here = f"cudnn on {jax.default_backend()} and {config.compute}"
        refuse("attention", here, "an NVIDIA GPU and bfloat16", "leave it out")
    devices = jax.devices()
    used = max(d for d in range(1, len(devices) + 1) if plan.batch % d == 0)
    check_training(config, plan, devices=used, limit=limit)
    header = training_header(key, examples, config, plan, source)
    created = lambda: TrainState.create(key, plan, config, limit=limit)
    state = resumed(folder, header, jax.eval_shape(created)) or created()
    begun = int(state.step)
    with new_folder(folder):
        if begun < plan.steps or not is_saved(folder, header, state):
            save(folder, header, state)
        before = begin_log(folder / LOG, begun)
    sharding = batch_sharding(devices[:used]) if used > 1 else None
    training, state = on_every_device((examples.training, state), sharding)
    book = _Book(folder, header, plan, config.n, before, callback or (lambda _: False), begun)
    nothing = jax.device_get(StepLog(*(jnp.zeros(0, jnp.float32) for _ in StepLog._fields)))
    stopped = book.callback(Progress(begun, nothing, 0.0, state))
    if not stopped:
        try:
            state = fit(key, state, training, plan, book, sharding, limit=limit)
        except NotFinite as error:
            book.log(error.progress)
            kept = f"{folder} keeps the checkpoint of step {book.saved}"
            raise InvalidInputError(f"{error}; {kept}: train in another folder") from None
    step, loss, stderr, accuracy = int(state.step), None, None, None
    if finished := step == plan.steps:
        loss, stderr = mean_loss(key, state.ema, examples.held_out, HELD_OUT_BATCH, HELD_OUT_BATCHES)
        accuracy = None if examples.task is None else held_out_accuracy(key, state.ema, examples)
    return TrainingReport(
        title=examples.title,
        n=config.n,
        q=config.q,
        parameters=config.parameters,
        steps=step,
        finished=finished,
        resumed_from=begun,
        tokens=step * plan.batch * config.n,
        seconds=before + book.seconds,
        held_out_loss=loss,
        held_out_stderr=stderr,
        accuracy=accuracy,
        compare=examples.known,
        folder=str(folder),
        source=header["source"],
        causal=config.causal,
    )


def held_out_accuracy(key: Key[Array, ""], network: Transformer, examples: Examples) -> Accuracy:
    """The first held-out problems of a task, the most confident position first; of a causal network l2r."""
    task, pool = examples.task, examples.held_out
    assert task is not None
    assert isinstance(pool, Pool)
    assert isinstance(examples.training, Pool)
    tokens, given = (np.asarray(x[:HELD_OUT_PROBLEMS]) for x in (pool.tokens, pool.given))
    problems = Problems(tokens, given, np.zeros(len(tokens), int))
    schedule = Schedule(np.ones(written_positions(given).size, int))
    rule = left_to_right(schedule) if network.config.causal else Ranked(confidence, schedule)
    found = task_accuracy(key, network, task, problems, Reveal(rule, temperature=0))
    name = "l2r" if network.config.causal else "confidence"
    right = found.correct.astype(np.float64)
    new = right[~known_rows_of(tokens, np.asarray(examples.training.tokens))]
    unknown = (math.nan, math.nan) if new.size < 2 else estimate(new)
    return Accuracy(name, len(tokens), *estimate(right), new.size, *unknown)


@dataclasses.dataclass
class _Book:
    """What happens after each chunk: rows in the log, a look at the caller, a checkpoint when it is due."""

    folder: Path
    header: dict[str, Any]
    plan: TrainingPlan
    n: int
    before: float
    callback: Callable[[Progress], Any]
    saved: int
    seconds: float = 0.0
    written: float = dataclasses.field(default_factory=time.monotonic)

    def __call__(self, progress: Progress) -> bool:
        """Whether the training stops; it does so with a checkpoint, even if the callback raises."""
        self.log(progress)
        stop = True
        try:
            stop = bool(self.callback(progress))
        finally:
            due = time.monotonic() - self.written > SAVE_SECONDS
            if stop or due or progress.step == self.plan.steps:
                save(self.folder, self.header, progress.state)
                self.saved, self.written = progress.step, time.monotonic()
        return stop

    def log(self, progress: Progress) -> None:
        """A row for every step of the chunk, whose seconds are spread evenly over them."""
        count, tokens = len(progress.log.loss), self.plan.batch * self.n
        times = self.before + np.linspace(self.seconds, progress.seconds, count + 1)[1:]
        steps = np.arange(progress.step - count, progress.step) + 1
        columns = (steps, *progress.log, steps * tokens, times)
        append_log(self.folder / LOG, list(zip(*(np.asarray(x).tolist() for x in columns), strict=True)))
        self.seconds = progress.seconds


def training_header(
    key: Key[Array, ""],
    examples: Examples,
    config: TransformerConfig,
    plan: TrainingPlan,
    source: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All that a training depends on, as JSON has it: two of the same header are the same training."""
    seed = int.from_bytes(np.asarray(jax.random.key_data(key)).astype(">u4").tobytes(), "big")
    described = {"betas": list(plan.betas), "masks": plan.masks.__name__, "seed": seed}
    told = {"network": config.to_json(), "plan": dataclasses.asdict(plan) | described}
    return {"source": dict(source or {}), "data": examples.facts} | told
