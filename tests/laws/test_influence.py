"""How much one token sways another: against loops, and its bounds against true distances."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import influence_by_loops, redraw_matrix, table_conditionals, transport_cost
from _strategies import probabilities, random_denoiser
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import Fallback, InvalidInputError, Joint, Mixed, Oracle, Sweeps, exact_law
from mdmjax.laws.influence import (
    editor_conditionals,
    full_conditionals,
    influence_matrix,
    sweep_bounds,
    sweep_matrix,
)
from mdmjax.laws.stationary import sweep_laws


def rows_of(table):
    """The editor of a table: uniform where a context never occurs."""
    q = table.shape[0]
    uniform = lambda rows: np.full_like(rows, 1 / q) if np.isnan(rows).any() else rows
    return lambda tokens: uniform(table_conditionals(table, tokens))


def sweep(table, redrawn):
    """The chance of every word after a sweep over every word, from the definition."""
    n, q = table.ndim, table.shape[0]
    found = np.eye(q**n)
    for i in range(n):
        found = found @ ((1 - redrawn) * np.eye(q**n) + redrawn * redraw_matrix(n, q, rows_of(table), [i]))
    return found


def tv(p, r):
    return np.abs(p - r).sum() / 2


def marginals(law, n, q):
    table = law.reshape((q,) * n)
    return np.array([table.sum(tuple(j for j in range(n) if j != i)) for i in range(n)])


def influence_of(table):
    return influence_matrix(full_conditionals(jnp.asarray(table)))


@given(st.data())
@settings(deadline=None, max_examples=12)
def test_influence_from_the_definition(data):
    n, q = data.draw(st.sampled_from([(1, 2), (2, 3), (3, 2)]))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    rows = rows_of(table)
    found = full_conditionals(jnp.asarray(table))
    for word in itertools.product(range(q), repeat=n):
        for i in range(n):
            hidden = [q if j == i else a for j, a in enumerate(word)]
            assert found[i][word] == pytest.approx(rows(hidden)[i][word[i]], abs=1e-13)
    np.testing.assert_allclose(influence_matrix(found), influence_by_loops(n, q, rows), atol=1e-13)


@given(st.integers(0, 2**16))
@settings(deadline=None, max_examples=6)
def test_the_editor_may_be_any_denoiser(seed):
    denoiser, rows = random_denoiser(3, 2, seed)
    found = influence_matrix(editor_conditionals(denoiser))
    np.testing.assert_allclose(found, influence_by_loops(3, 2, rows), atol=1e-13)
    table = np.random.default_rng(seed).dirichlet(np.ones(8)).reshape(2, 2, 2)
    table[0, 0] = 0
    joint = Joint(jnp.asarray(table / table.sum()))
    found = editor_conditionals(Fallback(Oracle(joint)))
    np.testing.assert_allclose(found, full_conditionals(joint), atol=1e-13)


@given(st.data())
@settings(deadline=None, max_examples=12)
def test_bounds_hold_for_true_distances(data):
    """Total variation, transport and every position's own law, from any two words and from p."""
    n, q = data.draw(st.sampled_from([(2, 2), (3, 2), (2, 3)]))
    redrawn, weak = data.draw(st.sampled_from([1.0, 0.4])), data.draw(st.sampled_from([0.0, 0.6, 0.9]))
    sparse = data.draw(probabilities(q**n)).reshape((q,) * n)
    table = (1 - weak) * sparse + weak / q**n
    matrix, kernel = influence_of(table), sweep(table, redrawn)
    bounds = sweep_bounds(matrix, 3, redrawn=redrawn)
    np.testing.assert_allclose(table.reshape(-1) @ kernel, table.reshape(-1), atol=1e-13)
    rate = 1 - redrawn * (1 - float(bounds.alpha))
    starts = [
        np.eye(q**n)[a] for a in data.draw(st.lists(st.integers(0, q**n - 1), min_size=2, max_size=2))
    ]
    for one, two in (starts, (starts[0], table.reshape(-1))):
        begun = transport_cost(one, two, n, q)
        for k in range(4):
            cost = transport_cost(one, two, n, q)
            assert tv(one, two) <= float(bounds.total_variation[k]) + 1e-9
            assert tv(one, two) <= float(bounds.swept[k]) + 1e-9
            assert cost <= min(float(bounds.wasserstein[k]), float(bounds.swept[k])) + 1e-7
            assert cost <= float(bounds.wasserstein[k] / n) * begun + 1e-7 or bounds.wasserstein[k] == n
            if bounds.alpha < 1:
                own = np.abs(marginals(one, n, q) - marginals(two, n, q)).sum(1) / 2
                assert own.max() <= rate**k + 1e-12
            one, two = one @ kernel, two @ kernel


@given(st.integers(0, 2**16), st.sampled_from([1.0, 0.3]))
@settings(deadline=None, max_examples=20)
def test_rows_columns_and_the_matrix(seed, redrawn):
    """The norms that the bounds are made of: rows fall a sweep, columns but for a factor."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((4, 4)) * (1 - np.eye(4)) * rng.choice([0.1, 0.3, 0.6])
    bounds = sweep_bounds(jnp.asarray(matrix), 4, redrawn=redrawn)
    swept = np.asarray(sweep_matrix(jnp.asarray(matrix), redrawn))
    delta = rng.random(4)
    by_hand = delta.copy()
    for i in range(4):  # in place: later positions see the earlier ones redrawn
        by_hand[i] = (1 - redrawn) * by_hand[i] + redrawn * matrix[i] @ by_hand
    np.testing.assert_allclose(swept @ delta, by_hand, rtol=1e-12)
    for k in range(5):
        power = np.linalg.matrix_power(swept, k)
        assert power.sum() == pytest.approx(float(bounds.swept[k])) or power.sum() > 4
        if bounds.alpha < 1:
            assert power.sum(1).max() <= (1 - redrawn * (1 - float(bounds.alpha))) ** k + 1e-12
        if bounds.beta < 1:
            assert power.sum(0).max() <= 4 * float(bounds.wasserstein[k]) + 1e-12
            most = (1 - redrawn * (1 - float(bounds.beta))) ** k / (1 - redrawn * float(bounds.beta))
            assert power.sum(0).max() <= most + 1e-12


def test_a_star_keeps_more_of_the_total_variation_than_alpha():
    """Seven spins and a centre that a field holds: alpha .3, and one sweep leaves .60 of it."""
    coupling, field = np.arctanh(0.3), 8.0
    spins = 2 * np.indices((2,) * 8) - 1
    energy = coupling * spins[:7].sum(0) * spins[7] + field * spins[7]
    table = np.exp(energy - energy.max())
    joint = Joint(jnp.asarray(table / table.sum()))
    bounds = sweep_bounds(influence_of(joint.probs), 1)
    assert float(bounds.alpha) == pytest.approx(0.3, abs=1e-6)
    starts = [jnp.zeros((2,) * 8).at[(0,) * 7 + (a,)].set(1.0) for a in (0, 1)]  # differ at the centre
    first, second = (sweep_laws(Oracle(joint), [[i] for i in range(8)], s, 1)[1] for s in starts)
    apart = float(jnp.abs(first - second).sum() / 2)
    # By hand: seven bits that are 1 with chance .65 against .35; the centre is held.
    assert apart == pytest.approx(0.6004, abs=2e-4)
    assert apart <= float(bounds.swept[1])


def test_columns_do_not_contract_in_one_sweep():
    """Two bits: column sums of 1/2, and a sweep leaves 3/4 of the transport cost."""
    table = np.array([[0.375, 0.125], [0.125, 0.375]])
    bounds = sweep_bounds(influence_of(table), 1)
    assert float(bounds.beta) == pytest.approx(0.5)
    kernel = sweep(table, 1.0)
    assert transport_cost(kernel[0], kernel[1], 2, 2) == pytest.approx(0.75)
    assert float(bounds.wasserstein[1]) == pytest.approx(2 * 0.5 / 0.5)


def test_contexts_that_never_occur_count():
    """Three equal bits: nothing contracts, and nothing is claimed."""
    table = jnp.zeros((2, 2, 2)).at[0, 0, 0].set(0.5).at[1, 1, 1].set(0.5)
    np.testing.assert_allclose(influence_of(table), 0.5 * (1 - np.eye(3)))
    bounds = sweep_bounds(influence_of(table), 3)
    assert (float(bounds.alpha), bounds.total_variation.tolist()) == (1.0, [1.0] * 4)
    laws = sweep_laws(
        Fallback(Oracle(Joint(table))), [[0], [1], [2]], jnp.zeros((2, 2, 2)).at[0, 0, 0].set(1.0), 3
    )
    assert laws[3][0, 0, 0] == 1


def test_a_wrong_editor_forgets_faster_and_elsewhere():
    """Mixed with uniform rows the influence shrinks by the share; the sweeps are those of `Sweeps`."""
    table = np.random.default_rng(3).dirichlet(np.ones(8)).reshape(2, 2, 2)
    oracle = Oracle(Joint(jnp.asarray(table)))
    right, wrong = (influence_matrix(editor_conditionals(d)) for d in (oracle, Mixed(oracle, 0.25)))
    np.testing.assert_allclose(wrong, 0.75 * right, atol=1e-13)
    once = exact_law(oracle, Sweeps([[0], [1], [2]], 2)).probs
    assert tv(np.asarray(once), table) <= float(sweep_bounds(right, 1).swept[1])


def test_refusals():
    with pytest.raises(InvalidInputError, match="sweeps is -1"):
        sweep_bounds(jnp.zeros((2, 2)), -1)
    with pytest.raises(InvalidInputError, match="redrawn is 1.5"):
        sweep_bounds(jnp.zeros((2, 2)), 1, redrawn=1.5)
    zeros = Oracle(Joint(jnp.array([[0.0, 0.0], [0.5, 0.5]])))
    with pytest.raises(InvalidInputError, match=r"row at the state \[0 _\] is NaN.* Fallback"):
        editor_conditionals(zeros)
