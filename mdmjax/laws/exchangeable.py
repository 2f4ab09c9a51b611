r"""The law of random order of an exchangeable distribution, by how often a word has each symbol.

The rows of a state with $N$ revealed tokens depend on their type $t$ alone, so the sampler's own law is
exchangeable too, and a step of $s$ tokens is a multinomial draw:

$$Q_{N+s}(t + u) = \sum_t Q_N(t) \binom{s}{u} \prod_a \hat p(a \mid N, t)^{u_a}.$$

A law is $\log Q$ of all types of `n` tokens (`types`): of two symbols `log Q(ones)`. A step multiplies the
types before it by those after it, `n^2` terms for two symbols; all are logarithms, and nothing underflows.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from .._errors import refuse
from .._types import Array, Float, Int
from ..distributions._chain import log_sum_exp
from ..information.counts import count_conditionals, number_of_types, positions, times, types

CALL = 2**20  # terms that are alive at once, of the schedules of one call; `CALL_MOST` at most (our choice)
CALL_MOST = 128


class ExchangeableLaw(eqx.Module):
    r"""The own law of each schedule: $\log P$ of the types, and the rows of the denoiser that draws.

    `rows[N, t, a]` is $\log \hat p(a \mid N, t)$, exact (`of`) or of any other denoiser.

    >>> from mdmjax.information.counts import noisy_bit_counts
    >>> ExchangeableLaw.of(noisy_bit_counts(6, 0.1)).kls(np.array([[2, 4], [1, 5]])).round(4).tolist()
    [0.3128, 0.0672]
    """

    log_counts: Float[Array, " types"]
    rows: Float[Array, "n fewer q"]
    q = property(lambda self: self.rows.shape[2])

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.rows.shape[0]

    def __check_init__(self):
        n, q = self.n, self.q
        if positions(self.log_counts, q) != n or self.rows.shape[1] != number_of_types(n - 1, q):
            wanted = f"(n, {number_of_types(n - 1, q)}, q) for the types of n tokens"
            refuse("rows", f"of shape {self.rows.shape} for {self.log_counts.shape[0]} types", wanted)

    @classmethod
    def of(cls, log_counts: Float[Array, " types"], q: int = 2) -> "ExchangeableLaw":
        """With exact conditionals; errors as `count_conditionals`."""
        return cls(log_counts, count_conditionals(log_counts, q))

    def kls(self, schedules: Int[np.ndarray, "m steps"]) -> Float[np.ndarray, " m"]:
        r"""$\mathrm{KL}(p \| \text{law})$ in nats of each schedule, a row of counts; 0 is no step.

        Schedules whose last steps start near each other are one call, of the types that they can have then:
        a schedule whose last step starts at $N$ takes the types of $N$ times those of $n$ terms, and the
        square of the former for each other step; about `CALL` of them are alive at once, 100 MiB. One
        compilation for each power of two of $N$. Refuses counts that do not sum to `n`.
        """
        n, q, schedules = self.n, self.q, np.asarray(schedules)
        if schedules.ndim != 2 or np.any(schedules < 0) or np.any(schedules.sum(1) != n):
            refuse("schedules", f"of shape {schedules.shape}", f"rows of counts >= 0 with sum n = {n}")
        last = n - schedules[:, -1]
        revealed = np.minimum(2 ** np.ceil(np.log2(np.maximum(last, 1) + 1)).astype(int) - 1, n)
        found = np.empty(schedules.shape[0], self.log_counts.dtype)
        for most in np.unique(revealed).tolist():
            own, width = np.flatnonzero(revealed == most), number_of_types(most, q)
            terms = width * self.log_counts.shape[0]
            size = max(1, min(CALL_MOST, CALL // terms))
            for first in range(0, own.size, size):
                part = own[first : first + size]
                some = jnp.asarray(schedules[np.resize(part, size)])
                found[part] = np.asarray(_kls(self, some, width))[: part.size]
        return found

    def terms(self, ends: Int[np.ndarray, "m ends"]) -> Float[np.ndarray, " m"]:
        """The terms of a schedule with these ends but `n`, about: see `kls`."""
        last = np.max(ends, axis=1, initial=0).astype(float)
        width = np.prod([(last + i) / i for i in range(1, self.q)], axis=0)
        return width * (ends.shape[1] * width + self.log_counts.shape[0])


@partial(jax.jit, static_argnames="width")
def law_of_counts(
    rows: Float[Array, "n fewer q"], counts: Int[Array, " steps"], width: int | None = None
) -> Float[Array, " types"]:
    r"""$\log Q$ of the sampler that reveals `counts[t]` random tokens in step `t`: a pure function.

    A count of 0 is no step: schedules of several lengths are padded with it, in front. `width` is no less
    than the number of types of what is revealed before the last step, by default that of `n` tokens: no
    other types are followed until then.

    >>> from mdmjax.information.counts import count_conditionals, noisy_bit_counts
    >>> rows = count_conditionals(noisy_bit_counts(2, 0.1))
    >>> jnp.exp(law_of_counts(rows, jnp.array([0, 2]))).round(4).tolist()
    [0.25, 0.5, 0.25]
    """
    every = number_of_types(rows.shape[0], rows.shape[2])
    width = every if width is None else width
    starts = jnp.cumsum(counts) - counts
    before = jnp.where(jnp.arange(width) == 0, 0.0, jnp.full(width, -jnp.inf, rows.dtype))
    narrow = jax.lax.scan(
        lambda law, step: (_after(rows, law, *step, width), None), before, (starts[:-1], counts[:-1])
    )[0]
    return _after(rows, narrow, starts[-1], counts[-1], every)


def _after(rows: Array, law: Array, start: Array, count: Array, size: int) -> Array:
    """The law of the type after a step of `count` tokens, of the first `size` types, block by block."""
    (n, fewer, q), width = rows.shape, law.shape[0]
    row = rows[jnp.minimum(start, n - 1), :width]
    row = jnp.pad(row, ((0, width - min(fewer, width)), (0, 0)))  # all tokens have no row
    every = jnp.asarray(types(n, q))
    before = every[:width]
    factorials = gammaln(jnp.arange(n + 1, dtype=rows.dtype) + 1).at[:2].set(0.0)

    def block(after):
        left = count + jnp.zeros((width, after.shape[0]), every.dtype)
        terms, possible = law[:, None] + factorials[count], law[:, None] > -jnp.inf
        for symbol in range(1, q):
            more = after[None, :, symbol - 1] - before[:, None, symbol - 1]
            left, possible = left - more, possible & (more >= 0)
            terms = terms + times(more, row[:, symbol, None]) - factorials[jnp.clip(more, 0, n)]
        terms = terms + times(left, row[:, :1]) - factorials[jnp.clip(left, 0, n)]
        return log_sum_exp(jnp.where(possible & (left >= 0), terms, -jnp.inf), axis=0)

    if width * size <= CALL:
        return block(every[:size])
    columns = max(1, CALL // width)
    blocks = -(-size // columns)
    after = jnp.pad(every[:size], ((0, blocks * columns - size), (0, 0)), mode="edge")
    return jax.lax.map(block, after.reshape(blocks, columns, q - 1)).reshape(-1)[:size]


def counts_kl(log_p: Float[Array, " types"], log_q: Float[Array, " types"]) -> Float[Array, ""]:
    r"""$\mathrm{KL}(p \| q) = \sum_t P(t) [\log P(t) - \log Q(t)]$ in nats, of exchangeable words.

    It is a sum of the non-negative $P\,(e^{-d} - 1 + d)$, $d = \log P - \log Q$, so that errors $\delta$ of
    the logarithms leave about $\delta \sqrt{2\, \mathrm{KL}}$. It is infinite where $Q(t) = 0 < P(t)$.

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
def _kls(law: ExchangeableLaw, schedules: Array, width: int) -> Array:
    laws = jax.vmap(lambda counts: law_of_counts(law.rows, counts, width))(schedules)
    return jax.vmap(counts_kl, (None, 0))(law.log_counts, laws)
