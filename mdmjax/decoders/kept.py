r"""Which draws are kept: the likelihood of a step that draws every position and keeps the surest draws.

To write $x_S$ and no more, such a step draws $x_i$ at $S$, and at every other masked position something
that ranks below the last of $S$. With $a_i$ the confidence of $x_i$, $r$ the last of $S$ in the order of
confidence and $F_j(r)$ the probability that the draw at $j$ ranks below $x_r$,

$$w(S) = \prod_{i \in S} \hat p_i(x_i) \prod_{j \notin S} F_j(r).$$

The sum over all $S$ of one size, and a draw of $S$ in proportion to $w$, are a dynamic programme for each
$r$: $O(n^2 s)$ for steps of at most $s$ of $n$ positions, and $O(n q \log n)$ for the $F_j$ (derived here).
"""

import jax
import jax.numpy as jnp

from .._numerics import safe_log
from .._types import Array, Float, Int, Key, LogProbs, Positions, Tokens
from .orders import rank


def kept_on_the_way(
    key: Key[Array, ""],
    scores: Float[Array, "n q"],
    written: LogProbs,
    masked: Positions,
    target: Tokens,
    size: Int[Array, ""],
    most: int,
) -> tuple[Positions, Float[Array, ""]]:
    r"""A set of `size` masked positions drawn in proportion to $w(S)$, and $\log \sum_S w(S)$.

    `scores` rank what is drawn, on a grid (`comparable`) where rounding matters; `written` are the
    log-probabilities that it is drawn from; `size` is at most the static `most`. Where no set has any
    weight it is that of the surest.

    >>> rows = jnp.log(jnp.array([[0.5, 0.5], [0.25, 0.75]]))
    >>> step = jnp.array([True, True]), jnp.array([0, 0]), jnp.array(1), 1
    >>> kept, weight = kept_on_the_way(jax.random.key(0), jnp.exp(rows), rows, *step)
    >>> kept.tolist(), jnp.exp(weight).round(4).tolist()  # the second draw ranks below: it is a 0
    ([True, False], 0.125)
    """
    n = masked.shape[0]
    own = scores[jnp.arange(n), target]
    place = rank(-own, masked)  # by confidence of the true tokens; masked positions first
    at = jnp.argsort(place)
    below = _log_below(scores, written, own)[at][:, at]
    gain = written[jnp.arange(n), target][at]
    last = jnp.arange(n)
    count = jnp.sum(masked)
    hidden = last < count
    inside = jnp.where(hidden, gain, -jnp.inf)[:, None]
    # Of `[position, last]`: a position after the last is out, the last is in, those before may be either.
    enters = jnp.where(last[:, None] <= last[None, :], inside, -jnp.inf)
    stays = jnp.where(hidden[:, None], jnp.where(last[:, None] == last[None, :], -jnp.inf, below), 0.0)

    def add(table: Array, pair: tuple) -> tuple[Array, Array]:
        """Log-weights by how many are in, with one more position."""
        enter, stay = pair
        shifted = jnp.pad(table, [(0, 0)] * (table.ndim - 1) + [(1, 0)], constant_values=-jnp.inf)[..., :-1]
        return jnp.logaddexp(table + stay[..., None], shifted + enter[..., None]), table

    empty = jnp.where(jnp.arange(most + 1) == 0, 0.0, -jnp.inf).astype(written.dtype)
    totals = jax.lax.scan(add, jnp.broadcast_to(empty, (n, most + 1)), (enters, stays))[0]
    of_last = jnp.where(hidden, totals[:, jnp.minimum(size, most)], -jnp.inf)
    weight = jax.nn.logsumexp(of_last)
    choosing, drawing = jax.random.split(key)
    chosen = jax.random.categorical(choosing, of_last)
    enter, stay = enters[:, chosen], stays[:, chosen]
    before = jax.lax.scan(add, empty, (enter, stay))[1]  # with the positions before each

    def back(left: Array, row: tuple) -> tuple[Array, Array]:
        """Whether a position is in, given how many of it and those before are."""
        table, enter, stay, uniform = row
        into = jnp.where(left > 0, table[jnp.maximum(left - 1, 0)] + enter, -jnp.inf)
        share = jnp.exp(into - jnp.logaddexp(into, table[left] + stay))
        is_in = uniform < share
        return left - is_in.astype(left.dtype), is_in

    uniforms = jax.random.uniform(drawing, (n,), written.dtype)
    left = jnp.minimum(size, most).astype(int)
    kept = jax.lax.scan(back, left, (before, enter, stay, uniforms), reverse=True)[1]
    kept = jnp.where(jnp.isfinite(weight), kept, last < size)
    return masked & kept[place], weight


def _log_below(
    scores: Float[Array, "n q"], written: LogProbs, own: Float[Array, " n"]
) -> Float[Array, "n n"]:
    r"""$\log F_j(r)$: a draw at `j` scores below `own[r]`, or as high at a later position."""
    n = scores.shape[0]
    ascending, probs = jnp.sort(own), jnp.exp(written)

    def mass(side: str) -> Float[Array, "n n"]:
        """Of draws whose score is at most that of each (left), or below it (right), counted by place."""
        place = jnp.searchsorted(ascending, scores.reshape(-1), side).reshape(scores.shape)
        counted = jnp.zeros((n, n + 1), probs.dtype).at[jnp.arange(n)[:, None], place].add(probs)
        return jnp.cumsum(counted, axis=1)[:, jnp.searchsorted(ascending, own)]

    later = jnp.arange(n)[:, None] > jnp.arange(n)[None, :]
    return safe_log(jnp.minimum(jnp.where(later, mass("left"), mass("right")), 1.0))
