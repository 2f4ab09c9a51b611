"""Drawing a symbol from each row by one random number: the right law, and never what cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._draws import drawn_from


def test_counts_follow_the_rows(key):
    probs = jnp.array([[0.0, 0.2, 0.0, 0.5, 0.3], [0.25, 0.0, 0.75, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    count = 20_000
    keys = jax.random.split(key, count)
    drawn = np.asarray(jax.jit(jax.vmap(lambda k: drawn_from(k, probs)))(keys))
    for i, row in enumerate(np.asarray(probs)):
        found = np.bincount(drawn[:, i], minlength=5) / count
        assert (np.abs(found - row) <= 5 * np.sqrt(row * (1 - row) / count)).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_zeros_are_never_drawn_from_long_rounded_rows(key, dtype):
    """Sums of a thousand numbers are rounded, and need not grow where a zero is added."""
    making, zeroing, drawing = jax.random.split(key, 3)
    rows = jax.random.normal(making, (2000, 1000), dtype) * 4
    rows = jnp.where(jax.random.bernoulli(zeroing, 0.9, rows.shape), -jnp.inf, rows)
    rows = jax.nn.softmax(rows)
    drawn = jax.jit(drawn_from)(drawing, rows)
    assert (np.asarray(jnp.take_along_axis(rows, drawn[:, None], axis=1)) > 0).all()


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (1 - 2.0**-23, 1 - 2.0**-23), (0.0, 1 - 2.0**-23)])
@pytest.mark.parametrize("q", [4, 1500])
def test_the_ends_of_the_unit_interval(monkeypatch, numbers, q):
    """The least and the largest random numbers, and sums above one, still give a possible symbol."""
    row = jnp.zeros(q, jnp.float32).at[jnp.array([1, 2])].set(jnp.array([0.5, 0.5 + 1e-6], jnp.float32))
    fixed(monkeypatch, *numbers)
    assert int(drawn_from(jax.random.key(0), row[None, :])[0]) in (1, 2)


def fixed(monkeypatch, high, low):
    """Every random number is this one: its first digits, and those that follow."""

    def uniform(key, shape, dtype):
        return jnp.stack([jnp.full(shape[1:], high, dtype), jnp.full(shape[1:], low, dtype)])

    monkeypatch.setattr(jax.random, "uniform", uniform)


@pytest.mark.parametrize("place", [0, 1])
def test_float32_draws_what_has_less_than_its_digits(monkeypatch, place):
    """1e-10 beside 1 has no digit in a sum of float32: it is drawn by numbers below, no other."""
    row = jnp.array([1.0, 1.0], jnp.float32).at[place].set(1e-10)
    for low, symbol in ((0.9e-10 * 2**23, place), (1.1e-10 * 2**23, 1 - place)):
        fixed(monkeypatch, 0.0, low)
        assert int(drawn_from(jax.random.key(0), row[None, :])[0]) == symbol


@pytest.mark.slow
def test_float32_law_of_a_large_vocabulary(key):
    """2^18 symbols of 2^-24 each beside one of the rest: both halves are drawn as often as they say.

    By inversion of float32 sums those after the large one would be drawn in steps of 2^-23, or never.
    """
    tail, count = 2**18, 2**17
    row = jnp.full(tail + 1, 2.0**-24, jnp.float32).at[tail // 2].set(1 - tail * 2.0**-24)
    draw = jax.jit(jax.vmap(lambda k: drawn_from(k, row[None, :])[0]))
    drawn = np.asarray(draw(jax.random.split(key, count)))
    for seen in ((drawn < tail // 2).mean(), (drawn > tail // 2).mean()):
        share = 2.0**-7
        assert abs(seen - share) <= 5 * np.sqrt(share / count)
    late = drawn[drawn > tail // 2]
    assert {int(x) % 2 for x in late} == {0, 1}  # not on a grid of every second one


def test_rows_without_a_law_give_the_first_symbol(key):
    for row in (jnp.zeros(5), jnp.full(5, jnp.nan), jnp.zeros(1100)):
        assert int(drawn_from(key, row[None, :])[0]) == 0
