"""The law of counts against the dense law, an oracle over orders and draws, and published numbers."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_compositions, identical_mixture_table
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, Joint, Oracle, Schedule, expected_kl, noisy_bit_curve
from mdmjax.denoisers.perturbed import Fallback
from mdmjax.information.counts import (
    count_conditionals,
    log_choose,
    mixture_counts,
    multiset_counts,
    noisy_bit_counts,
    number_of_types,
    types,
)
from mdmjax.laws.exchangeable import ExchangeableLaw, counts_kl, law_of_counts
from mdmjax.laws.random_order import random_order_law

WEIGHTS, RATES = np.array([0.2, 0.5, 0.3]), np.array([0.0, 0.35, 0.9])
BITS = np.stack([1 - RATES, RATES], 1)


def schedule_kls(log_p, rows, schedules):
    return ExchangeableLaw(log_p, rows).kls(schedules)


def by_counts(table):
    """The mass of each number of ones."""
    n = table.ndim
    ones = np.indices(table.shape).sum(0)
    return np.array([table[ones == c].sum() for c in range(n + 1)])


def mixture_table(n, weights=WEIGHTS, rates=RATES):
    return identical_mixture_table(weights, np.stack([1 - rates, rates], 1), n).astype(float)


def law_by_orders(n, counts, rows):
    """From the definition: the mean over all orders of the product over the tokens of a word."""
    q = rows.shape[2]
    law, every = np.zeros((q,) * n), types(n, q).tolist()
    for order in itertools.permutations(range(n)):
        for word in itertools.product(range(q), repeat=n):
            mass, start = 1.0, 0
            for count in counts:
                before = [word[i] for i in order[:start]]
                row = rows[start, every.index([before.count(a) for a in range(1, q)])]
                for i in order[start : start + count]:
                    mass *= row[word[i]]
                start += count
            law[word] += mass / math.factorial(n)
    return law


@pytest.mark.parametrize("n", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_any_denoiser_against_the_definition(n):
    """A perturbed table of conditionals, its word probabilities and its KL, of every schedule."""
    rng = np.random.default_rng(n)
    one = rng.uniform(0.05, 0.95, (n, n))
    rows = jnp.asarray(np.log(np.stack([1 - one, one], -1)))
    table = mixture_table(n)
    log_p = mixture_counts(WEIGHTS, BITS, n)
    for steps in range(1, n + 1):
        for counts in all_compositions(n, steps):
            slow = law_by_orders(n, counts, np.exp(rows))
            fast = law_of_counts(rows, jnp.asarray(counts))
            np.testing.assert_allclose(jnp.exp(fast), by_counts(slow), rtol=1e-13)
            kl = np.sum(table * (np.log(table) - np.log(slow)))
            np.testing.assert_allclose(counts_kl(log_p, fast), kl, rtol=1e-12)
            np.testing.assert_allclose(
                schedule_kls(log_p, rows, np.array([[0, *counts]])), kl, rtol=1e-12
            )  # padded in front, and narrower


@pytest.mark.parametrize("counts", [[10], [1, 9], [3, 3, 4], [1, 2, 3, 4], [1] * 10])
def test_exact_rows_against_the_dense_law(counts):
    joint = Joint(jnp.asarray(mixture_table(10)))
    dense = random_order_law(Oracle(joint), Schedule(counts))
    log_p = mixture_counts(WEIGHTS, BITS, 10)
    law = law_of_counts(count_conditionals(log_p), jnp.asarray(counts))
    np.testing.assert_allclose(jnp.exp(law), by_counts(np.asarray(dense.probs)), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(counts_kl(log_p, law), dense.kl(joint), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("n", "counts", "mean", "own"),
    [
        (128, [2, 7, 119], 0.7842, 0.2754),
        (128, [1, 9, 118], None, 0.0279),
        (128, [1, 3, 7, 117], None, 0.0334),
        (128, [1, 4, 11, 112], None, 0.0057),
        (64, [2, 6, 56], None, 0.2231),
        (64, [1, 7, 56], None, 0.0374),
        (6, [2, 4], 0.3938, 0.3128),
        (6, [1, 5], 0.4237, 0.0672),
    ],
)
def test_the_noisy_bit_of_a_slow_program(n, counts, mean, own):
    log_p = noisy_bit_counts(n, 0.1)
    assert abs(schedule_kls(log_p, count_conditionals(log_p), np.array([counts]))[0] - own) < 5e-5
    if mean is not None:
        assert abs(float(expected_kl(noisy_bit_curve(n, 0.1), Schedule(counts))) - mean) < 5e-5


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=30)
def test_the_own_law_is_no_further_than_the_mean(data):
    """Jensen, and Theorem 4; one token a step is exact; the law sums to one."""
    n, flip = 24, data.draw(st.floats(0.01, 0.45))
    ends = data.draw(st.sets(st.integers(1, n - 1), max_size=5))
    counts = np.diff([0, *sorted(ends), n])
    log_p, padded = noisy_bit_counts(n, flip), np.pad(counts, (6 - counts.size, 0))
    rows = count_conditionals(log_p)
    own = schedule_kls(log_p, rows, padded[None])[0]
    assert -1e-14 <= own <= float(expected_kl(noisy_bit_curve(n, flip), Schedule(counts))) + 1e-12
    law = law_of_counts(rows, jnp.asarray(padded))
    np.testing.assert_allclose(jnp.sum(jnp.exp(law)), 1, rtol=1e-12)


@pytest.mark.slow
def test_a_thousand_tokens_one_by_one_are_exact():
    log_p = noisy_bit_counts(400, 0.1)
    law = law_of_counts(count_conditionals(log_p), jnp.ones(400, int))
    assert 0 <= float(counts_kl(log_p, law)) < 1e-20
    np.testing.assert_allclose(law, log_p, rtol=0, atol=1e-10)  # far tails too: e^-290


@pytest.mark.slow
def test_codes_zeros_and_infinities():
    """Parity: exact if the last token is alone, else log 2; repetition: never made at once."""
    ones = jnp.arange(9)
    parity = jnp.where(ones % 2 == 0, log_choose(8, ones) - 7 * jnp.log(2.0), -jnp.inf)
    same = mixture_counts([0.5, 0.5], np.eye(2), 8)
    own = lambda log_p, *counts: schedule_kls(log_p, count_conditionals(log_p), np.array([counts]))[0]
    assert own(parity, 3, 4, 1) == pytest.approx(0, abs=1e-14)
    assert own(parity, 3, 5) == pytest.approx(math.log(2), rel=1e-13)
    assert own(same, 1, 7) == pytest.approx(0, abs=1e-14)
    assert own(same, 8) == pytest.approx(7 * math.log(2), rel=1e-13)
    never = jnp.stack([jnp.zeros((8, 8)), jnp.full((8, 8), -jnp.inf)], -1)
    assert schedule_kls(same, never, np.array([[8]]))[0] == math.inf
    only = multiset_counts([5, 3])
    table = np.zeros((2,) * 8)
    table[np.indices(table.shape).sum(0) == 3] = 1 / math.comb(8, 3)
    joint = Joint(jnp.asarray(table))
    dense = random_order_law(Fallback(Oracle(joint)), Schedule([2, 3, 3])).kl(joint)
    assert own(only, 2, 3, 3) == pytest.approx(float(dense), rel=1e-12)


def test_gradients_are_those_of_finite_differences():
    """Of the KL in the logits of a perturbed denoiser, and of the exact law in the flip."""
    log_p, counts = noisy_bit_counts(6, 0.1), jnp.array([1, 2, 3])
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(6, 6, 2)))
    f = lambda x: counts_kl(log_p, law_of_counts(jax.nn.log_softmax(x), counts))
    move = jnp.asarray(np.random.default_rng(1).normal(size=(6, 6, 2)))
    slope = jnp.vdot(jax.grad(f)(logits), move)
    np.testing.assert_allclose(slope, (f(logits + 1e-5 * move) - f(logits - 1e-5 * move)) / 2e-5, rtol=1e-6)


def table_of(log_counts, n, q):
    """Every word's probability by its type, in loops."""
    every, table = types(n, q).tolist(), np.zeros((q,) * n)
    for word in itertools.product(range(q), repeat=n):
        seen = [word.count(a) for a in range(q)]
        words = math.factorial(n) / math.prod(map(math.factorial, seen))
        table[word] = math.exp(log_counts[every.index(seen[1:])]) / words
    return table


def types_of(n, q):
    """A mixture with zeros, and a permutation of a multiset."""
    rng = np.random.default_rng(n * q)
    probs = rng.dirichlet(np.ones(q), 3)
    probs[0] = np.arange(q) == 0  # one part always says 0
    repeats = np.bincount(rng.integers(q, size=n), minlength=q)
    return mixture_counts(WEIGHTS, probs, n), multiset_counts(repeats.tolist())


@pytest.mark.parametrize(("n", "q"), [(3, 4), pytest.param(4, 3, marks=pytest.mark.slow)])
def test_any_alphabet_against_the_definition(n, q):
    """With exact rows, and with any others."""
    own = np.exp(np.random.default_rng(0).normal(size=(n, number_of_types(n - 1, q), q)))
    for log_p in types_of(n, q):
        table, exact = table_of(np.asarray(log_p), n, q), ExchangeableLaw.of(log_p, q)
        np.testing.assert_allclose(table.sum(), 1, rtol=1e-12)
        for law in (exact, ExchangeableLaw(log_p, jnp.asarray(np.log(own / own.sum(-1, keepdims=True))))):
            for counts in ([n], [1] * n, [n // 2, n - n // 2]):
                slow = law_by_orders(n, counts, np.exp(law.rows))
                kl = np.sum(table[table > 0] * np.log(table[table > 0] / slow[table > 0]))
                np.testing.assert_allclose(law.kls(np.array([counts])), kl, rtol=1e-11, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "q"), [(6, 3), (4, 4), (3, 5)])
def test_any_alphabet_against_the_dense_law(n, q):
    """The conditionals are those of the table: many schedules."""
    for log_p in types_of(n, q):
        joint = Joint(jnp.asarray(table_of(np.asarray(log_p), n, q)))
        oracle = Fallback(Oracle(joint))
        for steps in range(1, n + 1):
            some = [*all_compositions(n, steps)]
            dense = [float(random_order_law(oracle, Schedule(counts)).kl(joint)) for counts in some]
            law = ExchangeableLaw.of(log_p, q)
            np.testing.assert_allclose(law.kls(np.array(some)), dense, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("q", [2, 3])
def test_types_are_numbered_by_size(q):
    """The types of fewer tokens come first; each once."""
    every = types(7, q)
    assert every.shape == (number_of_types(7, q), q - 1)
    np.testing.assert_array_equal(every[: number_of_types(4, q)], types(4, q))
    assert len({*map(tuple, every.tolist())}) == every.shape[0]
    assert np.all(np.diff(every.sum(1)) >= 0)
    assert every.sum(1).max() == 7


def test_refusals():
    rows = count_conditionals(noisy_bit_counts(4, 0.1))
    with pytest.raises(InvalidInputError, match="schedules is of shape"):
        schedule_kls(noisy_bit_counts(4, 0.1), rows, np.array([[1, 2]]))
    with pytest.raises(InvalidInputError, match="n is 20000: want a table of conditionals of at most"):
        count_conditionals(jnp.zeros(20001))
    with pytest.raises(InvalidInputError, match="n, q is 200, 5: want all types of at most"):
        mixture_counts([1.0], [[0.2] * 5], 200)
    with pytest.raises(InvalidInputError, match="probs"):
        mixture_counts([1.0], [[1.5, -0.5]], 3)
    with pytest.raises(InvalidInputError, match="of 7 types: want one number for each type of words of 3"):
        count_conditionals(jnp.zeros(7), 3)
    with pytest.raises(InvalidInputError, match="rows is of shape"):
        ExchangeableLaw(noisy_bit_counts(5, 0.1), rows)
