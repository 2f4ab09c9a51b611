"""Token and sequence error rates: from the definitions, and how each grows with steps and length."""

import itertools
from math import comb, log

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import divergences_by_loops
from _strategies import probabilities
from hypothesis import given, settings

from mdmjax import Fallback, Joint, Oracle, RandomSubset, Reveal, exact_law, llada_uniform, tabulate
from mdmjax.distributions.codes import pairs_code
from mdmjax.divergences.error_rates import most_sequence_errors, sequence_error_rate, token_error_rate
from mdmjax.divergences.tables import support_mismatch, total_variation
from mdmjax.information.closed_form import pairs_curve
from mdmjax.information.markov import markov_curve
from mdmjax.schedules.schedule import expected_kl

EPS = np.finfo(np.float64).eps


@given(probabilities(9), probabilities(9))
@settings(deadline=None, max_examples=25)
def test_rates_from_the_definition(p, r):
    p, r = p.reshape(3, 3), r.reshape(3, 3)
    truth, law = Joint(jnp.asarray(p)), Joint(jnp.asarray(r))
    words = list(itertools.product(range(3), repeat=2))
    with np.errstate(divide="ignore"):
        log_rate = sum(-p[w] * np.log(r[w]) / 2 for w in words if p[w] > 0)
    ter, ser = token_error_rate(truth, law), sequence_error_rate(truth, law)
    assert ter == pytest.approx(np.exp(log_rate), rel=1e-12)
    assert ser == pytest.approx(sum(r[w] for w in words if p[w] == 0), abs=4 * EPS)
    assert ser == pytest.approx(float(support_mismatch(truth, law).invalid), abs=4 * EPS)
    entropy = -sum(p[w] * log(p[w]) for w in words if p[w] > 0)
    excess = np.log(ter) - entropy / 2
    assert 2 * excess == pytest.approx(divergences_by_loops(p, r)["kl"], abs=1e-12)
    assert ser <= most_sequence_errors(excess, 2) + 16 * EPS
    assert ser <= total_variation(truth, law) + 8 * EPS


def test_the_bound_is_reached_and_unfinished_mass_is_an_error():
    p = jnp.array([[0.2, 0.3], [0.5, 0.0]])
    law = (0.75 * p).at[1, 1].set(0.25)
    excess = jnp.log(token_error_rate(p, law) / token_error_rate(p, p))
    assert float(most_sequence_errors(excess, 2)) == pytest.approx(0.25)
    assert float(sequence_error_rate(p, law)) == pytest.approx(0.25)
    assert float(sequence_error_rate(p, 0.75 * p)) == pytest.approx(0.25)


def wrong_pairs(n, sizes):
    """SER of equal pairs in random order: the mean of 1 - 2^-(pairs whose two are written at once).

    A step takes some of `half` positions whose other one is known, both of some of `fresh` pairs, or one.
    """
    states = {(n // 2, 0): 1.0}
    for size in sizes:
        following = {}
        for (fresh, half), mass in states.items():
            for both in range(min(fresh, size // 2) + 1):
                for one in range(min(fresh - both, size - 2 * both) + 1):
                    closed = size - 2 * both - one
                    if closed > half:
                        continue
                    ways = comb(half, closed) * comb(fresh, both) * comb(fresh - both, one) * 2**one
                    key = fresh - both - one, half - closed + one
                    share = mass * ways / comb(2 * fresh + half, size) / 2**both
                    following[key] = following.get(key, 0.0) + share
        states = following
    return 1 - sum(states.values())


@pytest.mark.parametrize("steps", [2, 4])
def test_of_pairs_the_laws_have_the_rates_by_hand(steps):
    n = 8
    truth = tabulate(pairs_code(n))
    schedule = llada_uniform(n, steps)
    law = exact_law(Fallback(Oracle(truth)), Reveal(RandomSubset(schedule)))
    wanted = wrong_pairs(n, schedule.counts.tolist())
    assert float(sequence_error_rate(truth, law)) == pytest.approx(wanted, abs=1e-12)


def test_tokens_need_steps_that_do_not_depend_on_length():
    """The direction of the theorem, on two families of ours, by the mean over orders, which is not less."""
    lengths, chain = (16, 64, 256, 1024), np.array([[0.9, 0.1], [0.1, 0.9]])
    for curve_of in (lambda n: markov_curve(chain, n), lambda n: pairs_curve(n, 2)):
        for k in (4, 8, 16):
            excess = [float(expected_kl(curve_of(n), llada_uniform(n, k)) / n) for n in lengths]
            assert max(excess) <= 0.4 / k
            assert k == 16 or abs(excess[-1] / excess[-2] - 1) < 0.05
    for n in lengths:  # of a pair both are in one step with chance (n/k - 1) / (n - 1)
        for k in (4, n // 4, n):
            nats = n / 2 * (n / k - 1) / (n - 1) * log(2)
            assert float(expected_kl(pairs_curve(n, 2), llada_uniform(n, k))) == pytest.approx(
                nats, abs=1e-9
            )


def test_sequences_need_steps_in_proportion_to_length():
    """Equal pairs, a hidden Markov model: with n/4 steps in random order more than half are wrong."""
    for n in (8, 16, 32, 64):
        rates = {k: wrong_pairs(n, llada_uniform(n, k).counts.tolist()) for k in (n // 4, n // 2, n)}
        assert rates[n // 4] > 0.5 > rates[n // 2] > rates[n] == pytest.approx(0, abs=1e-12)
