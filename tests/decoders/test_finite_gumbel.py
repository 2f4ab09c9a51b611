"""The law of a Gumbel draw of few digits, against every outcome of its random numbers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from mdmjax import InvalidInputError
from mdmjax.decoders.finite_gumbel import gumbel_law


def by_enumeration(logits, temperature, dtype, form, bits):
    """The share of all tuples of random numbers at which each symbol wins."""
    kind = jnp.dtype(dtype)
    grid = (np.arange(2**bits) / 2**bits).astype(kind)
    law = np.zeros(len(logits))
    with np.errstate(divide="ignore"):
        waiting = -np.log(grid)
        if form == "gumbel":
            scores = [kind.type(x) / kind.type(temperature) - np.log(waiting) for x in logits]
        else:
            scores = [np.exp(kind.type(x)) / waiting ** kind.type(temperature) for x in logits]
    for chosen in itertools.product(range(2**bits), repeat=len(logits)):
        law[int(np.argmax([float(s[k]) for s, k in zip(scores, chosen, strict=True)]))] += 1
    return law / law.sum()


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_the_law_is_the_sum_over_all_random_numbers(data):
    bits = data.draw(st.integers(1, 3))
    logits = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, -3.0]), min_size=1, max_size=4))
    temperature = data.draw(st.sampled_from([0.5, 1.0, 2.0]))
    options = {
        "dtype": data.draw(st.sampled_from(["float32", "float16", "bfloat16"])),
        "form": data.draw(st.sampled_from(["gumbel", "race"])),
        "bits": bits,
    }
    law = gumbel_law(np.array(logits), temperature, **options)
    expected = by_enumeration(logits, temperature, **options)
    np.testing.assert_allclose(law.probs, expected, rtol=0, atol=1e-14)
    assert law.total_variation == pytest.approx(np.abs(expected - law.stated).sum() / 2, abs=1e-14)


def test_many_digits_and_few_symbols_are_nearly_right():
    law = gumbel_law(np.array([0.0, -1.0, 0.3]), 0.7, bits=16)
    assert law.probs.sum() == pytest.approx(1, abs=1e-12)
    assert 0 < law.total_variation < 1e-4
    assert law.kl == pytest.approx(np.sum(law.probs * np.log(law.probs / law.stated)))
    np.testing.assert_allclose(law.stated, jax.nn.softmax(np.array([0.0, -1.0, 0.3]) / 0.7), rtol=1e-7)


def test_the_top_of_the_grid_is_enough_for_many_symbols():
    """Leaving scores out that are never the best changes nothing: the whole grid says the same."""
    row = np.concatenate([np.zeros(40), np.full(60, -1.0)])
    whole, top = (gumbel_law(row, bits=bits).probs for bits in (16, 17))
    np.testing.assert_allclose(whole, top, rtol=2e-2)
    assert top.sum() == pytest.approx(1, abs=1e-12)


def test_bfloat16_prefers_the_first_of_equals():
    """Of 256 values a thousand symbols share the best: the first of them wins."""
    law = gumbel_law(np.zeros(1000), dtype="bfloat16")
    assert law.probs[0] > 3.9e-3  # 1/1000 is stated
    assert np.all(np.diff(law.probs) <= 0)
    assert law.probs[-1] < 1e-4
    assert law.entropy < law.stated_entropy - 0.4


@pytest.mark.slow
def test_what_a_float32_draw_never_gives():
    """A tail 20.5 below: vLLM reports 32.76 draws of 100,000 expected, none seen."""
    row = np.concatenate([[0.0], np.full(262144, -20.5)])
    law = gumbel_law(row)
    assert 1e5 * law.stated[1:].sum() == pytest.approx(32.76, abs=0.005)
    # Only where the first has u = 0, of which the logarithm is infinite.
    assert law.probs[1:].sum() == pytest.approx(2.0**-24, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "entropy"), [(24, 3.202), (23, 2.094)])
def test_entropy_of_a_long_tail_falls(bits, entropy):
    """Our row of 4.59 nats on 2^22 symbols: one of 0.737, the others 1.05 2^-24 each, 16.28 below it."""
    size = 2**22
    nats = lambda rest: -(1 - rest) * np.log(1 - rest) - rest * np.log(rest / (size - 1))
    rest = brentq(lambda x: nats(x) - 4.59, 0.01, 0.9)
    row = np.full(size, np.log(rest / (size - 1)))
    row[0] = np.log(1 - rest)
    law = gumbel_law(row, bits=bits)
    assert law.stated_entropy == pytest.approx(4.59, abs=1e-4)
    assert law.entropy == pytest.approx(entropy, abs=1e-3)
    assert law.probs.sum() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    ("row", "options", "line"),
    [
        ([], {}, "a row of finite numbers"),
        ([0.0, np.inf], {}, "a row of finite numbers"),
        ([0.0], {"temperature": 0.0}, "temperature is 0"),
        ([0.0], {"dtype": "float64"}, "dtype is float64: want one of float32"),
        ([0.0], {"form": "inverse"}, "form is inverse"),
        ([0.0], {"bits": 53}, "bits is 53: want at most 24"),
        (np.arange(3000) / 3000, {}, "want at most 1.7e.10; round them"),
        ([200.0], {"form": "race", "dtype": "float16"}, "no NaN in float16"),
    ],
)
def test_what_is_refused(row, options, line):
    with pytest.raises(InvalidInputError, match=line):
        gumbel_law(np.array(row), **options)
