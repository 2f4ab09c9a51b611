"""Curves of mixtures of identical products, against enumeration, dit, and their limits."""

import itertools
import math

import _oracles
import _strategies
import dit
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.information import exchangeable
from mdmjax.information.closed_form import permutation_curve, repetition_curve
from mdmjax.information.exchangeable import identical_mixture_curve, multiset_curve, noisy_bit_curve

EPS = np.finfo(float).eps
DICE = [[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("weights", "probs", "n"),
    [
        ([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], 9),
        ([0.99, 0.01], [[0.6, 0.4], [0.1, 0.9]], 8),
        ([0.2, 0.3, 0.5], DICE, 6),
        ([0.5, 0.5], [[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]], 4),
        ([1.0], [[0.3, 0.7]], 3),
    ],
)
def test_equals_enumeration_to_1e_12(weights, probs, n):
    table = _oracles.identical_mixture_table(weights, probs, n)
    exact = _oracles.information_by_subsets(table).astype(float)
    curve = identical_mixture_curve(weights, probs, n)
    assert float(curve.information[0]) == 0
    np.testing.assert_allclose(curve.information, exact, 1e-12, 1e-18)  # 1e-18: the oracle itself
    np.testing.assert_allclose(
        curve.marginal_entropy, float(_oracles.marginal_entropy_by_loop(table)), 1e-12
    )


@settings(deadline=None, max_examples=40)
@given(_strategies.probabilities(3), _strategies.probabilities(3, 2), st.sampled_from([2, 6]))
def test_any_mixture_equals_enumeration_and_never_falls(weights, probs, n):
    table = _oracles.identical_mixture_table(weights, probs, n)
    exact = _oracles.information_by_subsets(table).astype(float)
    curve = identical_mixture_curve(weights, probs, n)
    tolerance = 64 * EPS / math.sqrt(max(exact[1], 1e-30))
    np.testing.assert_allclose(curve.information[1:], exact[1:], tolerance, 1e-18)  # the oracle itself
    assert np.all(np.diff(curve.information) >= 0)


@pytest.mark.parametrize("repeats", [(3, 2, 1), (0, 4), (4, 5)], ids=str)
def test_orders_of_a_multiset_equal_enumeration(repeats):
    n, word = sum(repeats), np.repeat(np.arange(len(repeats)), repeats).tolist()
    words = (
        set(itertools.permutations(word))
        if n < 7
        else {
            tuple(np.isin(np.arange(n), ones).astype(int))
            for ones in itertools.combinations(range(n), repeats[1])
        }
    )
    exact = _oracles.information_by_subsets(_oracles.uniform_table(sorted(words), n, len(repeats)))
    curve = multiset_curve(repeats)
    assert float(curve.information[0]) == 0
    np.testing.assert_allclose(curve.information, exact.astype(float), 1e-12, 1e-15)


def test_orders_of_a_multiset_at_length():
    """A permutation; and $H(X) = \\log$ of the number of orders, of which each is as likely."""
    np.testing.assert_allclose(
        multiset_curve([1] * 300).information, permutation_curve(300).information, 1e-12
    )
    repeats = [400, 150, 50]
    log_orders = math.lgamma(601) - sum(math.lgamma(count + 1) for count in repeats)
    assert float(multiset_curve(repeats).entropy) == pytest.approx(log_orders, rel=1e-11)


@pytest.mark.parametrize("flip", [0.01, 0.3])
def test_the_noisy_bit_equals_dit(flip):
    n = 6
    law = dit.Distribution.from_ndarray(
        _oracles.identical_mixture_table([0.5, 0.5], [[1 - flip, flip], [flip, 1 - flip]], n).astype(float)
    )
    curve = noisy_bit_curve(n, flip)
    for ours, theirs in [
        (curve.total_correlation, dit.multivariate.total_correlation(law)),
        (curve.dual_total_correlation, dit.multivariate.dual_total_correlation(law)),
        (curve.tse_complexity, dit.multivariate.tse_complexity(law)),
    ]:
        assert float(ours) / math.log(2) == pytest.approx(float(theirs), rel=1e-12)


def test_bits_by_hand():
    assert noisy_bit_curve(5, 0.0).information.tolist() == repetition_curve(5, 2).information.tolist()
    assert not np.any(noisy_bit_curve(5, 0.5).information)
    np.testing.assert_allclose(
        noisy_bit_curve(5, 0.9).information, noisy_bit_curve(5, 0.1).information, 1e-13
    )
    # Two tokens agree with probability 1 - 2 f (1 - f) = 0.82.
    agree = 0.82
    second = math.log(2) + agree * math.log(agree) + (1 - agree) * math.log(1 - agree)
    np.testing.assert_allclose(noisy_bit_curve(5, 0.1).information[1], second, 1e-13)


def test_equal_parts_are_one_part_and_empty_parts_none():
    plain = identical_mixture_curve([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], 7)
    rows = [[0.9, 0.1], [0.2, 0.8], [0.2, 0.8], [0.5, 0.5]]
    split = identical_mixture_curve([0.5, 0.25, 0.25, 0.0], rows, 7)
    np.testing.assert_allclose(split.information, plain.information, 8 * EPS)


@pytest.mark.parametrize("flip", [0.1, 0.45])
def test_a_million_tokens_and_the_flat_end(flip):
    curve = noisy_bit_curve(10**6, flip)
    entropy = -(flip * math.log(flip) + (1 - flip) * math.log(1 - flip))
    np.testing.assert_allclose(curve.information[-1], math.log(2) - entropy, 1e-12)
    assert np.all(np.isfinite(curve.information))
    assert np.all(np.diff(curve.information) >= 0)
    # The first values do not know n: no window and no early end at n = 200 (flip 0.45).
    few = noisy_bit_curve(200, flip).information
    np.testing.assert_allclose(curve.information[:200], few, 1e-12)


def test_windows_and_early_end_change_nothing(monkeypatch):
    windowed = noisy_bit_curve(3000, 0.42).information
    whole = lambda weights, probs, reveals: ((reveals + 1,), np.zeros((reveals + 1, 1), bool))
    monkeypatch.setattr(exchangeable, "_windows", whole)
    monkeypatch.setattr(exchangeable, "_reveals_until_flat", lambda *_: 3000)
    np.testing.assert_allclose(noisy_bit_curve(3000, 0.42).information, windowed, 1e-13)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: noisy_bit_curve(5, 1.5), "flip is 1.5"),
        (lambda: noisy_bit_curve(5, math.nan), "flip is nan"),
        (lambda: noisy_bit_curve(0, 0.1), "n is 0"),
        (lambda: noisy_bit_curve(10**6, 0.499), "parts further apart"),
        (lambda: identical_mixture_curve([0.5, 0.5], np.eye(30)[:2] / 2 + 1 / 60, 200), "GiB"),
        (lambda: identical_mixture_curve([0.5, 0.4], DICE[:2], 5), "weights is of sum 0.9"),
        (lambda: identical_mixture_curve([1.0], [[0.5, 0.6]], 5), "probs is of sum 1.1"),
        (lambda: identical_mixture_curve([1.0], DICE, 5), "weights, probs is of shapes"),
        (lambda: multiset_curve([2, -1]), "repeats is -1"),
        (lambda: multiset_curve([300_000] * 2), "repeats is 600000 in all: want at most 2e.09 terms"),
    ],
)
def test_refuses(make, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_float32_is_good_to_1e_5():
    exact = identical_mixture_curve([0.2, 0.3, 0.5], DICE, 60)
    bit = noisy_bit_curve(5000, 0.3)
    with jax.enable_x64(False):
        single = identical_mixture_curve([0.2, 0.3, 0.5], DICE, 60)
        single_bit = noisy_bit_curve(5000, 0.3)
    assert single.information.dtype == single_bit.marginal_entropy.dtype == jnp.float32
    np.testing.assert_allclose(single.information, exact.information, 1e-5)
    np.testing.assert_allclose(single_bit.information, bit.information, 1e-5)
