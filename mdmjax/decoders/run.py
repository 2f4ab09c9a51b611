"""The driver: one sequence from a denoiser and a decoder."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Int, Key
from ..denoisers.base import AbstractDenoiser
from .base import AbstractDecoder


class Trace(NamedTuple):
    """What was drawn and when: `finalised[i]` is the step, from 0, that revealed position `i`.

    `calls` counts the steps, each one call of the denoiser. A position that was never revealed, by a
    decoder that chooses nothing, holds the mask `q`, and `finalised` is `n`.
    """

    tokens: Int[Array, " n"]
    finalised: Int[Array, " n"]
    calls: Int[Array, ""]


def decode(key: Key[Array, ""], denoiser: AbstractDenoiser, decoder: AbstractDecoder) -> Trace:
    r"""One draw from the law of `decoder` with `denoiser`, starting with everything masked.

    A step calls the denoiser once and draws the tokens of all chosen positions independently,
    $x_i \sim \hat p(x_i \mid x_S)$, from the state before the step. It ends when nothing is masked, after
    at most `n` steps. `jax.vmap` over keys draws many; `jax.jit` compiles all of it once.

    >>> from mdmjax import Joint, Oracle, Schedule, left_to_right
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> keys = jax.random.split(jax.random.key(0), 100)
    >>> traces = jax.vmap(decode, (0, None, None))(keys, same, left_to_right(Schedule([1, 1])))
    >>> bool((traces.tokens[:, 0] == traces.tokens[:, 1]).all()), traces.finalised[0].tolist()
    (True, [0, 1])
    """
    n, q = denoiser.n, denoiser.q

    def unfinished(trace: Trace) -> Array:
        return jnp.any(trace.tokens == q) & (trace.calls < n)

    def step(trace: Trace) -> Trace:
        choosing, drawing = jax.random.split(jax.random.fold_in(key, trace.calls))
        log_probs = denoiser(trace.tokens)
        chosen = decoder.choose(choosing, log_probs, trace.tokens, trace.calls)
        chosen = chosen & (trace.tokens == q)
        drawn = jax.random.categorical(drawing, log_probs).astype(trace.tokens.dtype)
        return Trace(
            tokens=jnp.where(chosen, drawn, trace.tokens),
            finalised=jnp.where(chosen, trace.calls, trace.finalised),
            calls=trace.calls + 1,
        )

    start = Trace(tokens=jnp.full((n,), q), finalised=jnp.full((n,), n), calls=jnp.array(0))
    return jax.lax.while_loop(unfinished, step, start)
