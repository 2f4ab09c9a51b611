"""How sure a predicted gain is: the schedule chosen again on every replicate of a loss table."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..information.loss_curve import LossCurve, LossTable, curve_from_table
from .named import llada_uniform
from .optimal import optimal_schedule
from .schedule import Schedule, nll

QUANTILES = (0.025, 0.975)
"""Ends of every interval: the percentile interval of level 95%."""


class BootstrapGain(eqx.Module):
    r"""The gain `nll(uniform) - nll(schedule)` in nats, and what sampling error does to it.

    `schedule` is the optimum on the data and `gain` its gain there. `gain_interval` is of the gain of each
    replicate's own optimum on that replicate, which is optimistic; `fixed_interval` of `schedule` on the
    replicates. `optimism` is the mean over replicates of how much better the replicate's optimum does on it
    than on the data (Efron 1983): `gain - optimism` estimates the gain on new data. `boundary_intervals[t]`
    is of the tokens revealed before step `t + 2`.
    """

    schedule: Schedule
    gain: float
    gain_interval: Float[np.ndarray, "2"]
    fixed_interval: Float[np.ndarray, "2"]
    optimism: float
    boundary_intervals: Int[np.ndarray, "inner 2"]


def bootstrap_gain(
    key: Key[Array, ""],
    table: LossTable,
    steps: int,
    samples: int,
    *,
    fit: Callable[[LossCurve], LossCurve] = lambda curve: curve,
) -> BootstrapGain:
    """Bootstrap of the gain of the best schedule of `steps` steps over the uniform one.

    With standard errors each replicate adds normal noise of that size to each row (parametric). With
    repeated rows it draws, for each mask count, as many of its rows with replacement; a mask count
    with a single row does not vary, and few rows make the intervals too narrow. `fit` is applied to
    every curve, such as `isotonic_fit`. Boundaries are rounded to replicates outside of their interval.
    Refuses a table with neither standard errors nor repeated rows, and `samples < 2`.

    >>> table = LossTable(4, np.arange(1, 5), np.array([1.0, 1, 2, 3]), stderr=np.full(4, 1e-3))
    >>> result = bootstrap_gain(jax.random.key(0), table, 2, 50)
    >>> result.schedule.counts.tolist(), round(result.gain)
    ([2, 2], 0)
    """
    if samples < 2:
        refuse("samples", samples, "an integer >= 2", "200 or more give steady intervals")
    curve = fit(curve_from_table(table))
    schedule, even = optimal_schedule(curve, steps), llada_uniform(table.n, steps)

    def gain_on(data: LossCurve, chosen: Schedule) -> float:
        return float(nll(data, even) - nll(data, chosen))

    own, fixed, optimism, boundaries = [], [], [], []
    for replicate in _replicates(key, table, samples):
        data = fit(curve_from_table(replicate))
        chosen = optimal_schedule(data, steps)
        own.append(gain_on(data, chosen))
        fixed.append(gain_on(data, schedule))
        optimism.append(own[-1] - gain_on(curve, chosen))
        boundaries.append(chosen.boundaries[1:-1])
    low, high = QUANTILES
    inner = np.array(boundaries, dtype=np.int64)
    outward = np.quantile(inner, low, 0, method="lower"), np.quantile(inner, high, 0, method="higher")
    return BootstrapGain(
        schedule=schedule,
        gain=gain_on(curve, schedule),
        gain_interval=np.quantile(own, QUANTILES),
        fixed_interval=np.quantile(fixed, QUANTILES),
        optimism=float(np.mean(optimism)),
        boundary_intervals=np.stack(outward, axis=1),
    )


def _replicates(key: Key[Array, ""], table: LossTable, samples: int) -> Iterator[LossTable]:
    """Tables of the same mask counts whose losses are drawn again."""
    shape = samples, table.loss.size
    if table.stderr is not None:
        for noise in np.asarray(jax.random.normal(key, shape)):
            yield eqx.tree_at(lambda t: t.loss, table, table.loss + table.stderr * noise)
        return
    if table.repeated == 0:
        remedy = "log the loss of each mask count several times"
        refuse("bootstrap", samples, "a table with a column stderr or with repeated rows", remedy)
    order = np.argsort(table.n_masked, kind="stable")
    ends = (np.searchsorted(table.n_masked[order], table.n_masked, side) for side in ("left", "right"))
    first, end = ends  # of the rows with the same mask count
    for uniforms in np.asarray(jax.random.uniform(key, shape)):
        chosen = order[np.minimum(first + (uniforms * (end - first)).astype(np.int64), end - 1)]
        yield eqx.tree_at(lambda t: (t.loss, t.count), table, (table.loss[chosen], table.count[chosen]))
