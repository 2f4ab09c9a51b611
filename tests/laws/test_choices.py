"""Choices with Gumbel noise and discounted symbols, against all orders and all words in plain Python."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import best_first, decoder_traces, noisy_low_confidence_step, remasking_law, sampled_sets
from _strategies import counts_of, random_denoiser
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InvalidInputError,
    LowConfidence,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    SemiAutoregressive,
    confidence,
    decode,
    exact_law,
    margin,
    noisy_repeated_bit,
)
from mdmjax._contexts import tokens_of
from mdmjax.decoders.gumbel import linear_annealing, noisy_first, noisy_first_law
from mdmjax.denoisers.table import TableDenoiser

TEMPERATURES = st.sampled_from([0.0, 1e-3, 0.1, 0.5, 1.0, 4.5])
SCORES = st.sampled_from([-math.inf, -800.0, -3.0, -1.0, -0.5, 0.0, 0.3])
law_of = jax.jit(noisy_first_law)


def index_of(chosen):
    return sum(1 << i for i in chosen)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_the_law_of_a_set_is_the_sum_over_orders(data):
    n = data.draw(st.sampled_from([1, 3, 4]))
    scores = data.draw(st.lists(SCORES, min_size=n, max_size=n))
    masked = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    size, temperature = data.draw(st.integers(0, n)), data.draw(TEMPERATURES)
    expected = np.zeros(2**n)
    for chosen, chance in sampled_sets(scores, np.flatnonzero(masked).tolist(), size, temperature).items():
        expected[index_of(chosen)] += chance
    found = law_of(jnp.array(scores), jnp.array(temperature), jnp.array(masked), jnp.array(size))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)
    assert abs(float(found.sum()) - 1) < 1e-13


def test_a_tiny_temperature_neither_underflows_nor_loses_close_scores():
    """exp(-800 / 1e-3) is no number; the ratios of what is left are."""
    scores = jnp.array([0.0, -800.0, -800.0 - 1e-4])
    found = law_of(scores, jnp.array(1e-4), jnp.ones(3, bool), jnp.array(2))
    ratio = math.exp(-1)
    np.testing.assert_allclose(found[0b011], 1 / (1 + ratio), rtol=1e-8)  # 800 has no more digits for 1e-4
    np.testing.assert_allclose(found[0b101], ratio / (1 + ratio), rtol=1e-8)


def test_drawn_sets_follow_the_law(key):
    scores, masked = jnp.array([0.3, -1.0, 0.0, -jnp.inf, 2.0]), jnp.array([True, True, True, True, False])
    for size, temperature in ((2, 0.7), (3, 2.0), (4, 1.0)):
        draw = lambda k, s=size, t=temperature: noisy_first(k, scores, jnp.array(t), masked, jnp.array(s))
        chosen = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, 20_000)))
        seen = np.bincount(chosen @ (1 << np.arange(5)), minlength=32) / 20_000
        law = np.asarray(law_of(scores, jnp.array(temperature), masked, jnp.array(size)))
        assert np.all(np.abs(seen - law) <= 5 * np.sqrt(law * (1 - law) / 20_000) + 1e-12)


@given(st.data())
@settings(deadline=None, max_examples=15)
def test_laws_of_sampled_rankings(data):
    """Dream's alg_temp, whole and in blocks."""
    n, q, seed = 4, 2, data.draw(st.integers(0, 2**16))
    denoiser, rows_of = random_denoiser(n, q, seed)
    score, by_loop = data.draw(st.sampled_from([(confidence, max), (margin, margin_of)]))
    blocks = data.draw(st.booleans())
    counts = data.draw(counts_of(n // 2 if blocks else n))
    temperatures = data.draw(st.lists(TEMPERATURES, min_size=len(counts), max_size=len(counts)))

    def rule(rows, masked, tokens):
        here = [i for i in masked if not blocks or i // 2 == masked[0] // 2]
        revealed = (n // 2 if blocks else n) - len(here)
        at = next(t for t, end in enumerate(np.cumsum(counts)) if end > revealed)
        size = int(np.cumsum(counts)[at]) - revealed
        scores = [by_loop(row) for row in rows]
        return [(p, set(s)) for s, p in sampled_sets(scores, here, size, temperatures[at]).items() if p > 0]

    ranked = Ranked(score, Schedule(counts), choice_temperature=temperatures)
    law = exact_law(denoiser, Reveal(SemiAutoregressive(ranked, 2) if blocks else ranked))
    expected = np.zeros((q,) * n)
    for (word, _), mass in decoder_traces(n, q, rows_of, rule).items():
        expected[word] += mass
    np.testing.assert_allclose(law.probs, expected, rtol=0, atol=1e-12)


def margin_of(row):
    return max(row) - max([0.0, *sorted(row)[:-1]])


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=20)
def test_laws_of_noisy_low_confidence(data):
    """MaskGIT's choice, with a judge, with symbols that count for less or come last."""
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    seed = data.draw(st.integers(0, 2**16))
    denoiser, rows_of = random_denoiser(n, q, seed)
    judge, judged_of = data.draw(st.sampled_from([(None, rows_of), random_denoiser(n, q, seed + 1)]))
    counts = data.draw(counts_of(n))
    one_a_step = lambda values: data.draw(st.lists(values, min_size=len(counts), max_size=len(counts)))
    temperatures = one_a_step(TEMPERATURES)
    late = data.draw(st.sampled_from([(), (0,), (1, 0)]))
    factors = one_a_step(st.sampled_from([0.0, 0.4, 1.0, 2.0]))
    options = {"discounted": late, "discount": factors, "judge": judge}
    decoder = LowConfidence(Schedule(counts), choice_temperature=temperatures, **options)
    step_of = noisy_low_confidence_step(q, rows_of, judged_of, counts, temperatures, late, factors)
    law = exact_law(denoiser, decoder)
    np.testing.assert_allclose(law.probs, remasking_law(n, q, step_of)[0], rtol=0, atol=1e-12)


def untied(n, q, seed):
    """Rows of which no two entries are equal."""
    rows = np.random.default_rng(seed).dirichlet(np.ones(q), ((q + 1) ** n, n))
    tokens = np.asarray(tokens_of(np.arange((q + 1) ** n), n, q))
    rows = np.where((tokens == q)[..., None], rows, tokens[..., None] == np.arange(q))
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


@pytest.mark.parametrize("temperature", [0.0, [0.0, 0.0]])
def test_no_noise_is_no_random_choice(temperature):
    denoiser, schedule = untied(3, 2, 3), Schedule([1, 2])
    ranked = Ranked(confidence, schedule, choice_temperature=temperature)
    assert not ranked.is_random
    plain, drawn = Reveal(Ranked(confidence, schedule)), LowConfidence(schedule)
    noisy = LowConfidence(schedule, choice_temperature=temperature)
    assert np.array_equal(exact_law(denoiser, Reveal(ranked)).probs, exact_law(denoiser, plain).probs)
    assert np.array_equal(exact_law(denoiser, noisy).probs, exact_law(denoiser, drawn).probs)


def test_little_noise_is_none_and_much_is_random_order():
    """Where no scores are equal; equal ones are drawn evenly, and by position without noise."""
    denoiser, schedule = untied(3, 2, 4), Schedule([1, 2])
    ranked = lambda t: Ranked(margin, schedule, choice_temperature=t)
    pairs = [
        (lambda t: Reveal(ranked(t)), Reveal(ranked(0.0))),
        (lambda t: LowConfidence(schedule, choice_temperature=t), LowConfidence(schedule)),
    ]
    order = exact_law(denoiser, Reveal(RandomSubset(schedule))).probs
    for noisy, plain in pairs:
        little, much = exact_law(denoiser, noisy(1e-7)).probs, exact_law(denoiser, noisy(1e12)).probs
        np.testing.assert_allclose(little, exact_law(denoiser, plain).probs, rtol=0, atol=1e-14)
        np.testing.assert_allclose(much, order, rtol=0, atol=1e-11)


def test_greedy_noise_chooses_by_the_logarithm_of_confidence():
    """Writing the argmax, the draw's confidence is the row's: log instead of Dream's probability."""
    denoiser, schedule = untied(3, 2, 5), Schedule([1, 1, 1])
    logged = lambda rows: rows.max(axis=-1)
    one = LowConfidence(schedule, choice_temperature=0.7, temperature=0)
    other = Reveal(Ranked(logged, schedule, choice_temperature=0.7), temperature=0)
    np.testing.assert_allclose(exact_law(denoiser, one).probs, exact_law(denoiser, other).probs, atol=1e-14)


def test_discounted_symbols_come_last():
    """With factor 0 a symbol is kept only if nothing else was drawn, at its lowest position."""
    denoiser, q = untied(3, 2, 6), 2
    decoder = LowConfidence(Schedule([1, 1, 1]), discounted=[1])
    step = decoder.branches(denoiser, jnp.full(3, q), jnp.array(0))
    for word, row in zip(itertools.product(range(2), repeat=3), np.asarray(step.rows), strict=True):
        kept = np.flatnonzero(row[:, q] == 0)
        sure = np.exp(np.asarray(denoiser(jnp.full(3, q))))[range(3), word]
        zeros = [i for i in range(3) if word[i] == 0]
        assert kept.tolist() == [best_first(sure, zeros)[0] if zeros else 0]


def test_maskgit_anneals():
    schedule = Schedule([1, 2, 2])
    assert LowConfidence.maskgit(schedule, 3.0).choice_temperatures.tolist() == [2.0, 1.0, 1.0, 0.0, 0.0]
    np.testing.assert_allclose(linear_annealing(12, 4.5)[[0, 5, 11]], [4.5 * 11 / 12, 2.25, 0.0])


@pytest.mark.parametrize(
    "decoder",
    [
        LowConfidence.maskgit(Schedule([1, 1, 1])),
        LowConfidence(Schedule([2, 1]), choice_temperature=0.5, discounted=[1], discount=0.3),
        LowConfidence(Schedule([1, 2]), discounted=[0]),
        Reveal(Ranked(confidence, Schedule([1, 2]), choice_temperature=0.2)),
    ],
)
def test_draws_follow_the_law(decoder, key):
    denoiser, count = untied(3, 2, 7), 20_000
    traces = jax.jit(jax.vmap(lambda k: decode(k, denoiser, decoder).tokens))(jax.random.split(key, count))
    seen = np.bincount(np.asarray(traces) @ np.array([4, 2, 1]), minlength=8) / count
    law = np.asarray(exact_law(denoiser, decoder).probs).reshape(-1)
    assert np.all(np.abs(seen - law) <= 5 * np.sqrt(law * (1 - law) / count))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Ranked(confidence, Schedule([1, 2]), choice_temperature=-1.0), "choice_temperature is"),
        (lambda: Ranked(confidence, Schedule([1, 2]), choice_temperature=[1.0] * 3), "one number, or 2"),
        (lambda: LowConfidence(Schedule([1]), choice_temperature=np.inf), "finite numbers >= 0"),
        (lambda: LowConfidence(Schedule([1]), discounted=[-1]), "discounted is -1"),
        (lambda: LowConfidence(Schedule([1]), discounted=[0], discount=np.nan), "discount is"),
    ],
)
def test_what_is_refused(make, line):
    with pytest.raises(InvalidInputError, match=line):
        make()


def test_many_words_times_sets_are_refused_before_they_are_made():
    wide = LowConfidence.maskgit(Schedule([1] * 11))
    model = Oracle(noisy_repeated_bit(11, 0.1))
    with pytest.raises(InvalidInputError, match="words? and a set"):
        wide.branches(model, jnp.full(11, 2), jnp.array(0))
