"""What the bench of the network counts: operations, bytes, peaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.network import Case, batch_of, bytes_of_step, operations, our_decoder, our_trainer, peaks_of
from mdmjax import Transformer, TransformerConfig

CONFIG = TransformerConfig(n=8, q=3, width=16, depth=2, heads=2, hidden=24)
CASE = Case("test", CONFIG, batch=4, chunk=3, steps=4)


def test_operations_are_those_of_the_products():
    """Each product of [a, b] by [b, c] takes 2 a b c operations."""
    n, w, h, depth, q = 8, 16, 24, 2, 3
    products = depth * (4 * n * w * w + 3 * n * w * h + 2 * n * n * w) + n * w * q
    norms = (2 * depth + 1) * w * n  # counted as a product each, as is usual: 6 N operations a token
    assert operations(CONFIG, 1) * n == pytest.approx(2 * (products + norms))
    assert operations(CONFIG, 3) == 3 * operations(CONFIG, 1)


def test_bytes_grow_with_the_batch_from_those_of_the_weights():
    one, two = bytes_of_step(CONFIG, 1), bytes_of_step(CONFIG, 2)
    assert 2 * one - two == 4 * CONFIG.parameters
    half = TransformerConfig(n=8, q=3, width=16, depth=2, heads=2, hidden=24, compute="bfloat16")
    assert bytes_of_step(half, 2) == two / 2


def test_peaks_are_known_by_name():
    assert peaks_of("NVIDIA H100 80GB HBM3") == (989e12, 3.35e12)
    assert peaks_of("NVIDIA H200")[0] == 989e12
    assert peaks_of("NVIDIA A100-SXM4-80GB")[0] == 312e12
    assert peaks_of("cpu") is None


def test_both_sides_get_the_same_batch_and_the_loss_falls():
    tokens, masks, weights = batch_of(CASE)
    assert tokens.shape == masks.shape == weights.shape == (4, 8)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-6)
    network = Transformer.create(jax.random.key(0), CONFIG)
    with jax.numpy_dtype_promotion("standard"):
        work = our_trainer(network, CASE)
        losses = np.concatenate([work() for _ in range(10)])
    assert losses[0] == pytest.approx(np.log(3), abs=0.05)
    assert losses[-1] < losses[0]
    drawn = our_decoder(network, CASE)()
    assert drawn.shape == (4, 8)
    assert int(jnp.max(drawn)) < 3
