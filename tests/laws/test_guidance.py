"""Guidance against LLaDA's formula in NumPy, and its law against the tilted target by enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import kl_by_sum, table_conditionals

from mdmjax import (
    InvalidInputError,
    Joint,
    Oracle,
    RandomSubset,
    Reveal,
    Schedule,
    exact_law,
    left_to_right,
)
from mdmjax.denoisers.guidance import Guided, guided_rows, prompt_guided
from mdmjax.laws.guidance import guidance_gap, guided_target, prompt_pair

ONE_BY_ONE = Reveal(left_to_right(Schedule([1, 1])))


def tables(seed, n=2, q=2):
    """p(x, y) with y last, p(x | y = 1) and p(x)."""
    whole = np.random.default_rng(seed).dirichlet(np.ones(q ** (n + 1))).reshape((q,) * (n + 1))
    told = whole[..., 1] / whole[..., 1].sum()
    return whole, told, whole.sum(-1)


def guided_by_hand(told, untold, scale):
    """`cfg_scale` as LLaDA writes it, on logits off by a constant a row."""
    logits, free = np.log(told) + 3.0, np.log(untold) - 1.0
    mixed = np.exp(free + (scale + 1) * (logits - free))
    return mixed / mixed.sum(-1, keepdims=True)


def law_one_by_one(told, untold, scale):
    """The product of guided rows along every word, and the two sides of the identity of the module."""
    law, walked, n, q = np.zeros(told.shape), 0.0, told.ndim, told.shape[0]
    target = told ** (1 + scale) * untold**-scale
    total = target.sum()
    for word in itertools.product(range(q), repeat=n):
        law[word], log_z = 1.0, 0.0
        for i, symbol in enumerate(word):
            tokens = (*word[:i], *[q] * (n - i))
            c, u = table_conditionals(told, tokens)[i], table_conditionals(untold, tokens)[i]
            law[word] *= guided_by_hand(c, u, scale)[symbol]
            log_z += np.log(np.sum(c ** (1 + scale) * u**-scale))
        walked += target[word] / total * log_z
    return law, target / total, walked - np.log(total)


@pytest.mark.parametrize("scale", [0.0, 0.7, 2.5])
def test_one_token_at_a_time_is_not_the_target(scale):
    whole, told, untold = tables(1)
    law, target, identity = law_one_by_one(told, untold, scale)
    pair = prompt_pair(Joint(jnp.asarray(whole)), [2, 2, 1])
    gap = guidance_gap(*pair, scale, ONE_BY_ONE)
    np.testing.assert_allclose(gap.law.probs, law, rtol=0, atol=1e-14)
    np.testing.assert_allclose(gap.target, target, rtol=0, atol=1e-14)
    np.testing.assert_allclose(gap.kl, kl_by_sum(target, law), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gap.reverse_kl, kl_by_sum(law, target), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gap.kl, identity, rtol=0, atol=1e-13)
    assert (gap.kl > 1e-4) == (scale > 0)


def test_it_is_the_target_where_it_should_be():
    """One position; positions that are independent with the prompt and without; an idle prompt."""
    _, told, untold = tables(0, n=1, q=4)
    one = guidance_gap(
        *(Joint(jnp.asarray(t)) for t in (told, untold)), 3.0, Reveal(left_to_right(Schedule([1])))
    )
    rows = np.random.default_rng(1).dirichlet(np.ones(2), 4)
    products = [Joint(jnp.asarray(np.outer(*rows[i : i + 2]))) for i in (0, 2)]
    _, _, same = tables(5)
    same = Joint(jnp.asarray(same))
    for gap in (
        one,
        guidance_gap(*products, 1.5, ONE_BY_ONE),
        guidance_gap(same, same, 1.5, ONE_BY_ONE),
    ):
        np.testing.assert_allclose(gap.law.probs, gap.target, rtol=0, atol=1e-14)
        assert abs(gap.kl) < 1e-13
    assert np.abs(one.target - told).max() > 0.05


@pytest.mark.slow
def test_a_prompt_that_is_masked_is_the_unconditional_denoiser():
    """One oracle of prompt and answer, by every state, as two oracles of the answer; and `exact_law`."""
    whole, _, _ = tables(7)
    joint = Joint(jnp.asarray(whole))
    told, untold = prompt_pair(joint, [2, 2, 1])
    by_prompt = prompt_guided(Oracle(joint), jnp.array([2, 2, 1]), jnp.array([0, 1]), 1.5)
    by_pair = Guided(Oracle(told), Oracle(untold), 1.5)
    states = jnp.asarray(np.indices((3, 3)).reshape(2, -1).T)
    one, other = (jax.vmap(model)(states) for model in (by_prompt, by_pair))
    np.testing.assert_allclose(jnp.exp(one), jnp.exp(other), rtol=0, atol=1e-14)
    order = Reveal(RandomSubset(Schedule([1, 1])))
    np.testing.assert_allclose(
        exact_law(by_prompt, order).probs, guidance_gap(told, untold, 1.5, order).law.probs, atol=1e-14
    )


def test_it_is_mapped_and_differentiated_in_the_scale():
    _, told, untold = (jnp.asarray(t) for t in tables(3))
    kl = jax.jit(lambda scale: guidance_gap(Joint(told), Joint(untold), scale, ONE_BY_ONE).kl)
    scales = jnp.array([0.0, 0.7, 2.5])
    mapped = jax.jit(jax.vmap(kl))(scales)
    np.testing.assert_allclose(
        mapped,
        [kl_by_sum(t, law) for law, t, _ in (law_one_by_one(told, untold, s) for s in (0.0, 0.7, 2.5))],
        atol=1e-13,
    )
    slope = float(jax.jit(jax.grad(kl))(0.7))
    assert slope == pytest.approx(float(kl(0.7 + 1e-5) - kl(0.7 - 1e-5)) / 2e-5, rel=1e-7)


def test_what_cannot_be_guided():
    told, untold = (Oracle(Joint(jnp.asarray(t))) for t in tables(0)[1:])
    with pytest.raises(InvalidInputError, match=r"scale is -1: want a finite number >= 0"):
        Guided(told, untold, -1.0)
    with pytest.raises(InvalidInputError, match=r"unconditional is of n, q = 3, 2: want n, q = 2, 2"):
        Guided(told, Oracle(Joint(jnp.full((2, 2, 2), 0.125))), 1.0)
    with pytest.raises(InvalidInputError, match=r"prompt is \[0, 1\]: want 2 tokens, the mask 2 where"):
        prompt_pair(Joint(jnp.full((2, 2), 0.25)), [0, 1])
    with pytest.raises(
        InvalidInputError, match=r"want tokens that the joint may have; its probability is 0"
    ):
        prompt_pair(Joint(jnp.array([[0.5, 0.0], [0.5, 0.0]])), [2, 1])
    assert np.isnan(guided_rows(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([1.0, 0.0])), 1.0)).any()
    with pytest.raises(InvalidInputError, match=r"scale"):
        guided_target(told.distribution, untold.distribution, float("inf"))
