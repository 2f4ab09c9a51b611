"""Plans of blocks: against all compositions, and gains by their definition, halves as they were drawn."""

import itertools

import numpy as np
import pytest
from scipy.stats import t as student

from mdmjax._errors import InvalidInputError
from mdmjax.information.curve_fit import as_measured, spline_fit
from mdmjax.information.loss_blocks import mean_table, side_by_side
from mdmjax.information.loss_curve import LossCurve, LossTable
from mdmjax.schedules.block_plans import block_losses, block_plans, honest_block_gains
from mdmjax.schedules.named import llada_uniform, pyramid
from mdmjax.schedules.schedule import Schedule

N, BLOCKS = 4, 3
TRUE = np.array([[3.0, 2.9, 1.0, 0.9], [3.0, 1.0, 0.9, 0.8], [2.0, 1.9, 1.8, 0.1]])


def slow_nll(loss, counts):
    starts = np.cumsum([0, *counts[:-1]])
    return sum(size * loss[start] for size, start in zip(counts, starts, strict=True))


def slow_plans(n, steps):
    cuts = itertools.combinations(range(1, n), steps - 1)
    return [np.diff([0, *inside, n]).tolist() for inside in cuts]


def slow_best(loss, steps):
    return min(slow_plans(len(loss), steps), key=lambda counts: slow_nll(loss, counts))


def slow_split(losses, total):
    """Every number of steps of every block."""
    numbers = itertools.product(range(1, N + 1), repeat=len(losses))
    plans = (
        [slow_best(loss, k) for loss, k in zip(losses, ks, strict=True)]
        for ks in numbers
        if sum(ks) == total
    )
    return min(plans, key=lambda one: slow_total(losses, one))


def slow_total(losses, plans):
    return sum(slow_nll(loss, plan) for loss, plan in zip(losses, plans, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_plans_are_the_best_of_all(seed):
    losses = np.random.default_rng(seed).uniform(0, 3, (BLOCKS, N))
    for steps, total in itertools.product((1, 2, 3), (3, 5, 9, 12)):
        curves = [LossCurve(loss) for loss in losses]
        plans = block_plans(curves, LossCurve(losses.mean(axis=0)), steps, total)
        own, one, split = ([p.counts.tolist() for p in plans[name]] for name in ("own", "one", "split"))
        every = slow_plans(N, steps)
        assert slow_total(losses, own) == pytest.approx(
            sum(min(slow_nll(loss, p) for p in every) for loss in losses)
        )
        assert one == [one[0]] * BLOCKS
        assert slow_total(losses, one) == pytest.approx(
            min(slow_total(losses, [p] * BLOCKS) for p in every)
        )
        assert sum(map(len, split)) == total
        assert slow_total(losses, split) == pytest.approx(slow_total(losses, slow_split(losses, total)))


def tables_of(generator, sequences=12, noise=0.3, shared=0.0):
    """Every block of every sequence at every count; what is `shared` is the same in all of a sequence."""
    offset = shared * generator.normal(size=sequences)
    tables = {}
    for block, true in enumerate(TRUE):
        sequence, m = (x.reshape(-1) for x in np.mgrid[:sequences, 1 : N + 1])
        loss = 5 + true[N - m] + noise * generator.normal(size=m.size) + offset[sequence]
        tables[block] = LossTable(N, m, loss, sequence=sequence)
    return tables


@pytest.mark.parametrize("fit", [as_measured, spline_fit])
def test_gains_by_their_definition(fit, key):
    """Each half chooses the own plans, one for all and a split, and the other half judges them."""
    losses = block_losses(tables_of(np.random.default_rng(0)))
    baselines = {"even": llada_uniform(N, 2), "pyramid": pyramid(N, 2)}
    found, by_block = honest_block_gains(key, losses, 2, 7, baselines, fit=fit, repetitions=6)
    assert list(found) == ["one", "split", "even", "pyramid"]
    gains, parts = {name: [] for name in found}, []
    for both in losses.means.halves(key, 3):
        turns, of_blocks = {name: [] for name in found}, []
        for known, unseen in (both, both[::-1]):
            curves, mean = losses.curves(fit, known, variance=2.0)
            seen = [np.asarray(one.loss) for one in curves]
            judge = unseen.reshape(BLOCKS, N)
            own = [slow_best(one, 2) for one in seen]
            plans = {"one": [slow_best(np.asarray(mean.loss), 2)] * BLOCKS, "split": slow_split(seen, 7)}
            plans |= {name: [one.counts.tolist()] * BLOCKS for name, one in baselines.items()}
            for name, plan in plans.items():
                turns[name].append(slow_total(judge, plan) - slow_total(judge, own))
            of_blocks.append(
                [
                    slow_nll(one, plan) - slow_nll(one, best)
                    for one, plan, best in zip(judge, plans["even"], own, strict=True)
                ]
            )
        parts.append(np.mean(of_blocks, axis=0))
        for name in found:
            gains[name].append(np.mean(turns[name]))
    for name, gain in found.items():
        assert gain.gain == pytest.approx(np.mean(gains[name]), abs=1e-10)
    assert [one["even"].gain for one in by_block] == pytest.approx(np.mean(parts, axis=0), abs=1e-10)
    assert sum(one["even"].gain for one in by_block) == pytest.approx(found["even"].gain, abs=1e-10)
    reach = student.ppf(0.975, losses.means.degrees)
    low, high = found["one"].interval
    assert high - low == pytest.approx(2 * reach * found["one"].stderr, rel=1e-12)


def test_errors_of_sums_over_blocks_are_by_sequence():
    """What a sequence has of its own is in all of its blocks: it does not average out over them."""
    generator = np.random.default_rng(3)
    losses = block_losses(tables_of(generator, sequences=200, noise=0.01, shared=0.5))
    curves, mean = losses.curves(as_measured)
    each = np.stack([np.asarray(one.stderr) for one in curves])
    assert each == pytest.approx(0.5 / np.sqrt(200), rel=0.2)
    assert np.asarray(mean.stderr) == pytest.approx(each.mean(axis=0), rel=0.01)
    losses = block_losses(tables_of(generator, sequences=200, noise=0.5))
    assert np.asarray(losses.curves(as_measured)[1].stderr) == pytest.approx(
        0.5 / np.sqrt(200 * BLOCKS), rel=0.2
    )


def test_the_mean_gives_every_block_the_same_share():
    """However many rows it has; with standard errors those of the mean of independent ones."""
    few, many = np.array([2, 1]), np.array([2, 2, 2, 1, 1])
    tables = {
        0: LossTable(2, few, np.array([4.0, 1.0])),
        5: LossTable(2, many, np.array([1.0, 2.0, 3.0, 0.0, 1.0])),
    }
    mean = mean_table(tables)
    for m, value in ((2, (4 + 2) / 2), (1, (1 + 0.5) / 2)):
        at = mean.n_masked == m
        assert np.average(mean.loss[at], weights=mean.count[at]) == pytest.approx(value, rel=1e-14)
    losses = block_losses(tables)
    assert losses.curves(as_measured)[1].loss.tolist() == pytest.approx([3.0, 0.75])
    sure = {b: LossTable(2, few, np.array([4.0, 1.0]), stderr=np.array([0.3, 0.4])) for b in range(2)}
    assert mean_table(sure).stderr.tolist() == pytest.approx([0.4 / np.sqrt(2), 0.3 / np.sqrt(2)])
    both = side_by_side(sure)
    assert (both.n, (both.n - both.n_masked).tolist()) == (4, [0, 1, 2, 3])
    curves, mean = block_losses(sure).curves(as_measured)
    assert np.asarray(mean.stderr).tolist() == pytest.approx([0.3 / np.sqrt(2), 0.4 / np.sqrt(2)])
    assert np.asarray(curves[1].stderr).tolist() == [0.3, 0.4]


def test_blocks_that_do_not_match_are_one_line(key):
    one = LossTable(3, np.array([3, 2, 1]), np.ones(3))
    less = LossTable(3, np.array([3, 1]), np.ones(2))
    short = LossTable(2, np.array([2, 1]), np.ones(2))
    for tables, message in [
        ({0: one, 1: less}, "block is 1 without rows of n_masked = 2: want the same mask counts"),
        ({0: less, 1: one}, "block is 0 without rows of n_masked = 2"),
        ({0: one, 7: short}, "block is 7 of 2 tokens: want 3, as block 0 has"),
        ({}, "blocks is none"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            block_losses(tables)
    losses = block_losses({0: one, 1: one})
    with pytest.raises(InvalidInputError, match="without any of these"):
        honest_block_gains(key, losses, 2, 4, {"even": Schedule([2, 1])})
    curves, mean = losses.curves(as_measured)
    for steps, total, message in [(4, 4, "steps is 4"), (2, 7, "steps is 7"), (2, 1, "steps is 1")]:
        with pytest.raises(InvalidInputError, match=message):
            block_plans(curves, mean, steps, total)
