r"""The schedule whose own law is nearest, where the KL of any schedule is known: of all, or by a search.

The KL of the own law is no sum over steps, so that no shortest path finds its least. Where schedules are
few all are tried, and the result is the optimum. Else a beam starts at a given schedule (the shortest path
of the mean), and moves one end of a step, or one and all after it, by small steps and large: a local
optimum, which bounds the least KL from above and is never worse than where it started.
"""

import itertools
import math
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._numerics import comparable
from .._types import Float, Int
from ..schedules.schedule import Schedule, check_total
from .optimal import check_steps

BEAM = 8  # schedules whose moves are tried in a round (our choice, as all below)
ALL_SCHEDULES, ALL_TERMS = 2**17, 2**29  # and terms of their laws, up to which all are tried (seconds)
ROUND_TERMS, SEARCH_TERMS = 2**29, 2**32  # of a round, whose moves are thinned evenly, and of all rounds


class OwnLawSchedule(eqx.Module):
    r"""A schedule, its $\mathrm{KL}(p \| \text{own law})$ in nats, and how it was found.

    `optimal` says that all schedules were tried; otherwise `kl` is no more than a bound of the least from
    above, after `tried` schedules, and `local` says that no move of the search lowers it.
    """

    schedule: Schedule
    kl: Float[np.ndarray, ""]
    tried: int = eqx.field(static=True)
    optimal: bool = eqx.field(static=True)
    local: bool = eqx.field(static=True)


@runtime_checkable
class SchedulePrices(Protocol):
    r"""What the search needs of a law: `ExchangeableLaw`, `PairsLaw`."""

    @property
    def n(self) -> int:
        """Number of positions."""
        ...

    def kls(self, schedules: Int[np.ndarray, "m steps"]) -> Float[np.ndarray, " m"]:
        r"""$\mathrm{KL}(p \| \text{own law})$ in nats of each schedule, a row of counts."""
        ...

    def terms(self, ends: Int[np.ndarray, "m ends"]) -> Float[np.ndarray, " m"]:
        """The work of each schedule, by its ends but `n`."""
        ...


def own_law_schedule(law: SchedulePrices, steps: int, first: Schedule) -> OwnLawSchedule:
    r"""The schedule of `steps` steps of least $\mathrm{KL}(p \| \text{own law})$, or the best found.

    The search starts at `first`; a round of the beam takes $O(\text{beam} \cdot \text{steps} \log n)$ laws.
    Schedules equal but for rounding: the first in the order of their counts.

    Raises:
        InvalidInputError: `steps` outside `1..n`; a `first` of other counts or steps; as `law.kls`.

    >>> from mdmjax.information.counts import noisy_bit_counts
    >>> from mdmjax.laws.exchangeable import ExchangeableLaw
    >>> found = own_law_schedule(ExchangeableLaw.of(noisy_bit_counts(6, 0.1)), 2, Schedule([2, 4]))
    >>> found.schedule.counts.tolist(), round(float(found.kl), 4), found.optimal
    ([1, 5], 0.0672, True)
    """
    n = law.n
    check_steps("steps", steps, n)
    check_total(first, n)
    if first.steps != steps:
        refuse("first", f"of {first.steps} steps", f"a schedule of {steps}")
    count = math.comb(n - 1, steps - 1)
    if count <= ALL_SCHEDULES:
        ends = np.array([*itertools.combinations(range(1, n), steps - 1)], int).reshape(count, steps - 1)
        if np.sum(law.terms(ends)) <= ALL_TERMS:
            kls = law.kls(_counts(ends, n))
            return _found(ends, kls, n, tried=kls.size, optimal=True, local=True)
    return _search(law, first)


def _search(law: SchedulePrices, first: Schedule) -> OwnLawSchedule:
    """The beam from one schedule, until no move changes it or the work is done."""
    n = law.n
    price = lambda ends: law.kls(_counts(ends, n))
    beam = first.boundaries[None, 1:-1]
    kls, seen, work, local = price(beam), {beam[0].tobytes()}, 0, False
    while not local and work < SEARCH_TERMS:
        ends = _moves(beam, n)
        ends = ends[[one.tobytes() not in seen for one in ends]]
        terms = np.sum(law.terms(ends))
        thin = max(1, math.ceil(terms / ROUND_TERMS))
        ends = ends[::thin]
        work += terms // thin
        seen.update(one.tobytes() for one in ends)
        pool, values = np.concatenate([beam, ends]), np.concatenate([kls, price(ends)])
        best = _order(pool, values)[:BEAM]
        local = thin == 1 and np.array_equal(pool[best], beam)
        beam, kls = pool[best], values[best]
    return _found(beam, kls, n, tried=len(seen), optimal=False, local=local)


def _moves(beam: np.ndarray, n: int) -> np.ndarray:
    """All schedules with one end moved, or one and all after it, by 1, 2, 3, 4, 6, 8, 12, ... tokens."""
    halves = np.array([1, *(size << power for power in range(n.bit_length()) for size in (2, 3))])
    sizes = np.unique(halves[halves < n])
    one = np.eye(beam.shape[1], dtype=int)
    kinds = np.unique(np.concatenate([one, np.cumsum(one, 1)]), axis=0)
    steps = (np.concatenate([-sizes, sizes])[:, None, None] * kinds).reshape(-1, beam.shape[1])
    moved = (beam[:, None, :] + steps).reshape(-1, beam.shape[1])
    near = moved[:, -1] <= 4 + 2 * np.repeat(beam[:, -1], len(steps))  # laws of late last steps take long
    rising = np.all(np.diff(moved, axis=1, prepend=0, append=n) > 0, axis=1)
    return np.unique(moved[near & rising], axis=0)


def _order(ends: np.ndarray, kls: np.ndarray) -> np.ndarray:
    """The places of schedules by their KL; of those equal but for rounding the first ends first."""
    return np.lexsort((*ends.T[::-1], np.asarray(comparable(jnp.asarray(kls)))))


def _found(ends: np.ndarray, kls: np.ndarray, n: int, **how) -> OwnLawSchedule:
    best = _order(ends, kls)[0]
    return OwnLawSchedule(Schedule(_counts(ends, n)[best]), np.asarray(kls[best]), **how)


def _counts(ends: np.ndarray, n: int) -> np.ndarray:
    return np.diff(ends, axis=1, prepend=0, append=n)
