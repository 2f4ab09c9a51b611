r"""Exchangeable words of two symbols by the law of their number of ones: what any tokens say of the next.

A word with `c` ones among `n` has probability $P(c) / \binom{n}{c}$. Arrays hold $\log P(c)$, `c = 0..n`.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._checks import Numbers, as_floats, check_probability, check_rows, check_shape, probability
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float
from ..distributions._chain import log_sum_exp
from .curve import check_positions

MAX_BYTES = 2**31  # of a table of conditionals that is made unasked


def log_choose(n: int | Array, k: Array) -> Float[Array, "..."]:
    r"""$\log \binom{n}{k}$, and $-\infty$ for `k` outside `0..n`."""
    inside = (k >= 0) & (k <= n)
    top, below = (jnp.asarray(x, jnp.result_type(float)) for x in (n, jnp.where(inside, k, 0)))
    terms = gammaln(top + 1) - gammaln(below + 1) - gammaln(top - below + 1)
    # gammaln(1) and gammaln(2) are a rounding away from 0 on some platforms.
    terms = jnp.where((below == 0) | (below == top), 0.0, terms)
    return jnp.where(inside, terms, -jnp.inf)


def times(count: Array, log_p: Array) -> Float[Array, "..."]:
    r"""`count` times a log-probability, 0 where there is nothing to count."""
    some = count > 0
    return jnp.where(some, count.astype(log_p.dtype) * jnp.where(some, log_p, 0.0), 0.0)


def mixture_counts(weights: Numbers, rates: Numbers, n: int) -> Float[Array, " counts"]:
    r"""$\log P(c)$ of $p(x) = \sum_m w_m \prod_i \mathrm{Bernoulli}(x_i; \theta_m)$, $\theta$ the `rates`.

    Refuses wrong shapes, and numbers that are not probabilities.

    >>> jnp.exp(mixture_counts([0.5, 0.5], [0.0, 0.5], 2)).round(4).tolist()
    [0.625, 0.25, 0.125]
    """
    n = check_positions(n)
    weights, rates = as_floats(weights, rates)
    if rates.ndim != 1:
        refuse("rates", f"of shape {rates.shape}", "shape (parts,)")
    check_shape("weights", weights, rates.shape, "(parts,)")
    check_rows("weights", weights)
    check_probability("rates", rates)
    ones = jnp.arange(n + 1, dtype=rates.dtype)
    of_ones = times(ones[None, :], safe_log(rates)[:, None])
    of_zeros = times(n - ones[None, :], jnp.where(rates < 1, jnp.log1p(-rates), -jnp.inf)[:, None])
    return log_sum_exp(safe_log(weights)[:, None] + of_ones + of_zeros, axis=0) + log_choose(n, ones)


def noisy_bit_counts(n: int, flip: Numbers) -> Float[Array, " counts"]:
    r"""$\log P(c)$ of one uniform bit seen `n` times, each time flipped with probability `flip`."""
    flip = probability("flip", flip)
    return mixture_counts(jnp.full(2, 0.5, flip.dtype), jnp.stack([flip, 1 - flip]), n)


def repetition_counts(n: int, q: int) -> Float[Array, " counts"]:
    r"""$\log P(c)$ of one uniform bit, `n` times. Refuses `q` other than 2."""
    _check_two(q)
    return mixture_counts([0.5, 0.5], [0.0, 1.0], n)


def parity_counts(n: int, q: int) -> Float[Array, " counts"]:
    r"""$\log P(c)$ of uniform bits of even sum. Refuses `q` other than 2."""
    _check_two(q)
    ones = jnp.arange(check_positions(n, 2) + 1)
    return jnp.where(ones % 2 == 0, log_choose(n, ones) - (n - 1) * jnp.log(2.0), -jnp.inf)


def count_conditionals(log_counts: Float[Array, " counts"]) -> Float[Array, "n n 2"]:
    r"""`[N, j, a]` is $\log p(a \mid N \text{ tokens, } j \text{ ones among them})$ of one more token.

    The law of the ones among $N$ random tokens follows from that among $N + 1$ by sums of non-negative
    terms,

    $$P_N(j) = \tfrac{N+1-j}{N+1} P_{N+1}(j) + \tfrac{j+1}{N+1} P_{N+1}(j+1),$$

    whose shares are the conditionals: the relative error of a row is at most about `n eps`. Where
    $P_N(j) = 0$, and for $j > N$, the row is uniform. `16 n^2` bytes; refuses more than `MAX_BYTES`.

    >>> table = count_conditionals(noisy_bit_counts(3, 0.1))
    >>> [[round(float(p), 2) for p in row] for row in jnp.exp(table[1])]
    [[0.82, 0.18], [0.18, 0.82], [0.5, 0.5]]
    """
    n = log_counts.shape[0] - 1
    check_bytes(32 * n * n, MAX_BYTES, "a table of conditionals", "use fewer positions", n=n)
    return _conditionals(log_counts, n)


@partial(jax.jit, static_argnums=1)
def _conditionals(log_counts: Array, n: int) -> Array:
    ones = jnp.arange(n, dtype=log_counts.dtype)

    def one_fewer(after, revealed):
        shares = jnp.stack([revealed + 1 - ones, ones + 1], 1)
        parts = (
            jnp.stack([after[:-1], after[1:]], 1)
            + safe_log(jnp.maximum(shares, 0.0))
            - jnp.log(1.0 + revealed)
        )
        now = log_sum_exp(parts, axis=1)
        known = (now > -jnp.inf)[:, None]
        rows = jnp.where(known, parts - jnp.where(known, now[:, None], 0.0), -jnp.log(2.0))
        return jnp.append(now, -jnp.inf), rows

    return jax.lax.scan(one_fewer, log_counts, ones, reverse=True)[1]


def _check_two(q: int) -> None:
    if q != 2:
        refuse("q", q, "2", "words are known by their number of ones where there are two symbols")
