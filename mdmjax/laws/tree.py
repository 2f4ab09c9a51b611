r"""The law of a decoder that chooses nothing at random, as a pure function of arrays: a tree of its words.

What such a decoder has written says what it reveals next. Its $q^m$ words of the first $m$ tokens, in the
order in which it writes them, are the nodes of level $m$, and each sequence is one leaf: no two nodes are
the same state, so that masses are never added up, and all shapes are known before.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import check_bytes
from .._numerics import dot, safe_log
from .._types import Array, Bool, Float, Int
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import known_rows
from ..distributions.joint import MAX_TABLE_BYTES, check_table_size
from ._told import told, truth_of
from .law import Law

BATCH = 2**12  # nodes whose rows are found at a time (our choice)


class _Nodes(NamedTuple):
    """The nodes of a level: `rows` are those of the step that is being written, at positions `pending`."""

    tokens: Int[Array, "nodes n"]
    mass: Float[Array, " nodes"]
    calls: Int[Array, " nodes"]
    pending: Bool[Array, "nodes n"]
    rows: Float[Array, "nodes n q"]
    table: Float[Array, "nodes words"]  # the truth of the tokens still masked, in their order; or nothing


@eqx.filter_jit
def tree_law(denoiser: AbstractDenoiser, decoder: Reveal) -> Law:
    r"""The law $\prod_t \prod_{i \in B_t} \hat p(x_i \mid x_{B_1 \cup \dots \cup B_{t-1}})$, $B_t$ of $x$.

    A denoiser that is an oracle, or perturbs one, is never called on a table: a node carries its share of
    the truth, which is cut by `q` at each level. Then the cost is $O(n^2 q^n)$, else at most $2 q^n$ calls
    for `q >= 2`; memory, about $8 q^n (3 n q + 2)$ bytes. See `dense_law`.
    """
    n, q = denoiser.n, denoiser.q
    check_tree(n, q)
    truth = None if decoder.judge is not None else truth_of(denoiser)
    dtype = jnp.result_type(float) if truth is None else truth.dtype
    nodes = _Nodes(
        jnp.full((1, n), q),
        jnp.ones((1,), dtype),
        jnp.zeros((1,), int),
        jnp.zeros((1, n), bool),
        jnp.zeros((1, n, q), dtype),
        jnp.zeros((1, 0), dtype) if truth is None else truth.reshape(1, -1),
    )
    finalised = jnp.zeros((n, n), dtype)
    for written in range(n):
        nodes, shares = _asked(denoiser, decoder, nodes, n - written)
        finalised += shares
        nodes = _written(nodes, n - written)
    word = jnp.asarray(q ** np.arange(n - 1, -1, -1))
    probs = jnp.zeros(q**n, dtype).at[nodes.tokens @ word].set(nodes.mass)
    calls = dot(nodes.mass, (nodes.calls[:, None] == jnp.arange(n + 1)[None, :]).astype(dtype))
    return Law(probs.reshape((q,) * n), calls, finalised, jnp.zeros((), dtype), "tree")


def check_tree(n: int, q: int) -> None:
    """Refuse a tree of too many leaves, before it is made."""
    check_table_size(n, q)
    need = 8 * q**n * (3 * n * q + 2)
    check_bytes(need, MAX_TABLE_BYTES, "the tree of a law", "use fewer positions", n=n, q=q)


def _asked(
    denoiser: AbstractDenoiser, decoder: Reveal, nodes: _Nodes, left: int
) -> tuple[_Nodes, Float[Array, "n steps"]]:
    """Nodes with nothing left to write take their next step; and what is revealed in each step."""
    n, q, dtype = nodes.rows.shape[1], nodes.rows.shape[2], nodes.mass.dtype
    masked, fresh = nodes.tokens == q, ~jnp.any(nodes.pending, axis=1)

    def one(tokens, table, calls):
        known = denoiser if not table.size else told(denoiser, _truth_rows(table, tokens, q, left))
        judged, written = decoder.rows(known, tokens)
        chosen = decoder.rule.choose(jax.random.key(0), judged, tokens, calls)  # a key not used
        return chosen, jnp.exp(written).astype(dtype)

    asking = nodes.tokens, nodes.table, nodes.calls
    if nodes.table.shape[1] or nodes.mass.shape[0] <= BATCH:
        chosen, rows = jax.vmap(one)(*asking)
    else:
        chosen, rows = jax.lax.map(lambda node: one(*node), asking, batch_size=BATCH)
    # A node that is reached must have rows of sum one, and choose something: NaN says that it does not.
    sums = jnp.sum(rows, axis=2)
    wrong = jnp.any(masked & ~(jnp.abs(sums - 1) <= (1e-9 if dtype == jnp.float64 else 1e-4)), axis=1)
    wrong |= ~jnp.any(chosen & masked, axis=1)
    mass = jnp.where(fresh & wrong & (nodes.mass != 0), jnp.nan, nodes.mass)
    pending = jnp.where(fresh[:, None], chosen & masked, nodes.pending)
    rows = jnp.where(fresh[:, None, None], rows / sums[:, :, None], nodes.rows)
    step = (nodes.calls[:, None] == jnp.arange(n)[None, :]) & fresh[:, None]
    shares = dot((pending.astype(dtype) * mass[:, None]).T, step.astype(dtype))
    return nodes._replace(
        mass=mass, calls=nodes.calls + fresh.astype(int), pending=pending, rows=rows
    ), shares


def _written(nodes: _Nodes, left: int) -> _Nodes:
    """The nodes of the next level: the first pending position is written, each symbol a node."""
    n, q = nodes.rows.shape[1:]
    position = jnp.argmax(nodes.pending, axis=1)[:, None]
    row = jnp.take_along_axis(nodes.rows, position[:, :, None], axis=1)[:, 0]
    mass = nodes.mass[:, None]
    mass = jnp.where(mass == 0, 0.0, mass * jnp.where(mass == 0, 0.0, row)).reshape(-1)
    here = jnp.arange(n)[None, :] == position
    tokens = jnp.where(here[:, None, :], jnp.arange(q)[None, :, None], nodes.tokens[:, None, :])
    table = jnp.zeros((mass.shape[0], 0), mass.dtype)
    if nodes.table.shape[1]:
        place = jnp.take_along_axis(_slots(nodes.tokens == q), position, axis=1)
        table = _cut(nodes.table, place, q, left)
    calls, pending, rows = (
        jnp.repeat(x, q, axis=0) for x in (nodes.calls, nodes.pending & ~here, nodes.rows)
    )
    return _Nodes(tokens.reshape(-1, n), mass, calls, pending, rows, table)


def _cut(table: Array, place: Int[Array, "nodes 1"], q: int, left: int) -> Array:
    """The table of each symbol at one of the `left` positions, a node each."""
    rest = jnp.arange(q ** (left - 1), dtype=jnp.int32)
    widths = (q ** np.arange(left - 1, -1, -1)).tolist()
    first = jnp.stack([rest // width * (q * width) + rest % width for width in widths])  # of symbol 0
    symbol = jnp.arange(q, dtype=jnp.int32)[None, :, None]
    source = first[place] + symbol * jnp.asarray(widths, jnp.int32)[place][:, :, None]
    cut = jnp.take_along_axis(table, source.reshape(table.shape[0], -1), axis=1)
    return cut.reshape(table.shape[0] * q, -1)


def _slots(masked: Bool[Array, "... n"]) -> Int[Array, "... n"]:
    """The number of each masked position among them."""
    return jnp.maximum(jnp.cumsum(masked, axis=-1) - 1, 0)


def _truth_rows(table: Float[Array, " words"], tokens: Array, q: int, left: int) -> Float[Array, "n q"]:
    """The logarithms of the truth's rows: NaN where the state cannot occur."""
    ahead = left // 2
    halves = table.reshape(q**ahead, q ** (left - ahead))
    parts = [_symbol_sums(halves.sum(1), q, ahead), _symbol_sums(halves.sum(0), q, left - ahead)]
    total = jnp.sum(table)
    probs = jnp.concatenate(parts) / jnp.where(total > 0, total, 1.0)
    masked = tokens == q
    rows = jnp.where(total > 0, safe_log(probs), jnp.nan)[_slots(masked)]
    return jnp.where(masked[:, None], rows, known_rows(tokens, q).astype(rows.dtype))


def _symbol_sums(table: Float[Array, " words"], q: int, count: int) -> Float[Array, "count q"]:
    """The marginals of `count` positions."""
    if not count:
        return jnp.zeros((0, q), table.dtype)
    digits = np.indices((q,) * count).reshape(count, 1, -1) == np.arange(q)[:, None]
    return jnp.sum(jnp.where(digits, table[None, None, :], 0.0), axis=2)
