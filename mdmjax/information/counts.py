r"""Exchangeable words by the law of their types: what any tokens say of the next, for any alphabet.

The type of a word is how often it has each symbol. A word of the type $t$ has probability
$P(t) / \binom{n}{t}$, so that $\log P$ says all. Types are numbered (`types`): of two symbols by the ones.
"""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from .._checks import Numbers, as_floats, check_integer, check_rows, check_shape, probability
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float, Int
from ..distributions._chain import log_sum_exp
from .curve import check_positions

MAX_BYTES = 2**31  # of types and conditionals that are made unasked


def number_of_types(n: int, q: int) -> int:
    r"""$\binom{n+q-1}{q-1}$: the types of words of `n` tokens, of `q` symbols."""
    return math.comb(n + q - 1, q - 1)


def types(n: int, q: int) -> Int[np.ndarray, "types others"]:
    """How often the symbols `1..q-1` are in a word of each type; the rest of its tokens are 0.

    Fewer of them come first, so that the types of fewer tokens are the first of these. Refuses more than
    `MAX_BYTES`.

    >>> types(2, 3).tolist()
    [[0, 0], [0, 1], [1, 0], [0, 2], [1, 1], [2, 0]]
    """
    check_bytes(16 * q * number_of_types(n, q), MAX_BYTES, "all types", "use fewer positions", n=n, q=q)
    return _types(n, q)


@lru_cache(maxsize=8)
def _types(n: int, q: int) -> Int[np.ndarray, "types others"]:
    if q == 2:
        return np.arange(n + 1)[:, None]
    # With `left` tokens that are 0: bars between the symbols.
    bars = np.array([*itertools.combinations(range(n + q - 1), q - 1)], int)
    counts = np.diff(np.column_stack([bars, np.full(bars.shape[0], n + q - 1)]), axis=1) - 1
    return counts[np.lexsort((*counts.T[::-1], counts.sum(1)))]


def log_choose(n: int | Array, k: Array) -> Float[Array, "..."]:
    r"""$\log \binom{n}{k}$, and $-\infty$ for `k` outside `0..n`."""
    inside = (k >= 0) & (k <= n)
    top, below = (jnp.asarray(x, jnp.result_type(float)) for x in (n, jnp.where(inside, k, 0)))
    terms = gammaln(top + 1) - gammaln(below + 1) - gammaln(top - below + 1)
    # gammaln(1) and gammaln(2) are a rounding away from 0 on some platforms.
    terms = jnp.where((below == 0) | (below == top), 0.0, terms)
    return jnp.where(inside, terms, -jnp.inf)


def log_words(n: int, q: int) -> Float[Array, " types"]:
    r"""$\log \binom{n}{t}$: how many words a type has."""
    found, left = jnp.zeros(number_of_types(n, q)), jnp.full(number_of_types(n, q), n)
    for count in jnp.asarray(types(n, q)).T:
        found, left = found + log_choose(left, count), left - count
    return found


def times(count: Array, log_p: Array) -> Float[Array, "..."]:
    r"""`count` times a log-probability, 0 where there is nothing to count."""
    some = count > 0
    return jnp.where(some, count.astype(log_p.dtype) * jnp.where(some, log_p, 0.0), 0.0)


def mixture_counts(weights: Numbers, probs: Numbers, n: int) -> Float[Array, " types"]:
    r"""$\log P(t)$ of $p(x) = \sum_m w_m \prod_i P_m(x_i)$, with $w$ `weights` and $P$ `probs`.

    `weights` has shape (parts,) and `probs` (parts, q). Refuses others, numbers that are no probabilities,
    and too many types.

    >>> jnp.exp(mixture_counts([0.5, 0.5], [[1.0, 0.0], [0.5, 0.5]], 2)).round(4).tolist()
    [0.625, 0.25, 0.125]
    """
    n = check_positions(n)
    weights, probs = as_floats(weights, probs)
    if probs.ndim != 2:
        refuse("probs", f"of shape {probs.shape}", "shape (parts, q)")
    check_shape("weights", weights, probs.shape[:1], "(parts,)")
    check_rows("weights", weights)
    check_rows("probs", probs)
    q = probs.shape[1]
    seen = jnp.asarray(types(n, q)).T
    log_probs, words = safe_log(probs), log_words(n, q)
    terms = safe_log(weights)[:, None] + times((n - seen.sum(0))[None, :], log_probs[:, :1])
    for symbol, count in enumerate(seen, 1):
        terms += times(count[None, :], log_probs[:, symbol, None])
    return log_sum_exp(terms, axis=0) + words


def noisy_bit_counts(n: int, flip: Numbers) -> Float[Array, " types"]:
    r"""$\log P(t)$ of one uniform bit seen `n` times, each time flipped with probability `flip`."""
    flip = probability("flip", flip)
    kept = jnp.stack([1 - flip, flip])
    return mixture_counts(jnp.full(2, 0.5, flip.dtype), jnp.stack([kept, kept[::-1]]), n)


def multiset_counts(repeats: Sequence[int]) -> Float[Array, " types"]:
    r"""$\log P(t)$ of a uniform order of a multiset that has symbol `a` `repeats[a]` times.

    >>> jnp.exp(multiset_counts([2, 1])).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    first, *others = [check_integer("repeats", count, 0) for count in repeats]
    every = types(check_positions(first + sum(others)), 1 + len(others))
    return jnp.where(jnp.asarray((every == others).all(1)), 0.0, -jnp.inf)


def positions(log_counts: Float[Array, " types"], q: int) -> int:
    """The number of tokens; refused if there are not as many types of any number.

    >>> positions(multiset_counts([2, 1, 1]), 3)
    4
    """
    size, n = log_counts.shape[0], 0
    while number_of_types(n, q) < size:
        n += 1
    if n < 1 or number_of_types(n, q) != size:
        refuse("log_counts", f"of {size} types", f"one number for each type of words of {q} symbols")
    return n


def count_conditionals(log_counts: Float[Array, " types"], q: int = 2) -> Float[Array, "n fewer q"]:
    r"""`[N, t, a]` is $\log p(a \mid N \text{ tokens of the type } t)$ of one more token.

    The law of the type of $N$ random tokens follows from that of $N + 1$ by sums of non-negative terms,

    $$P_N(t) = \sum_a \tfrac{t_a + 1}{N+1} P_{N+1}(t + e_a),$$

    whose shares are the conditionals: the relative error of a row is at most about `n eps`. Where
    $P_N(t) = 0$, and for types of more than $N$ tokens, the row is uniform. It has the types of $n - 1$
    tokens: `8 n q` bytes for each, `16 n^2` for two symbols; refuses more than `MAX_BYTES`.

    >>> table = count_conditionals(noisy_bit_counts(3, 0.1))
    >>> [[round(float(p), 2) for p in row] for row in jnp.exp(table[1])]
    [[0.82, 0.18], [0.18, 0.82], [0.5, 0.5]]
    """
    n = positions(log_counts, q)
    need = 16 * q * n * number_of_types(n - 1, q)
    check_bytes(need, MAX_BYTES, "a table of conditionals", "use fewer positions", n=n)
    return _conditionals(log_counts, n, q)


@partial(jax.jit, static_argnums=(1, 2))
def _conditionals(log_counts: Array, n: int, q: int) -> Array:
    fewer = types(n - 1, q)
    more = jnp.asarray(np.stack([np.arange(fewer.shape[0]), *_with_one_more(n, q)], 1))
    size, others = log_counts.shape[0] - fewer.shape[0], jnp.asarray(fewer, log_counts.dtype)
    total = jnp.sum(others, axis=1)

    def one_fewer(after, revealed):
        shares = jnp.column_stack([revealed - total, others]) + 1
        parts = after[more] + safe_log(jnp.maximum(shares, 0.0)) - jnp.log(1.0 + revealed)
        now = log_sum_exp(parts, axis=1)
        known = (now > -jnp.inf)[:, None]
        rows = jnp.where(known, parts - jnp.where(known, now[:, None], 0.0), -jnp.log(float(q)))
        return jnp.pad(now, (0, size), constant_values=-jnp.inf), rows

    return jax.lax.scan(one_fewer, log_counts, jnp.arange(n, dtype=log_counts.dtype), reverse=True)[1]


def _with_one_more(n: int, q: int) -> list[Int[np.ndarray, " fewer"]]:
    """For each symbol but 0 the type with one more of it, of all types of `n - 1` tokens."""
    if (n + 1) ** (q - 1) >= 2**63:
        refuse("n, q", f"{n}, {q}", "(n+1)^(q-1) < 2^63", "use fewer symbols")
    fewer, place = types(n - 1, q), (n + 1) ** np.arange(q - 2, -1, -1)
    keys = types(n, q) @ place
    order = np.argsort(keys)
    return [order[np.searchsorted(keys, fewer @ place + one, sorter=order)] for one in place]
