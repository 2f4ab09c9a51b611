r"""Does a trained network fill the easier blanks of a Sudoku first, and does their order matter?

Networks of 4x4 Sudoku (ours; 2601.15593 reports that its models fill easier blanks first, of a size and a
difficulty that are not published), trained for several numbers of steps, several seeds, decoded at
temperature 0. How hard a blank is, is known: its candidates at the start, and the round of propagation
that determines it. Of every decoder the rank correlation of that with the step that fills the blank, and
how many puzzles it solves, beside the order by propagation and the reverse of it.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    AbstractRule,
    ConfidenceThreshold,
    FixedPartition,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    Transformer,
    confidence,
    decode,
    left_to_right,
    margin,
    negative_entropy,
    row_entropy,
)
from mdmjax.decoders.run import Trace
from mdmjax.studies.task_source import HELD_OUT_SEED
from mdmjax.tasks.accuracy import failed_checks
from mdmjax.tasks.propagation import order_of, propagated
from mdmjax.tasks.sudoku import Sudoku
from mdmjax.traces.metrics import order_against
from mdmjax.traces.trace import traces_of

from ._crossed import crossed
from ._run import Progress
from ._task_models import Training, trained


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = 4
    steps: tuple[int, ...] = (750, 3000)
    """Of training, of batches of 64."""
    width: int = 48
    depth: int = 2
    seeds: tuple[int, ...] = (0, 1, 2)
    puzzles: int = 2000
    """Held out."""
    thresholds: tuple[float, ...] = (0.5, 0.9, 0.99)
    problems: int = 2**15
    """To train on."""


SMOKE = Config(steps=(10,), width=8, depth=1, seeds=(0, 1), puzzles=32, thresholds=(0.9,), problems=64)

DIFFICULTIES = ("candidates", "depth")
ROUNDS = 4
"""Rounds that are told apart, of which the last is any later one; then blanks that no round determines."""


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Means with intervals, `[training, decoder, ..., 3]`: accuracy, tau-b with difficulty, places."""
    task = Sudoku(size=config.size)
    puzzles = task.problems(HELD_OUT_SEED, config.puzzles)
    found = propagated(puzzles.tokens, puzzles.given, config.size)
    hard = {name: jnp.asarray(getattr(found, name), float) for name in DIFFICULTIES}
    places = np.argsort(order_of(found), axis=1)
    orders = _orders(task.n, config.thresholds)
    start = jnp.asarray(np.where(puzzles.given, puzzles.tokens, task.q), int)
    shape = len(config.steps), len(orders), len(config.seeds), config.puzzles
    correct, calls = np.zeros(shape), np.zeros(shape)
    tau = np.zeros((len(DIFFICULTIES), *shape))
    mean_place = np.full((ROUNDS + 1, *shape), np.nan)
    every = [(a, s) for a in range(shape[0]) for s in range(shape[2])]
    for a, s in progress(every, "Sudoku"):
        network = trained(_training(config, config.steps[a], config.seeds[s]))
        keys = jax.random.split(jax.random.key(config.seeds[s]), config.puzzles)
        for d, (rule, turn) in enumerate(orders.values()):
            trace = _answers(keys, network, rule, start, jnp.asarray(turn * places))
            correct[a, d, s] = failed_checks(task, np.asarray(trace.tokens), puzzles.given) < 0
            calls[a, d, s] = trace.calls
            traces = traces_of(trace, task.q)
            for at, name in enumerate(DIFFICULTIES):
                tau[at, a, d, s] = order_against(hard[name], traces).kendall_tau_b
            mean_place[:, a, d, s] = _places_by_round(
                np.asarray(trace.finalised), found.depth, puzzles.given
            )
    propagation = list(orders).index("by propagation")
    kinds = puzzles.kind == np.arange(len(task.kinds))[:, None]
    by_kind = [crossed(np.where(kind, correct, np.nan)) for kind in kinds]
    blanks = (~puzzles.given).sum(axis=1)
    return {
        "decoder": np.array(list(orders)),
        "steps": np.array(config.steps),
        "seed": np.array(config.seeds),
        "puzzles": np.array(config.puzzles),
        "difficulty": np.array(DIFFICULTIES),
        "kendall_tau_b": np.stack([crossed(one) for one in tau], axis=2),
        "with_a_tau": (~np.isnan(tau)).mean(axis=(-2, -1)),
        "accuracy": crossed(correct),
        "accuracy_by_seed": correct.mean(axis=-1),
        "less_than_by_propagation": crossed(correct - correct[:, [propagation]]),
        "kind": np.array(task.kinds),
        "kind_count": kinds.sum(axis=1),
        "accuracy_by_kind": np.stack(by_kind, axis=2),
        "tokens_per_step": crossed(blanks / calls),
        "round": np.array([*(str(i) for i in range(1, ROUNDS)), f"{ROUNDS}+", "none"]),
        "mean_place": np.stack([crossed(one) for one in mean_place], axis=2),
    }


def _training(config: Config, steps: int, seed: int) -> Training:
    return Training(
        f"sudoku,size={config.size}",
        width=config.width,
        depth=config.depth,
        steps=steps,
        seed=seed,
        problems=config.problems,
    )


def _orders(n: int, thresholds: tuple[float, ...]) -> dict[str, tuple[AbstractRule, int]]:
    """The decoders, a token a step but the thresholds; the second: 1 and -1 by propagation and against."""
    single = Schedule(np.ones(n, int))
    alone: dict[str, AbstractRule] = {
        "left to right": left_to_right(single),
        "random": RandomSubset(single),
        "confidence": Ranked(confidence, single),
        "margin": Ranked(margin, single),
        "entropy": Ranked(negative_entropy, single),
        "hard first": Ranked(row_entropy, single),
    }
    alone |= {f"threshold {x:g}": ConfidenceThreshold(x) for x in thresholds}
    given = left_to_right(single)
    return {name: (rule, 0) for name, rule in alone.items()} | {
        "by propagation": (given, 1),
        "against propagation": (given, -1),
    }


@eqx.filter_jit
def _answers(
    keys: jax.Array, network: Transformer, rule: AbstractRule, start: jax.Array, places: jax.Array
) -> Trace:
    """Every puzzle decoded; a fixed order is that of its own row of `places`, if these are not all 0."""

    def one(row: tuple[jax.Array, jax.Array, jax.Array]) -> Trace:
        key, tokens, place = row
        mine = rule
        if isinstance(rule, FixedPartition):
            levels = jnp.where(jnp.any(place != 0), place, rule.levels)
            mine = eqx.tree_at(lambda rule: rule.levels, rule, levels)
        return decode(key, network, Reveal(mine, temperature=0), given=tokens)

    return jax.lax.map(one, (keys, start, places), batch_size=256)


def _places_by_round(finalised: np.ndarray, depth: np.ndarray, given: np.ndarray) -> np.ndarray:
    """`[round, puzzle]`: when the blanks of a round are filled on average, 0 the first step, 1 the last."""
    last = finalised.max(axis=1, keepdims=True)
    when = np.where(last > 0, finalised / np.maximum(last, 1), np.nan)
    group = np.where(depth == depth.shape[1], ROUNDS, np.minimum(depth, ROUNDS) - 1)
    rows = []
    for number in range(ROUNDS + 1):
        here = ~given & (group == number)
        count = here.sum(axis=1)
        mean = np.where(here, when, 0.0).sum(axis=1) / np.maximum(count, 1)
        rows.append(np.where(count > 0, mean, np.nan))
    return np.stack(rows)
