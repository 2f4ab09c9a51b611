"""The traces of any decoder: the step that finalised each position of many samples."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from .._types import Array, Bool, Float, Int
from ..decoders.run import Trace


class Traces(eqx.Module):
    """When each position was finalised, whether it counts, and what else is known of the samples.

    `steps[i]` is the last step that changed position `i`; only their order matters, so they may start
    anywhere. `counted` has the positions that a step finalised before the end of text: not a prompt, not
    padding, not what is still masked, which `unfinished` has. `correct` says which samples are, `against`
    has numbers of each position that the order is held against, such as an entropy. Samples of several
    lengths are filled up with what does not count.

    >>> Traces(jnp.array([[1, 0, 0]]), jnp.array([[True, True, False]])).steps.shape
    (1, 3)
    """

    steps: Int[Array, "*samples n"]
    counted: Bool[Array, "*samples n"]
    edits: Int[Array, "*samples n"] | None = None
    tokens: Int[Array, "*samples n"] | None = None
    calls: Int[Array, "*samples"] | None = None
    correct: Bool[Array, "*samples"] | None = None
    unfinished: Bool[Array, "*samples n"] | None = None
    against: Mapping[str, Float[Array, "*samples n"]] = eqx.field(default_factory=dict)

    def within(self, positions: Bool[Array, "*samples n"]) -> "Traces":
        """The same, of which only these positions count: a span, a kind of token.

        >>> traces = Traces(jnp.array([0, 1]), jnp.array([True, True]))
        >>> traces.within(jnp.array([True, False])).counted.tolist()
        [True, False]
        """
        return eqx.tree_at(lambda traces: traces.counted, self, self.counted & positions)


def traces_of(trace: Trace, q: int, *, end: int | None = None, **about: Any) -> Traces:
    """The traces of `decode` or `decode_many`, with mask token `q`; `about` are further fields of `Traces`.

    Given tokens do not count, nor what is still masked, nor, with `end`, the first token of that number and
    what follows it.

    >>> trace = Trace(jnp.array([0, 1, 2]), jnp.array([0, -1, 3]), jnp.array(3))
    >>> traces_of(trace, 2).counted.tolist()
    [True, False, False]
    """
    counted = (trace.finalised >= 0) & (trace.tokens != q)
    if end is not None:
        counted &= before_end(trace.tokens, end)
    known = (trace.edits, trace.tokens, trace.calls)
    return Traces(trace.finalised, counted, *known, unfinished=trace.tokens == q, **about)


def before_end(tokens: Int[Array, "*samples n"], end: int) -> Bool[Array, "*samples n"]:
    """The positions before the first token `end`.

    >>> before_end(jnp.array([3, 9, 3]), 9).tolist()
    [True, False, False]
    """
    return jnp.cumsum(tokens == end, axis=-1) == 0
