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


def test_the_ends_of_the_unit_interval(monkeypatch):
    """The least and the largest random number, and sums above one, still give a possible symbol."""
    rows = jnp.array([[0.0, 0.5, 0.5 + 1e-6, 0.0]] * 2, jnp.float32)
    for number, symbol in ((0.0, 1), (1.0, 2)):
        monkeypatch.setattr(
            jax.random, "uniform", lambda k, shape, dtype, u=number: jnp.full(shape, u, dtype)
        )
        assert drawn_from(jax.random.key(0), rows).tolist() == [symbol, symbol]
