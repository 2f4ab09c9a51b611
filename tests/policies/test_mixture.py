"""Every schedule's mixture against the mean of the partitions' laws, and against the mean of their KLs."""

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_compositions, block_decoder_law, divergences_by_loops, partitions_of_sizes
from _strategies import SEEDS, any_denoiser, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InvalidInputError,
    Joint,
    Oracle,
    Schedule,
    denoiser_loss_curve,
    expected_kl,
    information_curve,
    kl,
    nll,
    optimal_schedule,
)
from mdmjax.laws.random_order import random_order_law
from mdmjax.policies.mixture import mixture_schedules

SHAPES = st.sampled_from([(2, 3), (3, 2)])


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=8)
def test_every_schedule_against_the_mean_of_its_laws(data, seed):
    n, q = data.draw(SHAPES)
    table = data.draw(probabilities(q**n, zeros=False)).reshape((q,) * n)
    joint = Joint(jnp.asarray(table))
    denoiser, rows_of = any_denoiser(table, seed)
    found = mixture_schedules(joint, denoiser)
    assert found.n == n
    entropy = -np.sum(table * np.log(table))
    loss = denoiser_loss_curve(joint, denoiser)
    for steps in range(1, n + 1):
        all_kls = []
        for counts in all_compositions(n, steps):
            laws = [block_decoder_law(n, q, rows_of, p) for p in partitions_of_sizes(range(n), counts)]
            slow = divergences_by_loops(table, np.mean(laws, axis=0))["kl"]
            all_kls.append(slow)
            fast = found.kl_of(Schedule(counts))
            np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)
            mean = float(nll(loss, Schedule(counts))) - entropy
            assert float(fast) <= mean + 1e-12  # Jensen
        best = found.schedule(steps)
        assert best.steps == steps
        np.testing.assert_allclose(found.kl_of(best), min(all_kls), rtol=0, atol=1e-12)
        if np.isfinite(loss.loss).all():
            of_the_mean = found.kl_of(optimal_schedule(loss, steps))
            assert float(found.kl_of(best)) <= float(of_the_mean) + 1e-12


def test_infinite_and_missing():
    """A context that the data never have is not asked for; a word that the law cannot make is infinite."""
    table = np.zeros((2, 2, 2))
    table[0, 0, 0], table[0, 1, 1], table[1, 1, 1] = 0.5, 0.25, 0.25
    joint = Joint(jnp.asarray(table))
    exact = mixture_schedules(joint, Oracle(Joint(jnp.full((2, 2, 2), 0.125))))
    uniform = -np.log(1 / 8) - 1.5 * np.log(2)
    np.testing.assert_allclose(exact.kl, uniform, rtol=1e-14)
    # Of equals the least number: the single tokens come first.
    assert exact.schedule(2).counts.tolist() == [1, 2]
    certain = Oracle(Joint(jnp.zeros((2, 2, 2)).at[0, 0, 0].set(1.0)))
    assert np.all(np.isinf(np.asarray(mixture_schedules(joint, certain).kl)))


def test_the_mean_and_the_mixture_of_exact_rows():
    """Theorem 4 bounds every schedule; the best of the mixture is no worse than the best of the mean."""
    table = np.random.default_rng(7).dirichlet(np.full(32, 0.2)).reshape((2,) * 5)
    joint = Joint(jnp.asarray(table))
    found, curve = mixture_schedules(joint, Oracle(joint)), information_curve(joint)
    for steps in range(1, 6):
        for counts in all_compositions(5, steps):
            assert (
                float(found.kl_of(Schedule(counts))) <= float(expected_kl(curve, Schedule(counts))) + 1e-13
            )
        of_the_mean = optimal_schedule(curve, steps)
        assert float(found.kl_of(found.schedule(steps))) <= float(found.kl_of(of_the_mean))
    for counts in ([5], [1, 2, 2], [1] * 5, [3, 1, 1]):
        law = random_order_law(Oracle(joint), Schedule(counts))
        np.testing.assert_allclose(found.kl_of(Schedule(counts)), kl(joint, law), rtol=0, atol=1e-13)


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    with pytest.raises(InvalidInputError, match=r"max_schedules is 1: want at least 2\^1 = 2"):
        mixture_schedules(joint, Oracle(joint), max_schedules=1)
    with pytest.raises(InvalidInputError, match="max_terms is 5: want at least 1[0-9]"):
        mixture_schedules(joint, Oracle(joint), max_terms=5)
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 2, 2"):
        mixture_schedules(Joint(jnp.full((2, 2, 2), 0.125)), Oracle(joint))
    found = mixture_schedules(joint, Oracle(joint))
    for steps in (0, 3):
        with pytest.raises(InvalidInputError, match=r"want an integer in 1\.\.2"):
            found.schedule(steps)
    with pytest.raises(InvalidInputError, match="counts"):
        found.kl_of(Schedule([3]))
