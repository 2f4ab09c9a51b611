"""The network against loops written from the definition, against itself in other forms, against LLaMA."""

import dataclasses

import _network_oracle as oracle
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import RandomSubset, Reveal, Schedule, Transformer, TransformerConfig, decode, exact_law
from mdmjax._errors import InvalidInputError
from mdmjax.denoisers import _layers, transformer
from mdmjax.denoisers.transformer import SIZES
from mdmjax.files.safetensor_files import to_llama, write_model

CONFIG = TransformerConfig(
    n=5, q=3, width=16, depth=2, heads=2, hidden=24, rotary_base=100.0, learned_positions=True
)
EPS = float(jnp.finfo(jnp.float32).eps)


def random_network(config, scale=10.0):
    """Weights far larger than at the start of training: every part matters, no norm is one."""
    network = Transformer.create(jax.random.key(1), config)
    leaves, form = jax.tree.flatten(network)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    moved = [
        x * scale if x.ndim > 1 and "norm" not in name else x + 0.3 * jax.random.normal(k, x.shape, x.dtype)
        for (name, x), k in zip(named_leaves(network), keys, strict=True)
    ]
    return jax.tree.unflatten(form, moved)


def named_leaves(tree):
    return [(jax.tree_util.keystr(p), x) for p, x in jax.tree_util.tree_leaves_with_path(tree)]


def with_config(network, **changes):
    return dataclasses.replace(network, config=dataclasses.replace(network.config, **changes))


@pytest.fixture(scope="module")
def network():
    return random_network(CONFIG)


@pytest.fixture(scope="module")
def batch():
    tokens = jax.random.randint(jax.random.key(3), (4, CONFIG.n), 0, CONFIG.q + 1)
    return tokens.at[0].set(CONFIG.q)


@pytest.fixture(scope="module")
def expected(network, batch):
    c = CONFIG
    args = (c.heads, c.depth, c.rotary_base, c.norm_epsilon)
    return np.stack([oracle.network_logits(to_llama(network), row, *args) for row in np.asarray(batch)])


@pytest.fixture(scope="module")
def logits(network, batch):
    return jax.jit(lambda tokens: network.logits(tokens))(batch)


def tolerance(expected):
    """Rounding of float32: each of `depth` blocks has six products over at most `hidden` terms in turn."""
    return 12 * CONFIG.depth * np.sqrt(CONFIG.hidden) * EPS * np.abs(expected).max()


def test_logits_are_those_of_the_definition(logits, expected):
    assert np.abs(expected).max() > 1
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance(expected))


@pytest.mark.parametrize("attention", [None, "xla"])
@pytest.mark.parametrize("remat", [False, True])
def test_every_form_gives_the_same_loss_and_gradient(network, batch, expected, attention, remat):
    """The loss is the oracle's, the gradient that of plain operations in float64."""
    tokens = jnp.zeros_like(batch)
    masked = np.asarray(batch) == CONFIG.q
    want = sum(
        oracle.masked_loss(e, np.zeros(CONFIG.n, int), m, 1.0)
        for e, m in zip(expected, masked, strict=True)
    )

    def loss(network):
        rows = jax.nn.log_softmax(network.logits(batch))
        picked = jnp.take_along_axis(rows, tokens[..., None], axis=-1)[..., 0]
        return -jnp.sum(jnp.where(masked, picked, 0.0))

    changed = with_config(network, attention=attention, remat=remat)
    value, gradient = eqx.filter_jit(jax.value_and_grad(loss))(changed)
    np.testing.assert_allclose(value, want, rtol=0, atol=masked.sum() * 2 * tolerance(expected))
    reference = jax.jit(jax.grad(lambda network: loss_by_einsum(network, batch, masked)))(network)
    for (name, got), (_, wanted) in zip(named_leaves(gradient), named_leaves(reference), strict=True):
        assert np.isfinite(got).all(), name
        size = np.abs(wanted).max()
        assert size > 0
        np.testing.assert_allclose(got, wanted, rtol=0, atol=300 * EPS * size, err_msg=name)


def loss_by_einsum(network, batch, masked):
    """The loss for symbol 0 with plain operations, whose derivatives are JAX's own, in float64."""
    c = network.config
    size = c.width // c.heads
    n = batch.shape[1]
    network = jax.tree.map(lambda x: x.astype(jnp.float64), network)
    angle = jnp.arange(n, dtype=float)[:, None] * c.rotary_base ** (-jnp.arange(0, size, 2) / size)[None, :]
    turn = jax.lax.complex(jnp.cos(angle), jnp.sin(angle))[None, :, None, :]

    def norm(x, scale):
        mean = jnp.mean(x**2, axis=-1, keepdims=True)
        return x / jnp.sqrt(mean + c.norm_epsilon) * scale[None, None, :]

    def turned(x):
        z = jax.lax.complex(x[..., : size // 2], x[..., size // 2 :]) * turn
        return jnp.concatenate([z.real, z.imag], axis=-1)

    x = network.embedding[batch] + network.positions[None]
    for i in range(c.depth):
        b = jax.tree.map(lambda leaf, i=i: leaf[i], network.blocks)
        y = norm(x, b.attention_norm)
        query, key, value = (
            jnp.einsum("bnd,de->bne", y, w).reshape(*batch.shape, c.heads, size)
            for w in (b.query, b.key, b.value)
        )
        scores = jnp.einsum("bqhs,bkhs->bhqk", turned(query), turned(key)) / np.sqrt(size)
        mixed = jnp.einsum("bhqk,bkhs->bqhs", jax.nn.softmax(scores), value)
        x = x + mixed.reshape(x.shape) @ b.out
        y = norm(x, b.mlp_norm)
        x = x + (jax.nn.silu(y @ b.gate) * (y @ b.up)) @ b.down
    rows = jax.nn.log_softmax(norm(x, network.norm) @ network.head)
    return -jnp.sum(jnp.where(masked, rows[..., 0], 0.0))


def test_a_batch_equals_vmap_equals_one_at_a_time(network, batch, logits, expected):
    @jax.jit
    def others(batch):
        one = jnp.stack([network.logits(row) for row in batch[:2]])
        return jax.vmap(network.logits)(batch), one, network.logits(batch[None, :, :])[0]

    for other in others(batch):
        np.testing.assert_allclose(other, logits[: len(other)], rtol=0, atol=tolerance(expected))


def test_gradients_of_a_vmapped_loss_are_the_same(network, batch):
    def of_batch(network):
        return jnp.mean(jnp.square(network.logits(batch)))

    def of_each(network):
        return jnp.mean(jax.vmap(lambda row: jnp.mean(jnp.square(network.logits(row))))(batch))

    pair = jax.jit(
        lambda network: tuple(jax.tree.leaves(jax.grad(f)(network)) for f in (of_batch, of_each))
    )
    for x, y in zip(*pair(network), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=100 * EPS * np.abs(x).max())


def test_a_deep_network_is_one_loop_and_says_the_same(network, batch, logits, expected, monkeypatch):
    monkeypatch.setattr(transformer, "MAX_UNROLLED", 1)
    looped = jax.jit(lambda tokens: network.logits(tokens))
    assert "while" in looped.lower(batch).as_text()
    np.testing.assert_allclose(looped(batch), logits, rtol=0, atol=tolerance(expected))


@pytest.mark.parametrize("attention", [None, "xla"])
def test_bfloat16_is_close_and_its_gradients_are_float32(network, batch, logits, attention):
    """Products with 8 bits: relative errors of a few 2^-8 of the largest logit."""
    half = with_config(network, compute="bfloat16", attention=attention)

    def run(network):
        rough = network.logits(batch)
        return jnp.mean(jnp.square(rough)), rough

    with jax.numpy_dtype_promotion("standard"):  # the library's attention promotes in its backward pass
        (_, rough), gradient = jax.jit(jax.value_and_grad(run, has_aux=True))(half)
    assert rough.dtype == jnp.float32
    error = np.abs(logits - rough).max() / np.abs(logits).max()
    assert 0 < error < 16 * 2.0**-8
    for name, leaf in named_leaves(gradient):
        assert leaf.dtype == jnp.float32, name
        assert np.isfinite(leaf).all(), name


def test_it_is_a_denoiser(network, batch):
    rows = jax.jit(jax.vmap(network))(batch)
    assert rows.dtype == jnp.float32
    np.testing.assert_allclose(jnp.sum(jnp.exp(rows), axis=-1), 1.0, rtol=0, atol=8 * EPS)
    tokens = np.asarray(batch)
    for row, token in zip(np.asarray(rows).reshape(-1, CONFIG.q), tokens.ravel(), strict=True):
        if token < CONFIG.q:
            assert row[token] == 0
            assert np.isneginf(np.delete(row, token)).all()
        else:
            assert np.isfinite(row).all()


def test_laws_and_samplers_take_it():
    small = random_network(TransformerConfig(n=3, q=2, width=8, depth=1, heads=1, hidden=8), scale=20.0)
    decoder = Reveal(RandomSubset(Schedule([1, 2])))
    law = exact_law(small, decoder)
    np.testing.assert_allclose(jnp.sum(law.probs), 1.0, rtol=0, atol=100 * EPS)
    count = 4000
    keys = jax.random.split(jax.random.key(0), count)
    traces = jax.jit(jax.vmap(lambda key: decode(key, small, decoder)))(keys)
    assert int(traces.calls.max()) == 2
    index = np.asarray(traces.tokens) @ [4, 2, 1]
    found = np.bincount(index, minlength=8) / count
    probs = np.asarray(law.probs, np.float64).ravel()
    assert (np.abs(found - probs) < 5 * np.sqrt(probs * (1 - probs) / count) + 1e-9).all()


def test_the_network_sees_order_and_both_sides(network):
    """Rotary positions see where a token is, and attention sees what comes after as well as before."""
    q = CONFIG.q
    rows = jnp.array([[q, q, q, q, q], [q, q, q, q, 1], [q, q, q, 1, q], [q, q, q, q, q]])
    masked, after, other, _ = jax.jit(lambda tokens: network.logits(tokens))(rows)
    assert np.abs(after[0] - masked[0]).max() > 1e-3
    assert np.abs(after[0] - other[0]).max() > 1e-3


def test_attention_without_transposes_is_attention(key):
    query, keys, value = jax.random.normal(key, (3, 2, 7, 3, 4), jnp.float32)
    got = _layers.plain_attention(query, keys, value)
    want = jax.nn.dot_product_attention(query, keys, value)
    np.testing.assert_allclose(got, want, rtol=0, atol=20 * EPS)


@pytest.mark.parametrize("change", [{"n": 0}, {"q": 0}, {"depth": 0}, {"heads": 3}, {"width": 18}])
def test_what_is_no_shape_is_refused(change):
    with pytest.raises(
        InvalidInputError, match=f"{'width' if 'heads' in change else next(iter(change))} is"
    ):
        dataclasses.replace(CONFIG, **change)


WRONG = [
    ("depth", 1.5, "an integer >= 1"),
    ("depth", "x", "an integer >= 1"),
    ("n", True, "an integer >= 1"),
    ("n", 2**31, "an integer below 2"),
    ("compute", "float64", "float32 or bfloat16"),
    ("attention", "flash", "xla or cudnn or None"),
    ("remat", 1, "True or False"),
    ("learned_positions", None, "True or False"),
    ("norm_epsilon", None, "a number in"),
    ("norm_epsilon", -1.0, "a number in"),
    ("norm_epsilon", float("nan"), "a number in"),
    ("rotary_base", "x", "a number >= 1"),
    ("rotary_base", 0.0, "a number >= 1"),
    ("rotary_base", float("inf"), "a number >= 1"),
]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(("field", "value", "wanted"), WRONG)
def test_a_field_of_another_type_or_range_is_refused(field, value, wanted):
    with pytest.raises(InvalidInputError, match=f"^{field} is {value!r}: want {wanted}"):
        dataclasses.replace(CONFIG, **{field: value})


@pytest.mark.usefixtures("without_type_checks")
def test_numpy_integers_are_integers():
    config = dataclasses.replace(CONFIG, depth=np.int64(2))
    assert config == CONFIG
    assert type(config.depth) is int


def test_a_network_that_does_not_fit_is_refused_with_its_bytes(key):
    config = dataclasses.replace(CONFIG, depth=10**12)
    with pytest.raises(InvalidInputError, match="^network is of .* PiB: want at most 16.0 GiB"):
        Transformer.create(key, config)
    assert CONFIG.bytes == 4 * sum(x.size for x in jax.tree.leaves(Transformer.create(key, CONFIG)))
    with pytest.raises(InvalidInputError, match="^network is of"):
        Transformer.create(key, CONFIG, limit=CONFIG.bytes - 1)


def test_the_named_sizes_are_what_they_say():
    """The sizes go from about 0.1 to several hundred million parameters; none is ever made here."""
    counts = {name: TransformerConfig(n=128, q=100, **size).parameters for name, size in SIZES.items()}
    assert list(counts.values()) == sorted(counts.values())
    assert 4e4 < counts["mini"] < 7e4
    assert 1e5 < counts["tiny"] < 2.5e5
    assert 7e6 < counts["small"] < 1.3e7
    assert 8e7 < counts["base"] < 1.3e8
    assert 3e8 < counts["large"] < 4e8
    for name in ("mini", "tiny", "small"):
        config = TransformerConfig(n=128, q=100, **SIZES[name])
        shapes = eqx.filter_eval_shape(Transformer.create, jax.random.key(0), config)
        assert sum(x.size for x in jax.tree.leaves(shapes)) == config.parameters


@pytest.mark.slow
def test_logits_are_those_of_llama_in_transformers(tmp_path):
    """Equal weights from the safetensors file; a mask of zeros lets every position see every other."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    c = TransformerConfig(n=24, q=11, width=64, depth=3, heads=4, hidden=96)
    network = random_network(c, scale=5.0)
    write_model(tmp_path / "model.safetensors", network, {})
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_head.weight"] = torch.cat([weights["lm_head.weight"], torch.zeros(1, c.width)])
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=c.q + 1,
            hidden_size=c.width,
            intermediate_size=c.hidden,
            num_hidden_layers=c.depth,
            num_attention_heads=c.heads,
            num_key_value_heads=c.heads,
            rms_norm_eps=c.norm_epsilon,
            max_position_embeddings=c.n,
            rope_parameters={"rope_type": "default", "rope_theta": c.rotary_base},
            attn_implementation="eager",
            tie_word_embeddings=False,
        )
    )
    assert set(llama.state_dict()) == set(weights)
    llama.load_state_dict(weights)
    tokens = np.random.default_rng(0).integers(0, c.q + 1, (3, c.n))
    mask = torch.zeros(3, 1, c.n, c.n)
    with torch.no_grad():
        theirs = llama.eval()(torch.tensor(tokens), attention_mask=mask).logits[..., : c.q].numpy()
    ours = np.asarray(network.logits(jnp.asarray(tokens)))
    assert np.abs(theirs).max() > 1
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert difference < 12 * c.depth * np.sqrt(c.hidden) * EPS


def test_without_learned_positions_masks_look_alike(network):
    """Rotary positions tell distances: where all is masked, every row is the same."""
    masks = jnp.full((CONFIG.n,), CONFIG.q)
    alike = with_config(dataclasses.replace(network, positions=None), learned_positions=False).logits(masks)
    np.testing.assert_allclose(alike, jnp.broadcast_to(alike[:1], alike.shape), rtol=1e-5)
    assert np.ptp(network.logits(masks), axis=0).max() > 0.01
