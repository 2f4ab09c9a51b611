"""Curves that are formulas, against enumeration, against dit, and by hand."""

import math

import _oracles
import dit
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.distributions.joint import Joint
from mdmjax.information.blocks import blocks_curve
from mdmjax.information.closed_form import (
    curve_from_steps,
    dual_curve,
    mds_curve,
    pairs_curve,
    parity_checks_curve,
    parity_curve,
    permutation_curve,
    repetition_curve,
)
from mdmjax.information.enumeration import information_curve
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.information.loss_curve import LossTable
from mdmjax.information.markov import markov_curve, symmetric_chain_curve
from mdmjax.schedules.bounds import lower_bound_curve

EPS = np.finfo(float).eps


def repetition_words(n, q):
    return [[a] * n for a in range(q)]


def parity_words(n, q):
    return [w for w in np.ndindex(*(q,) * n) if sum(w) % q == 0]


def permutation_words(n):
    return [w for w in np.ndindex(*(n,) * n) if len(set(w)) == n]


def pair_words(n, q):
    return [np.repeat(w, 2) for w in np.ndindex(*(q,) * (n // 2))]


CASES = {
    "repetition 6 q2": (repetition_curve(6, 2), repetition_words(6, 2), 2),
    "repetition 4 q5": (repetition_curve(4, 5), repetition_words(4, 5), 5),
    "parity 7 q2": (parity_curve(7, 2), parity_words(7, 2), 2),
    "parity 4 q3": (parity_curve(4, 3), parity_words(4, 3), 3),
    "reed-solomon 5 dim 2": (mds_curve(5, 2, 5), _oracles.reed_solomon_words(5, 2, 5), 5),
    "reed-solomon 5 dim 4": (mds_curve(5, 4, 5), _oracles.reed_solomon_words(5, 4, 5), 5),
    "uniform": (mds_curve(3, 3, 3), _oracles.reed_solomon_words(3, 3, 3), 3),
    "permutation 5": (permutation_curve(5), permutation_words(5), 5),
    "permutation 1": (permutation_curve(1), permutation_words(1), 1),
    "pairs 8 q2": (pairs_curve(8, 2), pair_words(8, 2), 2),
    "pairs 4 q3": (pairs_curve(4, 3), pair_words(4, 3), 3),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_enumeration_to_1e_12(name):
    curve, words, q = CASES[name]
    table = _oracles.uniform_table(words, curve.n, q)
    # The oracle's own zeros are sums of exact cancellations, up to a few roundings of log q.
    zero = 16 * EPS * math.log(max(q, 2))
    np.testing.assert_allclose(
        curve.information, _oracles.information_by_subsets(table).astype(float), 1e-12, zero
    )
    np.testing.assert_allclose(
        curve.marginal_entropy, float(_oracles.marginal_entropy_by_loop(table)), 1e-12
    )


@pytest.mark.parametrize("name", ["parity 7 q2", "reed-solomon 5 dim 2", "pairs 4 q3"])
def test_equals_the_enumeration_of_the_package(name):
    curve, words, q = CASES[name]
    enumerated = information_curve(Joint(jnp.asarray(_oracles.uniform_table(words, curve.n, q))))
    scale = 2**curve.n * EPS * curve.n * math.log(q)  # differences of summed entropies
    np.testing.assert_allclose(curve.information, enumerated.information, 0, scale)
    np.testing.assert_allclose(curve.mean_entropies, enumerated.mean_entropies, 0, scale)


@pytest.mark.parametrize("name", [name for name in CASES if name != "permutation 1"])
def test_total_correlations_equal_those_of_dit(name):
    curve, words, q = CASES[name]
    law = dit.Distribution(["".join(map(str, word)) for word in words], [1 / len(words)] * len(words))
    tolerance = {"rel": 1e-12, "abs": 1e-12}
    in_bits = float(curve.total_correlation) / math.log(2)
    assert in_bits == pytest.approx(float(dit.multivariate.total_correlation(law)), **tolerance)
    in_bits = float(curve.dual_total_correlation) / math.log(2)
    assert in_bits == pytest.approx(float(dit.multivariate.dual_total_correlation(law)), **tolerance)


def test_values_by_hand():
    log2 = math.log(2)
    assert repetition_curve(3, 2).information.tolist() == [0, log2, log2]
    assert parity_curve(3, 2).information.tolist() == [0, 0, log2]
    assert mds_curve(4, 4, 2).information.tolist() == [0, 0, 0, 0]
    assert float(mds_curve(4, 4, 2).entropy) == pytest.approx(4 * log2, rel=2 * EPS)
    np.testing.assert_allclose(permutation_curve(4).information, np.log([1, 4 / 3, 2, 4]), rtol=2 * EPS)
    np.testing.assert_allclose(permutation_curve(6).entropy, math.log(720), rtol=16 * EPS)
    np.testing.assert_allclose(pairs_curve(4, 2).information, np.arange(4) / 3 * log2, rtol=2 * EPS)


def test_codes_have_the_total_correlations_of_a_subspace():
    # TC = (n-d) log q, DTC = d log q (arXiv 2511.04647, examples).
    curve = mds_curve(12, 5, 7)
    np.testing.assert_allclose(curve.total_correlation, 7 * math.log(7), rtol=16 * EPS)
    np.testing.assert_allclose(curve.dual_total_correlation, 5 * math.log(7), rtol=16 * EPS)


def test_the_dual_code_has_the_dual_curve():
    for dim in range(1, 6):
        dual = dual_curve(mds_curve(6, dim, 3))
        assert dual.information.tolist() == mds_curve(6, 6 - dim, 3).information.tolist()
    # A code that is not MDS, and its dual, by enumeration: parities of (0,1,2) and (2,3).
    checks = np.array([[1, 1, 1, 0], [0, 0, 1, 1]])
    code = [w for w in np.ndindex(2, 2, 2, 2) if not np.any(checks @ w % 2)]
    dual = [np.asarray(w) @ checks % 2 for w in np.ndindex(2, 2)]
    curves = [information_curve(Joint(jnp.asarray(_oracles.uniform_table(c, 4, 2)))) for c in (code, dual)]
    np.testing.assert_allclose(dual_curve(curves[0]).information, curves[1].information, atol=64 * EPS)


def test_the_dual_curve_swaps_the_total_correlations():
    curve = permutation_curve(9)
    dual = dual_curve(curve)
    np.testing.assert_allclose(dual.total_correlation, curve.dual_total_correlation, 1e-14)
    np.testing.assert_allclose(dual.dual_total_correlation, curve.total_correlation, 1e-14)
    np.testing.assert_allclose(dual_curve(dual).information, curve.information, 1e-14, 4 * EPS)


def test_steps():
    curve = curve_from_steps([0.5, 0.5, 2.0], [3, 4, 6], 6)
    assert curve.information.tolist() == [0, 0, 0.5, 0.5, 0.5, 2.0]
    assert float(curve.marginal_entropy) == 2.0
    assert curve_from_steps([], [], 3).information.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: mds_curve(0, 1, 2), "n is 0"),
        (lambda: mds_curve(4, 0, 2), "dim is 0"),
        (lambda: mds_curve(4, 5, 2), "dim is 5"),
        (lambda: mds_curve(4, 2, 1), "q is 1"),
        (lambda: parity_curve(1, 2), "n is 1"),
        (lambda: permutation_curve(0), "n is 0"),
        (lambda: pairs_curve(5, 2), "n is 5"),
        (lambda: pairs_curve(4, 1), "q is 1"),
        (lambda: curve_from_steps([1.0], [1], 4), "starts is"),
        (lambda: curve_from_steps([1.0], [5], 4), "starts is"),
        (lambda: curve_from_steps([1.0, 2.0], [3, 3], 4), "starts is"),
        (lambda: curve_from_steps([1.0, 2.0], [3], 4), "heights is"),
        (lambda: curve_from_steps([2.0, 1.0], [2, 3], 4), "heights is"),
        (lambda: curve_from_steps([-1.0], [2], 4), "heights is"),
        (lambda: curve_from_steps([math.nan], [2], 4), "heights is"),
    ],
)
def test_refuses(make, argument):
    with pytest.raises(InvalidInputError, match=argument) as caught:
        make()
    assert "\n" not in str(caught.value)


CURVES_OF_N = {
    "mds": lambda n: mds_curve(n, 2, 2),
    "repetition": lambda n: repetition_curve(n, 2),
    "parity": lambda n: parity_curve(n, 2),
    "permutation": permutation_curve,
    "pairs": lambda n: pairs_curve(n, 2),
    "steps": lambda n: curve_from_steps([1.0], [2], n),
    "noisy bit": lambda n: noisy_bit_curve(n, 0.1),
    "markov": lambda n: markov_curve([[0.9, 0.1], [0.1, 0.9]], n),
    "symmetric chain": lambda n: symmetric_chain_curve(n, 2, 0.1),
    "blocks": lambda n: blocks_curve([repetition_curve(2, 2)], [n // 2]),
    "lower bound": lambda n: lower_bound_curve(n, 0.1),
    "loss table": lambda n: LossTable(n, np.array([1, 2]), np.ones(2)),
}


@pytest.mark.parametrize("n", [2**24 + 2, 10**11, 10**18, 10**40])
@pytest.mark.parametrize("name", CURVES_OF_N)
def test_absurd_lengths_are_refused_with_their_bytes(name, n):
    with pytest.raises(InvalidInputError, match=f"^n is {n}: want at most 16777216; .* need .*B$"):
        CURVES_OF_N[name](n)


def test_a_million_positions():
    n = 10**6
    curve = permutation_curve(n)
    np.testing.assert_allclose(curve.information[-1], math.log(n), rtol=2 * EPS)
    np.testing.assert_allclose(curve.information[1], -math.log1p(-1 / n), rtol=4 * EPS)
    # H(X) = log n! by Stirling's lgamma; the sum of 10^6 terms rounds like sqrt(n).
    np.testing.assert_allclose(curve.entropy, math.lgamma(n + 1), rtol=1e-12)
    assert float(parity_curve(n, 3).total_correlation) == math.log(3)
    assert float(repetition_curve(n, 3).dual_total_correlation) == math.log(3)
    np.testing.assert_allclose(pairs_curve(n, 2).total_correlation, n / 2 * math.log(2), 1e-12)


def test_float32_is_good_to_a_few_roundings():
    makers = [
        lambda: mds_curve(10**5, 7, 5),
        lambda: permutation_curve(10**5),
        lambda: pairs_curve(10**5, 3),
        lambda: curve_from_steps([0.1, 0.7], [5, 8], 10),
    ]
    for make in makers:
        exact = make()
        with jax.enable_x64(False):
            single = make()
        assert single.information.dtype == single.marginal_entropy.dtype == jnp.float32
        np.testing.assert_allclose(single.information, exact.information, 8 * 2**-24)


@pytest.mark.parametrize("m", [2, 3])
def test_parity_checks_curve_is_the_one_of_the_enumerated_code(m):
    """The joint is built bit by bit here: uniform over words whose every set has even parity."""
    n = 2**m
    sets = np.repeat(np.arange(m), [2, *(2**i for i in range(1, m))])
    words = np.arange(2**n)[:, None] >> np.arange(n) & 1
    even = np.all([words[:, sets == s].sum(1) % 2 == 0 for s in range(m)], axis=0)
    probs = (even / even.sum()).reshape((2,) * n)
    expected = information_curve(Joint(jnp.asarray(probs)))
    curve = parity_checks_curve(2**m)
    # Enumeration subtracts entropies of n bits: that many roundings.
    np.testing.assert_allclose(curve.information, expected.information, atol=64 * n * np.finfo(float).eps)


def test_parity_checks_curve_is_the_product_of_its_blocks():
    kinds, copies = [parity_curve(size, 2) for size in (2, 4, 8, 16, 32)], [2, 1, 1, 1, 1]
    expected = blocks_curve(kinds, copies).information
    curve = parity_checks_curve(64)
    np.testing.assert_allclose(curve.information, expected, rtol=64 * 64 * np.finfo(float).eps)


@pytest.mark.parametrize("m", [1, 10, 17])
def test_parity_checks_have_a_bit_of_total_correlation_each(m):
    curve = parity_checks_curve(2**m)
    np.testing.assert_allclose(float(curve.total_correlation), m * np.log(2), rtol=1e-11)
    assert np.all(np.diff(np.asarray(curve.information)) >= 0)
