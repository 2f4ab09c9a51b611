r"""Does easy-first help more when the model is worse? Addition, where an order can be computed.

The claim of arXiv 2602.00286 (section 6.2) on its own task: sums of numbers of 10 digits, in its mix of
difficulties. Networks of several widths and seeds are trained on uniform lengths, with random masks of
the answer, and measured at temperature 0 in every order; beside them causal networks of the same shape,
of which one writes the sum backwards (NanoAdder's L2R and R2L; its sizes and rates are not published).

Then Assumption 4.2 by its own regression (`_regression`): on addition, where the truth has no entropy, so
that the model's own has to do; and on a Block-HMM that is learned, where the truth's is known.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    AbstractRule,
    BlockHMM,
    ConfidenceThreshold,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    TrainingPlan,
    Transformer,
    TransformerConfig,
    left_to_right,
    right_to_left,
)
from mdmjax.decoders.prompted import written_positions
from mdmjax.decoders.ranked import confidence, row_entropy
from mdmjax.studies.task_source import HELD_OUT_SEED
from mdmjax.tasks.accuracy import task_accuracy
from mdmjax.tasks.registry import task_in
from mdmjax.tasks.reversed import Reversed
from mdmjax.training.data import Draws
from mdmjax.training.fit import TrainState, fit

from ._regression import Fit, path_of, regression
from ._run import Progress
from ._task_models import Training, trained


@dataclasses.dataclass(frozen=True)
class Config:
    digits: int = 10
    widths: tuple[int, ...] = (4, 8, 12, 16, 24)
    depth: int = 2
    steps: int = 4000
    seeds: tuple[int, ...] = (0, 1, 2)
    problems: int = 1000
    """Held out, by the paper's mix; the paper has as many."""
    thresholds: tuple[float, ...] = (0.5, 0.9)
    hmm_blocks: int = 3
    hmm_block_size: int = 3
    hmm_steps: tuple[int, ...] = (200, 800, 3200)
    regressed: int = 256
    """Sequences of a regression."""


SMOKE = Config(
    digits=2,
    widths=(4,),
    steps=25,
    seeds=(0,),
    problems=16,
    hmm_steps=(25,),
    hmm_blocks=2,
    hmm_block_size=2,
    regressed=8,
)

CAUSAL = ("causal", "causal, backwards")
REGRESSED = ("left to right", "right to left", "easy first", "hard first")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Accuracies `[width, seed, decoder]`, by kind too; calls; fits `[case, order, coefficient]`."""
    task = task_in(f"addition,digits={config.digits}")
    problems = task.problems(HELD_OUT_SEED, config.problems)
    positions = written_positions(problems.given)
    orders = _orders(positions.size, config.thresholds)
    shape = len(config.widths), len(config.seeds), len(orders) + len(CAUSAL)
    correct = np.zeros((*shape, config.problems), bool)
    calls, parameters = np.zeros(shape), np.zeros(len(config.widths), int)
    networks: dict[tuple[int, int], Transformer] = {}
    every = [(w, s) for w in range(shape[0]) for s in range(shape[1])]
    for w, s in progress(every, "training"):
        spec = Training(
            f"addition,digits={config.digits},uniform=yes",
            width=config.widths[w],
            depth=config.depth,
            steps=config.steps,
            seed=config.seeds[s],
        )
        networks[w, s] = network = trained(spec)
        parameters[w] = network.config.parameters
        key = jax.random.key(config.seeds[s])
        for place, rule in enumerate(orders.values()):
            found = task_accuracy(key, network, task, problems, Reveal(rule, temperature=0))
            correct[w, s, place], calls[w, s, place] = found.correct, np.mean(found.traces.calls)
        for place, reverse in enumerate((False, True), len(orders)):
            baseline = trained(dataclasses.replace(spec, causal=True, reverse=reverse))
            asked = Reversed(task) if reverse else task
            held = asked.problems(HELD_OUT_SEED, config.problems)
            writer = Reveal(orders["left to right"], temperature=0)
            found = task_accuracy(key, baseline, asked, held, writer)
            correct[w, s, place], calls[w, s, place] = found.correct, np.mean(found.traces.calls)
    of_kind = (problems.kind == np.arange(len(task.kinds))[:, None]).astype(float)
    counts = of_kind.sum(axis=1)
    by_kind = np.where(counts > 0, correct @ of_kind.T / np.maximum(counts, 1), np.nan)
    tokens = jnp.asarray(problems.tokens[: config.regressed], int)
    fits = np.zeros((*shape[:2], len(REGRESSED), len(Fit._fields)))
    for w, s in progress(every, "regression"):
        for place, name in enumerate(REGRESSED):
            path = path_of(networks[w, s], None, orders[name], tokens, positions)
            fits[w, s, place] = regression(path.error, path.model_entropy)
    return {
        "decoder": np.array([*orders, *CAUSAL]),
        "width": np.array(config.widths),
        "parameters": parameters,
        "seed": np.array(config.seeds),
        "accuracy": correct.mean(axis=-1),
        "kind": np.array(task.kinds),
        "accuracy_by_kind": by_kind,
        "calls": calls,
        "problems": np.array(config.problems),
        "order": np.array(REGRESSED),
        "coefficient": np.array(("alpha", "lambda", "b", "r_squared")),
        "addition_fit": fits,
        **_hmm_fits(config, progress),
    }


def _orders(positions: int, thresholds: tuple[float, ...]) -> dict[str, AbstractRule]:
    """The decoders of a masked network, one token a step but the thresholds."""
    single = Schedule(np.ones(positions, int))
    found: dict[str, AbstractRule] = {
        "left to right": left_to_right(single),
        "right to left": right_to_left(single),
        "random": RandomSubset(single),
        "easy first": Ranked(confidence, single),
        "hard first": Ranked(row_entropy, single),
    }
    return found | {f"threshold {x:g}": ConfidenceThreshold(x) for x in thresholds}


def _hmm_fits(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Fits `[steps, seed, order, coefficient]` of a Block-HMM, by the truth's entropy and the model's."""
    hmm = BlockHMM(blocks=config.hmm_blocks, block_size=config.hmm_block_size, eta=0.01)
    orders, oracle = _orders(hmm.n, ()), Oracle(hmm)
    draws = jax.random.split(jax.random.key(10**6), config.regressed)
    tokens = jax.vmap(hmm.sample)(draws).astype(int)
    shape = TransformerConfig(hmm.n, hmm.q, width=64, depth=2, heads=2, hidden=176, learned_positions=True)
    every = [(a, b) for a in range(len(config.hmm_steps)) for b in range(len(config.seeds))]
    fits = np.zeros((2, len(config.hmm_steps), len(config.seeds), len(REGRESSED), len(Fit._fields)))
    for at, s in progress(every, "Block-HMM"):
        plan = TrainingPlan(config.hmm_steps[at], 64, learning_rate=2e-3)
        key = jax.random.key(config.seeds[s])
        network = fit(key, TrainState.create(key, plan, shape), Draws(hmm), plan).ema
        for place, name in enumerate(REGRESSED):
            path = path_of(network, oracle, orders[name], tokens, np.arange(hmm.n))
            fits[0, at, s, place] = regression(path.error, path.entropy)
            fits[1, at, s, place] = regression(path.error, path.model_entropy)
    return {
        "hmm_steps": np.array(config.hmm_steps),
        "hmm_fit": fits[0],
        "hmm_model_entropy_fit": fits[1],
    }
