"""A task as a source of problems to train on, and of others that are held out."""

import dataclasses
import hashlib
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import check_bytes
from ..tasks.registry import task_in, word_of
from ..tasks.reversed import Reversed
from ..tasks.task import AbstractTask, Problems
from ..training.data import Pool
from .examples import FREQUENCIES, Examples, known_rows_of
from .report import Track, untracked
from .table_sources import AbstractSource

TRAINING_SEED, HELD_OUT_SEED = 2**63, 2**63 + 1
"""The streams of problems that are trained on and held out: no seed that a command takes is one of them."""

PROBLEMS, HELD_OUT, PART = 2**17, 4096, 2**14
"""Problems to train on if nothing is said, held out, and drawn at a time (our choices)."""

MAX_POOL_BYTES = 2**31


@dataclasses.dataclass(frozen=True)
class TaskSource(AbstractSource):
    """Problems of a task: `task` is its word with options (`task_in`), `problems` how many are trained on.

    They lie on the device, 2 bytes a position. With `reverse` answers are written backwards (`Reversed`).
    """

    name: ClassVar[str] = "task"
    task: str
    reverse: bool = False
    problems: int = PROBLEMS

    def __post_init__(self):
        check_integer("problems", self.problems, 1)
        object.__setattr__(self, "task", word_of(task_in(self.task)))
        need = 2 * self.problems * self.made().n
        check_bytes(need, MAX_POOL_BYTES, "the problems", "take fewer", problems=self.problems)

    def made(self) -> AbstractTask:
        """The task, with answers as the model writes them."""
        task = task_in(self.task)
        return Reversed(task) if self.reverse else task

    def held_out(self, count: int = HELD_OUT) -> Problems:
        """The first problems of the stream that is held out."""
        return self.made().problems(HELD_OUT_SEED, count)

    def examples(self, track: Track = untracked) -> Examples:
        """Pools of both streams; `facts` say how many held-out problems are trained on as well.

        A small task has few problems, and two streams have some in common: they are not taken out, since
        that would change what problems are like.
        """
        task = self.made()
        starts = range(0, self.problems, PART)
        parts = [
            task.problems(TRAINING_SEED, min(PART, self.problems - at), at)
            for at in track(starts, "drawing problems")
        ]
        trained = Problems(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        held = self.held_out()
        seen = float(known_rows_of(held.tokens, trained.tokens).mean())
        facts: dict[str, Any] = {"of": f"the task {self.task}", "problems": self.problems}
        facts |= {"fingerprint": hashlib.sha256(trained.tokens.tobytes()).hexdigest()[:16]}
        facts["held_out"] = (
            f"{HELD_OUT} problems of another stream; {100 * seen:.1f}% are in the training too"
        )
        title = f"{self.problems} problems of {self.task}" + ", answers backwards" * self.reverse
        known = {FREQUENCIES: _by_frequencies(trained, held, task.q)}
        return Examples(_pool(trained, task), _pool(held, task), title, facts, known, task)


def _pool(problems: Problems, task: AbstractTask) -> Pool:
    return Pool(jnp.asarray(problems.tokens), jnp.asarray(problems.given), task.q)


def _by_frequencies(trained: Problems, held: Problems, q: int) -> float:
    """Nats a token of the answers held out, by the frequencies of the symbols in those trained on."""
    seen, new = (np.bincount(one.tokens[~one.given], minlength=q) for one in (trained, held))
    return float(-(new / new.sum()) @ np.log((seen + 1) / (seen.sum() + q)))
