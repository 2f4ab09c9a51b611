r"""Does a trained network fill the easier blanks of a Sudoku first, and does their order matter?

Networks of 4x4 and 9x9 Sudoku (ours; 2601.15593 reports that its models fill easier blanks first, of a size
and a difficulty that are not published), several seeds, decoded at temperature 0. How hard a blank is, is
known: its candidates at the start, and the round of propagation that determines it. Of every decoder the
rank correlation of that with the step that fills the blank, and how many puzzles it solves, beside the
order by propagation, the reverse of it, and the order by naked singles alone.
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
from mdmjax.tasks.registry import task_in
from mdmjax.tasks.sudoku import Sudoku
from mdmjax.traces.metrics import order_against
from mdmjax.traces.trace import traces_of

from ._crossed import crossed
from ._run import Progress
from ._task_models import Training, trained


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of `width` 48 and `depth` 2 unless it says otherwise; what it learns, and is tested on."""

    label: str
    trained_on: str = "sudoku,size=4"
    tested_on: str = "sudoku,size=4,clues=4"
    """Of 4 clues as wanted: a minimal puzzle, of which no clue can be left out."""
    steps: int = 3000
    batch: int = 64
    heads: int = 2
    width: int = 48
    depth: int = 2
    problems: int = 2**15
    seeds: tuple[int, ...] = (0, 1, 2)
    puzzles: int = 2000
    """Held out."""


NINE = "sudoku,size=9,clues=50"


@dataclasses.dataclass(frozen=True)
class Config:
    cases: tuple[Case, ...] = (
        Case("4x4, 750 steps", steps=750),
        Case("4x4, 3000 steps"),
        Case("9x9, 3000 steps", NINE, NINE, batch=32, heads=3, seeds=(0, 1), puzzles=500),
    )
    thresholds: tuple[float, ...] = (0.5, 0.9, 0.99)


SMOKE = Config(
    cases=(Case("4x4", steps=10, width=8, depth=1, problems=64, seeds=(0, 1), puzzles=32),),
    thresholds=(0.9,),
)

DIFFICULTIES = ("candidates", "depth", "depth by naked singles")
"""Candidates at the start; rounds of naked and hidden singles; rounds of naked singles alone."""
FIXED = ("by propagation", "against propagation", "by naked singles")
"""Orders that each puzzle has its own of."""
ROUNDS = 4
"""Rounds that are told apart, of which the last is any later one; then blanks that no round determines."""


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Means with intervals, `[case, decoder, ..., 3]`: accuracy, tau-b with difficulty, places."""
    found = [_measured(case, config.thresholds) for case in progress(config.cases, "Sudoku")]
    return {
        "decoder": np.array([*_rules(1, config.thresholds), *FIXED]),
        "case": np.array([case.label for case in config.cases]),
        "puzzles": np.array([case.puzzles for case in config.cases]),
        "difficulty": np.array(DIFFICULTIES),
        "round": np.array([*(str(i) for i in range(1, ROUNDS)), f"{ROUNDS}+", "none"]),
        "kind": np.array(Sudoku.kinds),
        **{key: np.stack([one[key] for one in found]) for key in found[0]},
    }


def _measured(case: Case, thresholds: tuple[float, ...]) -> dict[str, np.ndarray]:
    """The arrays of one case."""
    task = task_in(case.tested_on)
    assert isinstance(task, Sudoku)
    puzzles = task.problems(HELD_OUT_SEED, case.puzzles)
    blank = ~puzzles.given
    found = propagated(puzzles.tokens, puzzles.given, task.size)
    naked = propagated(puzzles.tokens, puzzles.given, task.size, hidden=False)
    hard = [jnp.asarray(of, float) for of in (found.candidates, found.depth, naked.depth)]
    places, by_naked = (np.argsort(order_of(one), axis=1) for one in (found, naked))
    decoders = [(rule, 0 * places) for rule in _rules(task.n, thresholds).values()]
    decoders += [
        (left_to_right(Schedule(np.ones(task.n, int))), own) for own in (places, -places, by_naked)
    ]
    start = jnp.asarray(np.where(blank, task.q, puzzles.tokens), int)
    shape = len(decoders), len(case.seeds), case.puzzles
    correct, calls = np.zeros(shape), np.zeros(shape)
    tau, when = np.zeros((len(DIFFICULTIES), *shape)), np.zeros((ROUNDS + 1, *shape))
    for s, seed in enumerate(case.seeds):
        network = trained(
            Training(
                case.trained_on,
                width=case.width,
                depth=case.depth,
                heads=case.heads,
                steps=case.steps,
                batch=case.batch,
                seed=seed,
                problems=case.problems,
            )
        )
        keys = jax.random.split(jax.random.key(seed), case.puzzles)
        for d, (rule, own) in enumerate(decoders):
            trace = _answers(keys, network, rule, start, jnp.asarray(own))
            correct[d, s] = failed_checks(task, np.asarray(trace.tokens), puzzles.given) < 0
            calls[d, s] = trace.calls
            for at, values in enumerate(hard):
                tau[at, d, s] = order_against(values, traces_of(trace, task.q)).kendall_tau_b
            when[:, d, s] = _places_by_round(np.asarray(trace.finalised), found.depth, puzzles.given)
    propagation = FIXED.index("by propagation") - len(FIXED)
    kinds = puzzles.kind == np.arange(len(task.kinds))[:, None]
    counts = np.bincount(_round_of(found.depth)[blank], minlength=ROUNDS + 1)
    return {
        "kendall_tau_b": np.stack([crossed(one) for one in tau], axis=1),
        "with_a_tau": (~np.isnan(tau)).mean(axis=(-2, -1)).T,
        "accuracy": crossed(correct),
        "seeds": np.array(len(case.seeds)),
        "accuracy_less_that_by_propagation": crossed(correct - correct[[propagation]]),
        "tokens_per_step": crossed(blank.sum(axis=1) / calls),
        "when_filled": np.stack([crossed(one) for one in when], axis=1),
        "blanks": blank.sum(axis=1).mean(),
        "share_of_round": counts / counts.sum(),
        "kind_count": kinds.sum(axis=1),
    }


def _rules(n: int, thresholds: tuple[float, ...]) -> dict[str, AbstractRule]:
    """The decoders, of one token a step but the thresholds."""
    single = Schedule(np.ones(n, int))
    rules: dict[str, AbstractRule] = {
        "left to right": left_to_right(single),
        "random": RandomSubset(single),
        "confidence": Ranked(confidence, single),
        "margin": Ranked(margin, single),
        "entropy": Ranked(negative_entropy, single),
        "hard first": Ranked(row_entropy, single),
    }
    return rules | {f"threshold {x:g}": ConfidenceThreshold(x) for x in thresholds}


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
    rows = []
    for number in range(ROUNDS + 1):
        here = ~given & (_round_of(depth) == number)
        count = here.sum(axis=1)
        mean = np.where(here, when, 0.0).sum(axis=1) / np.maximum(count, 1)
        rows.append(np.where(count > 0, mean, np.nan))
    return np.stack(rows)


def _round_of(depth: np.ndarray) -> np.ndarray:
    """The number of a blank's round among those that are told apart."""
    return np.where(depth == depth.shape[1], ROUNDS, np.minimum(depth, ROUNDS) - 1)
