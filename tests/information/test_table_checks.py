"""What is found in a loss table: how often a right one is called wrong, and a wrong one right."""

import numpy as np
import pytest

from mdmjax import noisy_bit_curve, permutation_curve
from mdmjax._errors import InvalidInputError
from mdmjax.information.loss_curve import LossTable
from mdmjax.information.table_checks import (
    above_guessing,
    check_unit,
    count_means,
    direction,
    rises_within_noise,
)

N, M = 16, np.arange(1, 17)


def exact_losses(curve):
    """`H_1 - Z` by the number of masked tokens, fewest first."""
    return (float(curve.marginal_entropy) - np.asarray(curve.information))[::-1].copy()


RIGHT = {
    "permutation": exact_losses(permutation_curve(N)),
    "noisy bit": exact_losses(noisy_bit_curve(N, 0.1)),
}


def draws(losses, error, known, times=200):
    rng = np.random.default_rng(0)
    for _ in range(times):
        noisy = np.abs(losses + error * rng.standard_normal(losses.size))
        yield LossTable(N, M, noisy, stderr=np.full(losses.size, error) if known else None)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("error", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_curve_is_never_refused_and_a_reversed_one_always_where_it_is_clear(name, error, known):
    right = [direction(table) for table in draws(RIGHT[name], error, known)]
    assert not any(found.reversed and not found.by_noise for found in right)
    if np.ptp(RIGHT[name]) > 10 * error:
        wrong = [direction(table) for table in draws(RIGHT[name][::-1], error, known)]
        assert all(found == (True, False) for found in wrong)


@pytest.mark.parametrize("rows", [2, 3, 16])
def test_a_flat_curve_is_not_refused_by_its_noise(rows):
    rng = np.random.default_rng(1)
    at = np.linspace(1, N, rows).astype(np.int64)
    refused = 0
    for _ in range(400):
        loss = 2 + 0.1 * rng.standard_normal(rows)
        refused += direction(LossTable(N, at, loss, stderr=np.full(rows, 0.1))) == (True, False)
    assert refused <= 12  # 3%: chi square 6.7 of one degree has 1%, and half of them fall
    loss = 2 + 0.01 * rng.standard_normal(rows)
    assert direction(LossTable(N, at, loss)) != (True, False)


def test_equal_losses_have_no_direction():
    assert direction(LossTable(N, M, np.full(N, 0.7))) == (False, False)
    assert direction(LossTable(1, np.array([1]), np.array([0.7]))) == (False, False)


def test_errors_of_repeated_rows_are_over_sequences():
    """Rows of a sequence are one: copies of each row in it change nothing."""
    rng = np.random.default_rng(2)
    loss = rng.exponential(size=(2, 30))
    m, sequence = np.repeat([1, 2], 30), np.tile(np.arange(30), 2)
    apart = count_means(LossTable(2, m, loss.reshape(-1)))
    assert apart.stderr == pytest.approx(loss.std(1, ddof=1) / np.sqrt(30), rel=1e-12)
    copies = LossTable(2, np.tile(m, 3), np.tile(loss.reshape(-1), 3), sequence=np.tile(sequence, 3))
    together = count_means(copies)
    assert together.loss == pytest.approx(loss.mean(1), rel=1e-12)
    assert together.stderr == pytest.approx(apart.stderr, rel=1e-12)


def test_rises_are_compared_with_their_noise():
    loss, stderr = np.array([1.0, 0.9, 2.0, 1.0]), np.full(4, 0.1)
    assert rises_within_noise(LossTable(4, np.arange(1, 5), loss, stderr=stderr)) == 1
    assert rises_within_noise(LossTable(4, np.arange(1, 5), loss)) is None


def test_losses_above_guessing():
    loss, m = np.array([0.5, 3.1, 4.1]), np.array([1, 50, 104])
    assert above_guessing(LossTable(104, m, loss), 20) == [50, 104]
    assert above_guessing(LossTable(104, m, loss, stderr=np.full(3, 0.2)), 20) == [104]


def test_sums_are_of_another_unit():
    loss = M * RIGHT["permutation"]
    check_unit(LossTable(N, M, RIGHT["permutation"]), N)
    with pytest.raises(InvalidInputError, match="times log 2: want nats a masked token; a sum"):
        check_unit(LossTable(N, M, loss), 2)
