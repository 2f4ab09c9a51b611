r"""How often an ideal model answers the random list operations right: closed forms of arXiv 2510.04767.

An ideal model has the exact conditionals of every position; positions written in one step are drawn apart.
The forms of `shuffle` are for all $n!$ orders: they count the list itself as an answer. The benchmark
refuses it; its own ideal model has other conditionals, whose accuracy `exact_law` of
`answer_joint(Lists("shuffle"))` gives. Both become one as $n$ grows: the laws differ by $1 / n!$ in total
variation.
"""

import math

from .._checks import check_integer, check_number
from .._errors import refuse


def shuffle_accuracy(n: int, k: int) -> float:
    r"""$\prod_t P(m_t, k) / m_t^k$ for $m_t$ items left, `k` positions a step, at temperature 1.

    The last step has fewer where `k` does not divide `n` (ours). With $k = n$ it is $n!/n^n$.

    Raises:
        InvalidInputError: not `1 <= k <= n`.

    >>> [round(shuffle_accuracy(4, k), 6) for k in (1, 2, 4)]
    [1.0, 0.375, 0.09375]
    """
    sizes = _steps(n, k)
    return math.prod(math.perm(left, size) / left**size for left, size in sizes)


def shuffle_threshold_accuracy(n: int, threshold: float) -> float:
    r"""$m!/m^m$ with $m = \min(n, \lfloor 1/\gamma \rfloor)$: what has confidence $\ge \gamma$, else one.

    With $m$ items left each position has confidence $1/m$: one at a time, then all that are left at once.
    Above 1/2 it is 1 (the paper's case; the others are ours).

    Raises:
        InvalidInputError: `n < 1`, a threshold that is not in (0, 1].

    >>> [round(shuffle_threshold_accuracy(4, gamma), 6) for gamma in (0.9, 0.5, 0.2)]
    [1.0, 0.5, 0.09375]
    """
    check_integer("n", n, 1)
    left = min(n, math.floor(1 / _threshold(threshold)))
    return math.factorial(left) / left**left


def replace_random_accuracy(n: int, k: int) -> float:
    r"""Exactly one of `n` positions gets the new item: `k` positions a step, at temperature 1.

    With $m$ positions left and no new item so far, each written one is it with probability $1/m$, apart:
    the step writes one with probability $k/m\,(1-1/m)^{k-1}$, after which all is certain, and none with
    $(1-1/m)^k$. With $k = n$ it is $((n-1)/n)^{n-1}$, which falls to $1/e$ (the paper's case).

    Raises:
        InvalidInputError: not `1 <= k <= n`.

    >>> [round(replace_random_accuracy(4, k), 6) for k in (1, 2, 4)]
    [1.0, 0.65625, 0.421875]
    """
    right, none = 0.0, 1.0
    for left, size in _steps(n, k):
        right += none * size / left * (1 - 1 / left) ** (size - 1)
        none *= (1 - 1 / left) ** size
    return right


def replace_random_greedy_accuracy(n: int, k: int) -> float:
    """1, 1/2, 0 where the last step has one position, two, more: `k` positions a step, at temperature 0.

    To keep an item is more probable than the new one as long as three positions are left. In a last step of
    two they are equal, and the form is for a tie broken at random in each; of one position it is certain.

    Raises:
        InvalidInputError: not `1 <= k <= n`.

    >>> [replace_random_greedy_accuracy(6, k) for k in (1, 2, 3, 5, 6)]
    [1.0, 0.5, 0.0, 1.0, 0.0]
    """
    (_, last) = _steps(n, k)[-1]
    return {1: 1.0, 2: 0.5}.get(last, 0.0)


def replace_random_threshold_accuracy(n: int, threshold: float) -> float:
    r"""1 if $\gamma > (n-1)/n$, else 0: what has confidence $\ge \gamma$, else one; temperature 0.

    All positions have confidence $(n-1)/n$ at first. At equality the paper has 1, as of a decoder that
    reveals only what is above the threshold; `ConfidenceThreshold` takes what reaches it, so it is 0. For
    $n = 1$ it is 1, and for $n = 2$ and $\gamma \le 1/2$ it is 1/2, a tie broken at random (ours).

    Raises:
        InvalidInputError: `n < 1`, a threshold that is not in (0, 1].

    >>> [replace_random_threshold_accuracy(4, gamma) for gamma in (0.9, 0.75, 0.5)]
    [1.0, 0.0, 0.0]
    """
    check_integer("n", n, 1)
    if n == 1 or _threshold(threshold) * n > n - 1:
        return 1.0
    return 0.5 if n == 2 else 0.0


def shuffle_cost(n: int, k: int) -> float:
    r"""$\sum_t s_t \log m_t - \log n!$ nats: the least KL of `k` positions a step (the paper's, in bits).

    >>> round(shuffle_cost(4, 4), 6), round(shuffle_cost(4, 1), 6)
    (2.367124, 0.0)
    """
    return sum(size * math.log(left) for left, size in _steps(n, k)) - math.lgamma(n + 1)


def replace_random_cost(n: int) -> float:
    r"""$(n-1)(\log n - \log(n-1))$ nats: the total correlation of one step, which rises to 1.

    >>> round(replace_random_cost(4), 6), replace_random_cost(1)
    (0.863046, 0.0)
    """
    return (n - 1) * (math.log(n) - math.log(n - 1)) if check_integer("n", n, 1) > 1 else 0.0


def _steps(n: int, k: int) -> list[tuple[int, int]]:
    """Positions left before each step, and those of the step."""
    if not 1 <= check_integer("k", k, 1) <= check_integer("n", n, 1):
        refuse("k", k, f"an integer in 1..n with n = {n}")
    return [(left, min(k, left)) for left in range(n, 0, -k)]


def _threshold(threshold: float) -> float:
    return check_number("threshold", threshold, "a number in (0, 1]", lambda x: 0 < x <= 1)
