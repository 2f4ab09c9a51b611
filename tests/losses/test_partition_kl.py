import jax
import numpy as np
import pytest
from _hidden_models import small
from scipy.stats import t as student

from mdmjax import InvalidInputError, Schedule, expected_kl, information_curve, markov_curve, tabulate
from mdmjax.distributions.hmm import HMM
from mdmjax.losses.partition_kl import partition_kls

SCHEDULES = ([6], [1, 5], [2, 2, 2])


def exact(schedule):
    return float(expected_kl(information_curve(tabulate(small())), schedule))


@pytest.mark.parametrize("counts", SCHEDULES[2:])
def test_within_five_standard_errors_of_the_exact_kl(key, counts):
    schedule = Schedule(counts)
    found = partition_kls(key, small(), schedule, 2000, batch=1000)
    assert found.min() >= 0
    error = found.std(ddof=1) / np.sqrt(found.size)
    assert abs(found.mean() - exact(schedule)) < 5 * error


def test_one_token_a_step_costs_nothing(key):
    np.testing.assert_allclose(partition_kls(key, small(), Schedule([1] * 6), 4), 0.0, atol=1e-13)


def test_draws_do_not_depend_on_the_batch(key):
    schedule = Schedule([2, 2, 2])
    whole = partition_kls(key, small(), schedule, 2000, batch=1000)
    np.testing.assert_allclose(partition_kls(key, small(), schedule, 6, batch=4), whole[:6], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("counts", SCHEDULES)
def test_a_hundred_seeds_and_the_coverage_of_intervals(counts):
    """Means of 32 draws: within five errors on 100 seeds; 95% intervals hold the truth as often, on 200."""
    schedule, model, wanted = Schedule(counts), small(), exact(Schedule(counts))
    apart, inside = [], 0
    for seed in range(200):
        found = partition_kls(jax.random.key(seed), model, schedule, 32, batch=32)
        error = found.std(ddof=1) / np.sqrt(32)
        apart.append((found.mean() - wanted) / error)
        inside += abs(apart[-1]) < student.ppf(0.975, 31)
    assert np.max(np.abs(apart[:100])) < 5
    assert abs(np.mean(apart)) < 0.5
    assert 0.90 <= inside / 200 <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n", [64, 1024, 16384])
def test_long_chains_against_the_closed_form(key, n):
    """An identity emission is a Markov chain, whose expected KL is exact at any length."""
    transition = np.array([[0.9, 0.1], [0.2, 0.8]])
    model = HMM([2 / 3, 1 / 3], transition, np.eye(2), n)
    schedule = Schedule([n // 4, n // 4, n // 2])
    found = partition_kls(key, model, schedule, 32)
    wanted = float(expected_kl(markov_curve(transition, n), schedule))
    assert abs(found.mean() - wanted) < 5 * found.std(ddof=1) / np.sqrt(32)
    assert found.std(ddof=1) / np.sqrt(32) < 0.02 * wanted * np.sqrt(1024 / n)


def test_what_does_not_fit_is_refused(key):
    with pytest.raises(InvalidInputError, match="counts is of sum 5"):
        partition_kls(key, small(), Schedule([5]), 4)
    with pytest.raises(InvalidInputError, match="draws is 0"):
        partition_kls(key, small(), Schedule([6]), 0)
