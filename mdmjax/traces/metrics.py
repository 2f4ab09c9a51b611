r"""What traces say of their decoder: how parallel it was, in which order it wrote, what it rewrote."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from .._types import Array, Float
from .merging import index_type
from .ranks import (
    Ordered,
    RankCorrelation,
    by_columns,
    compact,
    order,
    position_correlation,
    rank_correlation,
    ratio,
    running,
    sorted_correlation,
)
from .trace import Traces

PARTS = 3
"""Stages of the steps, and spans of the positions: thirds (our choice)."""


class TraceMetrics(NamedTuple):
    r"""Numbers of each sample, over its $m$ counted positions; what has no value is NaN.

    | name | what it is |
    |---|---|
    | `n`, `steps` | $m$, and the steps $s$ that finalise at least one of them |
    | `afp` | $m / s$, tokens a step that finalises any (AFP of arXiv 2601.15593) |
    | `kendall_tau_b` | of position and step: 1 is left to right, -1 right to left |
    | `tie_fraction` | pairs of one step, of all pairs |
    | `kendall_tau_sorted` | tau-b of the sorted steps and the steps, as ParallelBench correlates an order |
    | `spearman` | rank correlation of position and step |
    | `edits` | times a position was written again while it held a token, on average; NaN if not kept |
    | `stages` | tokens a step in each third of the $s$ steps, in time |
    | `spans` | tokens a step in each third of the positions: steps that write none of them do not count |
    | `times` | when each third was written: the mean of its steps, 0 the first of the $s$, 1 the last |

    A trace of one step has no order: its tau-b, both of them, and rho are NaN; so is any of no pair. Two
    steps cut into thirds leave one empty, whose tokens a step are NaN.
    """

    n: Float[Array, "*samples"]
    steps: Float[Array, "*samples"]
    afp: Float[Array, "*samples"]
    kendall_tau_b: Float[Array, "*samples"]
    tie_fraction: Float[Array, "*samples"]
    kendall_tau_sorted: Float[Array, "*samples"]
    spearman: Float[Array, "*samples"]
    edits: Float[Array, "*samples"]
    stages: Float[Array, "*samples parts"]
    spans: Float[Array, "*samples parts"]
    times: Float[Array, "*samples parts"]


@eqx.filter_jit
def trace_metrics(traces: Traces) -> TraceMetrics:
    r"""The metrics of every sample, jitted; a merge sort counts the pairs, all of a batch at once.

    >>> found = trace_metrics(Traces(jnp.array([0, 1, 0, 1]), jnp.ones(4, bool)))
    >>> [round(float(x), 4) for x in (found.afp, found.kendall_tau_b, found.tie_fraction)]
    [2.0, 0.4082, 0.3333]
    """
    edits = jnp.zeros_like(traces.steps) if traces.edits is None else traces.edits
    found = TraceMetrics(*by_columns(_of_columns, traces.steps, edits, traces.counted))
    unknown = jnp.full_like(found.edits, jnp.nan)
    return found if traces.edits is not None else found._replace(edits=unknown)


def order_against(values: Float[Array, "*samples n"], traces: Traces) -> RankCorrelation:
    """How the steps of `traces` go with `values` of each position: an entropy, or a difficulty.

    1 is least first: what has a small value is written first. A position whose value is NaN is left out.
    `tie_fraction` is that of the steps.

    >>> traces = Traces(jnp.array([0, 2, 1]), jnp.ones(3, bool))
    >>> float(order_against(jnp.array([0.1, 0.9, 0.4]), traces).kendall_tau_b)
    1.0
    """
    return _against(values, traces)


@eqx.filter_jit
def _against(values: Array, traces: Traces) -> RankCorrelation:
    counted = traces.counted & ~jnp.isnan(values)
    return rank_correlation(jnp.where(counted, values, 0), traces.steps, counted)


def _of_columns(steps: Array, edits: Array, counted: Array) -> tuple[Array, ...]:
    """The metrics of columns, in the order of `TraceMetrics`."""
    dtype = jnp.result_type(float)
    m = jnp.sum(counted, axis=0, dtype=jnp.int32)
    ordered = order(compact(steps, counted), m)
    tau, rho, ties = position_correlation(ordered, m)
    distinct = ordered.runs.sum(ordered.runs.opens)
    rewritten = jnp.sum(jnp.where(counted, edits, 0), axis=0, dtype=dtype)
    return (
        m.astype(dtype),
        distinct.astype(dtype),
        ratio(m, distinct),
        tau,
        ties,
        sorted_correlation(ordered, m),
        rho,
        ratio(rewritten, m),
        *_parts(ordered, m, distinct),
    )


def _parts(ordered: Ordered, m: Array, distinct: Array) -> tuple[Array, Array, Array]:
    """Tokens a step by stage and by span, and when each span was written."""
    runs = ordered.runs
    number = _counting(runs.opens) - 1  # of its step, from 0
    rows = ordered.rows.astype(jnp.int32)
    edge, stages, spans, times = jnp.ones_like(runs.opens[:1]), [], [], []
    for part in range(PARTS):
        within = _in_part(number, distinct, part)
        stages.append(ratio(runs.sum(within), runs.sum(within & runs.opens)))
        here = _in_part(rows, m, part)
        # Rows of one step are in the order of their positions: a span is entered once in it.
        enters = here & (runs.opens | jnp.concatenate([edge, ~here[:-1]]))
        tokens = runs.sum(here)
        spans.append(ratio(tokens, runs.sum(enters)))
        times.append(ratio(runs.sum(jnp.where(here, number, 0)), tokens * (distinct - 1)))
    return jnp.stack(stages), jnp.stack(spans), jnp.stack(times)


def _in_part(number: Array, of: Array, part: int) -> Array:
    """Whether a number of 0..`of`-1 is in that third."""
    return (PARTS * number >= part * of[None]) & (PARTS * number < (part + 1) * of[None])


def _counting(flags: Array) -> Array:
    """How many flags there are down to each row."""
    return running(jnp.add, flags.astype(index_type(flags.shape[0])), 0).astype(jnp.int32)
