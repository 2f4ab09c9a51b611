"""How often a denoiser and a decoder answer right: every problem decoded after its prompt, and checked."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Key, Tokens
from ..decoders.base import AbstractDecoder
from ..decoders.run import GIVEN, Trace, decode, step_limit
from ..denoisers.base import AbstractDenoiser
from ..denoisers.conditioned import Conditioned
from ..distributions.base import MAX_TABLE_BYTES
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

    The decoder is one of the `answer_positions`: those of the answer where all prompts have the same, else
    of all `n`, the prompt given. What the answers in `problems` are does not matter. `batch` problems are
    decoded at once; problem `i` has the key `jax.random.split(key, problems)[i]`. A position that stays
    masked is a wrong answer.

    Raises:
        InvalidInputError: a denoiser of another size; no problem; as `decode` (a decoder that revises needs
            prompts at the same positions); traces of more than 2 GiB.

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
    count = problems.tokens.shape[0]
    if (denoiser.n, denoiser.q) != (task.n, task.q):
        refuse("denoiser", f"of n, q = {denoiser.n}, {denoiser.q}", f"n, q = {task.n}, {task.q} of the task")
    if count < 1:
        refuse("problems", 0, "one or more")
    batch = check_integer("batch", batch, 1)
    positions = answer_positions(problems.given)
    start = jnp.asarray(np.where(problems.given, problems.tokens, task.q), jnp.int32)
    some = Conditioned(denoiser, start[0], jnp.asarray(positions))
    kept = step_limit(some, decoder, None) + 1 if keep else 0
    check_bytes(8 * count * (3 + kept) * task.n, MAX_TABLE_BYTES, "the traces", "take fewer", problems=count)
    hidden = bool(problems.given[:, positions].any())
    traces = _decoded(jax.random.split(key, count), start, some, decoder, min(batch, count), hidden, keep)
    tokens = np.asarray(traces.tokens)
    failed = task.failed(np.minimum(tokens, task.q - 1).astype(np.uint8), problems.given)
    unwritten = (tokens == task.q).any(axis=1) & (failed < 0)
    failed = np.where(unwritten, 0, failed)
    return Answers(failed < 0, failed, traces)


def answer_positions(given: Flags) -> Int[np.ndarray, " positions"]:
    """The positions that a decoder of these problems is made for: see `task_accuracy`.

    >>> answer_positions(np.array([[True, False], [True, False]])).tolist()
    [1]
    >>> answer_positions(np.array([[True, False], [False, True]])).tolist()
    [0, 1]
    """
    same = bool((given == given[0]).all())
    return np.flatnonzero(~given[0]) if same else np.arange(given.shape[1])


@eqx.filter_jit
def _decoded(
    keys, start, some: Conditioned, decoder: AbstractDecoder, batch: int, hidden: bool, keep: bool
) -> Trace:
    """The traces, of all positions; with `hidden` prompts are among those that the decoder is of."""
    positions = some.positions

    def one(problem: tuple[Key[Array, ""], Tokens]) -> Trace:
        key, tokens = problem
        model = eqx.tree_at(lambda model: model.context, some, tokens)
        given = tokens[positions] if hidden else None
        trace = decode(key, model, decoder, given=given, keep=keep)
        assert trace.edits is not None
        canvases = trace.canvases
        if canvases is not None:
            canvases = jnp.tile(tokens, (canvases.shape[0], 1)).at[:, positions].set(canvases.astype(tokens.dtype))
        return Trace(
            tokens=tokens.at[positions].set(trace.tokens.astype(tokens.dtype)),
            finalised=jnp.full(tokens.shape, GIVEN).at[positions].set(trace.finalised),
            calls=trace.calls,
            edits=jnp.zeros(tokens.shape, int).at[positions].set(trace.edits),
            canvases=canvases,
        )

    return jax.lax.map(one, (keys, start), batch_size=batch)
