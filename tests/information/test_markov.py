"""The curve of a Markov chain, against enumeration, dit, and chains that are other families."""

import math

import _oracles
import _strategies
import dit
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.distributions.joint import tabulate
from mdmjax.distributions.markov import MarkovChain, symmetric_chain
from mdmjax.information import markov
from mdmjax.information.closed_form import repetition_curve
from mdmjax.information.enumeration import information_curve
from mdmjax.information.markov import markov_curve, stationary_distribution, symmetric_chain_curve

STICKY = [[0.9, 0.1], [0.2, 0.8]]
CYCLE = [[0.1, 0.9, 0.0], [0.0, 0.2, 0.8], [0.7, 0.0, 0.3]]
LEFT_FOR_GOOD = [[0.5, 0.25, 0.25], [0.0, 0.6, 0.4], [0.0, 0.3, 0.7]]


@pytest.mark.parametrize(
    ("transition", "n"),
    [
        (STICKY, 2),
        (STICKY, 9),
        (CYCLE, 6),
        (LEFT_FOR_GOOD, 6),
        ([[0.5 + 1e-3, 0.5 - 1e-3], [0.5 - 1e-3, 0.5 + 1e-3]], 5),
        ([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]], 7),
        (np.random.default_rng(3).dirichlet(np.ones(5), 5), 5),
    ],
)
def test_equals_enumeration_to_1e_12(transition, n):
    table = _oracles.markov_table(transition, n)
    exact = _oracles.information_by_subsets(table).astype(float)
    curve = markov_curve(transition, n)
    assert float(curve.information[0]) == 0
    np.testing.assert_allclose(curve.information[1:], exact[1:], 1e-12)
    np.testing.assert_allclose(
        curve.marginal_entropy, float(_oracles.marginal_entropy_by_loop(table)), 1e-12
    )


RARE = np.array([[0.3, 0.7, 0.001], [1.0, 0.001, 0.001], [1.0, 1.0, 1.0]])
"""XLA's log1p was 120 eps off of one of its ratios."""


@settings(deadline=None, max_examples=40)
@given(_strategies.probabilities(3, 3, zeros=False), st.sampled_from([2, 5]))
@example(RARE / RARE.sum(axis=1, keepdims=True), 2)
def test_any_positive_chain_equals_enumeration_and_never_falls(transition, n):
    exact = _oracles.information_by_subsets(_oracles.markov_table(transition, n)).astype(float)
    curve = markov_curve(transition, n)
    # i(g) is good to eps / sqrt(i(1)); a chain of equal rows has Z = 0, up to the square of eps.
    tolerance = 64 * np.finfo(float).eps / math.sqrt(max(exact[1], 1e-30))
    np.testing.assert_allclose(curve.information[1:], exact[1:], tolerance, 1e-18)  # the oracle itself
    assert np.all(np.diff(curve.information) >= 0)


def test_equals_the_enumeration_of_the_package_and_dit():
    stationary = stationary_distribution(CYCLE)
    joint = tabulate(MarkovChain(stationary, CYCLE, 5))
    curve, enumerated = markov_curve(CYCLE, 5), information_curve(joint)
    np.testing.assert_allclose(curve.information, enumerated.information, 0, 1e-14 * 2**5)
    law = dit.Distribution.from_ndarray(np.asarray(joint.probs))
    for ours, theirs in [
        (curve.total_correlation, dit.multivariate.total_correlation(law)),
        (curve.dual_total_correlation, dit.multivariate.dual_total_correlation(law)),
        (curve.tse_complexity, dit.multivariate.tse_complexity(law)),
    ]:
        assert float(ours) / math.log(2) == pytest.approx(float(theirs), rel=1e-12)


def test_chains_that_are_other_families():
    swap = [[0.0, 1.0], [1.0, 0.0]]  # never mixes: every token tells all the others
    np.testing.assert_allclose(
        markov_curve(swap, 3000).information, repetition_curve(3000, 2).information, 1e-12
    )
    # Equal rows: i(1) is the square of a rounding.
    assert np.max(markov_curve([[0.3, 0.7], [0.3, 0.7]], 50).information) < 1e-30
    assert markov_curve(STICKY, 1).information.tolist() == [0.0]


def test_the_truncated_sum_equals_the_whole_sum_at_middle_sizes():
    # A slow chain, with the formula in exact integers for a few k.
    n, flip = 300, 0.01
    curve = markov_curve([[1 - flip, flip], [flip, 1 - flip]], n).information
    keeps = [(1 + (1 - 2 * flip) ** g) / 2 for g in range(n)]
    apart = [math.log(2) + p * math.log(p) + (1 - p) * math.log1p(-p) for p in keeps[1:]]
    for k in (1, 2, 17, 150, n - 1):
        weights = [
            (n - g) * (2 * math.comb(n - 1 - g, k - 1) - (g - 1) * math.comb(n - 1 - g, k - 2) * (k > 1))
            if k > 1
            else 2 * (n - g)
            for g in range(1, n)
        ]
        expected = math.fsum(i * (w / math.comb(n - 1, k)) / n for i, w in zip(apart, weights, strict=True))
        np.testing.assert_allclose(curve[k], expected, 1e-12)


def test_the_ends_of_the_curve_of_a_million_steps():
    curve = markov_curve(STICKY, 10**6)
    pi = np.array([2, 1], np.longdouble) / 3

    def apart(g):  # A^g = 1 pi + 0.7^g (I - 1 pi)
        power = pi + np.longdouble("0.7") ** g * (np.eye(2) - pi)
        return np.sum(pi[:, None] * power * np.log(power / pi))

    n = 10**6
    last = (n * (2 * apart(1) - apart(2)) - 2 * (apart(1) - apart(2))) / n
    np.testing.assert_allclose(curve.information[-1], float(last), 1e-12)
    second = sum(2 * (n - g) * apart(g) for g in range(1, 200)) / (n * (n - 1))
    np.testing.assert_allclose(curve.information[1], float(second), 1e-12)
    assert np.all(np.isfinite(curve.information))


def test_the_stationary_law():
    np.testing.assert_allclose(stationary_distribution(STICKY), [2 / 3, 1 / 3], 1e-15)
    np.testing.assert_allclose(stationary_distribution(LEFT_FOR_GOOD), [0, 3 / 7, 4 / 7], 1e-15)
    assert stationary_distribution([[1.0]]).tolist() == [1.0]
    # Rare moves keep their digits: the ratio of the two rates, each far below eps.
    rare = np.array([[1.0, 1e-30], [3e-30, 1.0]])
    np.testing.assert_allclose(stationary_distribution(rare), [0.75, 0.25], 1e-15)


@settings(deadline=None, max_examples=30)
@given(_strategies.probabilities(4, 4, zeros=False))
def test_the_stationary_law_does_not_move(transition):
    stationary = np.asarray(stationary_distribution(transition))
    np.testing.assert_allclose(stationary @ transition, stationary, 1e-14)


@pytest.mark.parametrize(
    ("transition", "n", "words"),
    [
        (np.eye(2), 5, "2 closed classes"),
        ([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 5, "2 closed classes"),
        ([[0.5, 0.4], [0.5, 0.5]], 5, "transition is of sum 0.9"),
        ([[1.5, -0.5], [0.5, 0.5]], 5, "transition is 1.5"),
        ([[0.5, 0.5]], 5, "transition is of shape"),
        ([0.5, 0.5], 5, "transition is of shape"),
        (STICKY, 0, "n is 0"),
    ],
)
def test_refuses(transition, n, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        markov_curve(transition, n)
    assert "\n" not in str(caught.value)


def test_refuses_many_states_that_mix_slowly_and_takes_those_that_mix(monkeypatch):
    monkeypatch.setattr(markov, "MAX_CHAIN_WORK", 200 * (2**3 + markov._CHUNK))
    with pytest.raises(InvalidInputError, match="remembers more than 200 steps"):
        markov_curve([[0.999, 0.001], [0.001, 0.999]], 10**4)
    assert markov_curve(STICKY, 10**4).n == 10**4


SYMMETRIC = [(2, 2, 0.3), (9, 2, 0.1), (9, 2, 1.0), (6, 3, 0.2), (5, 4, 0.9), (7, 2, 1e-9), (5, 3, 1e-12)]


@pytest.mark.parametrize(("n", "q", "flip"), SYMMETRIC)
def test_the_symmetric_chain_equals_enumeration_to_1e_12(n, q, flip):
    transition = np.full((q, q), flip / (q - 1))
    np.fill_diagonal(transition, 1 - flip)
    exact = _oracles.information_by_subsets(_oracles.markov_table(transition, n)).astype(float)
    curve = symmetric_chain_curve(n, q, flip)
    assert float(curve.information[0]) == 0
    np.testing.assert_allclose(curve.information[1:], exact[1:], 1e-12)
    assert float(curve.marginal_entropy) == math.log(q)


@pytest.mark.parametrize(
    ("n", "q", "flip"), [(500, 2, 0.01), (2000, 5, 0.9), (300, 40, 0.3), (9, 900, 0.1)]
)
def test_the_symmetric_chain_is_a_markov_chain(n, q, flip):
    whole = markov_curve(symmetric_chain(n, q, flip).transition, n)
    np.testing.assert_allclose(symmetric_chain_curve(n, q, flip).information, whole.information, 1e-12)


def test_the_symmetric_chain_of_a_million_symbols_by_its_entropies():
    q, n = 10**6, 10**6

    def apart(g, flip):  # log q less the entropy of a row of A^g
        same = 1 / q + (1 - 1 / q) * (1 - flip * q / (q - 1)) ** g
        other = (1 - same) / (q - 1)
        return math.log(q) + same * math.log(same) + (q - 1) * other * math.log(other)

    curve = symmetric_chain_curve(n, q, 0.3)
    last = ((n - 2) * (2 * apart(1, 0.3) - apart(2, 0.3)) + 2 * apart(1, 0.3)) / n
    np.testing.assert_allclose(curve.information[-1], last, 1e-12)
    assert np.all(np.diff(curve.information) >= 0)
    few = symmetric_chain_curve(3, q, 0.3).information
    np.testing.assert_allclose(few[1], (2 * apart(1, 0.3) + apart(2, 0.3)) / 3, 1e-12)


def test_the_ends_of_the_flip():
    for n, q in ((1, 2), (9, 7), (10**6, 50_000)):
        same = symmetric_chain_curve(n, q, 0.0).information
        assert same.tolist() == repetition_curve(n, q).information.tolist()
    for flip in (5e-324, 1e-300, 1e-17):
        tiny = symmetric_chain_curve(3000, 9, flip).information
        np.testing.assert_allclose(tiny, repetition_curve(3000, 9).information, 1e-12)
    for q in (2, 3, 1000):  # independent
        assert np.max(symmetric_chain_curve(50, q, 1 - 1 / q).information) < 1e-30
    weak = symmetric_chain_curve(2, 5, 0.8 * (1 - 1e-9)).information[1]
    np.testing.assert_allclose(weak, 4 * 1e-18 / 2, 1e-6)  # (q-1) lambda^2 / 2; lambda has lost digits


@pytest.mark.parametrize(
    ("n", "q", "flip", "words"),
    [(0, 2, 0.1, "n is 0"), (5, 1, 0.1, "q is 1"), (5, 2, 1.5, "flip is 1.5"), (5, 2, [0.1], "flip is of")],
)
def test_the_symmetric_chain_refuses(n, q, flip, words):
    with pytest.raises(InvalidInputError, match=words):
        symmetric_chain_curve(n, q, flip)


def test_float32_is_good_to_1e_5():
    exact = markov_curve(STICKY, 5000)
    with jax.enable_x64(False):
        single = markov_curve(STICKY, 5000)
    assert single.information.dtype == single.marginal_entropy.dtype == jnp.float32
    np.testing.assert_allclose(single.information, exact.information, 1e-5)
