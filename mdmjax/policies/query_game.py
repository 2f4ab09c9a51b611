r"""Theorems 24 and 25 of arXiv 2511.04647 as a game: few queries do not tell codes from noise.

The target is uniform on $\mathbb F_q^n$ or on a Reed-Solomon code of an unknown dimension $0 < k < n$. A
query reveals a set $S$, and the oracle answers with all conditionals: those of the code are uniform if
$|S| < k$, and fix all symbols if $|S| \ge k$ and $x_S$ agrees with a word, which has probability
$q^{-(|S|-k)}$. Our choices, as the theorem is not run there: the oracle's answer where $x_S$ cannot occur
is uniform, the positions are uniformly random, and so are the symbols. Could they be chosen, zeros
would bisect $k$ in $\log_2 n$ queries; not so if the code is shifted by a hidden word, which gives each
query the probability above whatever is asked. A strategy thus chooses sizes.

Until an answer is not uniform, all histories are alike: an adaptive strategy asks one fixed row of sizes.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..distributions.codes import LinearCode

History = tuple[tuple[int, bool], ...]
"""Each query so far: how many positions it revealed, and whether the answer was other than uniform."""

Strategy = Callable[[History], int | None]
"""From a history to the size of the next query, `0..n-1`, or `None` to stop."""


def doubling(n: int) -> Strategy:
    """Sizes 1, 2, 4, ... below `n` while answers are uniform, then as `bisecting` below the last.

    >>> asked(doubling(20), 20, most=9).tolist()
    [1, 2, 4, 8, 16]
    """
    n = check_integer("n", n, 2)

    def next_size(history: History) -> int | None:
        if any(seen for _, seen in history):
            return _middle(history, n)
        size = 2 ** len(history)
        return size if size < n else None

    return next_size


def bisecting(n: int) -> Strategy:
    """The middle of the dimensions left, if a uniform answer meant a dimension above the query's size.

    >>> asked(bisecting(20), 20, most=9).tolist()
    [10, 15, 17, 18, 19]
    """
    n = check_integer("n", n, 2)
    return lambda history: _middle(history, n)


def random_sizes(key: Key[Array, ""], n: int) -> Strategy:
    """Sizes `1..n-1` in a uniformly random order, until an answer is not uniform."""
    order = (1 + np.asarray(jax.random.permutation(key, check_integer("n", n, 2) - 1))).tolist()

    def next_size(history: History) -> int | None:
        done = len(history) == len(order) or any(seen for _, seen in history)
        return None if done else order[len(history)]

    return next_size


def asked(strategy: Strategy, n: int, *, most: int) -> Int[np.ndarray, " queries"]:
    """The sizes that a strategy asks for, at most `most`, while every answer is uniform.

    Refuses a strategy that asks for what is no size in `0..n-1`.
    """
    history: History = ()
    while len(history) < most and (size := _next(strategy, history, n)) is not None:
        history = (*history, (size, False))
    return np.array([size for size, _ in history], dtype=int)


def play(key: Key[Array, ""], strategy: Strategy, code: LinearCode, *, most: int) -> History:
    """One game against a code, with its oracle: at most `most` queries; refuses as `asked`.

    >>> from mdmjax.distributions.codes import reed_solomon_code
    >>> play(jax.random.key(0), doubling(7), reed_solomon_code(7, 4, 7), most=3)
    ((1, False), (2, False), (4, True))
    """
    history: History = ()
    while len(history) < most and (size := _next(strategy, history, code.n)) is not None:
        seen = bool(_answer(jax.random.fold_in(key, len(history)), code, jnp.asarray(size)))
        history = (*history, (size, seen))
    return history


def one_query(
    sizes: Int[np.ndarray, " queries"], n: int, q: int
) -> Float[np.ndarray, "queries dimensions"]:
    r"""Probability $[s \ge k]\, q^{-(s-k)}$ that a query of each size sees each $k = 1..n-1$, by itself.

    >>> one_query(np.array([2, 4]), 5, 5).tolist()
    [[0.2, 1.0, 0.0, 0.0], [0.008, 0.04, 0.2, 1.0]]
    """
    gap = np.asarray(sizes)[:, None] - np.arange(1, n)
    return np.where(gap >= 0, float(q) ** -np.maximum(gap, 0), 0.0)


def detection(
    sizes: Int[np.ndarray, " queries"], n: int, q: int
) -> Float[np.ndarray, "queries dimensions"]:
    r"""Probability that one of the first $t$ answers is not uniform, `[t-1, k-1]`, for $k = 1..n-1$.

    $$1 - \prod_{u \le t} \big(1 - [s_u \ge k]\, q^{-(s_u - k)}\big)$$

    >>> detection(np.array([2, 4]), 5, 5).round(3).tolist()
    [[0.2, 1.0, 0.0, 0.0], [0.206, 1.0, 0.2, 1.0]]
    """
    hit = one_query(sizes, n, q)
    sure = np.logical_or.accumulate(hit == 1)
    missed = np.cumsum(np.log1p(-np.where(hit < 1, hit, 0.0)), axis=0)
    return np.where(sure, 1.0, -np.expm1(missed))


def random_detection(n: int, q: int) -> Float[np.ndarray, "queries dimensions"]:
    r"""The mean of `detection` over `random_sizes`, exact, for $T = 1..n-1$ queries.

    The mean $a_{m,t}$ of $\prod_s (1 - q^{-(s-k)})$ over all $t$ of the first $m$ sizes is
    $\frac{m-t}{m} a_{m-1,t} + \frac tm (1 - [m \ge k] q^{-(m-k)})\, a_{m-1,t-1}$.

    >>> random_detection(4, 4).round(3).tolist()
    [[0.438, 0.417, 0.333], [0.766, 0.75, 0.667], [1.0, 1.0, 1.0]]
    """
    count = np.arange(1, n)
    missed = np.zeros((n, n - 1))
    missed[0] = 1.0
    for size in range(1, n):
        left = 1 - np.where(size >= count, float(q) ** -np.maximum(size - count, 0), 0.0)
        share = np.minimum(count / size, 1.0)[:, None]
        missed[1:] = (1 - share) * missed[1:] + share * left * missed[:-1]
    return 1 - missed[1:]


def detection_bound(n: int, q: int, queries: int) -> float:
    r"""$\frac{T q}{(n-1)(q-1)}$: no strategy of $T$ queries does better on the mean over $k$.

    So none, random or not, does better on every $k$: $\sum_k q^{-(s-k)} < q/(q-1)$ for each query.

    >>> detection_bound(6, 11, 2)
    0.44
    """
    return min(1.0, queries * q / ((n - 1) * (q - 1)))


def _middle(history: History, n: int) -> int | None:
    """The middle of the dimensions that agree with the answers, read as `bisecting` reads them."""
    low = max((size for size, seen in history if not seen), default=0)
    high = min((size for size, seen in history if seen), default=n)
    return (low + high) // 2 if low + 1 < high else None


def _next(strategy: Strategy, history: History, n: int) -> int | None:
    """What the strategy asks next; refused where it is outside the rules."""
    size = strategy(history)
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 0 <= size < n:
        wanted = f"an integer in 0..n-1 = {n - 1}, or None to stop"
        refuse(f"query {len(history) + 1} of the strategy", repr(size), wanted)
    return int(size)


@eqx.filter_jit
def _answer(key: Key[Array, ""], code: LinearCode, size: Int[Array, ""]) -> Array:
    """Whether the oracle's answer to a random query of this size is other than uniform."""
    for_order, for_symbols = jax.random.split(key)
    revealed = jax.random.permutation(for_order, code.n) < size
    symbols = jax.random.randint(for_symbols, (code.n,), 0, code.q)
    rows = code.log_conditionals(jnp.where(revealed, symbols, code.q))
    # NaN, where the context cannot occur, is no certainty.
    return jnp.any(~revealed & (jnp.max(rows, axis=1) == 0))
