"""The driver: one sequence from a denoiser and a decoder, and how it came to be."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer, check_kind
from .._errors import check_bytes, refuse
from .._types import Array, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import MAX_TABLE_BYTES
from .base import AbstractDecoder, drawn_branch

GIVEN = -1
"""What `finalised` has where a token was given, and no step wrote it."""


class Trace(NamedTuple):
    """What was drawn and when: `finalised[i]` is the last step, from 0, that changed position `i`.

    `calls` counts the calls of the denoiser, `edits[i]` the steps that changed `i` while it held a token. A
    position that is still masked at the end holds the mask `q`. One that was never changed has in
    `finalised` -1 (`GIVEN`) where the start was given and had a token, else the bound on the steps (`n` if
    the decoder only reveals). `canvases`, if kept, are the tokens before each step, then the last.

    >>> Trace(jnp.array([1, 0]), finalised=jnp.array([0, 1]), calls=jnp.array(2)).tokens.tolist()
    [1, 0]
    """

    tokens: Int[Array, "*samples n"]
    finalised: Int[Array, "*samples n"]
    calls: Int[Array, "*samples"]
    edits: Int[Array, "*samples n"] | None = None
    canvases: Int[Array, "*samples steps n"] | None = None


def decode(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    *,
    max_steps: int | None = None,
    given: Tokens | None = None,
    keep: bool = False,
) -> Trace:
    """One draw from the law of `decoder` with `denoiser`: from its `start`, step by step.

    At most `max_steps` steps are taken, `decoder.most_steps(n)` if it is not given. With `given` it starts
    from these tokens, the mask `q` where one is to be written; the others stay. With `keep` the trace has
    its canvases.

    Raises:
        InvalidInputError: `max_steps` below 1; tokens `given` of another number than `n`, or to a decoder
            that revises (`Conditioned` hides them from it).

    >>> from mdmjax import Joint, Oracle, Reveal, Schedule, left_to_right
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> draw = lambda key: decode(key, same, Reveal(left_to_right(Schedule([1, 1]))))
    >>> traces = jax.vmap(draw)(jax.random.split(jax.random.key(0), 100))
    >>> bool((traces.tokens[:, 0] == traces.tokens[:, 1]).all()), traces.finalised[0].tolist()
    (True, [0, 1])
    """
    limit = step_limit(denoiser, decoder, max_steps)
    n, q = denoiser.n, denoiser.q
    _check_given(given, decoder, n)
    kept = remembered(denoiser, decoder)
    memory, fixed = eqx.partition(decoder, kept)

    def unfinished(carry: tuple[Trace, AbstractDecoder, Array]) -> Array:
        trace, memory, step = carry
        return ~eqx.combine(memory, fixed).finished(trace.tokens, step, q) & (step < limit)

    def advance(carry: tuple[Trace, AbstractDecoder, Array]) -> tuple[Trace, AbstractDecoder, Array]:
        trace, memory, step = carry
        now, before, edits = eqx.combine(memory, fixed), trace.tokens, trace.edits
        assert edits is not None
        tokens = now.draw(jax.random.fold_in(key, step), denoiser, before, step)
        changed = tokens != before
        after = Trace(
            tokens,
            finalised=jnp.where(changed, step, trace.finalised),
            calls=trace.calls + now.calls(before, step, q),
            edits=edits + jnp.where(changed & (before != q), 1, 0),
            canvases=None if trace.canvases is None else trace.canvases.at[step + 1].set(tokens),
        )
        if decoder.remembers:
            memory = eqx.filter(now.then(denoiser, before, tokens, step), kept)
        return after, memory, step + 1

    if given is None:  # the key of the start is that of no step
        start = drawn_branch(jax.random.fold_in(key, np.uint32(2**32 - 1)), decoder.start(n, q)).astype(int)
        finalised = jnp.full(start.shape, limit)
    else:
        start = given.astype(int)
        finalised = jnp.where(start == q, limit, GIVEN)
    canvases = jnp.tile(start, (limit + 1, 1)) if keep else None
    first = Trace(start, finalised, jnp.array(0), jnp.zeros(start.shape, int), canvases)
    trace, _, step = jax.lax.while_loop(unfinished, advance, (first, memory, jnp.array(0)))
    if trace.canvases is None:
        return trace
    taken = jnp.arange(limit + 1)[:, None] <= step
    return trace._replace(canvases=jnp.where(taken, trace.canvases, trace.tokens[None]))


def decode_many(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    samples: int,
    *,
    batch: int = 64,
    max_steps: int | None = None,
    given: Int[Array, "*samples n"] | None = None,
    keep: bool = False,
) -> Trace:
    """`samples` independent draws of `decode`, with a leading axis: compiled whole, `batch` at a time.

    A batch ends with its last sequence; those that have ended before do not change or count calls. The
    key of draw `s` is `jax.random.split(key, samples)[s]`. Tokens `given` are one row for all, or one each.

    Raises:
        InvalidInputError: as `decode`; `samples` or `batch` below 1; traces of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle, RandomSubset, Reveal, Schedule
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> decoder = Reveal(RandomSubset(Schedule([1, 1])))
    >>> decode_many(jax.random.key(0), same, decoder, 3, batch=2).calls.tolist()
    [2, 2, 2]
    >>> decode_many(jax.random.key(0), same, decoder, 1, given=jnp.array([1, 2])).tokens.tolist()
    [[1, 1]]
    """
    samples, batch = check_integer("samples", samples, 1), check_integer("batch", batch, 1)
    limit = step_limit(denoiser, decoder, max_steps)
    kept = limit + 1 if keep else 0
    need = 8 * samples * ((3 + kept) * denoiser.n + 2)  # the key of a draw, and its trace
    check_bytes(need, MAX_TABLE_BYTES, "the traces", "draw fewer at a time", samples=samples)
    if given is not None:
        rows = given.shape[:-1]
        if rows not in ((), (samples,)):
            refuse("given", f"of shape {given.shape}", f"[n] or [samples, n] with samples = {samples}")
        decoder.check_given(given)
        given = jnp.broadcast_to(given, (samples, given.shape[-1]))
    keys = jax.random.split(key, samples)
    return _decode_many((keys, given), denoiser, decoder, min(batch, samples), limit, keep)


@eqx.filter_jit
def _decode_many(
    each, denoiser: AbstractDenoiser, decoder: AbstractDecoder, batch: int, limit: int, keep: bool
) -> Trace:
    def one(draw: tuple) -> Trace:
        key, given = draw
        return decode(key, denoiser, decoder, max_steps=limit, given=given, keep=keep)

    return jax.lax.map(one, each, batch_size=batch)


def _check_given(given: Tokens | None, decoder: AbstractDecoder, n: int) -> None:
    """Refuse tokens that the decoder could change, or of another number."""
    if given is None:
        return
    if given.shape != (n,):
        refuse("given", f"of shape {given.shape}", f"n = {n} tokens, the mask where one is to be written")
    if decoder.revises:
        name = type(decoder).__name__
        refuse(
            "given", f"tokens to {name}, which revises", "a decoder that only reveals", "use Conditioned"
        )
    decoder.check_given(given)


def remembered(denoiser: AbstractDenoiser, decoder: AbstractDecoder) -> Any:
    """The arrays of a decoder that are its memory, those that `then` makes anew: a tree of true and false.

    All are false for one that does not remember. A `then` that changes the structure, a shape or a type is
    refused.
    """
    if not decoder.remembers:
        return jax.tree.map(lambda _: False, decoder)
    kinds, anew = [], []
    tokens, step = jnp.zeros((denoiser.n,), int), jnp.zeros((), int)

    def look(before: AbstractDecoder) -> None:
        after = before.then(denoiser, tokens, tokens, step)
        for one in (before, after):
            arrays = jax.tree.leaves(eqx.filter(one, eqx.is_array))
            kinds.append((jax.tree.structure(one), [(array.shape, array.dtype) for array in arrays]))
        pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=False)
        anew.extend(eqx.is_array(new) and new is not old for old, new in pairs)

    eqx.filter_eval_shape(look, decoder)
    if kinds[0] != kinds[1]:
        name = type(decoder).__name__
        refuse("decoder", name, "one that remembers arrays of the same shapes and types after each step")
    return jax.tree.unflatten(jax.tree.structure(decoder), anew)


def step_limit(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> int:
    """The bound on the steps of a decoder: as given, or its own. What is no such pair is refused."""
    check_kind(
        "denoiser", denoiser, AbstractDenoiser, "a denoiser", "Oracle(p) is that of a distribution p"
    )
    check_kind("decoder", decoder, AbstractDecoder, "a decoder", "Reveal(rule) makes one of a rule")
    return decoder.most_steps(denoiser.n) if max_steps is None else check_integer("max_steps", max_steps, 1)
