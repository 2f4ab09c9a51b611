"""Every schedule's mixture against the mean of the partitions' laws, and against the mean of their KLs."""

import math
from functools import partial

import jax
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
from mdmjax.denoisers.perturbed import Mixed
from mdmjax.denoisers.table import TableDenoiser, tabulate_denoiser
from mdmjax.laws.random_order import random_order_law
from mdmjax.policies.mixture import all_codes, check_mixture_size, mixture_kls, mixture_schedules

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


def test_a_batch_of_joints_in_one_call():
    """Vmapped over joints and denoisers, chunked, of some schedules: as one by one, and one compilation."""
    rng = np.random.default_rng(3)
    tables = jnp.asarray(rng.dirichlet(np.full(8, 0.5), 6).reshape(6, 2, 2, 2))
    rows = jnp.stack([tabulate_denoiser(Mixed(Oracle(Joint(p)), 0.1)).log_probs for p in tables])
    models = [(Joint(p), TableDenoiser(r)) for p, r in zip(tables, rows, strict=True)]
    one_by_one = [mixture_schedules(*model).kl for model in models]
    traced = []

    @partial(jax.jit, static_argnames="codes")
    def batched(tables, rows, codes):
        traced.append(codes)
        return jax.lax.map(lambda one: mixture_kls(*one, codes), (tables, rows), batch_size=4)

    np.testing.assert_allclose(batched(tables, rows, all_codes(3)), one_by_one, rtol=0, atol=1e-13)
    batched(tables[::-1], rows[::-1], all_codes(3))
    assert len(traced) == 1
    some = (3, 1)
    found = batched(tables, rows, some)
    np.testing.assert_allclose(found, np.array(one_by_one)[:, list(some)], rtol=0, atol=1e-13)


@pytest.mark.parametrize("steps", [1, 3])
def test_schedules_of_so_many_steps(steps):
    table = np.random.default_rng(steps).dirichlet(np.full(32, 0.3)).reshape((2,) * 5)
    joint = Joint(jnp.asarray(table))
    every, some = mixture_schedules(joint, Oracle(joint)), mixture_schedules(joint, Oracle(joint), steps)
    assert [code.bit_count() for code in some.codes] == [steps - 1] * len(some.codes)
    assert len(some.codes) == math.comb(4, steps - 1)
    np.testing.assert_allclose(some.kl, np.array(every.kl)[list(some.codes)], rtol=0, atol=1e-13)
    assert some.schedule(steps).counts.tolist() == every.schedule(steps).counts.tolist()


def test_the_slope_in_the_logits():
    """Of the KL of every schedule, against differences."""
    rng = np.random.default_rng(5)
    probs = jnp.asarray(rng.dirichlet(np.ones(8)).reshape(2, 2, 2))
    logits, move = (jnp.asarray(x) for x in rng.normal(size=(2, 27, 3, 2)))
    f = jax.jit(lambda t: mixture_kls(probs, jax.nn.log_softmax(logits + t * move), all_codes(3)))
    slope = jax.jacfwd(f)(0.0)
    np.testing.assert_allclose(jax.jacrev(f)(0.0), slope, rtol=1e-12)
    np.testing.assert_allclose(slope, (f(1e-5) - f(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-9)


def test_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    with pytest.raises(InvalidInputError, match="max_terms is 5: want at least 1[0-9]"):
        mixture_schedules(joint, Oracle(joint), max_terms=5)
    with pytest.raises(InvalidInputError, match="n, q is 13, 2: want masses of all schedules of at most"):
        check_mixture_size(13, 2, max_terms=2**40)
    check_mixture_size(13, 2, 2)
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 2, 2"):
        mixture_schedules(Joint(jnp.full((2, 2, 2), 0.125)), Oracle(joint))
    xor = Joint(jnp.zeros((2, 2, 2)).at[(0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0)].set(0.25))
    same = Joint(jnp.zeros((2, 2, 2)).at[(0, 1), (0, 1), (0, 1)].set(0.5))
    with pytest.raises(InvalidInputError, match="a context that the data never have"):
        mixture_schedules(xor, Oracle(same))
    found = mixture_schedules(joint, Oracle(joint))
    for steps in (0, 3):
        with pytest.raises(InvalidInputError, match=r"want an integer in 1\.\.2"):
            found.schedule(steps)
    with pytest.raises(InvalidInputError, match="counts"):
        found.kl_of(Schedule([3]))
    with pytest.raises(InvalidInputError, match="one of the schedules that were tried"):
        mixture_schedules(joint, Oracle(joint), 1).kl_of(Schedule([1, 1]))
