"""The search for the own law against all schedules, and against where it started."""

from unittest import mock

import numpy as np
import pytest
from _oracles import all_compositions
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, Schedule, noisy_bit_curve, optimal_schedule
from mdmjax.information.counts import mixture_counts, noisy_bit_counts
from mdmjax.information.exchangeable import identical_mixture_curve
from mdmjax.laws.exchangeable import ExchangeableLaw
from mdmjax.policies import own_law
from mdmjax.policies.own_law import own_law_schedule


def noisy_bit(n, flip):
    return ExchangeableLaw.of(noisy_bit_counts(n, flip))


@pytest.mark.parametrize("flip", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("steps", [2, 4])
def test_all_and_the_search_against_a_loop(monkeypatch, flip, steps):
    law, first = noisy_bit(10, flip), optimal_schedule(noisy_bit_curve(10, flip), steps)
    least = min(law.kls(np.array([*all_compositions(10, steps)])))
    every = own_law_schedule(law, steps, first)
    assert every.optimal
    assert every.kl == pytest.approx(least, rel=1e-9)
    monkeypatch.setattr(own_law, "ALL_TERMS", 0)
    found = own_law_schedule(law, steps, first)
    assert (found.local, found.optimal, found.schedule.steps) == (True, False, steps)
    assert found.kl == pytest.approx(least, rel=1e-9, abs=1e-12)  # here; in general no more than a bound


def check_the_search(flip, steps, q, n):
    """No worse than where it starts, and no better than the optimum of all."""
    rows, weights = np.where(np.eye(q, dtype=bool), 1 - flip, flip / (q - 1)), np.full(q, 1 / q)
    law = ExchangeableLaw.of(mixture_counts(weights, rows, n), q)
    first = optimal_schedule(identical_mixture_curve(weights, rows, n), steps)
    with mock.patch.object(own_law, "ALL_TERMS", 0):
        found = own_law_schedule(law, steps, first)
    assert found.kl <= law.kls(first.counts[None])[0] + 1e-12
    assert found.schedule.steps == steps
    every = own_law_schedule(law, steps, first)
    assert every.optimal
    assert every.kl <= found.kl + 1e-12


@given(st.floats(0.01, 0.45))
@settings(deadline=None, max_examples=10)
def test_the_search_is_never_worse_than_the_shortest_path(flip):
    check_the_search(flip, 3, 2, 10)


@pytest.mark.slow
@given(st.floats(0.01, 0.45), st.integers(2, 6), st.sampled_from([2, 3]))
@settings(deadline=None, max_examples=30)
def test_the_search_of_any_steps_and_alphabet(flip, steps, q):
    check_the_search(flip, steps, q, 12)


def test_a_step_of_two_starts_best_at_an_odd_number():
    """From a tie its tokens are drawn as if they had nothing to do with each other."""
    places = np.ones((7, 7), int) + np.eye(7, dtype=int)
    kls = noisy_bit(8, 0.1).kls(places)
    assert np.all(kls[1::2] < np.minimum(kls[:-1:2], kls[2::2]))


def test_the_noisy_bit_at_length():
    """The schedules that a slow program found; never worse than the shortest path."""
    law, first = noisy_bit(128, 0.1), Schedule([1, 3, 7, 117])
    found = own_law_schedule(law, 4, first)
    assert found.schedule.counts.tolist() == [1, 4, 11, 112]
    assert abs(found.kl - 0.0057) < 5e-5
    assert found.kl <= law.kls(first.counts[None])[0]


def test_the_ends_and_work_that_is_done(monkeypatch):
    law = noisy_bit(12, 0.1)
    assert own_law_schedule(law, 1, Schedule([12])).schedule.counts.tolist() == [12]
    assert own_law_schedule(law, 12, Schedule([1] * 12)).kl == pytest.approx(0, abs=1e-14)
    monkeypatch.setattr(own_law, "ALL_TERMS", 0)
    monkeypatch.setattr(own_law, "SEARCH_TERMS", 0)
    first = Schedule([6, 6])
    stopped = own_law_schedule(law, 2, first)
    assert (stopped.tried, stopped.local) == (1, False)
    assert stopped.schedule.counts.tolist() == [6, 6]
    for steps, start in ((0, first), (13, first), (2, Schedule([1, 5])), (3, first)):
        with pytest.raises(InvalidInputError):
            own_law_schedule(law, steps, start)
