import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import assert_matches_table, assert_samples
from _oracles import information_by_subsets, marginal_entropy_by_loop, reed_solomon_words
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError
from mdmjax.distributions.code_product import CodeProduct, realised_curve
from mdmjax.information.closed_form import mds_curve
from mdmjax.schedules.bounds import lower_bound_curve


def product_table(n, dims, q, switch):
    """Every choice of words, one of each code, over a prime field; then the symbol "off"."""
    size = q ** len(dims) + (switch < 1)
    table = np.zeros((size,) * n)
    choices = list(itertools.product(*(reed_solomon_words(n, dim, q) for dim in dims)))
    for words in choices:
        symbols = []
        for column in zip(*words, strict=True):
            symbol = 0
            for digit in column:
                symbol = symbol * q + digit
            symbols.append(symbol)
        table[tuple(symbols)] += switch / len(choices)
    if switch < 1:
        table[(size - 1,) * n] = 1 - switch
    return table


PRODUCTS = [(2, [1, 2], 2, 1.0), (3, [2], 3, 0.3), (2, [1, 2], 2, 0.75), (2, [2, 1], 3, 1.0)]


@pytest.mark.parametrize(("n", "dims", "q", "switch"), PRODUCTS)
def test_every_context_and_the_curve_by_enumeration(n, dims, q, switch):
    product, table = CodeProduct(n, dims, q, switch), product_table(n, dims, q, switch)
    assert_matches_table(product, table)
    np.testing.assert_allclose(product.heights, information_by_subsets(table).astype(float), atol=1e-14)
    np.testing.assert_allclose(product.marginal_entropy, float(marginal_entropy_by_loop(table)), rtol=1e-13)


def test_samples(key):
    assert_samples(CodeProduct(2, [1, 2], 2, 0.75), product_table(2, [1, 2], 2, 0.75), key)


def test_words_are_codewords_and_decide_at_their_dimension(key):
    n, q = 11, 11
    product = realised_curve(np.linspace(0, 9, n), 0.5)
    on, words = product.sample_words(key)
    assert on.shape == ()
    assert words.shape == (len(product.dims), n)
    for dim, word in zip(product.dims.tolist(), np.asarray(words), strict=True):
        assert np.all(np.diff(word, dim) % q == 0)
    shown = np.where(np.arange(n) < 4, words, q)
    rows = np.asarray(product.word_conditionals(jnp.asarray(shown)))
    known = (np.asarray(product.dims) <= 4)[:, None] | (np.arange(n) < 4)
    assert known.any()
    assert not known.all()
    np.testing.assert_array_equal(np.argmax(rows, axis=2)[known], np.asarray(words)[known])
    np.testing.assert_array_equal(rows.max(2)[known], 0.0)
    np.testing.assert_allclose(rows[~known], -np.log(q), rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    rises=st.lists(st.one_of(st.just(0.0), st.floats(0, 4)), min_size=1, max_size=12),
    epsilon=st.floats(0.02, 2),
)
def test_any_curve_is_realised_up_to_epsilon(rises, epsilon):
    heights = np.concatenate([[0.0], np.cumsum(rises)])
    product = realised_curve(heights, epsilon)
    assert product.n == heights.size
    assert np.max(np.abs(product.heights - heights)) <= epsilon


def test_where_the_switch_alone_is_enough_it_is_kept():
    """A rise of 0.3 nats within 0.2: the entropy of one in eight, and one code of all words."""
    product = realised_curve([0.0, 0.3], 0.2)
    assert (product.dims.tolist(), product.switch) == ([2], 1 / 8)
    entropy = np.log(8) - 7 / 8 * np.log(7)
    np.testing.assert_allclose(product.heights, [0.0, entropy], rtol=1e-14)


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_an_mds_curve_is_one_code(dim):
    wanted = mds_curve(5, dim, 5).information
    product = realised_curve(wanted, 1e-12)
    assert product.dims.tolist() == [dim]
    assert product.switch == 1


def test_the_hard_curve_of_appendix_e_is_a_distribution():
    wanted = np.asarray(lower_bound_curve(64, 0.2).information)
    product = realised_curve(wanted, 1e-3)
    assert np.max(np.abs(product.heights - wanted)) <= 1e-3


def test_a_small_product_has_the_curve_of_its_table():
    heights = [0.0, 0.9, 1.9]
    product = realised_curve(heights, 0.3)
    table = product_table(3, product.dims.tolist(), product.field, product.switch)
    assert np.max(np.abs(information_by_subsets(table).astype(float) - heights)) <= 0.3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: realised_curve([0.1, 0.2], 0.1),
            "heights is .*: want finite, nondecreasing numbers from Z",
        ),
        (lambda: realised_curve([0.0, 2.0, 1.0], 0.1), "heights is .*: want finite, nondecreasing"),
        (lambda: realised_curve([0.0, np.nan], 0.1), "heights is .*: want finite, nondecreasing"),
        (lambda: realised_curve(np.zeros(300), 0.1), r"heights is of shape \(300,\): want shape \(n,\)"),
        (lambda: realised_curve([0.0, 1.0], 0.0), "epsilon is 0.0: want nats > 0"),
        (lambda: realised_curve([0.0, 1.0], 1e-12), "n is 2: want codes of at most 2.0 GiB"),
        (lambda: CodeProduct(3, [], 3), "dims is empty"),
        (lambda: CodeProduct(3, [4], 3), "dim is 4"),
        (lambda: CodeProduct(3, [1], 2), "q is 2: want q >= n = 3"),
        (lambda: CodeProduct(3, [1], 3, 0.0), "switch is 0.0: want a probability in"),
        (
            lambda: CodeProduct(3, [1] * 40, 3).log_marginal(jnp.zeros(3, int)),
            "n, codes, field is 3, 40, 3: want conditionals of at most",
        ),
    ],
)
def test_refusals(call, said):
    with pytest.raises(InvalidInputError, match=said):
        call()
