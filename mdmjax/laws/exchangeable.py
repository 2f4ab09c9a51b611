r"""The law of random order of an exchangeable distribution over two symbols, by its number of ones.

The rows of a state with $N$ revealed tokens depend on the $j$ ones among them alone, so the sampler's own
law is exchangeable too, and a step of $s$ tokens is a binomial draw:

$$Q_{N+s}(j + i) = \sum_j Q_N(j) \binom{s}{i} \hat p(1 \mid N, j)^i\, \hat p(0 \mid N, j)^{s-i}.$$

A law is $\log Q(c)$, `c = 0..n`: `n^2` terms a step, all logarithms, so that nothing underflows.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import check_bytes, refuse
from .._types import Array, Float, Int
from ..distributions._chain import log_sum_exp
from ..information.counts import log_choose, times

MAX_BYTES = 2**31  # of what is alive at once, without being asked for
CALL = 2**20  # terms of the last steps of the schedules of one call (our choice), of `CALL_MOST` at most
CALL_MOST = 128


@partial(jax.jit, static_argnames="width")
def law_of_counts(
    rows: Float[Array, "n n 2"], counts: Int[Array, " steps"], width: int | None = None
) -> Float[Array, " counts"]:
    r"""$\log Q(c)$ of the sampler that reveals `counts[t]` random tokens in step `t`, `c = 0..n`.

    `rows[N, j, a]` is $\log \hat p(a \mid N, j)$, exact (`count_conditionals`) or of any other denoiser. A
    count of 0 is no step: schedules of several lengths are padded with it, in front. `width` is more than
    what is revealed before the last step, `n + 1` by default: no more ones than that are followed until
    then.

    >>> from mdmjax.information.counts import count_conditionals, noisy_bit_counts
    >>> rows = count_conditionals(noisy_bit_counts(2, 0.1))
    >>> jnp.exp(law_of_counts(rows, jnp.array([0, 2]))).round(4).tolist()
    [0.25, 0.5, 0.25]
    """
    n = rows.shape[0]
    width = n + 1 if width is None else width
    starts = jnp.cumsum(counts) - counts
    before = jnp.where(jnp.arange(width) == 0, 0.0, jnp.full(width, -jnp.inf, rows.dtype))
    narrow = jax.lax.scan(
        lambda law, step: (_after(rows, law, *step, width), None), before, (starts[:-1], counts[:-1])
    )[0]
    return _after(rows, narrow, starts[-1], counts[-1], n + 1)


def _after(rows: Array, law: Array, start: Array, count: Array, size: int) -> Array:
    """The law of the ones after a step of `count` tokens, of `0..size-1` of them."""
    n, width = rows.shape[0], law.shape[0]
    row = jnp.pad(rows[jnp.minimum(start, n - 1)], ((0, 1), (0, 0)))[:width]  # n ones have no row
    more = jnp.arange(size)[None, :] - jnp.arange(width)[:, None]
    choices = log_choose(count, jnp.arange(n + 1))[jnp.clip(more, 0, n)]
    terms = law[:, None] + choices + times(more, row[:, 1, None]) + times(count - more, row[:, 0, None])
    return log_sum_exp(jnp.where((more >= 0) & (more <= count), terms, -jnp.inf), axis=0)


def counts_kl(log_p: Float[Array, " counts"], log_q: Float[Array, " counts"]) -> Float[Array, ""]:
    r"""$\mathrm{KL}(p \| q) = \sum_c P(c) [\log P(c) - \log Q(c)]$ in nats, of exchangeable words.

    It is a sum of the non-negative $P\,(e^{-d} - 1 + d)$, $d = \log P - \log Q$, so that errors $\delta$ of
    the logarithms leave about $\delta \sqrt{2\, \mathrm{KL}}$. It is infinite where $Q(c) = 0 < P(c)$.

    >>> float(counts_kl(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75])))).__round__(4)
    0.1438
    """
    seen, made = log_p > -jnp.inf, log_q > -jnp.inf
    d = jnp.where(seen & made, log_p, 0.0) - jnp.where(seen & made, log_q, 0.0)
    near = jnp.where(d > -1, d, 0.0)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    terms = jnp.where(d > -1, p * (jnp.expm1(-near) + near), q - p * (1 - d))  # P e^{-d} = Q
    return jnp.sum(jnp.where(seen, jnp.where(made, terms, jnp.inf), q))


@partial(jax.jit, static_argnames="width")
def _kls(log_counts: Array, rows: Array, schedules: Array, width: int) -> Array:
    laws = jax.vmap(lambda counts: law_of_counts(rows, counts, width))(schedules)
    return jax.vmap(counts_kl, (None, 0))(log_counts, laws)


def schedule_kls(
    log_counts: Float[Array, " counts"], rows: Float[Array, "n n 2"], schedules: Int[np.ndarray, "m steps"]
) -> Float[np.ndarray, " m"]:
    r"""$\mathrm{KL}(p \| \text{law})$ in nats of each schedule, a row of counts (0 in front is no step).

    Schedules whose last steps start near each other are one call, of no more ones than they can have then:
    a schedule whose last step starts at $N$ takes about $N n + N^2$ terms a step, not $n^2$. One
    compilation for each power of two of $N$. Refuses counts that do not sum to `n`, and a step that needs
    more than `MAX_BYTES`.

    >>> from mdmjax.information.counts import count_conditionals, noisy_bit_counts
    >>> bits = noisy_bit_counts(6, 0.1)
    >>> schedule_kls(bits, count_conditionals(bits), np.array([[2, 4], [1, 5]])).round(4).tolist()
    [0.3128, 0.0672]
    """
    n, schedules = rows.shape[0], np.asarray(schedules)
    if schedules.ndim != 2 or np.any(schedules < 0) or np.any(schedules.sum(1) != n):
        refuse("schedules", f"of shape {schedules.shape}", f"rows of counts >= 0 with sum n = {n}")
    last = n - schedules[:, -1]
    widths = np.minimum(2 ** np.ceil(np.log2(np.maximum(last, 1) + 1)).astype(int), n + 1)
    found = np.empty(schedules.shape[0], log_counts.dtype)
    for width in np.unique(widths).tolist():
        own = np.flatnonzero(widths == width)
        terms = width * (n + 1)
        check_bytes(32 * terms, MAX_BYTES, "a step of the law", "use fewer positions", n=n)
        size = max(1, min(CALL_MOST, CALL // terms))
        for first in range(0, own.size, size):
            part = own[first : first + size]
            some = jnp.asarray(schedules[np.resize(part, size)])
            found[part] = np.asarray(_kls(log_counts, rows, some, width))[: part.size]
    return found
