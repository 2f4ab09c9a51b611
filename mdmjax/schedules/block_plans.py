r"""Plans for a sampler that writes block after block: one of each block's own, one for all, the best split.

A loss table of every block (block $b$ given those before it) makes a curve $c_b$ of every block. A sampler
that writes the blocks in turn, block $b$ by the plan $s^{(b)}$ in random order, has the mean negative
log-likelihood $\sum_b \sum_t s^{(b)}_t c_b(N^{(b)}_t)$ in nats a sequence: what its blocks pay adds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, eye_array, kron

from .._types import Array, Float, Key
from ..information.curve_fit import spline_fit
from ..information.loss_blocks import BlockTables, side_by_side
from ..information.loss_curve import LossCurve, between_rows, mean_losses
from ..information.loss_means import LossMeans, loss_means
from .honest import Fitted, HonestGain, Losses, Weights, judged_gains, lines_between
from .levels import split_steps
from .optimal import optimal_schedule
from .schedule import Schedule

Fit = Callable[[LossCurve], LossCurve]
OWN, ONE, SPLIT = "own", "one", "split"


class BlockLosses(NamedTuple):
    """The losses of `count` blocks of `n` tokens, side by side in `means`: errors are those of any sum."""

    count: int
    n: int
    means: LossMeans

    def curves(
        self, fit: Fit, loss: Losses | None = None, variance: float = 1.0
    ) -> tuple[list[LossCurve], LossCurve]:
        """The curve of every block by `fit`, and their mean; of other losses at the same points.

        `variance` says how many times that of the losses in `means` theirs is. The mean is that of the
        fitted curves: so the best plan for it has the least sum over blocks.
        """
        means = self.means
        at = means.at[: means.at.size // self.count]  # every block has the same mask counts
        rows = mean_losses(means.table.n, means.table.n_masked, means.table.loss, means.table.count)[1]
        count = rows[means.at].reshape(self.count, -1)
        mean_of = np.tile(np.eye(at.size), self.count) / self.count
        stderr = np.full(count.shape, np.nan) if means.stderr is None else means.stderr.reshape(count.shape)
        of_mean = stderr[0] if means.stderr is None else means.stderr_of(mean_of)
        losses = (means.loss if loss is None else loss).reshape(count.shape)

        def known(stderr: Losses, count: Losses) -> tuple[Losses, Losses]:
            errors, rows = np.full(self.n, np.nan), np.zeros(self.n)
            errors[at], rows[at] = np.sqrt(variance) * stderr, count
            return errors, rows

        blocks = zip(losses, stderr, count, strict=True)
        each = [fit(LossCurve(between_rows(self.n, at, loss), *known(*own))) for loss, *own in blocks]
        mean = np.mean([np.asarray(curve.loss, np.float64) for curve in each], axis=0)
        return each, LossCurve(mean, *known(of_mean, count.sum(axis=0)))


def block_losses(tables: BlockTables) -> BlockLosses:
    """What the tables of all blocks tell together; refuses what `check_blocks` does."""
    table = side_by_side(tables)
    return BlockLosses(len(tables), table.n // len(tables), loss_means(table))


def block_plans(
    curves: Sequence[LossCurve], mean: LossCurve, steps: int, total: int
) -> dict[str, list[Schedule]]:
    """The schedule of every block: its `own` best, the `one` best for the mean curve, the best `split`.

    The first two have `steps` steps a block, the last `total` over all blocks (`split_steps`). Refuses
    numbers of steps that no schedules have.

    >>> flat, steep = LossCurve([1.0, 1.0, 1.0, 1.0]), LossCurve([5.0, 3.0, 1.0, 0.0])
    >>> mean = LossCurve([3.0, 2.0, 1.0, 0.5])
    >>> plans = block_plans([flat, steep], mean, 2, 4)
    >>> {name: [one.counts.tolist() for one in plan] for name, plan in plans.items()}
    {'own': [[2, 2], [2, 2]], 'one': [[2, 2], [2, 2]], 'split': [[4], [1, 1, 2]]}
    """
    own = [optimal_schedule(curve, steps) for curve in curves]
    one = optimal_schedule(mean, steps)
    return {OWN: own, ONE: [one] * len(own), SPLIT: split_steps(curves, total)}


def honest_block_gains(
    key: Key[Array, ""],
    losses: BlockLosses,
    steps: int,
    total: int,
    baselines: Mapping[str, Schedule],
    *,
    fit: Fit = spline_fit,
    repetitions: int = 64,
) -> tuple[dict[str, HonestGain], list[dict[str, HonestGain]]]:
    r"""What every block's own plan saves in nats a sequence, and in every block: judged as `honest_gains`.

    Against `one` plan for all and the best `split` of `total` steps, both chosen on the same half, and
    against each of `baselines`, taken for every block. The halves are of sequences, where the tables have
    them: a sequence is in one half with all its blocks, and what its blocks share is in the errors.

    Raises:
        InvalidInputError: errors that are not known; what `block_plans` refuses.
    """
    ends = {name: _weights([one] * losses.count) for name, one in baselines.items()}
    blocks = np.repeat(np.eye(losses.count), losses.n, axis=1)  # [blocks, positions]
    parts = [(name, place) for place in range(losses.count) for name in ends]

    def choose(known: Losses) -> tuple[Weights, Fitted]:
        curves, mean = losses.curves(fit, known, variance=2.0)
        plans = {name: _weights(p) for name, p in block_plans(curves, mean, steps, total).items()}
        gains = [end - plans[OWN] for end in (plans[ONE], plans[SPLIT], *ends.values())]
        gains += [blocks[place] * (ends[name] - plans[OWN]) for name, place in parts]
        return np.stack(gains), np.concatenate([np.asarray(one.loss, np.float64) for one in curves])

    at = losses.means.at[: losses.means.at.size // losses.count]
    lines = csr_array(kron(eye_array(losses.count), lines_between(losses.n, at)))
    names = [ONE, SPLIT, *ends, *(f"{name} {place}" for name, place in parts)]
    found = judged_gains(key, losses.means, lines, choose, names, repetitions)
    whole = {name: found[name] for name in (ONE, SPLIT, *ends)}
    return whole, [{name: found[f"{name} {place}"] for name in ends} for place in range(losses.count)]


def _weights(plans: Sequence[Schedule]) -> Float[np.ndarray, " positions"]:
    """What multiplies the losses of all blocks, side by side, in the sum of their NLLs."""
    return np.concatenate([plan.weights for plan in plans]).astype(np.float64)
