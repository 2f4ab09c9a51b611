"""A schedule, and what it costs: the left-Riemann error of one curve."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_kind
from .._errors import refuse
from .._types import Array, Float, Int
from ..information.curve import AbstractCurve, InformationCurve, check_curve


class Schedule(eqx.Module):
    """How many tokens each step reveals: one or more positive integers of sum `n`; others are refused.

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

    @property
    def weights(self) -> Int[np.ndarray, " n"]:
        """How many reveals have `m = 0..n-1` tokens to see: `nll` is their product with $c(m)$."""
        return np.bincount(self.starts, minlength=self.n)


def step_gap(curve: AbstractCurve, schedule: Schedule) -> Float[Array, ""]:
    r"""What `schedule` loses in nats against revealing one token at a time: the sum of its `step_cost`s.

    It is `expected_kl` of an information curve. Of a loss curve it is `nll` less that of `n` steps. Refuses
    what is no curve, and counts that do not sum to its `n`.

    >>> from mdmjax import LossCurve
    >>> float(step_gap(LossCurve([3.0, 2.0, 1.0]), Schedule([1, 2])))
    1.0
    """
    check_curve(curve)
    check_total(schedule, curve.n)
    return curve.total_cost(schedule.starts)


def expected_kl(curve: InformationCurve, schedule: Schedule) -> Float[Array, ""]:
    r"""Mean over ordered partitions of $\mathrm{KL}(p \| \text{law given the partition})$, in nats.

    $$\sum_t \sum_{j=1}^{s_t} \left(Z_{N_t+j} - Z_{N_t+1}\right)$$

    with $N_t$ tokens revealed before step $t$ (arXiv 2511.04647, Thm 4), for the perfect denoiser. The
    sampler draws its partition at random: its own law is the mixture over partitions, whose KL is no
    larger. Refuses what `step_gap` does, and a loss curve (the entropy of its data is not known).

    >>> curve = InformationCurve([0.0, 1.0, 1.0], 1.0)
    >>> float(expected_kl(curve, Schedule([3]))), float(expected_kl(curve, Schedule([1, 2])))
    (2.0, 0.0)
    """
    check_curve(curve, InformationCurve)
    return step_gap(curve, schedule)


def nll(curve: AbstractCurve, schedule: Schedule) -> Float[Array, ""]:
    r"""Mean negative log-likelihood $\sum_t s_t c(N_t)$ of the random-order sampler, in nats.

    $c(m)$ is the `loss` of the curve. The sum is $H(X)$ plus the mean over ordered partitions of
    $\mathrm{KL}(p \| \text{law given the partition})$ (arXiv 2511.04647, App. G): of an information curve
    `curve.entropy + expected_kl(curve, schedule)`. Of a loss curve $H(X)$ is not known: compare schedules
    by differences. Refuses what `step_gap` does.

    >>> from mdmjax import LossCurve
    >>> float(nll(LossCurve([3.0, 2.0, 1.0]), Schedule([1, 2])))
    7.0
    """
    check_curve(curve)
    check_total(schedule, curve.n)
    return jnp.sum(curve.loss[schedule.starts])


def check_schedule(schedule: Schedule) -> None:
    """Refuse what is no schedule, as a list of counts."""
    check_kind("schedule", schedule, Schedule, "a schedule", "Schedule(counts) makes one")


def check_total(schedule: Schedule, n: int) -> None:
    """Refuse a schedule whose counts do not sum to `n`."""
    check_schedule(schedule)
    if schedule.n != n:
        refuse("counts", f"of sum {schedule.n}", f"a sum of n = {n}", "one count for every token")
