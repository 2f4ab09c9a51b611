"""Laws of decoders without memory that came later: Halton order, window, masked Gibbs, EOSER."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _memory_oracles import gibbs_step, halton_cells, remembering_law, rows_of_table, window_choice
from _oracles import decoder_traces, noisy_low_confidence_step, order_law, remasking_law
from _strategies import random_denoiser

from mdmjax import (
    InvalidInputError,
    Joint,
    LowConfidence,
    Oracle,
    Reveal,
    Schedule,
    Tempered,
    decode,
    exact_law,
)
from mdmjax.decoders.halton import halton, halton_order
from mdmjax.decoders.reveal import AtTemperature
from mdmjax.decoders.sweeps import MaskedGibbs
from mdmjax.decoders.window import StreamingWindow
from mdmjax.laws.stationary import stationary_law, sweep_laws

N, Q = 3, 2
FEW_OR_ALL = [6, pytest.param(100, marks=pytest.mark.slow)]
MODEL, MODEL_ROWS = random_denoiser(N, Q, 7)


def joints(count):
    for seed in range(count):
        table = np.random.default_rng(seed).dirichlet(np.full(Q**N, 0.5)).reshape((Q,) * N) + 1e-6
        yield table / table.sum()


# Halton: an order, so that its law is that of a fixed partition.


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 8), (8, 1), (2, 3), (4, 4), (5, 7), (9, 9)])
def test_the_halton_order_from_its_points(rows, columns):
    assert halton_order(rows, columns).tolist() == halton_cells(rows, columns)


def authors_order(size, points=10000):
    """As the authors compute it: floats by Kolář and O'Shea's recursion, in float32, on a square."""

    def sequence(base):
        n, d, found = 0, 1, []
        for _ in range(points):
            rest = d - n
            if rest == 1:
                n, d = 1, d * base
            else:
                y = d // base
                while rest <= y:
                    y //= base
                n = (base + 1) * y - rest
            found.append(n / d)
        return np.array(found, np.float32)

    cells = np.floor(np.stack([sequence(2), sequence(3)], axis=1) * np.float32(size)).astype(int)
    kept = np.sort(np.unique(cells, axis=0, return_index=True)[1])
    return (cells[kept] @ [size, 1]).tolist()


@pytest.mark.parametrize("size", [2, 3, 16, 24, pytest.param(32, marks=pytest.mark.slow)])
def test_the_halton_order_is_the_authors(size):
    assert halton_order(size, size).tolist() == authors_order(size)


@pytest.mark.parametrize("count", FEW_OR_ALL)
def test_the_law_of_the_halton_order_is_that_of_its_cells(count):
    for table in joints(count):
        law = exact_law(Oracle(Joint(jnp.asarray(table))), Reveal(halton(Schedule([1, 1, 1]))))
        expected = order_law(N, Q, rows_of_table(table), halton_cells(1, N))
        np.testing.assert_allclose(law.probs, expected, rtol=0, atol=1e-12)
        assert law.way == "fixed order"


def test_steps_take_the_next_cells():
    rule = halton(Schedule([3, 1, 2]), rows=2)
    cells = halton_cells(2, 3)
    assert [sorted(cells[:3]), [cells[3]], sorted(cells[4:])] == [
        np.flatnonzero(np.asarray(rule.levels) == level).tolist() for level in range(3)
    ]


# WeDLM's window.

WINDOWS = [(1, 0.4, 0.02), (2, 0.6, 0.1), (16, 0.65, 0.02), (2, 0.0, 0.5)]


@pytest.mark.parametrize("count", FEW_OR_ALL)
def test_the_law_of_a_window_from_the_definition(count):
    for place, table in enumerate(joints(count)):
        knobs = WINDOWS[place % len(WINDOWS)]
        choose = lambda rows, masked, _, knobs=knobs: [(1.0, window_choice(rows, masked, *knobs))]
        expected = decoder_traces(N, Q, rows_of_table(table), choose)
        probs, finalised, calls = np.zeros((Q,) * N), np.zeros((N, N)), np.zeros(N + 1)
        for (word, when), mass in expected.items():
            probs[word] += mass
            calls[max(when) + 1] += mass
            for i, step in enumerate(when):
                finalised[i, step] += mass
        law = exact_law(Oracle(Joint(jnp.asarray(table))), Reveal(StreamingWindow(*knobs)))
        np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-12)
        np.testing.assert_allclose(law.calls, calls[: law.calls.size], rtol=0, atol=1e-12)
        steps = law.finalised.shape[1]
        np.testing.assert_allclose(law.finalised, finalised[:, :steps], rtol=0, atol=1e-12)


def test_a_window_of_one_is_left_to_right():
    law = exact_law(MODEL, Reveal(StreamingWindow(1)))
    np.testing.assert_allclose(law.probs, order_law(N, Q, MODEL_ROWS, range(N)), rtol=0, atol=1e-12)


# A GMLM's chain.


@pytest.mark.parametrize("count", FEW_OR_ALL)
def test_the_law_of_masked_gibbs_from_the_definition(count):
    for place, table in enumerate(joints(count)):
        width, masked = (1, 2, 3)[place % 3], place % 2 == 0
        starts = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
        words = list(itertools.product(range(Q), repeat=N))
        start = None if masked else [(np.prod(starts[range(N), word]), word) for word in words]
        step_of = gibbs_step(Q, rows_of_table(table), width, 2 + masked)
        probs, steps, last, _ = remembering_law(N, Q, step_of, (), start)
        decoder = MaskedGibbs(width, 2, None if masked else starts)
        law = exact_law(Oracle(Joint(jnp.asarray(table))), decoder)
        np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-12)
        np.testing.assert_allclose(law.calls, steps, rtol=0, atol=1e-12)
        for row, when in zip(np.asarray(law.finalised), last, strict=True):
            found = [when.get(t, 0.0) for t in range(row.size)]
            np.testing.assert_allclose(row, found, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_masked_gibbs_is_the_random_scan_of_the_stationary_laws():
    """Its laws after every number of steps are `sweep_laws`, and they lead to `stationary_law`."""
    table = Joint(jnp.asarray(next(joints(1)) * 0.7 + 0.3 / 8))
    model, sets = Oracle(table), [list(pair) for pair in itertools.combinations(range(N), 2)]
    weights, uniform = np.full(3, 1 / 3), np.full((N, Q), 0.5)
    passes = sweep_laws(model, sets, jnp.full((Q,) * N, 1 / Q**N), 2, weights=weights)
    law = exact_law(model, MaskedGibbs(2, 2, uniform))
    np.testing.assert_allclose(law.probs, passes[2], rtol=0, atol=1e-13)
    limit = stationary_law(model, sets, weights=weights)
    far = exact_law(model, MaskedGibbs(2, 100, uniform))
    np.testing.assert_allclose(far.probs, limit.probs, rtol=0, atol=1e-8)
    assert np.abs(limit.probs - table.probs).max() > 1e-3  # pairs are drawn as if they were independent


@pytest.mark.slow
def test_a_temperature_of_masked_gibbs_is_that_of_its_denoiser():
    warm = exact_law(MODEL, AtTemperature(MaskedGibbs(1, 2), 2.0))
    np.testing.assert_allclose(warm.probs, exact_law(Tempered(MODEL, 2.0), MaskedGibbs(1, 2)).probs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoder", [MaskedGibbs(2, 3), MaskedGibbs(1, 2, np.full((N, Q), 0.5)), Reveal(StreamingWindow(2, 0.6))]
)
def test_draws_follow_the_law(decoder, key):
    law, count = exact_law(MODEL, decoder), 20000
    traces = eqx.filter_jit(jax.vmap(lambda k: decode(k, MODEL, decoder)))(jax.random.split(key, count))
    words = np.asarray(traces.tokens) @ np.array([4, 2, 1])
    seen, wanted = np.bincount(words, minlength=8), count * np.asarray(law.probs).reshape(-1)
    assert np.all(seen[wanted == 0] == 0)
    possible = wanted > 0
    square = ((seen - wanted)[possible] ** 2 / wanted[possible]).sum()
    freedom = possible.sum() - 1
    assert square < freedom + 5 * np.sqrt(2 * freedom) + 5
    calls = np.bincount(traces.calls, minlength=law.calls.size) / count
    chances = np.asarray(law.calls)
    assert np.all(np.abs(calls - chances) <= 5 * np.sqrt(chances * (1 - chances) / count) + 1e-12)


# EOSER: discounts of LowConfidence, whose laws test_choices has.


@pytest.mark.parametrize("count", FEW_OR_ALL)
@pytest.mark.parametrize("ascending", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_law_of_eoser_from_the_definition(count, ascending):
    for place, table in enumerate(joints(count)):
        counts = [1, 2] if ascending else [[1, 1, 1], [2, 1], [1, 2]][place % 3]
        if ascending:
            factors = [0.01 + 0.99 * (2 ** (t + 1) - 1) / 4 for t in range(2)]
        else:
            factors = [0.4 + 0.6 * t / (len(counts) - 1) for t in range(len(counts))]
        rows_of, still = rows_of_table(table), [0.0] * len(counts)
        step_of = noisy_low_confidence_step(Q, rows_of, rows_of, counts, still, {1}, factors)
        probs, _, _ = remasking_law(N, Q, step_of)
        decoder = LowConfidence.eoser(Schedule(counts), 1, ascending=ascending)
        law = exact_law(Oracle(Joint(jnp.asarray(table))), decoder)
        np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_eoser_writes_the_end_late():
    """Greedy, as the source: the ends are certain, but the other token comes first."""
    rows = np.array([[0.3, 0.7], [0.65, 0.35], [0.2, 0.8]])
    table = Oracle(Joint(jnp.asarray(np.einsum("i,j,k->ijk", *rows))))
    when = lambda decoder: np.asarray(exact_law(table, decoder).finalised).argmax(1).tolist()
    ones = Schedule([1, 1, 1])
    assert when(LowConfidence(ones, temperature=0)) == [1, 2, 0]
    assert when(LowConfidence.eoser(ones, 1, temperature=0)) == [2, 0, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: halton_order(0, 3), "rows is 0"),
        (lambda: halton(Schedule([2, 1]), rows=2), "rows is 2: want a divisor of n = 3"),
        (lambda: StreamingWindow(0), "width is 0"),
        (lambda: StreamingWindow(2, -0.1), "threshold is -0.1"),
        (lambda: StreamingWindow(2, 0.1, float("inf")), "penalty is inf"),
        (lambda: MaskedGibbs(0, 1), "width is 0"),
        (lambda: MaskedGibbs(1, 0), "steps is 0"),
        (lambda: MaskedGibbs(1, 1, np.full((N, Q), 0.6)), "start is of sum 1.2"),
        (lambda: exact_law(MODEL, MaskedGibbs(4, 1)), r"width is 4: want an integer in 1..n with n = 3"),
        (lambda: exact_law(MODEL, MaskedGibbs(1, 1, np.full((2, 2), 0.5))), "start is of shape"),
        (lambda: LowConfidence.eoser(Schedule([1, 1]), 1, least=-1.0), "discount is"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
