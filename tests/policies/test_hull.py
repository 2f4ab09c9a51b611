"""The hull against every policy there is."""

import jax.numpy as jnp
import numpy as np
from _oracles import all_policies, least_kl_of_mixtures
from _strategies import SEEDS, any_denoiser, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import Joint, Oracle, calls_hull, tabulate_denoiser
from mdmjax.denoisers.perturbed import Argmax
from mdmjax.denoisers.table import TableDenoiser


def draw_joint(data, zeros=True):
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    return Joint(jnp.asarray(data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)))


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=12)
def test_the_hull_of_all_policies(data, seed):
    joint = draw_joint(data)
    denoiser, rows_of = any_denoiser(np.asarray(joint.probs), seed)
    policies = all_policies(np.asarray(joint.probs), rows_of)
    hull = calls_hull(joint, denoiser)
    for calls in (1.0, 1.2, 1.7, 2.0, 2.4, float(joint.n)):
        slow = least_kl_of_mixtures(policies, calls)
        np.testing.assert_allclose(hull.kl_at(calls), slow, rtol=0, atol=1e-11)
        near = calls_hull(joint, denoiser, calls=calls)
        np.testing.assert_allclose(near.kl_at(calls), slow, rtol=0, atol=1e-11)
    # Convex, and every vertex is a policy.
    slopes = np.diff(hull.kl) / np.diff(hull.calls)
    assert np.all(np.diff(slopes) > 0)
    assert np.all(slopes < 0)
    for vertex in zip(hull.calls.tolist(), hull.kl.tolist(), strict=True):
        if np.isfinite(vertex[1]):
            assert np.min(np.abs(policies - np.array(vertex)).max(axis=1)) < 1e-11


def test_the_hull_from_its_vertices():
    """Two equal bits: one call costs log 2, two calls nothing, and a mixture of the two is a line."""
    hull = calls_hull(Joint(jnp.asarray([[0.5, 0.0], [0.0, 0.5]])))
    np.testing.assert_allclose(hull.calls, [1, 2])
    np.testing.assert_allclose(hull.kl, [np.log(2), 0], rtol=1e-15)
    assert hull.kl_at(0.5) == np.inf
    assert hull.kl_at(7.0) == 0
    np.testing.assert_allclose(hull.kl_at(jnp.array([1.25, 1.75])), np.log(2) * np.array([0.75, 0.25]))
    independent = calls_hull(Joint(jnp.full((2, 2, 2), 0.125)))
    assert (independent.calls.tolist(), independent.kl.tolist()) == ([1.0], [0.0])


def test_infinite_hulls():
    """All policies infinite; and one call infinite, more of them not."""
    joint = Joint(jnp.asarray([[0.5, 0.2], [0.2, 0.1]]))
    everywhere = calls_hull(joint, Argmax(Oracle(joint)))
    assert (everywhere.calls.tolist(), everywhere.kl.tolist()) == ([1.0], [np.inf])
    assert np.isinf(float(calls_hull(joint, Argmax(Oracle(joint)), calls=2.0).kl_at(2.0)))

    rows = np.exp(np.asarray(tabulate_denoiser(Oracle(joint)).log_probs))
    rows[8, 1] = [1.0, 0.0]  # the second bit is only known once the first is
    with np.errstate(divide="ignore"):
        late = TableDenoiser(jnp.asarray(np.log(rows)))
    hull = calls_hull(joint, late)
    np.testing.assert_allclose(hull.calls, [2.0])
    np.testing.assert_allclose(hull.kl, [0.0], atol=1e-15)
    assert np.isinf(float(calls_hull(joint, late, calls=1.5).kl_at(1.5)))
