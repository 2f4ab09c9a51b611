"""Curves and the costs of schedules as functions of arrays: mapped as looped, slopes as differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import Joint, Schedule, expected_kl, information_curve

JOINTS = np.random.default_rng(0).dirichlet(np.full(27, 0.5), 6).reshape(6, 3, 3, 3)
SCHEDULES = [Schedule([3]), Schedule([1, 2]), Schedule([2, 1]), Schedule([1, 1, 1])]


def curve(table):
    return information_curve(Joint(table)).information


def costs(table, cuts):
    """The expected KL of a schedule by the steps' first reveals."""
    return information_curve(Joint(table)).total_cost_of_mask(cuts)


def test_curves_and_costs_are_mapped():
    tables = jnp.asarray(JOINTS)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(curve))(tables), [curve(one) for one in tables], rtol=0, atol=1e-13
    )
    cuts = jnp.stack([jnp.isin(jnp.arange(3), s.boundaries[:-1]) for s in SCHEDULES])
    together = jax.jit(jax.vmap(jax.vmap(costs, (None, 0)), (0, None)))(tables, cuts)
    alone = [[expected_kl(information_curve(Joint(one)), s) for s in SCHEDULES] for one in tables]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("which", range(len(SCHEDULES)))
def test_the_slope_of_an_expected_kl_is_a_difference(which):
    table = jnp.asarray(JOINTS[which])
    move = np.random.default_rng(which).normal(size=table.shape) * JOINTS[which]
    move = jnp.asarray(move - JOINTS[which] * move.sum())
    cost = lambda step: expected_kl(information_curve(Joint(table + step * move)), SCHEDULES[which])
    difference = float(cost(1e-5) - cost(-1e-5)) / 2e-5
    assert float(jax.grad(cost)(0.0)) == pytest.approx(difference, rel=1e-6, abs=1e-9)
    assert (which == 3) == (abs(difference) < 1e-9)  # one by one is exact whatever the truth
