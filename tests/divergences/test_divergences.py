"""Divergences of tables against sums over outcomes, and the inequalities between them."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    block_decoder_law,
    divergences_by_loops,
    kl_by_sum,
    partial_assignments,
    table_conditionals,
    table_marginal,
)
from _strategies import probabilities
from hypothesis import given, settings

import mdmjax as mj
from mdmjax import InvalidInputError, Joint
from mdmjax.divergences import tables
from mdmjax.divergences.tables import chi_square, cross_entropy_risk, hellinger, support_mismatch
from mdmjax.divergences.total_correlation import (
    conditional_total_correlation,
    total_correlation_by_step,
)
from mdmjax.laws.law import Law

EPS = np.finfo(np.float64).eps
NAMES = ["kl", "reverse_kl", "total_variation", "chi_square", "hellinger"]
LONE = np.array([[0.0, 0.3], [0.2, 0.5]])
"""A table of two bits with one word missing."""


def random_table(n, q, seed, zeros=0.0):
    rng = np.random.default_rng([n, q, seed])
    table = rng.random((q,) * n) ** 2 * (rng.random((q,) * n) >= zeros)
    return table / table.sum()


def law_of(probs, unfinished=0.0):
    n = probs.ndim
    return Law(jnp.asarray(probs), jnp.ones(1), jnp.ones((n, 1)), jnp.asarray(unfinished, probs.dtype))


@given(probabilities(9), probabilities(9))
@settings(deadline=None, max_examples=60)
def test_every_divergence_against_its_sum(p, r):
    p, r = p.reshape(3, 3), r.reshape(3, 3)
    wanted = divergences_by_loops(p, r)
    truth, law = Joint(jnp.asarray(p)), law_of(r)
    for name in NAMES:
        # Rounding of p itself moves the squared Hellinger distance by a few eps.
        atol = 1e-7 if name == "hellinger" else 64 * EPS
        np.testing.assert_allclose(
            getattr(tables, name)(truth, law), wanted[name], rtol=1e-12, atol=atol, err_msg=name
        )
    assert support_mismatch(truth, law).missed == pytest.approx(wanted["missed"], abs=4 * EPS)
    assert support_mismatch(truth, law).invalid == pytest.approx(wanted["invalid"], abs=4 * EPS)
    assert cross_entropy_risk(truth, law) == pytest.approx(wanted["risk"], rel=1e-13, abs=8 * EPS)


@given(probabilities(8), probabilities(8))
@settings(deadline=None, max_examples=60)
def test_inequalities_between_them(p, r):
    p, r = jnp.asarray(p.reshape(2, 2, 2)), jnp.asarray(r.reshape(2, 2, 2))
    kl, tv, h = float(mj.kl(p, r)), float(mj.total_variation(p, r)), float(hellinger(p, r))
    assert kl >= 0
    assert kl + 8 * EPS >= 2 * tv**2  # Pinsker
    assert float(chi_square(p, r)) + 64 * EPS >= np.expm1(kl) * (1 - 64 * EPS)
    assert h**2 <= tv + 8 * EPS
    assert tv <= np.sqrt(2) * h + 8 * EPS
    for axis in range(3):  # data processing: forgetting a position
        assert float(mj.kl(p.sum(axis), r.sum(axis))) <= kl + 8 * EPS
    if np.array_equal(p, r):
        assert [float(getattr(tables, name)(p, r)) for name in NAMES] == [0.0] * 5
    elif tv > 1e-9:
        assert min(float(getattr(tables, name)(p, r)) for name in NAMES) > 0


def test_infinity_is_infinity_in_the_right_direction():
    full = jnp.full((2, 2), 0.25)
    lone = jnp.asarray(LONE)
    assert np.isfinite(mj.kl(lone, full))
    assert mj.reverse_kl(lone, full) == np.inf
    assert mj.kl(full, lone) == np.inf
    assert np.isfinite(mj.reverse_kl(full, lone))
    assert chi_square(full, lone) == np.inf
    assert np.isfinite(chi_square(lone, full))
    assert cross_entropy_risk(lone, full) == np.inf
    assert [float(x) for x in support_mismatch(lone, full)] == [0.0, 0.25]
    assert [float(x) for x in support_mismatch(full, lone)] == [0.25, 0.0]


def test_a_very_small_probability_is_not_an_infinity():
    p, r = jnp.array([0.5, 0.5]), jnp.array([1 - 1e-30, 1e-30])
    assert mj.kl(p, r) == pytest.approx(-np.log(2) + 15 * np.log(10), rel=1e-14)


def test_unfinished_mass_is_an_outcome_that_the_truth_never_has():
    truth, law = jnp.full((2, 2), 0.25), law_of(np.full((2, 2), 0.2), 0.2)
    assert mj.kl(truth, law) == pytest.approx(np.log(1.25), rel=1e-13)
    assert mj.reverse_kl(truth, law) == np.inf
    assert cross_entropy_risk(truth, law) == np.inf
    assert mj.total_variation(truth, law) == pytest.approx(0.2, rel=1e-13)
    assert support_mismatch(truth, law).invalid == pytest.approx(0.2)
    assert mj.incoherence(truth, law, 0.1) == pytest.approx(0.2)


@given(probabilities(9), probabilities(9))
@settings(deadline=None, max_examples=40)
def test_risk_and_incoherence(p, r):
    entropy = -sum(x * np.log(x) for x in r if x > 0)
    p, r = jnp.asarray(p.reshape(3, 3)), jnp.asarray(r.reshape(3, 3))
    risk = float(cross_entropy_risk(p, r))
    np.testing.assert_allclose(risk, float(mj.reverse_kl(p, r)) + entropy, atol=32 * EPS, rtol=1e-13)
    for epsilon in [0.0, 1e-8, 0.06, 0.3]:
        wanted = sum(float(b) for a, b in zip(p.ravel(), r.ravel(), strict=True) if a <= epsilon)
        found = float(mj.incoherence(p, r, epsilon))
        assert found == pytest.approx(wanted, abs=4 * EPS)
        if epsilon > 0:
            assert found <= risk / np.log(1 / epsilon) + 8 * EPS  # Lemma C.3


def test_float32():
    p, r = random_table(3, 2, 0), random_table(3, 2, 1)
    single = [jnp.asarray(x, jnp.float32) for x in (p, r)]
    for name, wanted in divergences_by_loops(p, r).items():
        if name in NAMES:
            found = getattr(tables, name)(*single)
            assert found.dtype == jnp.float32
            assert float(found) == pytest.approx(wanted, rel=1e-5)
    for found in total_correlation_by_step(Joint(single[0]), [[0, 1], [2]]):
        assert found.dtype == jnp.float32


def test_refusals():
    with pytest.raises(InvalidInputError, match="law is of shape"):
        mj.kl(jnp.full((2, 2), 0.25), jnp.full(4, 0.25))
    with pytest.raises(InvalidInputError, match="epsilon is -1"):
        mj.incoherence(jnp.full(4, 0.25), jnp.full(4, 0.25), -1.0)
    joint = Joint(jnp.full((2, 2), 0.25))
    for block in [], [0, 0], [2]:
        with pytest.raises(InvalidInputError, match="block is"):
            conditional_total_correlation(joint, jnp.array([2, 2]), block)
    for partition in [[0]], [[0, 1], []]:
        with pytest.raises(InvalidInputError, match="partition is"):
            total_correlation_by_step(joint, partition)


@pytest.mark.parametrize(("n", "q", "block"), [(3, 2, [0, 2]), (4, 2, [3, 1]), (3, 3, [1, 2]), (3, 2, [0])])
def test_correlation_of_a_block_against_the_definition(n, q, block):
    table = random_table(n, q, 3, zeros=0.2)
    for tokens in partial_assignments(n, q):
        if any(tokens[i] != q for i in block):
            continue
        mass, rows = table_marginal(table, tokens), table_conditionals(table, tokens)
        exact, product = [], []
        for word in itertools.product(range(q), repeat=len(block)):
            seen = tokens.copy()
            seen[block] = word
            exact.append(table_marginal(table, seen) / mass if mass > 0 else np.nan)
            product.append(np.prod([rows[i, a] for i, a in zip(block, word, strict=True)]))
        found = conditional_total_correlation(Joint(jnp.asarray(table)), jnp.asarray(tokens), block)
        if mass == 0:
            assert np.isnan(found).all()
            continue
        wanted = divergences_by_loops(exact, product)
        np.testing.assert_allclose(found, [wanted["kl"], wanted["reverse_kl"]], rtol=1e-12, atol=32 * EPS)
        proposals = max(e / p for e, p in zip(exact, product, strict=True) if e > 0)
        assert found[0] <= np.log(proposals) + 8 * EPS  # Prop. 5.1


PARTITIONS = [
    (3, 2, [[0, 1, 2]]),
    (4, 2, [[1, 3], [2, 0]]),
    (3, 3, [[0, 2], [1]]),
    (4, 2, [[3], [1], [0, 2]]),
]


@pytest.mark.parametrize(("n", "q", "partition"), PARTITIONS)
@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_the_sums_over_steps_are_the_divergences_of_the_block_decoder(n, q, partition, zeros):
    table = random_table(n, q, 5, zeros)

    def rows_of(tokens):
        return np.nan_to_num(table_conditionals(table, tokens), nan=1 / q)  # later than an infinity

    law = block_decoder_law(n, q, rows_of, partition)
    joint = Joint(jnp.asarray(table))
    forward, reverse = total_correlation_by_step(joint, partition)
    assert forward.shape == reverse.shape == (len(partition),)
    assert float(forward.sum()) == pytest.approx(kl_by_sum(table, law), rel=1e-12)
    wanted = divergences_by_loops(table, law)["reverse_kl"]
    assert float(reverse.sum()) == pytest.approx(wanted, rel=1e-12)
    assert np.isfinite(wanted) == (zeros == 0)
    assert min(forward.min(), reverse.min()) >= 0
    singles = [[i] for i in range(n)]
    assert float(total_correlation_by_step(joint, singles).reverse.sum()) == pytest.approx(0, abs=64 * EPS)


def test_forward_contexts_come_from_the_truth_and_reverse_ones_from_the_decoder():
    table = random_table(4, 2, 8)
    joint, partition = Joint(jnp.asarray(table)), [[0, 1], [2, 3]]
    decoder = block_decoder_law(4, 2, lambda tokens: table_conditionals(table, tokens), partition)
    by_step = total_correlation_by_step(joint, partition)
    for way, law in enumerate((table, decoder)):
        wanted = 0.0
        for x in itertools.product(range(2), repeat=2):
            context = conditional_total_correlation(joint, jnp.array([*x, 2, 2]), [2, 3])
            wanted += law[x].sum() * float(context[way])
        assert float(by_step[way][1]) == pytest.approx(wanted, rel=1e-12)
