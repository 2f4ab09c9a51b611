r"""The law of random order of independent pairs of equal symbols, by how many pairs are half revealed.

A word of any uniform linear code comes out of an ordered partition $\pi$ with probability $q^{-d}$ times
its own, all words alike, where $d(\pi)$ counts the tokens that are drawn freely though others of their step
fix them. So $\mathrm{KL}(p \| \text{own law}) = -\log \mathbb{E}\, q^{-d}$, and the expected KL is
$\mathbb{E}\, d \log q$. Of pairs $d$ counts those whose tokens fall into one step.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Float, Int
from ..distributions._chain import log_sum_exp

MAX_BYTES = 2**30  # of a step (our choice): 560 positions
COST = 4  # of a term, by those of an exchangeable law (measured)


class PairsLaw(eqx.Module):
    r"""The own law of each schedule for `n / 2` pairs of equal uniform symbols, of `q`.

    Before a step $h$ pairs are half revealed and $u$ not at all; its $s$ tokens complete $e$ of the former
    and fall on $d$ of the latter twice, and on $o = s - e - 2d$ once:

    $$w'_{h - e + o} = \sum_{h, e, d} w_h \binom{h}{e} \binom{u}{d} \binom{u-d}{o} 2^o q^{-d}
    \Big/ \binom{n-N}{s},$$

    `(n/2)^3` terms a step, and `48` bytes for each; refuses more than `MAX_BYTES`, and an odd `n`.

    >>> PairsLaw(4, 2).kls(np.array([[0, 4], [2, 2]])).round(4).tolist()
    [1.3863, 0.2877]
    """

    n: int = eqx.field(static=True)
    q: int = eqx.field(static=True)

    def __init__(self, n: int, q: int):
        self.n, self.q = check_integer("n", n, 2), check_integer("q", q, 2)
        if n % 2:
            refuse("n", n, "an even integer", "pairs take two positions each")
        check_bytes(48 * self._cells, MAX_BYTES, "a step of the law of pairs", "use fewer positions", n=n)

    def kls(self, schedules: Int[np.ndarray, "m steps"]) -> Float[np.ndarray, " m"]:
        r"""$\mathrm{KL}(p \| \text{law})$ in nats of each schedule, a row of counts; their sum is `n`."""
        schedules = np.asarray(schedules)
        if schedules.ndim != 2 or np.any(schedules < 0) or np.any(schedules.sum(1) != self.n):
            refuse("schedules", f"of shape {schedules.shape}", f"rows of counts >= 0 with sum n = {self.n}")
        longer = (1 << (schedules.shape[1] - 1).bit_length()) - schedules.shape[1]  # few are compiled
        padded = np.pad(schedules, ((0, 0), (longer, 0)))
        return np.array([_kl(self.n, self.q, jnp.asarray(counts)) for counts in padded])

    def terms(self, ends: Int[np.ndarray, "m ends"]) -> Float[np.ndarray, " m"]:
        """The work of a schedule with these ends but `n`, in terms of an exchangeable law."""
        return np.full(ends.shape[0], float(COST * (ends.shape[1] + 1) * self._cells))

    @property
    def _cells(self) -> int:
        return (self.n // 2 + 1) ** 3


@partial(jax.jit, static_argnums=(0, 1))
def _kl(n: int, q: int, counts: Int[Array, " steps"]) -> Float[Array, ""]:
    """Minus the log of the mean of `q^-d`: a pure function of the counts."""
    pairs = jnp.arange(n // 2 + 1)
    then, half, done = pairs[:, None, None], pairs[None, :, None], pairs[None, None, :]
    factorials = gammaln(jnp.arange(n + 1, dtype=jnp.result_type(float)) + 1).at[:2].set(0.0)
    log_factorial = lambda k: factorials[jnp.clip(k, 0, n)]
    log_choose = lambda n, k: log_factorial(n) - log_factorial(k) - log_factorial(n - k)

    def step(law, start_and_count):
        start, count = start_and_count
        whole, once = n // 2 - (start + half) // 2, then - half + done
        twice = (count - done - once) // 2
        fits = (done <= half) & (once >= 0) & (twice >= 0) & (twice + once <= whole)
        fits &= ((start + half) % 2 == 0) & ((count - done - once) % 2 == 0)
        ways = log_choose(half, done) + log_choose(whole, twice) + log_choose(whole - twice, once)
        of_once, of_twice = (x.astype(law.dtype) * math.log(b) for x, b in ((once, 2), (twice, q)))
        terms = law[None, :, None] + ways + of_once - of_twice - log_choose(n - start, count)
        terms = jnp.where(fits, terms, -jnp.inf).reshape(law.shape[0], -1)
        return log_sum_exp(terms, axis=1), None

    first = jnp.where(pairs == 0, 0.0, jnp.full(pairs.shape, -jnp.inf, factorials.dtype))
    return -jax.lax.scan(step, first, (jnp.cumsum(counts) - counts, counts))[0][0]
