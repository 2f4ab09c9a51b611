r"""Stitching of cheap traces by the scores of their steps, where a score can be checked: Sudoku 4x4.

After arXiv 2602.22871. `traces` answers are drawn in `cheap` calls each; the score of a cell is whether
its symbol is there once in its row, column and box of the same answer, which needs no solution. For each
cell the symbol of the highest total score is kept, where it has at least half of the traces and no conflict
with what else is kept; the network then fills in the rest, one token a call, and where the result breaks a
rule the best trace, the anchor, is the answer. The source has a reward model, steps of a rationale, and an
autoregressive solver: cells, checked scores and the same network are ours.

Beside it, at as many calls in all: one answer, the best of several by its score, the majority of each cell.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import Ranked, Reveal, Schedule, Transformer, llada_uniform
from mdmjax.decoders.prompted import decode_prompts
from mdmjax.decoders.ranked import confidence
from mdmjax.studies.task_source import HELD_OUT_SEED
from mdmjax.tasks.propagation import units_of
from mdmjax.tasks.sudoku import Sudoku

from ._run import Progress
from ._task_models import Training, trained


@dataclasses.dataclass(frozen=True)
class Config:
    clues: int = 5
    training_steps: tuple[int, ...] = (200, 400, 800)
    """Of networks that are worse and better."""
    seeds: tuple[int, ...] = (0, 1, 2)
    traces: tuple[int, ...] = (2, 4, 8)
    cheap: int = 2
    """Calls of a trace."""
    problems: int = 1000


SMOKE = Config(training_steps=(25,), seeds=(0,), traces=(2,), problems=8)

METHODS = ("one answer", "best of several", "majority", "stitched")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Accuracy and mean calls `[training, seed, traces, method]`."""
    task = Sudoku(size=4, clues=config.clues)
    problems = task.problems(HELD_OUT_SEED, config.problems)
    shape = len(config.training_steps), len(config.seeds), len(config.traces), len(METHODS)
    accuracy, calls = np.zeros(shape), np.zeros(shape)
    every = [(t, s) for t in range(shape[0]) for s in range(shape[1])]
    for t, s in progress(every, "stitching"):
        word = f"sudoku,size=4,clues={config.clues}"
        spec = Training(
            word, width=32, depth=2, steps=config.training_steps[t], seed=config.seeds[s], problems=2**14
        )
        solver = _Solver(trained(spec), task, problems.tokens, problems.given, config.seeds[s])
        for k, count in enumerate(config.traces):
            found = solver.answers(count, config.cheap)
            for m, method in enumerate(METHODS):
                tokens, calls[t, s, k, m] = found[method]
                accuracy[t, s, k, m] = np.mean(task.failed(tokens, problems.given) < 0)
    return {
        "method": np.array(METHODS),
        "training_steps": np.array(config.training_steps),
        "seed": np.array(config.seeds),
        "traces": np.array(config.traces),
        "cheap": np.array(config.cheap),
        "problems": np.array(config.problems),
        "accuracy": accuracy,
        "calls": calls,
    }


class _Solver:
    """A network with the problems that it answers."""

    def __init__(
        self, network: Transformer, task: Sudoku, tokens: np.ndarray, given: np.ndarray, seed: int
    ):
        self.network, self.task, self.given, self.keys = network, task, given, jax.random.key(seed)
        self.clues, self.start = tokens, np.where(given, tokens, task.q)

    def answers(self, count: int, cheap: int) -> dict[str, tuple[np.ndarray, float]]:
        """The answers and the mean calls of each method, of as many calls as stitching takes or fewer."""
        drawn = [self.written(self.start, cheap, 1.0, number)[0] for number in range(count)]
        traces = np.stack(drawn, axis=1)
        scores = np.stack([self.scores(one) for one in drawn], axis=1)
        best = traces[np.arange(len(traces)), scores.sum(axis=2).argmax(axis=1)]
        kept = self.stitched(traces, scores)
        solved, more = self.written(kept, self.task.n, 0.0, count)
        right = self.scores(solved).all(axis=1)
        total = count * cheap + more
        spent = count + int(round(more / cheap))  # as many cheap traces as all of its calls
        others = [self.written(self.start, cheap, 1.0, number)[0] for number in range(count, spent)]
        several = np.stack([*drawn, *others], axis=1)
        chosen = (
            np.stack([self.scores(one) for one in np.moveaxis(several, 1, 0)], axis=1)
            .sum(axis=2)
            .argmax(axis=1)
        )
        votes = (several[..., None] == np.arange(self.task.q)).sum(axis=1).argmax(axis=2)
        single, of_one = self.written(self.start, int(total), 0.0, 0)
        return {
            "one answer": (single, of_one),
            "best of several": (several[np.arange(len(several)), chosen], spent * cheap),
            "majority": (votes.astype(np.uint8), spent * cheap),
            "stitched": (np.where(right[:, None], solved, best), total),
        }

    def written(
        self, start: np.ndarray, steps: int, temperature: float, number: int
    ) -> tuple[np.ndarray, float]:
        """What is written from a start in at most `steps` calls, the surest first; and the mean calls."""
        blanks = int((start == self.task.q).sum(axis=1).max(initial=0))
        open_ = (start == self.task.q).any(axis=1)
        if not open_.any():
            return start.astype(np.uint8), 0.0
        counts = llada_uniform(blanks, min(steps, blanks)).counts
        schedule = Schedule(np.concatenate([[self.task.n - blanks], counts]))
        decoder = Reveal(Ranked(confidence, schedule), temperature=temperature)
        key = jax.random.fold_in(self.keys, number)
        rows = jnp.asarray(np.where(open_[:, None], start, self.start), jnp.int32)
        found = decode_prompts(key, self.network, decoder, rows, batch=256)
        tokens = np.where(open_[:, None], np.asarray(found.tokens), start)
        return tokens.astype(np.uint8), float(np.mean(np.where(open_, np.asarray(found.calls), 0)))

    def scores(self, tokens: np.ndarray) -> np.ndarray:
        """Whether the symbol of each cell is there once in its row, column and box."""
        size, q = self.task.size, self.task.q
        held = (tokens[:, units_of(size)][..., None] == np.arange(q)).sum(axis=2)  # of each unit and symbol
        symbol = np.minimum(tokens, q - 1).astype(int)[:, :, None, None]
        own = np.take_along_axis(held[:, _units_of_cells(size)], symbol, 3)
        return (own == 1).all(axis=(2, 3))

    def stitched(self, traces: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The clues, and the cells that are kept."""
        is_symbol = traces[..., None] == np.arange(self.task.q)
        total = (is_symbol & scores[..., None]).sum(axis=1)
        symbol, weight = total.argmax(axis=2), total.max(axis=2)
        kept = ~self.given & (2 * weight >= traces.shape[1])
        whole = np.where(self.given, self.clues, np.where(kept, symbol, self.task.q)).astype(int)
        # Of two that conflict neither stays.
        clash = ~self.scores(whole)
        return np.where(kept & clash, self.task.q, whole)


def _units_of_cells(size: int) -> np.ndarray:
    """The three units of each cell."""
    units = units_of(size)
    return np.stack([np.flatnonzero((units == cell).any(axis=1)) for cell in range(size * size)])
