"""Models by name, as a sweep has them: what a denoiser is in place of the oracle."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import mdmjax as mj

from .._errors import refuse
from ..denoisers.table import TableDenoiser, tabulate_denoiser
from ..studies.law import oracle_of
from ..studies.naming import Knob
from ..studies.trained import open_model
from ..training.fit import train_steps
from .known import Known


@dataclasses.dataclass(frozen=True)
class NamedModel:
    """A model by name; `build(truth, seed, **values)` makes its table of every masked input."""

    name: str
    help: str
    build: Callable[..., mj.AbstractDenoiser]
    knobs: tuple[Knob, ...]

    def values(self, **given: Any) -> dict[str, Any]:
        """Every parameter with its value, the default where none is given."""
        return {knob.name: knob.default for knob in self.knobs} | given


def trained(truth: mj.AbstractDistribution, seed: int, *, steps: int, **values: Any) -> TableDenoiser:
    """The network of a training on draws of the truth after `steps` of its `total` steps.

    Its weights are the running mean of the training. Every checkpoint of one training is of the same run.
    """
    total = values["total"]
    if not 0 <= steps <= total:
        refuse("model.steps", steps, f"an integer in 0..{total}, the steps of the training")
    return _training(Known(truth), seed, tuple(values.items())).table(steps)


@functools.lru_cache(maxsize=16)  # seeds of a chunk: weights, and a table a checkpoint
def _training(truth: Known, seed: int, values: tuple[tuple[str, Any], ...]) -> "Training":
    return Training(truth.tree, seed, **dict(values))


class Training:
    """One training, and the tables of the checkpoints that it was asked for."""

    def __init__(self, truth, seed, *, total, batch, learning_rate, width, depth, heads, hidden):
        shape = {"width": width, "depth": depth, "heads": heads, "hidden": hidden}
        self.plan = mj.TrainingPlan(total, batch, learning_rate, warmup=total // 20, ema=0.99)
        self.config = mj.TransformerConfig(truth.n, truth.q, **shape, learned_positions=True)
        self.key, self.data = jax.random.key(seed), mj.Draws(truth)
        self.tables: dict[int, TableDenoiser] = {}
        self.start()

    def start(self) -> None:
        """Before the first step."""
        self.steps, self.state = 0, mj.TrainState.create(self.key, self.plan, self.config)

    def table(self, steps: int) -> TableDenoiser:
        """What the network says at every masked input after so many steps."""
        if steps not in self.tables:
            if steps < self.steps:
                self.start()
            if steps > self.steps:
                more = steps - self.steps
                self.state, _ = train_steps(self.key, self.state, self.data, self.plan, more)
                self.steps = steps
            self.tables[steps] = tabulate_denoiser(self.state.ema, dtype=jnp.dtype("float64"))
        return self.tables[steps]


def stored(truth: mj.AbstractDistribution, seed: int, *, folder: str) -> mj.AbstractDenoiser:
    """The model that `mdmjax train --out FOLDER` wrote."""
    network = open_model(Path(folder)).network
    if (network.n, network.q) != (truth.n, truth.q):
        sizes = f"n, q = {truth.n}, {truth.q} as the source has"
        refuse("model.folder", f"{folder} of n, q = {network.n}, {network.q}", f"a model of {sizes}")
    return tabulate_denoiser(network, dtype=jnp.dtype("float64"))


MODELS: dict[str, NamedModel] = {
    model.name: model
    for model in (
        NamedModel("oracle", "The truth itself.", lambda truth, seed: oracle_of(mj.tabulate(truth)), ()),
        NamedModel(
            "trained",
            "A small network trained on draws of the source, after some of its steps.",
            trained,
            (
                Knob("steps", int, 3200, "Steps done."),
                Knob("total", int, 3200, "Steps of the whole training."),
                Knob("batch", int, 128, "Sequences a step."),
                Knob("learning_rate", float, 1e-2, "The highest."),
                Knob("width", int, 32, "Of the network."),
                Knob("depth", int, 2, "Layers."),
                Knob("heads", int, 2, "Of the attention."),
                Knob("hidden", int, 88, "Of the feed-forward layers."),
            ),
        ),
        NamedModel(
            "stored",
            "A model of the folder that `mdmjax train` wrote.",
            stored,
            (Knob("folder", str, None, "The folder."),),
        ),
    )
}
"""Every model by its name."""
