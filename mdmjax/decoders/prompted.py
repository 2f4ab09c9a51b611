"""Sequences of which some tokens are given: a prompt, a template, a puzzle, each its own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser
from ..denoisers.conditioned import Conditioned
from ..distributions.base import MAX_TABLE_BYTES
from .base import AbstractDecoder
from .run import GIVEN, Trace, decode, step_limit


def decode_prompts(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    start: Int[Array, "samples n"],
    *,
    batch: int = 64,
    keep: bool = False,
) -> Trace:
    """One draw after each row of `start`, whose tokens stay; the mask `q` is where one is to be written.

    The decoder is one of the `written_positions`: of those that are masked where these are the same in all
    rows, so that a schedule sums to their number and any decoder will do; else of all `n`, the tokens
    given. `finalised` is `GIVEN` at tokens of the start. `batch` rows are decoded at once; that of row `i`
    is the key `jax.random.split(key, samples)[i]`.

    Raises:
        InvalidInputError: rows of another length or with other symbols, or with nothing to write; a decoder
            that revises, where rows are masked at different positions; traces of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle, Reveal, Schedule, left_to_right
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> first = Reveal(left_to_right(Schedule([1])))
    >>> traces = decode_prompts(jax.random.key(0), same, first, jnp.array([[0, 2], [1, 2]]))
    >>> traces.tokens.tolist(), traces.finalised.tolist()
    ([[0, 0], [1, 1]], [[-1, 0], [-1, 0]])
    """
    n, q = denoiser.n, denoiser.q
    if start.ndim != 2 or start.shape[0] < 1 or start.shape[1] != n:
        refuse("start", f"of shape {start.shape}", f"rows of n = {n} tokens")
    rows = np.asarray(start)
    if rows.min() < 0 or rows.max() > q:
        refuse("start", f"with a token {rows.min() if rows.min() < 0 else rows.max()}", f"tokens in 0..{q}")
    positions = written_positions(rows != q)
    if not (rows == q).any(axis=1).all():
        refuse("start", "a row without a mask", "something to write in each")
    size, batch = start.shape[0], check_integer("batch", batch, 1)
    some = Conditioned(denoiser, start[0], jnp.asarray(positions))
    kept = step_limit(some, decoder, None) + 1 if keep else 0
    check_bytes(
        8 * size * (3 + kept) * n, MAX_TABLE_BYTES, "the traces", "take fewer at a time", samples=size
    )
    hidden = bool((rows[:, positions] != q).any())
    return _decode_prompts(
        jax.random.split(key, size), start, some, decoder, min(batch, size), hidden, keep
    )


def written_positions(given: Bool[np.ndarray, "samples n"]) -> Int[np.ndarray, " positions"]:
    """The positions that a decoder is made for: those not given if the same in all rows, else all.

    >>> written_positions(np.array([[True, False], [True, False]])).tolist()
    [1]
    >>> written_positions(np.array([[True, False], [False, True]])).tolist()
    [0, 1]
    """
    same = bool((given == given[0]).all())
    return np.flatnonzero(~given[0]) if same else np.arange(given.shape[1])


@eqx.filter_jit
def _decode_prompts(
    keys, start, some: Conditioned, decoder: AbstractDecoder, batch: int, hidden: bool, keep: bool
) -> Trace:
    """The traces, of all positions; with `hidden` the decoder is of tokens that are given, too."""
    positions = some.positions

    def one(row: tuple[Key[Array, ""], Tokens]) -> Trace:
        key, tokens = row
        model = eqx.tree_at(lambda model: model.context, some, tokens)
        trace = decode(key, model, decoder, given=tokens[positions] if hidden else None, keep=keep)
        whole = lambda rest, part: rest.at[..., positions].set(part.astype(rest.dtype))
        assert trace.edits is not None
        canvases = trace.canvases
        if canvases is not None:
            canvases = whole(jnp.tile(tokens, (canvases.shape[0], 1)), canvases)
        return Trace(
            tokens=whole(tokens, trace.tokens),
            finalised=whole(jnp.full(tokens.shape, GIVEN), trace.finalised),
            calls=trace.calls,
            edits=whole(jnp.zeros(tokens.shape, int), trace.edits),
            canvases=canvases,
        )

    return jax.lax.map(one, (keys, start), batch_size=batch)
