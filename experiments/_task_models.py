"""Small networks trained on tasks; they lie in `build/models`, where experiments share and resume them."""

import dataclasses
import hashlib
import json
from pathlib import Path

import jax

from mdmjax import TrainingPlan, Transformer, TransformerConfig
from mdmjax.files.model_folder import MODEL
from mdmjax.files.safetensor_files import read_model
from mdmjax.studies.task_source import TaskSource
from mdmjax.studies.training import training_study
from mdmjax.tasks.task import AbstractTask
from mdmjax.training.loss import stratified_masks, whole_masks

MODELS = Path(__file__).parent.parent / "build" / "models"


@dataclasses.dataclass(frozen=True)
class Training:
    """All that a network of a task depends on; `hidden` is 8/3 of the width, to 8."""

    task: str
    width: int = 64
    depth: int = 3
    heads: int = 2
    steps: int = 4000
    batch: int = 64
    learning_rate: float = 4e-3
    seed: int = 0
    causal: bool = False
    reverse: bool = False
    problems: int = 2**17

    @property
    def source(self) -> TaskSource:
        """The problems."""
        return TaskSource(self.task, self.reverse, self.problems)

    def made(self) -> AbstractTask:
        """The task, with answers as the network writes them."""
        return self.source.made()


def trained(training: Training) -> Transformer:
    """The network, trained now unless `build/models` has it."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(training), sort_keys=True).encode()).hexdigest()
    folder = MODELS / f"{training.task.split(',')[0]}-{digest[:16]}"
    steps = training.steps
    if (folder / MODEL).is_file():
        network, metadata = read_model(folder / MODEL)
        if metadata.get("step") == steps:  # finished: its problems need not be drawn again
            return network
    source = training.source
    examples, task = source.examples(), source.made()
    config = TransformerConfig(
        task.n,
        task.q,
        width=training.width,
        depth=training.depth,
        heads=training.heads,
        hidden=-(-training.width * 8 // 24) * 8,
        learned_positions=True,
        causal=training.causal,
    )
    plan = TrainingPlan(
        steps,
        training.batch,
        learning_rate=training.learning_rate,
        warmup=min(1000, steps // 20),
        ema=0.99,
        masks=whole_masks if training.causal else stratified_masks,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    key = jax.random.key(training.seed)
    report = training_study(key, examples, config, plan, folder, source=source.to_json())
    assert report.finished
    return read_model(folder / MODEL)[0]
