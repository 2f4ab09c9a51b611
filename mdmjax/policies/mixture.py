"""Every schedule of random-order decoding, judged by the KL to its own law: the mixture over partitions.

That KL is at most `expected_kl` (Jensen) and no sum over steps: its best schedule may be another one.
"""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._numerics import comparable, kl_terms
from .._types import Array, Float
from ..decoders.verification import check_fits
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import Joint
from ..laws._rows import with_tables
from ..laws.random_order import MAX_TERMS, level_after
from ..schedules.schedule import Schedule, check_total
from .optimal import check_steps

MAX_SCHEDULES = 2**15  # walked without being asked for


class MixtureSchedules(eqx.Module):
    r"""`kl[c]` is $\mathrm{KL}(p \| \text{mixture})$ in nats of the schedule with the ends of `c`.

    Bit `j - 1` of `c` says that a step ends when `j` tokens are revealed, `j = 1..n-1`.
    """

    kl: Float[Array, " schedules"]

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.kl.shape[0].bit_length()

    def schedule(self, steps: int) -> Schedule:
        """A schedule of `steps` steps of the least KL; of those equal but for rounding the least number."""
        check_steps("steps", steps, self.n)
        codes = np.array([c for c in range(2 ** (self.n - 1)) if c.bit_count() == steps - 1])
        best = int(codes[np.argmin(np.asarray(comparable(self.kl[codes])))])
        ends = [j for j in range(1, self.n) if best >> (j - 1) & 1]
        return Schedule(np.diff([0, *ends, self.n]))

    def kl_of(self, schedule: Schedule) -> Float[Array, ""]:
        """The KL of the mixture of one schedule."""
        check_total(schedule, self.n)
        return self.kl[sum(1 << (int(end) - 1) for end in schedule.boundaries[1:-1])]


def mixture_schedules(
    joint: Joint,
    denoiser: AbstractDenoiser,
    *,
    max_schedules: int = MAX_SCHEDULES,
    max_terms: int = MAX_TERMS,
) -> MixtureSchedules:
    r"""$\mathrm{KL}(p \| \text{mixture})$ of all $2^{n-1}$ schedules, with any denoiser.

    Schedules that begin alike share their beginning: at most $(2q+2)^n$ terms in all. More than
    `max_schedules` schedules or `max_terms` terms are refused.

    >>> from mdmjax import Oracle
    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> mixture_schedules(pair, Oracle(pair)).kl.round(4).tolist()
    [0.6931, 0.0]
    """
    n, q = joint.n, joint.q
    check_fits(denoiser, joint)
    check_mixture_size(n, q, max_schedules, max_terms)
    denoiser, kl = with_tables(denoiser), np.zeros(2 ** (n - 1))
    # Depth first, so that no more than one mass a level is kept for each pending step.
    pending = [(0, 0, np.ones((1, 1)))]
    while pending:
        start, code, mass = pending.pop()
        law = level_after(denoiser, mass, start, n - start)
        kl[code] = _kl(joint.probs, jnp.asarray(law.reshape(joint.probs.shape), joint.probs.dtype))
        for end in range(start + 1, n):
            ended = code | 1 << (end - 1)
            pending.append((end, ended, level_after(denoiser, mass, start, end - start)))
    return MixtureSchedules(jnp.asarray(kl))


def check_mixture_size(
    n: int, q: int, max_schedules: int = MAX_SCHEDULES, max_terms: int = MAX_TERMS
) -> None:
    """Refuse more schedules, or terms of them all, than are walked without being asked for."""
    if 2 ** (n - 1) > max_schedules:
        wanted = f"at least 2^{n - 1} = {2 ** (n - 1)}"
        refuse("max_schedules", max_schedules, wanted, f"n = {n} has that many; use fewer positions")
    terms = sum(
        2 ** max(start - 1, 0) * math.comb(n, end) * q**end * math.comb(end, start)
        for start, end in itertools.combinations(range(n + 1), 2)
    )
    if terms > max_terms:
        remedy = f"all schedules of n = {n}, q = {q} have that many terms; use fewer positions"
        refuse("max_terms", max_terms, f"at least {terms}", remedy)


_kl = jax.jit(lambda probs, law: jnp.sum(kl_terms(probs, law)))
