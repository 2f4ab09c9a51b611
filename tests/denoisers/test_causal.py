"""A causal network: rows by the tokens before alone, and the files of it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import Reveal, Schedule, Transformer, TransformerConfig, decode, left_to_right
from mdmjax.denoisers import _layers
from mdmjax.files.safetensor_files import read_model, write_model

CONFIG = TransformerConfig(
    n=5, q=3, width=8, depth=2, heads=1, hidden=16, learned_positions=True, causal=True
)


@pytest.fixture(scope="module")
def network():
    network = Transformer.create(jax.random.key(1), CONFIG)
    return jax.tree.map(lambda x: x * 10 if x.ndim > 1 else x, network)


def test_rows_do_not_depend_on_their_own_token_or_on_later_ones(network):
    """Changes at position i and after leave rows 0..i as they are, to the bit, and change the next."""
    logits = eqx.filter_jit(lambda tokens: network.logits(tokens))
    base = jnp.array([0, 2, 1, 1, 0], jnp.int32)
    masked = [base.at[i:].set(3) for i in range(5)]
    other = [base.at[i].set((base[i] + 1) % 3) for i in (0, 2)]
    rows = np.asarray(logits(jnp.stack([base, *masked, *other])))
    for row, first in zip(rows[1:], [0, 1, 2, 3, 4, 0, 2], strict=True):
        np.testing.assert_array_equal(row[: first + 1], rows[0][: first + 1])
        if first < 4:
            assert np.abs(row[first + 1 :] - rows[0][first + 1 :]).max() > 1e-3


def test_its_attention_is_the_library_s(network):
    """The products written out for a CPU and JAX's own causal attention, with derivatives."""
    query, key, value = (
        jax.random.normal(k, (2, 5, 2, 4), jnp.float32) for k in jax.random.split(jax.random.key(0), 3)
    )

    def plain(query):
        return jnp.sum(_layers.plain_attention(query, key, value, True) ** 2)

    def library(query):
        return jnp.sum(jax.nn.dot_product_attention(query, key, value, is_causal=True) ** 2)

    for a, b in zip(
        *(jax.tree.leaves(jax.value_and_grad(f)(query)) for f in (plain, library)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_it_decodes_from_left_to_right_by_its_own_rows(network):
    """At temperature 0 each token is the argmax of the logits of those before it, one after the other."""
    decoder = Reveal(left_to_right(Schedule([1] * 5)), temperature=0)
    found = decode(jax.random.key(0), network, decoder).tokens.tolist()
    logits = np.asarray(network.logits(jnp.asarray(found, jnp.int32)))  # sees all, uses what is before
    assert found == logits.argmax(axis=1).tolist()


def test_its_file_says_so_and_others_do_not(tmp_path, network):
    write_model(tmp_path / "a.safetensors", network, {})
    assert read_model(tmp_path / "a.safetensors")[0].config.causal
    assert "causal" not in dataclasses.replace(CONFIG, causal=False).to_json()
