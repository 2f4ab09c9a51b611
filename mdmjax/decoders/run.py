"""The driver: one sequence from a denoiser and a decoder."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer, check_kind
from .._errors import check_bytes
from .._types import Array, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import MAX_TABLE_BYTES
from .base import AbstractDecoder, drawn_branch


class Trace(NamedTuple):
    """What was drawn and when: `finalised[i]` is the last step, from 0, that changed position `i`.

    `calls` counts the calls of the denoiser. A position that is still masked at the end holds the mask `q`;
    one that was never changed has the bound on the steps in `finalised` (`n` if the decoder only reveals).

    >>> Trace(jnp.array([1, 0]), finalised=jnp.array([0, 1]), calls=jnp.array(2)).tokens.tolist()
    [1, 0]
    """

    tokens: Int[Array, " n"]
    finalised: Int[Array, " n"]
    calls: Int[Array, ""]


def decode(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    *,
    max_steps: int | None = None,
) -> Trace:
    """One draw from the law of `decoder` with `denoiser`: from its `start`, step by step.

    At most `max_steps` steps are taken, `decoder.most_steps(n)` if it is not given.

    Raises:
        InvalidInputError: `max_steps` below 1.

    >>> from mdmjax import Joint, Oracle, Reveal, Schedule, left_to_right
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> draw = lambda key: decode(key, same, Reveal(left_to_right(Schedule([1, 1]))))
    >>> traces = jax.vmap(draw)(jax.random.split(jax.random.key(0), 100))
    >>> bool((traces.tokens[:, 0] == traces.tokens[:, 1]).all()), traces.finalised[0].tolist()
    (True, [0, 1])
    """
    limit = step_limit(denoiser, decoder, max_steps)
    n, q = denoiser.n, denoiser.q

    def unfinished(carry: tuple[Trace, Array]) -> Array:
        trace, step = carry
        return ~decoder.finished(trace.tokens, step, q) & (step < limit)

    def advance(carry: tuple[Trace, Array]) -> tuple[Trace, Array]:
        trace, step = carry
        tokens = decoder.draw(jax.random.fold_in(key, step), denoiser, trace.tokens, step)
        finalised = jnp.where(tokens != trace.tokens, step, trace.finalised)
        calls = trace.calls + decoder.calls(trace.tokens, step, q)
        return Trace(tokens, finalised, calls), step + 1

    # The key of the start is that of no step.
    first = drawn_branch(jax.random.fold_in(key, np.uint32(2**32 - 1)), decoder.start(n, q)).astype(int)
    start = Trace(first, finalised=jnp.full(first.shape, limit), calls=jnp.array(0))
    return jax.lax.while_loop(unfinished, advance, (start, jnp.array(0)))[0]


def decode_many(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    samples: int,
    *,
    batch: int = 64,
    max_steps: int | None = None,
) -> Trace:
    """`samples` independent draws of `decode`, with a leading axis: compiled whole, `batch` at a time.

    A batch ends with its last sequence; those that have ended before do not change or count calls. The
    key of draw `s` is `jax.random.split(key, samples)[s]`.

    Raises:
        InvalidInputError: `samples`, `batch` or `max_steps` below 1; traces of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle, RandomSubset, Reveal, Schedule
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> decoder = Reveal(RandomSubset(Schedule([1, 1])))
    >>> decode_many(jax.random.key(0), same, decoder, 3, batch=2).calls.tolist()
    [2, 2, 2]
    """
    samples, batch = check_integer("samples", samples, 1), check_integer("batch", batch, 1)
    limit = step_limit(denoiser, decoder, max_steps)
    need = 8 * samples * (2 * denoiser.n + 2)  # the key of a draw, and its trace
    check_bytes(need, MAX_TABLE_BYTES, "the traces", "draw fewer at a time", samples=samples)
    return _decode_many(jax.random.split(key, samples), denoiser, decoder, min(batch, samples), limit)


@eqx.filter_jit
def _decode_many(
    keys, denoiser: AbstractDenoiser, decoder: AbstractDecoder, batch: int, limit: int
) -> Trace:
    return jax.lax.map(lambda key: decode(key, denoiser, decoder, max_steps=limit), keys, batch_size=batch)


def step_limit(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> int:
    """The bound on the steps of a decoder: as given, or its own. What is no such pair is refused."""
    check_kind(
        "denoiser", denoiser, AbstractDenoiser, "a denoiser", "Oracle(p) is that of a distribution p"
    )
    check_kind("decoder", decoder, AbstractDecoder, "a decoder", "Reveal(rule) makes one of a rule")
    return decoder.most_steps(denoiser.n) if max_steps is None else check_integer("max_steps", max_steps, 1)
