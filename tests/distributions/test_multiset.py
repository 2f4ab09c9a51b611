"""Orders of a multiset against the list of all of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import assert_matches_table
from _oracles import uniform_table

from mdmjax import InvalidInputError, UniformPermutation
from mdmjax.distributions.multiset import Multiset


def orders(repeats):
    return sorted(set(itertools.permutations(np.repeat(np.arange(len(repeats)), repeats).tolist())))


@pytest.mark.parametrize("repeats", [(2, 1, 1), (3, 0, 2)], ids=str)
def test_it_is_uniform_on_its_orders(repeats):
    assert_matches_table(Multiset(repeats), uniform_table(orders(repeats), sum(repeats), len(repeats)))


def test_single_symbols_are_a_permutation():
    cards, tokens = Multiset([1] * 5), jnp.array([5, 3, 5, 0, 5])
    for name in ("log_conditionals", "log_marginal"):
        found, wanted = (getattr(of, name)(tokens) for of in (cards, UniformPermutation(5)))
        np.testing.assert_allclose(found, wanted, rtol=1e-13)


def test_a_draw_has_every_symbol_as_often_as_it_is_there():
    words = jax.vmap(Multiset([5, 0, 3]).sample)(jax.random.split(jax.random.key(0), 400))
    assert np.all(np.sort(words, axis=1) == [0] * 5 + [2] * 3)
    assert np.mean(np.asarray(words) == 2, axis=0) == pytest.approx(np.full(8, 3 / 8), abs=0.12)  # 5 s.e.


@pytest.mark.parametrize(
    ("repeats", "words"),
    [
        ([], "repeats is empty"),
        ([0], "repeats is \\[0\\]: want"),
        ([2, -1], "repeats is -1"),
        ([10**12], "GiB"),
    ],
)
def test_refuses(repeats, words):
    with pytest.raises(InvalidInputError, match=words):
        Multiset(repeats)
