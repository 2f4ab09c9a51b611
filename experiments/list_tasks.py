r"""Accuracy against tokens a step on list tasks: closed forms, exact laws and networks in one picture.

Four operations of ParallelBench (arXiv 2510.04767): copy and sort, whose answers are certain ($C = 0$), and
shuffle and replace-random, whose answers are random ($C > 0$). Of each decoder what the paper's closed form
says, where there is one; the mass that the exact law of the ideal model has on right answers; and how many
answers networks of several seeds get right, each on problems of its own; once half trained, as one that is
trained writes certain answers without error in any order. Prompts of a task are alike but for the names of
their letters, so that the law of one has the accuracy of all.

"Best steps" are the sizes of a random order that are best by the curve of the model that decodes: of a
network its own measured one, of the ideal model the truth's. Exact laws "at temperature 0" are at
$10^{-4}$: the argmax, with a tie drawn at random, as the closed forms have it.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    ConfidenceThreshold,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    curve_from_table,
    exact_law,
    information_curve,
    llada_uniform,
    optimal_schedule,
)
from mdmjax.decoders.base import AbstractRule
from mdmjax.decoders.ranked import confidence
from mdmjax.information.curve import AbstractCurve
from mdmjax.laws.law import Law
from mdmjax.studies.measure import loss_curve_study
from mdmjax.studies.task_source import HELD_OUT_SEED
from mdmjax.tasks import ideal
from mdmjax.tasks.accuracy import task_accuracy
from mdmjax.tasks.answers import answer_joint
from mdmjax.tasks.lists import Lists
from mdmjax.training.data import Pool

from ._run import Progress
from ._task_models import Training, trained


@dataclasses.dataclass(frozen=True)
class Config:
    operations: tuple[str, ...] = ("copy", "sort", "shuffle", "replace-random")
    items: int = 6
    letters: int = 12
    tokens_a_step: tuple[int, ...] = (1, 2, 3, 6)
    thresholds: tuple[float, ...] = (0.4, 0.6, 0.9)
    width: int = 48
    depth: int = 2
    steps: tuple[int, ...] = (3000, 100)
    """Of a training that is enough, and of one that is not."""
    pool: int = 2**15
    """Problems that are trained on."""
    seeds: tuple[int, ...] = (0, 1, 2)
    problems: int = 500
    """Held out, other ones for each seed."""
    measured: int = 4000
    """Other held-out problems, of a loss curve."""


SMOKE = Config(
    operations=("copy", "shuffle"),
    items=3,
    letters=4,
    tokens_a_step=(1, 3),
    thresholds=(0.6,),
    width=8,
    depth=1,
    steps=(10,),
    pool=64,
    seeds=(0, 1),
    problems=16,
    measured=16,
)

TEMPERATURES = (1, 0)
ALMOST_0, SMOOTHING = 1e-4, 1e-12
RANDOM, EASY, BEST, THRESHOLD = "random", "easy first", "random, best steps", "threshold"


class Case(NamedTuple):
    """A decoder: `setting` is its threshold, or its tokens a step."""

    order: str
    setting: float

    def rule(self, curve: AbstractCurve) -> AbstractRule:
        """Of as many positions as the curve, which is the model's."""
        if self.order == THRESHOLD:
            return ConfidenceThreshold(self.setting)
        sizes = (
            best_steps(curve, self.setting) if self.order == BEST else equal_steps(curve.n, self.setting)
        )
        return Ranked(confidence, sizes) if self.order == EASY else RandomSubset(sizes)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Accuracies and mean calls `[task, temperature, decoder]`, of networks `[task, training, seed, ...]`.

    `closed_accuracy` is nan where the paper has no form. `best_counts` are `[task, training, seed, k,
    step]`, 0 where there are fewer; `loss_nats` is `[task, training, seed, m]`, `m` letters known.
    """
    n, sizes, seeds = config.items, config.tokens_a_step, config.seeds
    tasks = [Lists(name, n, n, config.letters) for name in config.operations]
    cases = [Case(order, k) for order in (RANDOM, EASY, BEST) for k in sizes]
    cases += [Case(THRESHOLD, x) for x in config.thresholds]
    shape = len(tasks), len(TEMPERATURES), len(cases)
    closed = [[[_closed(task, one, x) for one in cases] for x in TEMPERATURES] for task in tasks]
    exact = np.array([_exact(task, cases) for task in progress(tasks, "exact laws")])
    networks = len(tasks), len(config.steps), len(seeds)
    found = np.zeros((*networks, *shape[1:], 2))
    losses = np.zeros((*networks, n))
    counts = np.zeros((*networks, len(sizes), n), int)
    for at in progress([*np.ndindex(*networks)], "networks"):
        found[at], curve = _of_network(tasks[at[0]], cases, config, config.steps[at[1]], at[2])
        losses[at] = -np.asarray(curve.heights)
        for row, k in enumerate(sizes):
            best = best_steps(curve, k)
            counts[(*at, row)][: best.steps] = best.counts
    return {
        "task": np.array(config.operations),
        "training": np.array(config.steps),
        "seed": np.array(seeds),
        "temperature": np.array(TEMPERATURES),
        "order": np.array([one.order for one in cases]),
        "setting": np.array([one.setting for one in cases], float),
        "items": np.array(n),
        "closed_accuracy": np.array(closed),
        "exact_accuracy": exact[..., 0],
        "exact_calls": exact[..., 1],
        "model_accuracy": found[..., 0],
        "model_calls": found[..., 1],
        "loss_nats": losses,
        "best_counts": counts,
    }


def equal_steps(n: int, tokens: float) -> Schedule:
    """As many steps as `tokens` a step make, as equal as may be."""
    return llada_uniform(n, -(-n // int(tokens)))


def best_steps(curve: AbstractCurve, tokens: float) -> Schedule:
    """As many steps, of the sizes that a random order loses least with by the curve."""
    return optimal_schedule(curve, equal_steps(curve.n, tokens).steps)


def _of_network(
    task: Lists, cases: list[Case], config: Config, steps: int, at: int
) -> tuple[np.ndarray, AbstractCurve]:
    """Accuracy and mean calls `[temperature, decoder, 2]` of the network of a seed, and its loss curve."""
    seed, last = config.seeds[at], len(config.seeds)
    word = f"lists,operation={task.operation},least={task.least},most={task.most},letters={task.letters}"
    network = trained(
        Training(
            word,
            width=config.width,
            depth=config.depth,
            heads=2,
            steps=steps,
            batch=64,
            seed=seed,
            problems=config.pool,
        )
    )
    measuring, decoding = jax.random.split(jax.random.key(seed))
    others = task.problems(HELD_OUT_SEED, config.measured, last * config.problems + at * config.measured)
    pool = Pool(jnp.asarray(others.tokens), jnp.asarray(others.given), task.q)
    losses = loss_curve_study(measuring, network, pool, sequences=config.measured).losses
    curve = curve_from_table(losses.table())
    problems = task.problems(HELD_OUT_SEED, config.problems, at * config.problems)
    found = np.zeros((len(TEMPERATURES), len(cases), 2))
    for row, temperature in enumerate(TEMPERATURES):
        for column, one in enumerate(cases):
            decoder = Reveal(one.rule(curve), temperature=temperature)
            answers = task_accuracy(decoding, network, task, problems, decoder)
            found[row, column] = np.mean(answers.correct), np.mean(answers.traces.calls)
    return found, curve


def _exact(task: Lists, cases: list[Case]) -> np.ndarray:
    """Accuracy and mean calls `[temperature, decoder, 2]` of the ideal model.

    A certain answer has no law but one word: every decoder is right, and a threshold is reached at once.
    """
    problem = task.problems(0, 1)
    tokens, given = problem.tokens[0], problem.given[0]
    n = task.most
    found = np.ones((len(TEMPERATURES), len(cases), 2))
    if len(task.answers(tokens, given)) == 1:
        found[..., 1] = [1 if x.order == THRESHOLD else equal_steps(n, x.setting).steps for x in cases]
        return found
    joint, _ = answer_joint(task, tokens, given, smoothing=SMOOTHING)
    curve, right = information_curve(joint), np.asarray(joint.probs) > np.sqrt(SMOOTHING)
    for row, temperature in enumerate(TEMPERATURES):
        for column, one in enumerate(cases):
            decoder = Reveal(one.rule(curve), temperature=temperature or ALMOST_0)
            law = exact_law(Oracle(joint), decoder)
            assert isinstance(law, Law)
            found[row, column] = np.asarray(law.probs)[right].sum(), float(law.expected_calls)
    return found


def _closed(task: Lists, case: Case, temperature: float) -> float:
    """The paper's accuracy of an ideal model: what is certain is right; nan where it has no form."""
    n, (order, setting) = task.most, case
    k = min(int(setting), n)
    match task.operation, order, temperature:
        case _, "random, best steps", _:
            return np.nan
        case (("copy" | "sort"), _, _):
            return 1.0
        case "shuffle", "threshold", 1:
            return ideal.shuffle_threshold_accuracy(n, setting)
        case "shuffle", _, 1:
            return ideal.shuffle_accuracy(n, k)
        case "replace-random", "threshold", 0:
            return ideal.replace_random_threshold_accuracy(n, setting)
        case "replace-random", ("random" | "easy first"), 0:
            return ideal.replace_random_greedy_accuracy(n, k)
        case "replace-random", ("random" | "easy first"), 1:
            return ideal.replace_random_accuracy(n, k)
    return np.nan
