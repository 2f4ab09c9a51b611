import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import (
    assert_matches_table,
    assert_samples,
    conditionals,
    marginals,
    samples,
)
from _oracles import mixture_table

from mdmjax import InvalidInputError, MixtureOfProducts, UniformPermutation, noisy_repeated_bit


def random_mixture(parts, n, q, dtype=np.float64):
    rng = np.random.default_rng(parts)
    probs = rng.dirichlet(np.ones(q), size=(parts, n))
    probs[0, 0] = np.eye(q)[0]
    return MixtureOfProducts(rng.dirichlet(np.ones(parts)).astype(dtype), probs.astype(dtype))


def permutation_table(n):
    table = np.zeros((n,) * n)
    for word in itertools.permutations(range(n)):
        table[word] = 1 / math.factorial(n)
    return table


@pytest.mark.parametrize(("parts", "n", "q"), [(1, 3, 2), (3, 4, 2), (2, 3, 3)])
def test_every_context_against_the_table(parts, n, q):
    mixture = random_mixture(parts, n, q)
    assert_matches_table(mixture, mixture_table(np.array(mixture.weights), np.array(mixture.probs)))


def test_contexts_that_no_part_allows():
    probs = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.5, 0.5]]])
    assert_matches_table(MixtureOfProducts([0.5, 0.5], probs), mixture_table([0.5, 0.5], probs))


def test_noisy_repeated_bit():
    mixture = noisy_repeated_bit(4, 0.3)
    table = np.zeros((2,) * 4)
    for word in itertools.product(range(2), repeat=4):
        ones = sum(word)
        table[word] = (0.3**ones * 0.7 ** (4 - ones) + 0.7**ones * 0.3 ** (4 - ones)) / 2
    assert_matches_table(mixture, table)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_many_positions_without_underflow(dtype, rtol):
    """After `a` zeros and `b` ones the odds of the hidden bit are (0.9 / 0.1)^(a - b)."""
    n = 10_001
    mixture = noisy_repeated_bit(n, np.array(0.1, dtype))
    context = jnp.concatenate([jnp.zeros(5002, int), jnp.ones(4998, int), jnp.array([2])])
    found = conditionals(mixture, context[None])[0, -1]
    assert found.dtype == dtype
    zero = 9**4 / (9**4 + 1)
    wanted = [zero * 0.9 + (1 - zero) * 0.1, zero * 0.1 + (1 - zero) * 0.9]
    np.testing.assert_allclose(np.exp(found), wanted, rtol=rtol)


def test_samples(key):
    mixture = random_mixture(3, 3, 2)
    table = mixture_table(np.array(mixture.weights), np.array(mixture.probs))
    assert_samples(mixture, table, key)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_permutation_every_context(n):
    assert_matches_table(UniformPermutation(n), permutation_table(n), rtol=1e-14)


def test_permutation_samples(key):
    assert_samples(UniformPermutation(4), permutation_table(4), key)


def test_large_permutation(key):
    n = 1000
    permutation = UniformPermutation(n)
    word = samples(permutation, key, 1)[0]
    assert sorted(word.tolist()) == list(range(n))
    context = jnp.where(jnp.arange(n) < 300, word, n)
    log_marginals = marginals(permutation, jnp.stack([context, word]))
    wanted = [math.lgamma(701) - math.lgamma(1001), -math.lgamma(1001)]
    np.testing.assert_allclose(log_marginals, wanted, rtol=1e-13)
    found = conditionals(permutation, context[None])[0]
    assert jnp.sum(found[500] > -jnp.inf) == 700
    np.testing.assert_allclose(found[500, word[700]], -math.log(700), rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MixtureOfProducts([1.0], [[0.5, 0.5]]), "probs is of shape"),
        (lambda: MixtureOfProducts([0.5, 0.5], [[[0.5, 0.5]]]), "weights is of shape"),
        (lambda: MixtureOfProducts([0.9], [[[0.5, 0.5]]]), "weights is of sum 0.9"),
        (lambda: MixtureOfProducts([1.0], [[[0.5, 0.6]]]), "probs is of sum 1.1"),
        (lambda: MixtureOfProducts([1.0], [[[1.5, -0.5]]]), "probs is 1.5: want a probability"),
        (lambda: noisy_repeated_bit(0, 0.1), "n is 0"),
        (lambda: noisy_repeated_bit(3, 1.1), "flip is 1.1: want a probability"),
        (lambda: UniformPermutation(0), "n is 0: want an integer >= 1"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()
