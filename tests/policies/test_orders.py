"""Orders of one token at a time against the laws of all orders, and against all decision trees."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    best_reverse_tree,
    best_tree_of_rows,
    divergences_by_loops,
    order_errors_and_entropies,
    order_law,
)
from _strategies import SEEDS, any_denoiser, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InvalidInputError,
    Joint,
    Oracle,
    exact_law,
    kl,
    optimal_order,
    optimal_policy,
    reverse_kl,
    tabulate_denoiser,
)
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.policies.orders import fixed_orders

SHAPES = st.sampled_from([(2, 3), (3, 2), (4, 2)])
DIRECTIONS = [(False, kl), (True, reverse_kl)]


def draw_joint(data, zeros=True):
    n, q = data.draw(SHAPES)
    return Joint(jnp.asarray(data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)))


@given(st.data(), SEEDS, st.booleans())
@settings(deadline=None, max_examples=12)
def test_every_order_against_its_law(data, seed, zeros):
    """The chain rule of both directions (Eq. 7), and the errors and entropies of every step."""
    joint = draw_joint(data, zeros)
    table = np.asarray(joint.probs)
    denoiser, rows_of = any_denoiser(table, seed)
    found = fixed_orders(joint, denoiser)
    orders = list(itertools.permutations(range(joint.n)))
    assert found.orders.tolist() == [list(order) for order in orders]
    for i, order in enumerate(orders):
        errors, entropies = order_errors_and_entropies(table, rows_of, order)
        np.testing.assert_allclose(found.errors[i], errors, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.entropies[i], entropies, rtol=0, atol=1e-12)
        law = order_law(joint.n, joint.q, rows_of, order)
        both = divergences_by_loops(table, law)
        np.testing.assert_allclose(found.forward_kl[i], both["kl"], rtol=0, atol=1e-12)
        if np.isfinite(law).all():
            np.testing.assert_allclose(found.reverse_kl[i], both["reverse_kl"], rtol=0, atol=1e-12)
        else:  # a context that the data never have is reached
            assert float(found.reverse_kl[i]) == np.inf


@given(st.data(), SEEDS, st.booleans())
@settings(deadline=None, max_examples=12)
def test_the_best_of_all_orders(data, seed, zeros):
    joint = draw_joint(data, zeros)
    table = np.asarray(joint.probs)
    denoiser, rows_of = any_denoiser(table, seed)
    every = fixed_orders(joint, denoiser)
    brute = {
        False: best_tree_of_rows(table, rows_of, joint.n, width=1),
        True: best_reverse_tree(table, rows_of),
    }
    least = {False: np.min(every.forward_kl), True: np.min(every.reverse_kl)}
    for reverse, divergence in DIRECTIONS:
        free = optimal_order(joint, denoiser, reverse=reverse)
        fixed = optimal_order(joint, denoiser, reverse=reverse, adaptive=False)
        np.testing.assert_allclose(free.kl, brute[reverse], rtol=0, atol=1e-11)
        np.testing.assert_allclose(fixed.kl, least[reverse], rtol=0, atol=1e-11)
        assert float(free.kl) <= float(fixed.kl) + 1e-11
        for best in (free, fixed):
            if not zeros:
                law = exact_law(denoiser, best.decoder)
                np.testing.assert_allclose(divergence(joint, law), best.kl, rtol=0, atol=1e-11)
                assert float(law.expected_calls) == pytest.approx(joint.n)


@given(st.data(), SEEDS)
@settings(deadline=None, max_examples=10)
def test_many_tokens_at_once_are_never_worse_than_one(data, seed):
    """A policy of at most `n` calls may take fewer, so that it is no order, and may be better than all."""
    joint = draw_joint(data)
    denoiser, _ = any_denoiser(np.asarray(joint.probs), seed)
    policy = optimal_policy(joint, joint.n, denoiser=denoiser)
    assert float(policy.kl) <= float(optimal_order(joint, denoiser).kl) + 1e-11


def chosen(decoder, tokens, denoiser):
    return decoder.rule.choose(jax.random.key(0), denoiser(tokens), tokens, jnp.array(0))


def wrong_when_it_sees(right, wrong):
    """Uniform on two bits; with one seen, the row of the other is `wrong` if that one was a 1."""
    rows = np.full((9, 2, 2), 0.5)
    for code in range(9):
        for i, token in enumerate((code // 3, code % 3)):
            if token < 2:
                rows[code, i] = np.eye(2)[token]
    rows[2, 1], rows[5, 1] = right, wrong
    return TableDenoiser(jnp.log(jnp.asarray(rows)))


def test_the_order_of_an_incoherent_denoiser_matters():
    """Position 0 first costs KL(wrong || 1/2) half of the time; position 1 first costs nothing."""
    joint = Joint(jnp.full((2, 2), 0.25))
    denoiser = wrong_when_it_sees([0.5, 0.5], [0.2, 0.8])
    loss = 0.2 * np.log(0.4) + 0.8 * np.log(1.6)
    every = fixed_orders(joint, denoiser)
    np.testing.assert_allclose(every.reverse_kl, [loss / 2, 0], rtol=0, atol=1e-15)
    forward = 0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.8)
    np.testing.assert_allclose(every.forward_kl, [forward / 2, 0], rtol=0, atol=1e-15)
    for reverse in (False, True):
        best = optimal_order(joint, denoiser, reverse=reverse, adaptive=False)
        assert float(best.kl) == pytest.approx(0, abs=1e-15)
        start = jnp.array([2, 2])
        assert chosen(best.decoder, start, denoiser).tolist() == [False, True]


def test_the_two_directions_want_different_orders():
    """A certain first token is infinite forward and finite in reverse, if it comes first."""
    table = np.random.default_rng(0).dirichlet(np.ones(8)).reshape(2, 2, 2)
    joint = Joint(jnp.asarray(table))
    rows = np.exp(np.asarray(rows_table(Oracle(joint)))).copy()
    rows[26, 0] = [1.0, 0.0]  # all masked: position 0 is certain, and wrong
    with np.errstate(divide="ignore"):
        denoiser = TableDenoiser(jnp.asarray(np.log(rows)))
    every = fixed_orders(joint, denoiser)
    first = np.asarray(every.orders)[:, 0]
    assert np.all(np.isinf(np.asarray(every.forward_kl)) == (first == 0))
    p0 = table[0].sum()
    np.testing.assert_allclose(every.reverse_kl[:2], -np.log(p0), rtol=1e-12)
    np.testing.assert_allclose(every.reverse_kl[2:], 0, rtol=0, atol=1e-14)


def rows_table(denoiser):
    return tabulate_denoiser(denoiser).log_probs


def test_exact_rows_cost_nothing_in_any_order():
    table = np.random.default_rng(4).dirichlet(np.full(81, 0.2)).reshape((3,) * 4)
    joint = Joint(jnp.asarray(table))
    every = fixed_orders(joint, Oracle(joint))
    np.testing.assert_allclose(every.reverse_kl, 0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(every.forward_kl, 0, rtol=0, atol=1e-14)
    # The entropies of any order add up to that of the whole.
    np.testing.assert_allclose(every.entropies.sum(1), -np.sum(table * np.log(table)), rtol=1e-12)
    # Of equals the first order is taken.
    best = optimal_order(joint, Oracle(joint), reverse=True, adaptive=False)
    assert best.decoder.rule.levels.tolist() == [0, 1, 2, 3]


def test_refusals():
    joint = Joint(jnp.full((2,) * 10, 2.0**-10))
    with pytest.raises(InvalidInputError, match="the table of all orders is of 69"):
        fixed_orders(joint, Oracle(joint))
    with pytest.raises(InvalidInputError, match="table of all orders"):
        optimal_order(joint, Oracle(joint), reverse=True, adaptive=False)
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 10, 2"):
        optimal_order(Joint(jnp.full((2, 2), 0.25)), Oracle(joint))
    hole = Oracle(Joint(jnp.asarray([[0.5, 0.5], [0.0, 0.0]])))
    with pytest.raises(InvalidInputError, match="is NaN"):
        optimal_order(Joint(jnp.full((2, 2), 0.25)), hole)
