r"""How parallel is decoding, and in which order, by task, by stage and by correctness?

After 2601.15593 (its numbers are of models that we have not): tokens per step that finalises any (AFP) and
Kendall's tau-b of position and step, with the ties, of small networks that were each trained on one task,
several seeds, decoded at temperature 0 by confidence thresholds and one token a step. Prompts and padding
do not count; an answer of one step has no order and no part in the mean of tau.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import ConfidenceThreshold, Ranked, Reveal, Schedule, Transformer, confidence
from mdmjax.decoders.prompted import written_positions
from mdmjax.studies.task_source import HELD_OUT_SEED
from mdmjax.tasks.accuracy import task_accuracy
from mdmjax.tasks.registry import task_in
from mdmjax.tasks.task import AbstractTask, Problems
from mdmjax.traces.metrics import PARTS, trace_metrics
from mdmjax.traces.trace import traces_of

from ._crossed import crossed
from ._run import Progress
from ._task_models import Training, trained

TASKS = {
    "addition": "addition,digits=4,uniform=yes",
    "copy": "lists,operation=copy,least=6,most=6,letters=12",
    "reverse": "lists,operation=reverse,least=6,most=6,letters=12",
    "sort": "lists,operation=sort,least=6,most=6,letters=12",
    "replace": "lists,operation=replace-random,least=6,most=6,letters=12",
    "shuffle": "lists,operation=shuffle,least=6,most=6,letters=12",
    "Latin": "latin,size=4,letters=4",
    "Sudoku": "sudoku,size=4",
}
"""One answer that is computed or copied (addition to sort), many (replace to Latin), and infilling."""


@dataclasses.dataclass(frozen=True)
class Config:
    tasks: tuple[str, ...] = tuple(TASKS)
    width: int = 48
    depth: int = 2
    steps: int = 3000
    """Of training, of batches of 64."""
    seeds: tuple[int, ...] = (0, 1, 2)
    problems: int = 1000
    """Held out."""
    thresholds: tuple[float, ...] = (0.5, 0.7, 0.9, 0.95, 0.99)
    training_problems: int = 2**15


SMOKE = Config(
    tasks=("copy",),
    width=8,
    depth=1,
    steps=10,
    seeds=(0, 1),
    problems=16,
    thresholds=(0.5, 0.9),
    training_problems=64,
)

GROUPS = ("all", "right", "wrong")
METRICS = ("afp", "kendall_tau_b", "tie_fraction", "steps")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Means with intervals `[task, decoder, group, 3]` of each metric, of stages `[..., stage, 3]` too."""
    shape = len(config.tasks), len(config.thresholds) + 1
    groups = (*shape, len(GROUPS), 3)
    arrays: dict[str, np.ndarray] = {name: np.zeros(groups) for name in METRICS}
    arrays |= {name: np.zeros((*shape, len(GROUPS), PARTS, 3)) for name in ("stages", "times")}
    arrays |= {"accuracy": np.zeros((*shape, 3)), "count": np.zeros(groups[:-1], int)}
    arrays["with_a_tau"] = np.zeros(shape)
    arrays["accuracy_by_seed"] = np.zeros((*shape, len(config.seeds)))
    for t, name in progress(list(enumerate(config.tasks)), "traces"):
        networks = [trained(_training(config, TASKS[name], seed)) for seed in config.seeds]
        for d in range(shape[1]):
            correct, found = _measured(config, TASKS[name], networks, d)
            arrays["accuracy"][t, d] = crossed(correct.astype(float))
            arrays["accuracy_by_seed"][t, d] = correct.mean(axis=1)
            arrays["with_a_tau"][t, d] = (~np.isnan(found["kendall_tau_b"])).mean()
            for g, kept in enumerate((np.ones_like(correct), correct, ~correct)):
                arrays["count"][t, d, g] = kept.sum()
                for metric in METRICS:
                    arrays[metric][t, d, g] = crossed(np.where(kept, found[metric], np.nan))
                for metric in ("stages", "times"):
                    parts = np.moveaxis(found[metric], -1, 0)
                    arrays[metric][t, d, g] = crossed(np.where(kept, parts, np.nan))
    names = [f"threshold {x:g}" for x in config.thresholds]
    return {
        "task": np.array(config.tasks),
        "decoder": np.array([*names, "one a step"]),
        "group": np.array(GROUPS),
        "seed": np.array(config.seeds),
        "problems": np.array(config.problems),
        **arrays,
    }


def _training(config: Config, word: str, seed: int) -> Training:
    return Training(
        word,
        width=config.width,
        depth=config.depth,
        steps=config.steps,
        seed=seed,
        problems=config.training_problems,
    )


def _measured(
    config: Config, word: str, networks: list[Transformer], decoder: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whether each answer is right, `[seed, problem]`, and the metrics of its trace."""
    rows, right, task = [], [], task_in(word)
    problems = task.problems(HELD_OUT_SEED, config.problems)
    chosen = _decoder(problems, config.thresholds, decoder)
    for seed, network in zip(config.seeds, networks, strict=True):
        answers = task_accuracy(jax.random.key(seed), network, task, problems, chosen)
        traces = traces_of(answers.traces, task.q).within(_no_padding(task, answers.traces.tokens))
        rows.append(trace_metrics(traces))
        right.append(answers.correct)
    found = {name: np.stack([np.asarray(getattr(row, name)) for row in rows]) for name in rows[0]._fields}
    return np.stack(right), found


def _decoder(problems: Problems, thresholds: tuple[float, ...], number: int) -> Reveal:
    """A threshold, or after the last of them the surest token of each step."""
    single = Schedule(np.ones(written_positions(problems.given).size, int))
    rules = [*map(ConfidenceThreshold, thresholds), Ranked(confidence, single)]
    return Reveal(rules[number], temperature=0)


def _no_padding(task: AbstractTask, tokens: jax.Array) -> jax.Array:
    """Where tokens are none of padding."""
    pad = task.symbols.index(task.PAD) if task.PAD in task.symbols else task.q
    return jnp.asarray(tokens != pad)
