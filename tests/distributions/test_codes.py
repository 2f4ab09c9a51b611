import itertools

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
from _oracles import FIELD_MODULI, code_table, field_add, field_multiply

from mdmjax import InvalidInputError, parity_code
from mdmjax.distributions.codes import (
    LinearCode,
    pairs_code,
    parity_checks_code,
    reed_solomon_code,
    repeated_bits_code,
    repetition_code,
)
from mdmjax.distributions.fields import finite_field

PRIMES = [p for p in range(2, 257) if all(p % d for d in range(2, p))]
PRIME_POWERS = sorted(p**m for p in PRIMES for m in range(1, 9) if p**m <= 256)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 8, 9])
def test_tables_by_polynomials(q):
    tables = finite_field(q)
    for a, b in itertools.product(range(q), repeat=2):
        assert tables.add[a, b] == field_add(a, b, q)
        assert tables.multiply[a, b] == field_multiply(a, b, q)


def test_the_field_of_256_elements_is_that_of_aes():
    """FIPS 197, Section 4.2: {57} x {83} = {c1}, and the inverse of {53} is {ca}."""
    tables = finite_field(256)
    assert tables.multiply[0x57, 0x83] == field_multiply(0x57, 0x83, 256) == 0xC1
    assert tables.inverse[0x53] == 0xCA


def test_field_axioms_of_every_size():
    assert set(FIELD_MODULI) <= set(PRIME_POWERS)
    rng = np.random.default_rng(0)
    for q in PRIME_POWERS:
        add, multiply, negative, inverse = finite_field(q)
        assert add.dtype == multiply.dtype == np.uint8
        everything = np.arange(q)
        np.testing.assert_array_equal(add[0], everything)
        np.testing.assert_array_equal(multiply[1], everything)
        np.testing.assert_array_equal(add, add.T)
        np.testing.assert_array_equal(multiply, multiply.T)
        np.testing.assert_array_equal(add[everything, negative], 0)
        np.testing.assert_array_equal(multiply[everything[1:], inverse[1:]], 1)
        a, b, c = rng.integers(0, q, (3, 2000))
        np.testing.assert_array_equal(multiply[a, multiply[b, c]], multiply[multiply[a, b], c])
        np.testing.assert_array_equal(multiply[a, add[b, c]], add[multiply[a, b], multiply[a, c]])
        np.testing.assert_array_equal(add[a, add[b, c]], add[add[a, b], c])


@pytest.mark.parametrize("q", [0, 1, 6, 10, 12, 100, 255, 257, 512])
def test_no_field_of_other_sizes(q):
    with pytest.raises(InvalidInputError, match=f"q is {q}: want a prime power in 2..256"):
        finite_field(q)


@pytest.mark.parametrize(
    ("q", "dim", "n"),
    [
        *((2, 3, 5), (2, 4, 3), (3, 2, 4), (4, 2, 4), (5, 2, 3), (9, 2, 2)),
        pytest.param(8, 1, 3, marks=pytest.mark.slow),
    ],
)
def test_every_context_of_random_generators(q, dim, n):
    """A few generators of each shape, so that some have dependent rows; one has a zero column."""
    rng = np.random.default_rng(q)
    for trial in range(4):
        generator = rng.integers(0, q, (dim, n))
        if trial == 3:
            generator[:, 0] = 0
            generator[-1] = generator[0]
        assert_matches_table(LinearCode(generator, q), code_table(generator, q), rtol=1e-14)


@pytest.mark.parametrize(
    "code",
    [
        repetition_code(4),
        repetition_code(3, 4),
        parity_code(5),
        parity_code(3, 3),
        parity_code(3, 4),
        reed_solomon_code(4, 2, 4),
        reed_solomon_code(3, 2, 5),
        reed_solomon_code(3, 3, 3),
        pairs_code(4, 3),
        pairs_code(6),
        parity_checks_code(4),
        repeated_bits_code(8),
    ],
    ids=lambda code: f"{code.generator.shape}, q={code.q}",
)
def test_every_context_of_the_named_codes(code):
    assert_matches_table(code, code_table(np.asarray(code.generator), code.q), rtol=1e-14)


def test_words_of_the_named_codes(key):
    words = np.asarray(samples(parity_code(5, 5), key, 500))
    assert np.all(words.sum(1) % 5 == 0)
    assert len(np.unique(words[:, 0])) == 5
    words = np.asarray(samples(pairs_code(6, 3), key, 500))
    assert np.all(words[:, ::2] == words[:, 1::2])
    words = np.asarray(samples(reed_solomon_code(7, 3, 7), key, 500))
    third_difference = np.diff(words, n=3, axis=1) % 7
    assert np.all(third_difference == 0)


def test_samples_also_with_dependent_rows(key):
    generator = np.array([[1, 1, 0], [0, 2, 1], [1, 0, 1]])
    assert_samples(LinearCode(generator, 3), code_table(generator, 3), key)


def test_large_reed_solomon_code_decides_at_its_dimension(key):
    """MDS: below `dim` revealed symbols nothing is known, from there on everything."""
    n, dim, q = 128, 32, 256
    code = reed_solomon_code(n, dim, q)
    words = np.asarray(samples(code, key, 3))
    order = np.random.default_rng(0).permutation(n)
    sizes = [0, dim - 1, dim, dim + 1, n]
    contexts = np.full((3 * len(sizes), n), q)
    for row, (word, size) in enumerate(itertools.product(words, sizes)):
        contexts[row, order[:size]] = word[order[:size]]
    found = np.asarray(conditionals(code, jnp.asarray(contexts)))
    log_marginals = np.asarray(marginals(code, jnp.asarray(contexts)))
    for row, (word, size) in enumerate(itertools.product(words, sizes)):
        np.testing.assert_allclose(log_marginals[row], -min(size, dim) * np.log(q), rtol=1e-14)
        known = np.isin(np.arange(n), order[:size]) | (size >= dim)
        np.testing.assert_array_equal(found[row].argmax(1)[known], word[known])
        np.testing.assert_array_equal(found[row].max(1)[known], 0.0)
        np.testing.assert_allclose(found[row][~known], -np.log(q), rtol=1e-14)
    wrong = contexts[3].copy()
    wrong[order[0]] = (wrong[order[0]] + 1) % q
    assert marginals(code, jnp.asarray(wrong)[None]).tolist() == [-np.inf]
    assert np.all(np.isnan(conditionals(code, jnp.asarray(wrong)[None])))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearCode([[1, 0]], 6), "q is 6: want a prime power"),
        (lambda: LinearCode([1, 0], 2), "generator is of shape"),
        (lambda: LinearCode(np.zeros((0, 3), int), 2), "generator is of shape"),
        (lambda: LinearCode([[1.0, 0.0]], 2), "generator is of type float64: want integers"),
        (lambda: LinearCode([[1, 2]], 2), "generator is 2 at an entry"),
        (lambda: LinearCode([[1, -1]], 3), "generator is -1 at an entry"),
        (lambda: repetition_code(0), "n is 0"),
        (lambda: parity_code(1), "n is 1: want an integer >= 2"),
        (lambda: parity_code(4, 6), "q is 6"),
        (lambda: pairs_code(5), "n is 5: want an even integer"),
        (lambda: parity_checks_code(6), "n is 6: want a power of two"),
        (lambda: repeated_bits_code(2**20), "n is 1048576: want "),
        (lambda: reed_solomon_code(5, 2, 4), "q is 4: want q >= n = 5"),
        (lambda: reed_solomon_code(4, 5, 5), "dim is 5: want an integer in 1..n = 4"),
        (lambda: reed_solomon_code(4, 0, 5), "dim is 0"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()


@pytest.mark.parametrize("n", [2, 8, 16])
def test_codes_of_all_sizes_are_dual(n):
    """Every check is orthogonal to every word of the other code, and the dimensions sum to n."""
    checks, bits = (np.asarray(code(n).generator, int) for code in (parity_checks_code, repeated_bits_code))
    assert not np.any(checks @ bits.T % 2)
    assert checks.shape[0] + bits.shape[0] == n
    sets = [np.flatnonzero(row) for row in bits]
    assert [len(one) for one in sets] == [2, *(2**i for i in range(1, n.bit_length() - 1))]
