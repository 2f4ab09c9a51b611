"""Draws under the forced-mask coupling: their mean, and the coverage of the intervals made of them."""

import itertools

import _growth_oracles as slow
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.base import AbstractDenoiser, Oracle
from mdmjax.distributions.codes import parity_code
from mdmjax.distributions.joint import Joint
from mdmjax.distributions.mixtures import noisy_repeated_bit
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.information.ugc import growth_profile
from mdmjax.losses.growth import growth_draws
from mdmjax.studies.growth_sample import distribution_sample, growth_sample, true_masses

EDGES = [-1.5, 0.2, 1.0]


class Sure(AbstractDenoiser):
    """Certain of a 0 while two tokens are masked, and of nothing when more is known."""

    n: int = 3
    q: int = 2

    def __call__(self, tokens):
        row = jnp.where(jnp.sum(tokens == 2) > 1, jnp.log(jnp.eye(2)[0]), jnp.log(0.5))
        return jnp.broadcast_to(row, (3, 2))


def sampled(distribution, count, seed=0):
    return jax.vmap(distribution.sample)(jax.random.split(jax.random.key(seed), count))


@pytest.mark.parametrize("positions", [pytest.param(None, marks=pytest.mark.slow), 1])
def test_means_are_those_of_the_definition(positions):
    table = np.random.default_rng(0).dirichlet(np.full(8, 0.3)).reshape(2, 2, 2)
    joint = Joint(jnp.asarray(table))
    data = sampled(joint, 4000)
    found = growth_draws(jax.random.key(1), Oracle(joint), data, EDGES, positions=positions)
    for j, (p, q) in enumerate(itertools.pairwise(found.times)):
        values, weights = slow.divergence_law(table, p, q)
        each = found.divergences[:, j]
        assert abs(each.mean() - weights @ values) <= 5 * each.std() / np.sqrt(each.size)
        lost = found.entropies[:, j] - found.entropies[:, j + 1]  # another mean of the same
        assert abs(lost.mean() - weights @ values) <= 5 * lost.std() / np.sqrt(lost.size)
    assert found.calls == 4000 * (3 if positions is None else 1) * found.times.size


def test_totals_are_the_weighted_sums_of_their_blocks():
    bit = noisy_repeated_bit(5, 0.1)
    found = growth_draws(jax.random.key(0), Oracle(bit), sampled(bit, 6), EDGES)
    odds = found.times / (1 - found.times)
    np.testing.assert_allclose(np.log(odds[[0, 3, 5]]), EDGES, atol=1e-12)
    assert found.block.tolist() == [0, 0, 0, 1, 1]
    weights = found.times[:-1] * (1 - found.times[1:])
    wanted = [[(row * weights)[:3].sum(), (row * weights)[3:].sum()] for row in found.divergences]
    np.testing.assert_allclose(found.totals(), wanted, 1e-12)
    np.testing.assert_allclose(found.block_weights(), [weights[:3].sum(), weights[3:].sum()], 1e-12)
    np.testing.assert_allclose(weights[0], found.times[1] - found.times[0], 1e-12)  # odds double


@pytest.mark.slow
def test_a_denoiser_a_sequence_has_the_draws_of_one_for_all():
    bit, key = noisy_repeated_bit(4, 0.1), jax.random.key(3)
    data = sampled(bit, 3)
    one, many = (growth_draws(key, x, data, EDGES, positions=1) for x in (Oracle(bit), [Oracle(bit)] * 3))
    np.testing.assert_allclose(one.divergences, many.divergences, rtol=0, atol=1e-14)
    assert one.calls == many.calls


def coverage(flip, n, size, repetitions, eta=0.1, blocks=2):
    """Shares of the repetitions in which all intervals hold: with the known moments, and plugged in."""
    bit, curve = noisy_repeated_bit(n, flip), noisy_bit_curve(n, flip)
    edges = np.linspace(-np.log(n - 1), np.log(n - 1), blocks + 1).tolist()
    data = sampled(bit, size * repetitions)
    whole = growth_draws(jax.random.key(1), Oracle(bit), data, edges, positions=1)
    profile, held = growth_profile(curve), {"known": 0, "entropy": 0, "plugged": 0}
    for part in whole.parts(repetitions):
        sample = growth_sample(part, edges, n, 2, eta=eta)
        mass = true_masses(sample, profile.logits, profile.mass)
        for name in held:
            pairs = zip(mass, getattr(sample, name), strict=True)
            held[name] += all(one.lower <= h * (1 + 1e-9) and h <= one.upper for h, one in pairs)
    return {name: count / repetitions for name, count in held.items()}


@pytest.mark.parametrize(
    ("size", "repetitions"), [(100, 40), pytest.param(1000, 200, marks=pytest.mark.slow)]
)
def test_intervals_hold_as_often_as_they_say(size, repetitions):
    found = coverage(0.1, 8, size, repetitions)
    assert found["known"] >= 0.9
    assert found["entropy"] >= 0.9
    assert found["plugged"] >= 0.9  # no theorem, but it holds here


@pytest.mark.slow
def test_plugged_in_moments_miss_what_is_rare():
    # Half of the mass of the second block is of sequences that one draw in thousands is of.
    found = coverage(0.01, 128, 100, 200, blocks=4)
    assert min(found["known"], found["entropy"]) >= 0.9 > found["plugged"]


def test_a_distribution_of_many_tokens_is_not_sampled_unasked():
    assert distribution_sample(jax.random.key(0), noisy_repeated_bit(10**6, 0.1)) is None


def test_refuses():
    code = parity_code(3, 2)
    data, key = sampled(code, 4), jax.random.key(0)
    with pytest.raises(InvalidInputError, match="positions is 4: want an integer in 1..3"):
        growth_draws(key, Oracle(code), data, EDGES, positions=4)
    with pytest.raises(InvalidInputError, match="sequences is of shape"):
        growth_draws(key, Oracle(code), data[:0], EDGES)
    with pytest.raises(InvalidInputError, match="conditionals is of an infinite divergence"):
        growth_draws(key, Sure(), data, EDGES)
    with pytest.raises(InvalidInputError, match="denoisers is 3: want one for all sequences, or 4"):
        growth_draws(key, [Oracle(code)] * 3, data, EDGES)
    for bad in ({"blocks": 0}, {"eta": 1.0}, {"samples": 1}):
        with pytest.raises(InvalidInputError, match=f"{next(iter(bad))} is"):
            distribution_sample(key, code, **bad)
