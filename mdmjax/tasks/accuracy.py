"""How often a denoiser and a decoder answer right: every problem decoded after its prompt, and checked."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from .._errors import refuse
from .._types import Array, Key
from ..decoders.base import AbstractDecoder
from ..decoders.prompted import decode_prompts
from ..decoders.run import Trace
from ..denoisers.base import AbstractDenoiser
from .task import AbstractTask, Flags, Problems


class Answers(NamedTuple):
    """Of every problem whether its answer is `correct`, the first check that it `failed` (-1), its trace.

    `finalised` of the traces is `GIVEN` at prompts: `~problems.given` are the positions that count.
    """

    correct: Bool[np.ndarray, " problems"]
    failed: Int[np.ndarray, " problems"]
    traces: Trace


def task_accuracy(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    task: AbstractTask,
    problems: Problems,
    decoder: AbstractDecoder,
    *,
    batch: int = 256,
    keep: bool = False,
) -> Answers:
    """Every problem answered by `decoder` after its prompt, which it cannot change, and checked.

    The decoder is one of `written_positions(problems.given)`: those of the answer where all prompts have
    the same, else all `n` (`decode_prompts`). What the answers in `problems` are does not matter.

    Raises:
        InvalidInputError: a denoiser of another size; no problem; as `decode_prompts`.

    >>> import mdmjax as mj
    >>> from mdmjax.tasks.addition import Addition
    >>> task = Addition(digits=2)
    >>> problems = task.problems(0, 8)
    >>> config = mj.TransformerConfig(task.n, task.q, width=8, depth=1, heads=1, hidden=8)
    >>> network = mj.Transformer.create(jax.random.key(0), config)
    >>> decoder = mj.Reveal(mj.left_to_right(mj.Schedule([1, 1, 1])), temperature=0)
    >>> found = task_accuracy(jax.random.key(1), network, task, problems, decoder)
    >>> found.correct.mean().tolist(), found.traces.finalised[0].tolist()
    (0.0, [-1, -1, -1, -1, -1, -1, 0, 1, 2])
    """
    if (denoiser.n, denoiser.q) != (task.n, task.q):
        refuse(
            "denoiser", f"of n, q = {denoiser.n}, {denoiser.q}", f"n, q = {task.n}, {task.q} of the task"
        )
    start = jnp.asarray(np.where(problems.given, problems.tokens, task.q), jnp.int32)
    traces = decode_prompts(key, denoiser, decoder, start, batch=batch, keep=keep)
    failed = failed_checks(task, np.asarray(traces.tokens), problems.given)
    return Answers(failed < 0, failed, traces)


def failed_checks(
    task: AbstractTask, tokens: Int[np.ndarray, "problems n"], given: Flags
) -> Int[np.ndarray, " problems"]:
    """The first check that each sequence fails, -1 where it is right; one that is still masked fails one.

    >>> from mdmjax.tasks.addition import Addition
    >>> task = Addition(digits=2)
    >>> failed_checks(task, np.full((1, task.n), task.q), np.zeros((1, task.n), bool)).tolist()
    [0]
    """
    failed = task.failed(np.minimum(tokens, task.q - 1).astype(np.uint8), given)
    unwritten = (tokens == task.q).any(axis=1)
    return np.where(unwritten & (failed < 0), 0, failed)


def cut_after_end(task: AbstractTask, tokens: np.ndarray, given: Flags) -> np.ndarray:
    """Answers in which all is padding after the first padding that follows a symbol: the end of the text.

    That is what is done to LLaDA's answers: tokens after the end are written like others, and then left
    out. Padding before the first symbol is none.

    >>> from mdmjax.tasks.addition import Addition
    >>> task = Addition(digits=3)
    >>> tokens, given = task.prompt("1+1=")
    >>> tokens[~given] = task.encode(" 2 5")
    >>> task.decode(cut_after_end(task, tokens[None], given[None])[0])
    '  1+  1= 2  '
    """
    if task.PAD not in task.symbols:
        return tokens
    pad = task.symbols.index(task.PAD)
    started = np.cumsum(~given & (tokens != pad), axis=1) > 0
    ended = np.cumsum(started & ~given & (tokens == pad), axis=1) > 0
    return np.where(ended & ~given, pad, tokens).astype(tokens.dtype)
