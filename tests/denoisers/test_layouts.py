"""Networks of LLaDA and Dream: against their torch code (stored logits) and the definition in NumPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _checkpoints import dream, llada, written
from _pretrained_oracle import pretrained_logits

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.infilling import Infilling
from mdmjax.denoisers.layouts import pretrained_config
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.files.pretrained import read_pretrained

FIXTURES = Path(__file__).parent / "fixtures"
LLADA_8B = {
    "model_type": "llada", "d_model": 4096, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32,
    "mlp_hidden_size": 12288, "vocab_size": 126464, "embedding_size": 126464, "weight_tying": False,
    "max_sequence_length": 4096, "block_type": "llama", "layer_norm_type": "rms", "rope": True,
    "activation_type": "silu", "rope_theta": 500_000.0, "mask_token_id": 126336,
}  # fmt: skip
DREAM_7B = {
    "model_type": "Dream", "hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4,
    "num_hidden_layers": 28, "intermediate_size": 18944, "vocab_size": 152064, "hidden_act": "silu",
    "max_position_embeddings": 131072, "rope_theta": 1e6, "mask_token_id": 151666,
}  # fmt: skip


def logits_of(network, ids):
    return np.asarray(jax.jit(lambda network, ids: network.logits(ids))(network, jnp.asarray(ids)))


@pytest.mark.parametrize("name", ["llada", "llada_tied", "dream"])
def test_logits_are_those_of_the_modelling_code(name):
    with np.load(FIXTURES / name / "logits.npz") as stored:
        ids, wanted = stored["ids"], stored["logits"]
    network = read_pretrained(FIXTURES / name)
    assert np.abs(logits_of(network, ids) - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert network.config.mask_id in ids
    assert network.config.mask_id < network.config.q - 1


@pytest.mark.parametrize(
    ("made", "shape"),
    [
        (llada, {"shared": 4, "biases": True}),
        (llada, {"shared": 1, "tied": True, "depth": 1}),
        (dream, {"heads": 6, "shared": 3, "size": 4, "rows": 17}),
        (dream, {"shared": 4, "tied": True, "hidden": 8, "depth": 3}),
    ],
)
def test_logits_are_those_of_the_definition(made, shape, tmp_path):
    rng = np.random.default_rng(len(shape))
    config, tensors = made(rng, **shape)
    network = read_pretrained(written(tmp_path, config, tensors, shards=2))
    ids = rng.integers(0, network.config.q, (2, 7))
    wanted = np.stack([pretrained_logits(tensors, config, row) for row in ids])
    assert np.abs(logits_of(network, ids) - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert network.config.parameters == sum(x.size for x in tensors.values())


def test_padding_is_not_attended_to_and_an_infilling_is_the_shifted_softmax(tmp_path):
    config, tensors = dream(np.random.default_rng(0))
    network = read_pretrained(written(tmp_path, config, tensors))
    ids = jnp.array([3, 7, 0, 7, 5, 9, 9])
    seen = jnp.arange(7) < 5
    found = jax.jit(lambda network: network.logits(ids[None], seen[None])[0, :5])(network)
    found = np.asarray(found)
    alone = pretrained_logits(tensors, config, ids[:5])
    assert np.abs(found - alone).max() < 1e-5 * np.abs(alone).max()

    how = {"vocabulary": 11, "mask_id": 7, "forbidden": (10,), "shift": 1}
    model = Infilling(network.logits, [3, 7, 0, 7, 5], [1, 3], **how)
    host = Infilling(
        lambda ids: np.stack([pretrained_logits(tensors, config, row) for row in ids]),
        [3, 7, 0, 7, 5],
        [1, 3],
        **how,
    )
    assert model.symbols.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    states = jnp.array([[9, 9], [9, 2], [8, 9], [0, 1]])
    ours, theirs = (np.exp(jax.jit(jax.vmap(one))(states)) for one in (model, host))
    assert ours == pytest.approx(theirs, abs=1e-5)
    rows = alone[[0, 2]][:, model.symbols]
    assert np.log(ours[0]) == pytest.approx(rows - np.log(np.exp(rows).sum(1, keepdims=True)), abs=1e-4)


def test_weights_in_bfloat16_are_half_and_give_nearly_the_same(tmp_path):
    config, tensors = llada(np.random.default_rng(1))
    network = read_pretrained(written(tmp_path, config, tensors), dtype="bfloat16")
    assert {x.dtype for x in jax.tree.leaves(network)} == {jnp.dtype("bfloat16")}
    assert network.config.bytes == 2 * sum(x.size for x in tensors.values())
    ids = np.arange(9)[None]
    rounded = {k: np.asarray(jnp.asarray(x, jnp.bfloat16), np.float64) for k, x in tensors.items()}
    wanted = pretrained_logits(rounded, config, ids[0])
    found = logits_of(network, ids)[0]
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize(("stored", "billions"), [(LLADA_8B, 8.0156), (DREAM_7B, 7.6156)])
def test_the_shapes_of_the_real_ones_fit_80_gb_in_bfloat16(stored, billions):
    config = pretrained_config(stored, dtype="bfloat16")
    assert config.parameters / 1e9 == pytest.approx(billions, abs=1e-4)
    assert config.bytes == 2 * config.parameters < 17e9
    network = jax.eval_shape(lambda key: Transformer.create(key, config), jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(network)) == config.parameters
    ids = jax.ShapeDtypeStruct((1, 1024), np.int32)
    logits = jax.eval_shape(lambda network, ids: network.logits(ids), network, ids)
    assert (logits.shape, logits.dtype) == ((1, 1024, config.q), np.float32)
    assert config.bytes + 4 * np.prod(logits.shape) < 80e9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama': want llada or dream"),
        ({"model_type": None}, "model_type is None: want llada or dream"),
        ({"block_type": "sequential"}, "block_type is 'sequential': want 'llama'"),
        ({"rope": False}, "rope is False: want True"),
        ({"attention_layer_norm": True}, "attention_layer_norm is True: want False"),
        ({"mask_token_id": 126464}, "mask_id is 126464: want an id in 0..126463"),
        ({"mask_token_id": None}, "mask_id is not given"),
        ({"n_kv_heads": 5}, "kv_heads is 5: want a divisor of heads = 32"),
        ({"n_layers": "many"}, "n_layers is 'many': want an integer >= 1"),
    ],
)
def test_what_no_network_is_made_of(change, message):
    with pytest.raises(InvalidInputError, match=message):
        pretrained_config(LLADA_8B | change)


def test_dream_with_scaled_positions_is_refused_and_newer_configs_are_read():
    with pytest.raises(InvalidInputError, match="rope_scaling is yarn: want none"):
        pretrained_config(DREAM_7B | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})
    newer = {k: v for k, v in DREAM_7B.items() if k != "rope_theta"}
    rotary = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    assert pretrained_config(newer | rotary) == pretrained_config(DREAM_7B)


def test_a_network_of_a_vocabulary_is_no_denoiser_by_itself():
    config = TransformerConfig(
        n=4, q=5, width=8, depth=1, heads=2, hidden=8, mask_id=2, kv_heads=1, tied=True
    )
    network = Transformer.create(jax.random.key(0), config)
    with pytest.raises(InvalidInputError, match="denoiser is a network of a vocabulary"):
        network(jnp.array([0, 1, 5, 5]))
    assert network.logits(jnp.array([0, 2, 4, 2])).shape == (4, 5)


def test_later_fields_are_written_where_they_are_used():
    plain = TransformerConfig(n=4, q=5, width=8, depth=1, heads=2, hidden=8)
    assert not {"kv_heads", "biases", "tied", "mask_id", "weights"} & set(plain.to_json())
    other = TransformerConfig(n=4, q=5, width=8, depth=1, heads=2, hidden=8, kv_heads=1, biases=True)
    assert TransformerConfig(**other.to_json()) == other
