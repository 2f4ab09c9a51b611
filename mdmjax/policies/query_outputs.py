r"""What a strategy of the query game outputs, and how far its law is from the target.

Theorem 25 of arXiv 2511.04647 counts the queries on the uniform target alone, where every answer is
uniform. So who has seen a code goes on for free, one token a query, and outputs a word of it exactly. Who
has seen none outputs a uniform word (our choice): right for the uniform target, and no other law is better
against a code that is shifted by a hidden word. For the mean over all shifts of the total variation from a
law to the shifted code is the mean of that from the law shifted back to the code, which is at least that
from the mean of these laws, the uniform one.

Of codes that are known but for their dimension another output is better, for it can put mass on each of
them; which one for every history is a linear programme that is not here. `any_output_bound` says how little
that gains: at $n = 256$ at most three queries of 240.
"""

import math

import jax
import numpy as np

from .._checks import check_integer
from .._types import Array, Float, Int, Key
from ..distributions.codes import LinearCode
from .query_game import History


def output(key: Key[Array, ""], history: History, code: LinearCode) -> Int[Array, " n"]:
    """The word at the end of a game: one of the code if it was seen, else a uniform one.

    >>> from mdmjax.distributions.codes import repetition_code
    >>> output(jax.random.key(0), ((1, True),), repetition_code(4, 5)).tolist()
    [4, 4, 4, 4]
    """
    if any(seen for _, seen in history):
        return code.sample(key)
    return jax.random.randint(key, (code.n,), 0, code.q)


def output_tv(seen: Float[np.ndarray, "*rows dimensions"], q: int) -> Float[np.ndarray, "*rows dimensions"]:
    r"""Total variation of the law of `output` to each code: $(1 - D_k)(1 - q^{k-n})$, for $k = 1..n-1$.

    $D_k$ is `detection`, or `random_detection`, which says when the code is seen. To the uniform target the
    distance is 0.

    >>> from mdmjax.policies.query_game import detection
    >>> output_tv(detection(np.array([2, 4]), 5, 5), 5).round(3).tolist()
    [[0.799, 0.0, 0.96, 0.8], [0.792, 0.0, 0.768, 0.0]]
    """
    return (1 - seen) * _apart(seen.shape[-1] + 1, q)


def queries_to_reach(tv: Float[np.ndarray, "queries dimensions"], distance: float = 1 / 16) -> int | None:
    """The fewest queries that bring every target to this total variation; `None` if these do not.

    >>> from mdmjax.policies.query_game import random_detection
    >>> queries_to_reach(output_tv(random_detection(256, 256), 256))
    240
    """
    enough = np.flatnonzero(np.max(tv, axis=1) <= distance)
    return int(enough[0]) + 1 if enough.size else None


def tv_bound(n: int, q: int, queries: int) -> float:
    r"""No strategy of $T$ queries, random or not, has a smaller `output_tv` to every code.

    $$\frac{1 - T\lambda_1}{\sum_k \lambda_k / (1 - q^{k-n})}, \qquad
    \lambda_1 = \frac{q}{(n-1)(q-1)+1}, \quad \lambda_k = \lambda_1\Big(1 - \frac1q\Big)$$

    The weights sum to 1, and any one query sees $\sum_{k \le s} \lambda_k q^{-(s-k)} = \lambda_1$ of them:
    so $\sum_k \lambda_k D_k \le T \lambda_1$. For $q \ge n$ the best single query has equality. (Ours; the
    theorem says that of the order of $n$ queries are needed, and `any_output_bound` is of any output.)
    Refuses `n` and `q` below 2.

    >>> [round(tv_bound(256, 256, queries), 4) for queries in (1, 238, 239)]
    [0.996, 0.063, 0.0591]
    """
    n, q = check_integer("n", n, 2), check_integer("q", q, 2)
    shares = np.full(n - 1, (q - 1) / ((n - 1) * (q - 1) + 1))
    shares[0] *= q / (q - 1)
    return max(0.0, float((1 - queries * shares[0]) / np.sum(shares / _apart(n, q))))


def any_output_bound(n: int, q: int, queries: int) -> float:
    r"""No strategy of $T$ queries, whatever it outputs after any history, is nearer to every target.

    The larger of
    $$1 - \frac1q - \frac{1}{n-1}\Big(\frac{Tq}{q-1} + 1\Big) \quad\text{and}\quad
    \frac12 \Big(1 - \frac1q - \frac{Tq}{(n-1)(q-1)}\Big)$$
    (ours). The codes are nested, and $1 - \frac1q$ of code $k$ is in none below it. What is output there
    without having seen it has probabilities of sum 1 over $k$, as histories without an answer are those of
    the uniform target; and $\sum_k D_k \le T \frac{q}{q-1}$, `detection_bound`. So the mean over $k$ of the
    share that is missing is at least the first. The second holds for codes that are not nested too: while
    all answers are uniform the output on the code is not told from that on $\mathbb F_q^n$, of which the
    code has mass at most $1/q$. Refuses `n` and `q` below 2.

    >>> [round(any_output_bound(256, 256, queries), 4) for queries in (1, 236, 237)]
    [0.9882, 0.0631, 0.0591]
    """
    n, q = check_integer("n", n, 2), check_integer("q", q, 2)
    missed = 1 - 1 / q - queries * q / ((n - 1) * (q - 1))
    return max(0.0, missed - 1 / (n - 1), missed / 2)


def least_queries(n: int, q: int, distance: float = 1 / 16) -> int:
    r"""Queries without which `any_output_bound` is above the distance: linear in $n$.

    Theorem 24 says $\Omega(n)$ for 1/16.

    >>> [least_queries(n, n) for n in (16, 64, 256)]
    [12, 57, 237]
    """
    left = max(1 - 1 / q - 2 * distance, 1 - 1 / q - distance - 1 / (n - 1))
    return max(0, math.ceil(left * (n - 1) * (q - 1) / q - 1e-9))


def _apart(n: int, q: int) -> Float[np.ndarray, " dimensions"]:
    r"""$1 - q^{k-n}$: the total variation of the uniform law to each code."""
    return -np.expm1((np.arange(1, n) - n) * np.log(q))
