"""Honest gains: chosen on one half, judged on the other."""

import itertools

import jax
import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from mdmjax._errors import InvalidInputError
from mdmjax.information.curve_fit import as_measured, isotonic_fit, spline_fit
from mdmjax.information.loss_curve import LossCurve, LossTable
from mdmjax.information.loss_means import loss_means
from mdmjax.schedules.honest import honest_gains
from mdmjax.schedules.named import llada_uniform, pyramid
from mdmjax.schedules.optimal import optimal_schedule
from mdmjax.schedules.schedule import Schedule, nll

N, STEPS = 6, 2
TRUE = 4 + np.array([2.0, 1.8, 1.7, 1.0, 0.9, 0.8])


def table(generator, stderr=0.3, n_masked=None):
    n_masked = np.arange(1, N + 1) if n_masked is None else n_masked
    loss = TRUE[N - n_masked] + stderr * generator.normal(size=n_masked.size)
    return LossTable(N, n_masked, loss, stderr=np.full(n_masked.size, stderr))


def slow_nll(loss, counts):
    starts = np.cumsum([0, *counts[:-1]])
    return sum(size * loss[start] for size, start in zip(counts, starts, strict=True))


def slow_best(loss, steps):
    """Every composition, and which of them is cheapest."""
    n = len(loss)
    cuts = itertools.combinations(range(1, n), steps - 1)
    every = [np.diff([0, *inside, n]).tolist() for inside in cuts]
    return min(every, key=lambda counts: slow_nll(loss, counts))


def test_the_gain_by_its_definition(key):
    """All counts measured, the curve as it is: brute force over compositions, halves as they were drawn."""
    means = loss_means(table(np.random.default_rng(0)))
    baselines = {"even": llada_uniform(N, STEPS), "pyramid": pyramid(N, STEPS)}
    found = honest_gains(key, means, STEPS, baselines, fit=as_measured, repetitions=10)
    for name, baseline in baselines.items():
        gains, variances = [], []
        for first, second in means.halves(key, 5):
            both = []
            for known, unseen in ((first, second), (second, first)):
                chosen = slow_best(known, STEPS)
                both.append(slow_nll(unseen, baseline.counts) - slow_nll(unseen, chosen))
                weights = baseline.weights - Schedule(chosen).weights
                variances.append(np.sum(weights**2) * 0.3**2)
            gains.append(np.mean(both))
        assert found[name].gain == pytest.approx(np.mean(gains), rel=1e-12)
        error = np.sqrt(np.mean(variances) + np.var(gains, ddof=1) / 5)
        assert found[name].stderr == pytest.approx(error, rel=1e-12)
        low, high = found[name].interval
        assert (low + high) / 2 == pytest.approx(found[name].gain, rel=1e-12)
        assert high - low == pytest.approx(2 * norm.ppf(0.975) * error, rel=1e-12)


@pytest.mark.parametrize(
    "fit", [as_measured, *(pytest.param(fit, marks=pytest.mark.slow) for fit in (isotonic_fit, spline_fit))]
)
def test_it_is_unbiased_for_the_rule_at_twice_the_variance(fit):
    """Means over noisy tables: the honest gain, and the true gain of choices with half of the data."""
    generator, even, true = np.random.default_rng(5), llada_uniform(N, STEPS), LossCurve(TRUE)
    half = np.full(N, 0.3 * np.sqrt(2))
    honest, expected = [], []
    for number in range(300):
        means = loss_means(table(generator))
        gains = honest_gains(jax.random.key(number), means, STEPS, {"even": even}, fit=fit, repetitions=4)
        honest.append(gains["even"].gain)
        for _ in range(4):
            chosen = optimal_schedule(fit(LossCurve(TRUE + half * generator.normal(size=N), half)), STEPS)
            expected.append(float(nll(true, even) - nll(true, chosen)))
    error = np.hypot(np.std(honest) / np.sqrt(len(honest)), np.std(expected) / np.sqrt(len(expected)))
    assert abs(np.mean(honest) - np.mean(expected)) < 5 * error


def test_a_choice_that_never_varies_has_the_plain_linear_standard_error(key):
    """Then the gain on all data is the mean over pairs too: halves are symmetric about it."""
    stderr = np.full(N, 1e-4)
    means = loss_means(LossTable(N, N - np.arange(N), TRUE, stderr=stderr))
    best, even = optimal_schedule(LossCurve(TRUE), STEPS), pyramid(N, STEPS)
    found = honest_gains(key, means, STEPS, {"even": even}, fit=as_measured)["even"]
    weights = even.weights - best.weights
    assert found.gain == pytest.approx(float(weights @ TRUE), rel=1e-12)
    assert found.stderr == pytest.approx(1e-4 * np.linalg.norm(weights), rel=1e-9)
    assert found.more == pytest.approx((norm.ppf(0.975) * found.stderr / found.gain) ** 2, rel=1e-12)


def test_where_nothing_can_be_gained_nothing_is_promised(key):
    """A flat curve: the best on the table promises much, the honest gain holds 0 and asks for more data."""
    generator, promised, honest = np.random.default_rng(2), [], []
    even = llada_uniform(12, 3)
    for number in range(60):
        loss = 5 + 0.1 * generator.normal(size=12)
        means = loss_means(LossTable(12, 12 - np.arange(12), loss, stderr=np.full(12, 0.1)))
        chosen = optimal_schedule(means.curve(), 3)
        promised.append(float(nll(means.curve(), even) - nll(means.curve(), chosen)))
        inner = jax.random.fold_in(key, number)
        honest.append(honest_gains(inner, means, 3, {"even": even}, fit=as_measured, repetitions=8)["even"])
    gains = np.array([one.gain for one in honest])
    assert np.mean(promised) > 1
    assert abs(gains.mean()) < 5 * gains.std() / np.sqrt(gains.size)
    assert np.mean([one.interval[0] <= 0 <= one.interval[1] for one in honest]) >= 0.9
    assert all((one.more is None) == (one.gain <= 0) for one in honest)
    assert all(one.more > 1 for one in honest if one.gain > 0 and one.interval[0] < 0)


def test_between_rows_the_gain_is_linear_in_the_judge(key):
    """Some counts measured, hardly any noise: it is the gain on the fit, whatever the level."""
    n_masked = np.array([6, 4, 3, 1])
    at = np.sort(N - n_masked)
    stderr = np.full(4, 1e-6)
    even = pyramid(N, STEPS)
    tables = [LossTable(N, N - at, TRUE[at] + shift, stderr=stderr) for shift in (0.0, 3.0)]
    found = [
        honest_gains(key, loss_means(one), STEPS, {"even": even}, fit=isotonic_fit)["even"]
        for one in tables
    ]
    assert found[0].gain == pytest.approx(found[1].gain, abs=1e-4)
    curve = isotonic_fit(loss_means(tables[0]).curve())
    best = optimal_schedule(curve, STEPS)
    assert found[0].gain == pytest.approx(float(nll(curve, even) - nll(curve, best)), abs=1e-4)


def test_few_sequences_have_the_interval_of_student(key):
    n_masked, sequence = np.tile(np.arange(1, N + 1), 3), np.repeat(np.arange(3), N)
    own = np.array([0.0, 0.1, 0.3])[sequence]
    means = loss_means(LossTable(N, n_masked, TRUE[N - n_masked] * (1 + own), sequence=sequence))
    found = honest_gains(key, means, STEPS, {"even": pyramid(N, STEPS)}, fit=as_measured)["even"]
    low, high = found.interval
    assert high - low == pytest.approx(2 * student.ppf(0.975, 2) * found.stderr, rel=1e-12)


def test_what_is_refused(key):
    means = loss_means(LossTable(N, N - np.arange(N), TRUE))
    with pytest.raises(InvalidInputError, match="loss table is without any of these"):
        honest_gains(key, means, STEPS, {"even": llada_uniform(N, STEPS)})
    good = loss_means(table(np.random.default_rng(0)))
    with pytest.raises(InvalidInputError, match="repetitions is 1: want an integer >= 2"):
        honest_gains(key, good, STEPS, {"even": llada_uniform(N, STEPS)}, repetitions=1)
    with pytest.raises(InvalidInputError, match=r"steps is 7: want an integer in 1\.\.6"):
        honest_gains(key, good, 7, {"even": llada_uniform(N, STEPS)})
