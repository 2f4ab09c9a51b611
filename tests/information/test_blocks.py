"""Curves of products of blocks, against enumeration, exact fractions, and pairs."""

import math
from fractions import Fraction

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
from mdmjax.distributions.joint import Joint
from mdmjax.information import blocks
from mdmjax.information.blocks import blocks_curve
from mdmjax.information.closed_form import (
    curve_from_steps,
    mds_curve,
    pairs_curve,
    parity_curve,
    permutation_curve,
    repetition_curve,
)
from mdmjax.information.curve import InformationCurve
from mdmjax.information.enumeration import information_curve

EPS = np.finfo(float).eps


def random_table(seed, size, q=2):
    return np.random.default_rng(seed).dirichlet(np.full(q**size, 0.3)).reshape((q,) * size)


def exact_curve(table):
    values = _oracles.information_by_subsets(table).astype(float)
    return InformationCurve(jnp.asarray(values), jnp.array(float(_oracles.marginal_entropy_by_loop(table))))


@pytest.mark.parametrize(
    ("tables", "copies"),
    [
        ([random_table(0, 3)], [3]),
        ([random_table(1, 4)], [1]),
        ([random_table(2, 2), random_table(3, 5)], [2, 1]),
        ([random_table(4, 1), random_table(5, 3)], [3, 2]),
        ([random_table(6, 2, 3), random_table(7, 3, 3)], [1, 1]),
    ],
)
def test_equals_enumeration_to_1e_12(tables, copies):
    repeated = [t for t, c in zip(tables, copies, strict=True) for _ in range(c)]
    exact = exact_curve(_oracles.product_table(repeated))
    curve = blocks_curve([exact_curve(table) for table in tables], copies)
    np.testing.assert_allclose(curve.information, exact.information, 1e-12, 1e-18)
    np.testing.assert_allclose(curve.marginal_entropy, exact.marginal_entropy, 1e-12)


@settings(deadline=None, max_examples=25)
@given(_strategies.probabilities(8), _strategies.probabilities(4), st.sampled_from([1, 2]))
def test_any_blocks_equal_enumeration_and_never_fall(three, two, copies):
    tables = [three.reshape(2, 2, 2), two.reshape(2, 2)]
    curve = blocks_curve([information_curve(Joint(jnp.asarray(t))) for t in tables], [1, copies])
    exact = exact_curve(_oracles.product_table([tables[0]] + [tables[1]] * copies))
    np.testing.assert_allclose(curve.information, exact.information, 0, 64 * EPS)
    assert np.all(np.diff(curve.information) >= -64 * EPS)


def test_equals_dit():
    tables = [random_table(2, 2), random_table(3, 3)]
    law = dit.Distribution.from_ndarray(_oracles.product_table([tables[0], tables[0], tables[1]]))
    curve = blocks_curve([exact_curve(t) for t in tables], [2, 1])
    for ours, theirs in [
        (curve.total_correlation, dit.multivariate.total_correlation(law)),
        (curve.dual_total_correlation, dit.multivariate.dual_total_correlation(law)),
        (curve.tse_complexity, dit.multivariate.tse_complexity(law)),
    ]:
        assert float(ours) / math.log(2) == pytest.approx(float(theirs), rel=1e-12)


def test_pairs_are_blocks_of_two():
    curve = blocks_curve([repetition_curve(2, 5)], [500])
    np.testing.assert_allclose(curve.information, pairs_curve(1000, 5).information, 16 * EPS)


def test_one_block_is_itself():
    for curve in (permutation_curve(40), parity_curve(17, 3), repetition_curve(1, 2)):
        np.testing.assert_allclose(blocks_curve([curve], [1]).information, curve.information, 4 * EPS, 0)


def test_tails_as_small_as_they_are_keep_their_digits():
    # MDS blocks: Z_{k+1} = log q P(L >= dim), L hypergeometric, in exact fractions.
    size, dim, n = 64, 40, 64 * 50
    curve = blocks_curve([mds_curve(size, dim, 2)], [50]).information
    for k in (40, 60, 300, 1600, 2500, n - 1):
        tail = sum(
            Fraction(math.comb(size - 1, l) * math.comb(n - size, k - l), math.comb(n - 1, k))
            for l in range(dim, min(size - 1, k) + 1)
        )
        np.testing.assert_allclose(curve[k], float(tail) * math.log(2), 1e-12)
    assert not np.any(curve[:dim])
    assert curve[dim] < 1e-60


def test_a_million_positions_of_two_kinds():
    # 7812 * 64 + 15626 * 32 = 10^6.
    kinds = [mds_curve(64, 32, 2), permutation_curve(32)]
    curve = blocks_curve(kinds, [7812, 15626])
    assert curve.n == 10**6
    assert np.all(np.isfinite(curve.information))
    assert np.all(np.diff(curve.information) >= 0)
    # TC and DTC of independent blocks are sums; 10^6 values round like sqrt(n) (128 factors each).
    total = 7812 * kinds[0].total_correlation + 15626 * kinds[1].total_correlation
    dual = 7812 * kinds[0].dual_total_correlation + 15626 * kinds[1].dual_total_correlation
    np.testing.assert_allclose(curve.total_correlation, total, 1e-12)
    np.testing.assert_allclose(curve.dual_total_correlation, dual, 1e-12)


def test_refuses(monkeypatch):
    pair = repetition_curve(2, 2)
    for curves, copies in ([], []), ([pair], [1, 2]), ([pair], [0]):
        with pytest.raises(InvalidInputError, match="copies is"):
            blocks_curve(curves, copies)
    monkeypatch.setattr(blocks, "MAX_BLOCK_WORK", 100)
    with pytest.raises(InvalidInputError, match="use smaller blocks or fewer copies") as caught:
        blocks_curve([pair], [26])
    assert "\n" not in str(caught.value)
    assert blocks_curve([pair], [25]).n == 50


def test_float32_is_good_to_1e_5():
    make = lambda: blocks_curve([curve_from_steps([0.2, 0.9], [3, 30], 48)], [100])
    exact = make()
    with jax.enable_x64(False):
        single = make()
    assert single.information.dtype == jnp.float32
    # Values below the smallest float32 are 0.
    np.testing.assert_allclose(single.information, exact.information, 1e-5, 1e-35)
