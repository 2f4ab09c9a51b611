"""Slow NumPy from the definitions of arXiv 2608.13520, by enumeration; shares no code with mdmjax."""

import itertools
import math

import numpy as np
from scipy.special import comb


def subset_entropy(table, positions):
    """Entropy of the marginal on `positions`, in nats."""
    others = tuple(i for i in range(table.ndim) if i not in positions)
    p = table.sum(axis=others).reshape(-1) if others else table.reshape(-1)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def bernoulli_error(table, times):
    """Mean over independent uniform times of the tokens of the sum of TC(X_S | X_C) over the steps.

    Tokens of a time before the first or after the last of `times` go one at a time: no error.
    """
    n, edges = table.ndim, [0.0, *times, 1.0]
    entropy = {
        s: subset_entropy(table, s) for k in range(n + 1) for s in itertools.combinations(range(n), k)
    }
    of = lambda s: entropy[tuple(sorted(s))]
    total = 0.0
    for assigned in itertools.product(range(len(edges) - 1), repeat=n):
        mass = math.prod(edges[a + 1] - edges[a] for a in assigned)
        if mass == 0:
            continue
        for step in range(1, len(edges) - 2):
            known = [i for i in range(n) if assigned[i] < step]
            now = [i for i in range(n) if assigned[i] == step]
            alone = sum(of([*known, i]) - of(known) for i in now)
            total += mass * (alone - (of([*known, *now]) - of(known)))
    return total


def slope(heights, t):
    """h'(t) with h(t) = n sum_j C(n-1, j) t^j (1-t)^(n-1-j) Z_{j+1}."""
    n = len(heights)
    j = np.arange(n - 1)
    return n * (n - 1) * float(np.sum(np.diff(heights) * comb(n - 2, j) * t**j * (1 - t) ** (n - 2 - j)))


def level(heights, t):
    """h(t)."""
    n = len(heights)
    j = np.arange(n)
    return n * float(np.sum(np.asarray(heights) * comb(n - 1, j) * t**j * (1 - t) ** (n - 1 - j)))


def conditional(table, i, known):
    """Law of token `i` given a dict of known tokens."""
    at = tuple(known.get(k, slice(None)) for k in range(table.ndim))
    left = table[at]
    axes = [k for k in range(table.ndim) if k not in known]
    law = left.sum(axis=tuple(a for a, k in enumerate(axes) if k != i))
    return law / law.sum()


def divergence_law(table, p, q):
    """Values and probabilities of sum_i KL(law of i at time q || at time p), i itself masked."""
    n, symbols = table.ndim, table.shape[0]
    values, weights = [], []
    for word in itertools.product(range(symbols), repeat=n):
        for when in itertools.product(range(3), repeat=n):
            mass = table[word] * math.prod((p, q - p, 1 - q)[w] for w in when)
            if mass == 0:
                continue
            total = 0.0
            for i in range(n):
                early = {k: word[k] for k in range(n) if k != i and when[k] == 0}
                late = {k: word[k] for k in range(n) if k != i and when[k] <= 1}
                a, b = conditional(table, i, late), conditional(table, i, early)
                total += float(np.sum(a[a > 0] * np.log(a[a > 0] / b[a > 0])))
            values.append(max(total, 0.0))
            weights.append(mass)
    return np.array(values), np.array(weights)


def proposition2(draws, weight, moment, alpha, eta, *, swapped=False):
    """H hat and r hat of Eq. 33-34, one number at a time; `swapped`: with the exponent base inverted."""
    m = len(draws)
    base = 3 * (m - 1) / (7 * math.log(4 / eta))
    tau = weight * moment * (1 / base if swapped else base) ** (2 / alpha)
    cut = [2 * min(float(one), tau) for one in draws]
    mean = sum(cut) / m
    variance = sum((one - mean) ** 2 for one in cut) / (m - 1)
    spread = 7 * math.log(4 / eta) / (3 * (m - 1))
    radius = math.sqrt(2 * variance * math.log(4 / eta) / m)
    return mean, radius + 4 * weight * moment * spread ** (1 - 2 / alpha)
