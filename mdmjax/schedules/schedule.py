r"""A schedule, and what it costs: the left-Riemann error of one curve."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Bool, Float, Int
from ..information.curve import InformationCurve


class Schedule(eqx.Module):
    """How many tokens each step reveals: positive integers `counts` that sum to `n`.

    Raises:
        InvalidInputError: counts that are not integers, not positive, or none at all.

    >>> Schedule([1, 2, 4]).boundaries.tolist()
    [0, 1, 3, 7]
    """

    counts: Int[np.ndarray, " steps"]

    def __init__(self, counts: Sequence[int] | Int[np.ndarray, " steps"] | Int[Array, " steps"]):
        values = np.asarray(counts)
        if values.ndim != 1 or values.size == 0:
            refuse("counts", f"of shape {values.shape}", "a list of at least one count")
        if not np.issubdtype(values.dtype, np.integer):
            refuse("counts", f"of type {values.dtype}", "integers")
        if values.min() < 1:
            step = int(np.argmin(values))
            refuse("counts", f"{values[step]} at step {step}", "counts >= 1", "drop empty steps")
        self.counts = values.astype(np.int64)

    @property
    def n(self) -> int:
        """Number of positions."""
        return int(self.counts.sum())

    @property
    def steps(self) -> int:
        """Number of steps, each one call of the denoiser."""
        return self.counts.shape[0]

    @property
    def boundaries(self) -> Int[np.ndarray, " steps_and_one"]:
        """Tokens revealed before each step, and at the end: `0 = N_1 < ... < N_{steps+1} = n`."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @property
    def starts(self) -> Int[np.ndarray, " n"]:
        """For each of the `n` reveals, how many tokens its step had seen."""
        return np.repeat(self.boundaries[:-1], self.counts)


def expected_kl(curve: InformationCurve, schedule: Schedule) -> Float[Array, ""]:
    r"""Mean over ordered partitions of $\mathrm{KL}(p \| \text{law given the partition})$, in nats.

    $$\sum_t \sum_{j=1}^{s_t} \left(Z_{N_t+j} - Z_{N_t+1}\right)$$

    with $N_t$ tokens revealed before step $t$: the error of the left-Riemann approximation of the
    curve (arXiv 2511.04647, Thm 4). The sampler draws its partition at random, so its own law is the
    mixture over partitions, whose KL is no larger; that one is not this number.

    Raises:
        InvalidInputError: if the counts do not sum to the `n` of the curve.

    >>> curve = InformationCurve(jnp.array([0.0, 1.0, 1.0]), jnp.array(1.0))
    >>> float(expected_kl(curve, Schedule([3]))), float(expected_kl(curve, Schedule([1, 2])))
    (2.0, 0.0)
    """
    return step_gap(curve.information, schedule)


def step_gap(values: Float[Array, " n"], schedule: Schedule) -> Float[Array, ""]:
    r"""$\sum_m v_m - v_{N(m)}$, with $N(m)$ the start of the step that makes reveal $m$.

    With $v = Z$ it is `expected_kl`; with $v = -c$ for a masked-loss curve $c$ it is what the schedule
    loses against revealing one token at a time (`nll` less `nll` of `n` steps).

    >>> float(step_gap(-jnp.array([3.0, 2.0, 1.0]), Schedule([1, 2])))
    1.0
    """
    check_total(schedule, values.shape[0])
    return jnp.sum(values - values[schedule.starts])


def nll(loss: Float[Array, " n"], schedule: Schedule) -> Float[Array, ""]:
    r"""Mean negative log-likelihood $\sum_t s_t c(N_t)$ of the random-order sampler, in nats.

    `loss[m]` is $c(m)$, the mean loss of a masked token after $m$ random tokens are revealed. It is
    $H(X)$ plus the expected KL to the learned law (arXiv 2511.04647, App. G), so schedules are compared
    by differences of it: $H(X)$ is not known.

    >>> float(nll(jnp.array([3.0, 2.0, 1.0]), Schedule([1, 2])))
    7.0
    """
    check_total(schedule, loss.shape[0])
    return jnp.sum(loss[schedule.starts])


def check_total(schedule: Schedule, n: int) -> None:
    """Refuse a schedule whose counts do not sum to `n`."""
    if schedule.n != n:
        refuse("counts", f"of sum {schedule.n}", f"a sum of n = {n}", "one count for every token")


def gap_of_starts(values: Float[Array, " n"], is_start: Bool[Array, " n"]) -> Float[Array, ""]:
    """`step_gap` of the schedule whose steps start where `is_start[m]` (and at 0): traceable, vmaps.

    A schedule of `n` tokens is a subset of `1..n-1`; as a mask it has one shape for every number of
    steps, so that very many schedules are evaluated by one `vmap`: `n` vector operations over all.

    >>> float(gap_of_starts(jnp.array([0.0, 1.0, 3.0]), jnp.array([True, False, True])))
    1.0
    """

    def reveal(state, position):
        seen, total = state
        value, starts = position
        seen = jnp.where(starts, value, seen)
        return (seen, total + (value - seen)), None

    start = (values[0], jnp.zeros_like(values[0]))
    (_, total), _ = jax.lax.scan(reveal, start, (values, is_start))
    return total
