"""Means of rows, their errors, and halves of the data."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.information.loss_curve import LossTable
from mdmjax.information.loss_means import PRIOR_DEGREES, loss_means
from mdmjax.losses.sampled import MaskedLosses
from mdmjax.schedules.schedule import Schedule

GENERATOR = np.random.default_rng(0)


def measured(sequences, n, generator):
    """Every sequence at every mask count; what a sequence has of its own is in all of its rows."""
    n_masked, sequence = np.tile(np.arange(1, n + 1), sequences), np.repeat(np.arange(sequences), n)
    own = generator.normal(size=sequences)[sequence]
    return n_masked, sequence, 5 + own + 0.3 * generator.normal(size=n_masked.size)


@given(st.integers(2, 6), st.integers(2, 5), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_errors_by_sequence_are_those_of_measured_losses(sequences, n, seed):
    """The other code for the same: a difference of NLLs, over sequences."""
    n_masked, sequence, loss = measured(sequences, n, np.random.default_rng(seed))
    means = loss_means(LossTable(n, n_masked, loss, sequence=sequence + 7))
    one, less = Schedule([1] * n), Schedule([n])
    found = MaskedLosses(n, sequence, n_masked, loss).nll(one, less=less)
    weights = (one.weights - less.weights)[means.at]
    assert means.kind == "sequences"
    assert means.degrees == sequences - 1
    assert weights @ means.loss == pytest.approx(found.mean, rel=1e-11, abs=1e-11)
    assert means.stderr_of(weights[None].astype(float))[0] == pytest.approx(
        found.stderr, rel=1e-11, abs=1e-11
    )


def test_errors_of_repeated_rows_by_definition():
    """Weighted means; s / sqrt(N) each, drawn to the pooled variance; a row alone has the pooled one."""
    n_masked = np.array([3, 1, 3, 1, 1, 2])
    loss = np.array([4.0, 1, 5, 2, 3, 2])
    means = loss_means(LossTable(3, n_masked, loss))
    assert means.at.tolist() == [0, 1, 2]
    np.testing.assert_allclose(means.loss, [4.5, 2, 2])
    variances = np.array([np.var([4, 5], ddof=1), np.nan, np.var([1, 2, 3], ddof=1)])
    pooled = (1 * variances[0] + 2 * variances[2]) / 3
    own = np.sqrt([variances[0] / 2, pooled, variances[2] / 3])
    np.testing.assert_allclose(means.stderr_of(np.eye(3)), own)
    np.testing.assert_allclose(means.stderr_of(np.ones((1, 3))), [np.linalg.norm(own)])
    degrees, rows = np.array([1, 0, 2]), np.array([2, 1, 3])
    drawn = (PRIOR_DEGREES * pooled + degrees * np.nan_to_num(variances)) / (PRIOR_DEGREES + degrees)
    np.testing.assert_allclose(means.stderr, np.sqrt(drawn / rows))
    assert (means.kind, means.degrees) == ("rows", 3)


def test_standard_errors_are_kept_in_the_order_of_the_counts():
    means = loss_means(
        LossTable(4, np.array([1, 4, 2]), np.array([1.0, 3, 2]), stderr=np.array([0.1, 0.4, 0.2]))
    )
    assert means.stderr.tolist() == [0.4, 0.2, 0.1]
    np.testing.assert_allclose(means.stderr_of(np.array([[1.0, 2, 3]])), [np.sqrt(0.16 + 0.16 + 0.09)])
    np.testing.assert_array_equal(means.curve().stderr, [0.4, np.nan, 0.2, 0.1])


@pytest.mark.parametrize("sequences", [2, 3, 8, 11])
def test_halves_by_sequence_never_split_one(key, sequences):
    """Losses are powers of two by sequence, so that a mean tells which sequences it is of."""
    n = 3
    n_masked, sequence, _ = measured(sequences, n, GENERATOR)
    means = loss_means(LossTable(n, n_masked, 2.0**sequence, sequence=sequence))
    every, seen = set(range(sequences)), set()
    for both in means.halves(key, 40):
        parts = []
        for half in both:
            assert np.ptp(half) == 0
            fits = [size for size in range(1, sequences) if bin(round(half[0] * size)).count("1") == size]
            subsets = [{i for i in range(sequences) if round(half[0] * size) >> i & 1} for size in fits]
            parts.append(subsets)
        good = [(a, b) for a in parts[0] for b in parts[1] if a | b == every and not a & b]
        assert good
        assert any(abs(len(a) - len(b)) <= 1 for a, b in good)
        seen.add(tuple(both[:, 0]))
    assert len(seen) > 1


def test_halves_of_repeated_rows_have_half_of_every_count(key):
    n_masked = np.repeat([1, 2, 3], 4)
    loss = np.tile([1.0, 2, 4, 8], 3)
    means = loss_means(LossTable(3, n_masked, loss))
    pairs = {(a + b) / 2 for a in (1, 2, 4, 8) for b in (1, 2, 4, 8) if a != b}
    halves = means.halves(key, 50)
    assert set(halves.reshape(-1)) == pairs
    np.testing.assert_allclose(halves.sum(axis=1), 2 * 3.75)


@pytest.mark.slow
def test_halves_have_twice_the_variance_and_no_covariance(key):
    """Over the noise of a table with standard errors, and of its halves: within five errors."""
    generator, stderr, size = np.random.default_rng(1), np.array([0.5, 0.1]), 4000
    found = []
    for number in range(size):
        loss = 5 + stderr * generator.normal(size=2)
        table = LossTable(2, np.array([2, 1]), loss, stderr=stderr)
        if number % 400 == 0:
            keys = jax.random.fold_in(key, number)
        both = loss_means(table).halves(jax.random.fold_in(keys, number), 1)[0] - 5
        found.append([both[0] ** 2, both[1] ** 2, both[0] * both[1]])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(size)
    assert np.all(np.abs(mean - [2 * stderr**2, 2 * stderr**2, 0 * stderr]) < 5 * error)


def test_a_count_that_one_half_lacks_is_drawn(key):
    """The row of 2 masked tokens is alone: both halves have it, apart by the pooled error."""
    table = LossTable(2, np.array([2, 1, 1, 1, 1]), np.array([9.0, 1, 2, 3, 4]))
    halves = loss_means(table).halves(key, 400)
    np.testing.assert_allclose(halves[:, :, 0].mean(axis=1), 9)
    assert halves[:, 0, 0].std() == pytest.approx(loss_means(table).stderr[0], rel=0.2)


def test_a_table_that_cannot_tell(key):
    means = loss_means(LossTable(2, np.array([2, 1]), np.array([2.0, 1.0])))
    assert means.kind is None
    assert means.stderr is None
    with pytest.raises(InvalidInputError, match="want a table with a column stderr, with repeated rows"):
        means.halves(key, 2)
    alone = LossTable(2, np.array([2, 1]), np.array([2.0, 1.0]), sequence=np.array([0, 0]))
    assert loss_means(alone).kind is None
