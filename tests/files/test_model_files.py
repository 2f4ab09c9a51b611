"""Checkpoints and safetensors: back as they were, or one line about why not; an old file is never lost."""

import json
import os
import resource

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.layouts import LLAMA
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.files import atomic, checkpoint, safetensor_files

CONFIG = TransformerConfig(n=4, q=2, width=16, depth=2, heads=2, hidden=24, learned_positions=True)


def refused(match):
    return pytest.raises(InvalidInputError, match=match)


def one_line(error):
    return "\n" not in str(error.value)


@pytest.fixture(scope="module")
def network():
    return Transformer.create(jax.random.key(0), CONFIG)


@pytest.fixture(scope="module")
def tree(network):
    """Everything that a training state may hold."""
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), network)
    return {
        "network": network,
        "half": half,
        "step": jnp.int32(7),
        "host": np.arange(3),
        "count": 5,
        "no": None,
    }


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        if eqx.is_array(x):
            assert x.dtype == y.dtype
            assert x.shape == y.shape
            assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
        else:
            assert x == y


class NoRoom:
    """Files of this process may not grow past `size` bytes: what a full disk is to a writer."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *error):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


# Checkpoints.


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path, tree):
    path, header = tmp_path / "checkpoint.eqx", {"step": 7, "alphabet": "aé\ufffd", "plan": {"clip": 1.0}}
    checkpoint.write_checkpoint(path, header, tree)
    assert checkpoint.read_header(path) == header
    same(checkpoint.read_checkpoint(path, tree), tree)
    assert os.listdir(tmp_path) == ["checkpoint.eqx"]
    first = json.loads(path.read_bytes().split(b"\n")[0])
    assert first["format"] == "mdmjax checkpoint 1"
    assert [".embedding" in leaf[0] for leaf in first["leaves"]].count(True) == 2


def test_a_checkpoint_is_read_into_shapes(tmp_path, network):
    path = tmp_path / "checkpoint.eqx"
    checkpoint.write_checkpoint(path, {}, network)
    skeleton = eqx.filter_eval_shape(Transformer.create, jax.random.key(0), CONFIG)
    same(checkpoint.read_checkpoint(path, skeleton), network)


def test_a_checkpoint_cut_anywhere_is_refused(tmp_path, tree):
    path = tmp_path / "checkpoint.eqx"
    checkpoint.write_checkpoint(path, {"step": 7}, tree)
    whole = path.read_bytes()
    line = whole.index(b"\n")
    for size in (0, 1, line, line + 1, line + 100, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with refused("checkpoint is .*checkpoint.eqx: want .*(cut off|damaged)") as error:
            checkpoint.read_checkpoint(path, tree)
        assert one_line(error)
    for content in (whole + b"x", whole[: line + 1] + bytes(len(whole) - line - 1)):
        path.write_bytes(content)
        with refused("cut off or damaged"):
            checkpoint.read_checkpoint(path, tree)


def without_checksum(path):
    """A checkpoint as it was written before there were checksums."""
    line, rest = path.read_bytes().split(b"\n", 1)
    first = json.loads(line)
    assert len(first.pop("sha256")) == 64
    path.write_bytes(json.dumps(first).encode() + b"\n" + rest)
    return path.read_bytes()


def test_a_checkpoint_without_a_checksum_is_read_or_refused_as_before(tmp_path, tree):
    path = tmp_path / "checkpoint.eqx"
    checkpoint.write_checkpoint(path, {"step": 7}, tree)
    whole = without_checksum(path)
    same(checkpoint.read_checkpoint(path, tree), tree)
    line = whole.index(b"\n")
    path.write_bytes(whole + b"x")
    with refused("more follows its last array"):
        checkpoint.read_checkpoint(path, tree)
    for content in (whole[:-1], whole[: line + 100], whole[: line + 1] + bytes(len(whole) - line - 1)):
        path.write_bytes(content)
        with refused("cut off or damaged"):
            checkpoint.read_checkpoint(path, tree)


@pytest.mark.parametrize("where", [0.1, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_in_a_checkpoint_is_refused(tmp_path, tree, where, bit):
    path = tmp_path / "checkpoint.eqx"
    checkpoint.write_checkpoint(path, {"step": 7}, tree)
    flip(path, where, bit)
    with refused("checkpoint is ") as error:
        checkpoint.read_checkpoint(path, tree)
    assert one_line(error)


def flip(path, where, bit):
    """One bit of a file turned over."""
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95\n",
        b"{}\n",
        b"[]\n",
        b"5\n",
        b"PK\x03\x04",
        b'{"format": "mdmjax checkpoint 1"}\n',
        b'{"format": "mdmjax checkpoint 1", "header": {}, "leaves": [3]}\n',
        b'{"format": "mdmjax checkpoint 1", "header": {}, "leaves": [["a", 3, "b"]]}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_foreign_file_is_refused(tmp_path, network, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with refused("checkpoint is .*foreign: want a file that begins with") as error:
        checkpoint.read_header(path)
    assert one_line(error)
    with refused("checkpoint is"):
        checkpoint.read_checkpoint(path, network)


def test_a_checkpoint_of_another_config_names_what_differs(tmp_path, network):
    path = tmp_path / "checkpoint.eqx"
    checkpoint.write_checkpoint(path, {}, {"model": network, "step": jnp.int32(0)})
    wide = Transformer.create(
        jax.random.key(0), TransformerConfig(4, 3, width=16, depth=2, heads=2, hidden=24)
    )
    with refused(
        r"\['model'\].embedding of shape \(3, 16\) and type float32: want .*\(4, 16\) .* another conf"
    ):
        checkpoint.read_checkpoint(path, {"model": wide, "step": jnp.int32(0)})
    with refused(r"\['step'\] of shape \(\) and type int32: want .*float32"):
        checkpoint.read_checkpoint(path, {"model": network, "step": jnp.float32(0)})
    with refused("want no further array"):
        checkpoint.read_checkpoint(path, {"model": network})
    with refused("with no further array: want .*more"):
        checkpoint.read_checkpoint(path, {"model": network, "step": jnp.int32(0), "z_more": jnp.int32(0)})


def test_a_missing_checkpoint_is_refused(tmp_path, network):
    with refused("no such file"):
        checkpoint.read_header(tmp_path / "none")
    with refused("this is not a file"):
        checkpoint.read_checkpoint(tmp_path, network)


def test_arrays_of_objects_are_never_loaded(tmp_path):
    """NumPy would unpickle an array of objects; the first line here says that it is one of numbers."""
    path, like = tmp_path / "checkpoint.eqx", [np.zeros(3)]
    checkpoint.write_checkpoint(path, {}, like)
    line = path.read_bytes().split(b"\n")[0] + b"\n"
    with path.open("wb") as stream:
        stream.write(line)
        np.save(stream, np.array([{}, 1, 2], object), allow_pickle=True)
    with refused("cut off or damaged: its sha256"):
        checkpoint.read_checkpoint(path, like)
    without_checksum(path)
    with refused("cut off or damaged"):
        checkpoint.read_checkpoint(path, like)


@pytest.mark.parametrize("room", [10, 3000])
def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, tree, room):
    path = tmp_path / "checkpoint.eqx"
    checkpoint.write_checkpoint(path, {"step": 1}, tree)
    with NoRoom(room), refused("checkpoint is .*: want a file on a disk with room for it; ") as error:
        checkpoint.write_checkpoint(path, {"step": 2}, tree)
    assert one_line(error)
    assert checkpoint.read_header(path) == {"step": 1}
    same(checkpoint.read_checkpoint(path, tree), tree)
    assert os.listdir(tmp_path) == ["checkpoint.eqx"]


def test_a_header_that_json_cannot_hold_is_an_error_and_nothing_is_written(tmp_path, network):
    with pytest.raises(ValueError, match="JSON"):
        checkpoint.write_checkpoint(tmp_path / "checkpoint.eqx", {"loss": float("nan")}, network)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_writer_left_can_be_removed(tmp_path):
    path = tmp_path / "check[1].eqx"
    path.write_bytes(b"x")
    for name in (".check[1].eqx.abc.part", ".other.abc.part"):
        (tmp_path / name).write_bytes(b"y")
    atomic.remove_parts(path)
    assert sorted(os.listdir(tmp_path)) == [".other.abc.part", "check[1].eqx"]


# Safetensors.


def test_a_model_comes_back_bit_by_bit(tmp_path, network):
    path, metadata = tmp_path / "model.safetensors", {"alphabet": ["a", "é"], "source": {"seed": 3}}
    safetensor_files.write_model(path, network, metadata)
    read, found = safetensor_files.read_model(path)
    same(read, network)
    assert read.config == CONFIG
    assert found == metadata
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_names_and_shapes_are_those_of_llama(network):
    tensors = safetensor_files.to_llama(network)
    shapes = {name: value.shape for name, value in tensors.items()}
    assert shapes == dict(LLAMA.shapes(CONFIG))
    assert sum(value.size for value in tensors.values()) == CONFIG.parameters
    assert shapes["model.layers.1.mlp.gate_proj.weight"] == (24, 16)


def test_a_damaged_model_is_refused(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    whole = path.read_bytes()
    for content in (b"", whole[:6], whole[:100], whole[:-1], whole + b"x", b"{}\n", bytes(100)):
        path.write_bytes(content)
        with refused("model is .*: want a safetensors file; the file is cut off") as error:
            safetensor_files.read_model(path)
        assert one_line(error)
    with refused("no such file"):
        safetensor_files.read_model(tmp_path / "none")


def altered(tensors, texts, change):
    """A file's tensors and texts with one thing wrong."""
    tensors, texts = dict(tensors), dict(texts)
    change(tensors, texts)
    return safetensors.numpy.save(tensors, texts or None)


CHANGES = {
    "of format None": lambda t, m: m.clear(),
    "want 'mdmjax transformer 1'": lambda t, m: m.update(format="pt"),
    "with damaged metadata": lambda t, m: m.update(config="{"),
    "with damaged metadat": lambda t, m: m.update(config='{"n": 4, "q": 2, "colour": 1}'),
    "with damaged metada": lambda t, m: m.update(config='{"n": "4", "q": 2}'),
    "with damaged metad": lambda t, m: m.update(metadata="3"),
    "with damaged meta": lambda t, m: m.pop("metadata"),
    "with n 0: want an integer >= 1": lambda t, m: m.update(config='{"n": 0, "q": 2}'),
    "without a tensor lm_head.weight": lambda t, m: t.pop("lm_head.weight"),
    "with a tensor bias": lambda t, m: t.update(bias=np.zeros(2, np.float32)),
    r"norm.weight of shape \(3,\) and type F32: want shape \(16,\)": lambda t, m: t.update(
        {"model.norm.weight": np.zeros(3, np.float32)}
    ),
    "and type F64: want .* F32": lambda t, m: t.update({"model.norm.weight": np.zeros(16)}),
}


@pytest.mark.parametrize("match", CHANGES)
def test_a_model_of_another_program_or_config_is_refused(tmp_path, network, match):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    with safetensors.safe_open(path, framework="numpy") as file:
        texts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    path.write_bytes(altered(tensors, texts, CHANGES[match]))
    with refused(match) as error:
        safetensor_files.read_model(path)
    assert one_line(error)


def rewritten(path, change):
    """The file with its tensors and texts changed, and no checksum, as another program may write it."""
    with safetensors.safe_open(path, framework="numpy") as file:
        texts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del texts["sha256"]
    path.write_bytes(altered(tensors, texts, change))


FIELDS = [
    ("depth", 1.5, "with depth 1.5: want an integer >= 1"),
    ("depth", "x", "with depth 'x': want an integer >= 1"),
    ("depth", float("inf"), "with depth inf: want an integer >= 1"),
    ("depth", True, "with depth True: want an integer >= 1"),
    ("depth", 10**12, "without a tensor model.layers.2.input_layernorm.weight"),
    ("depth", 1, "with a tensor model.layers.1.input_layernorm.weight"),
    ("compute", "x", "with compute 'x': want float32 or bfloat16"),
    ("compute", None, "with compute None: want float32 or bfloat16"),
    ("norm_epsilon", None, r"with norm_epsilon None: want a number in \[1e-30, 1\]"),
    ("norm_epsilon", -1, "with norm_epsilon -1: want a number in"),
    ("norm_epsilon", float("nan"), "with norm_epsilon nan: want a number in"),
    ("norm_epsilon", 0, "with norm_epsilon 0: want a number in"),
    ("rotary_base", "x", "with rotary_base 'x': want a number >= 1"),
    ("rotary_base", 0, "with rotary_base 0: want a number >= 1"),
    ("rotary_base", 10**400, "with rotary_base 10.*: want a number >= 1"),
    ("rotary_base", [1], r"with rotary_base \[1\]: want a number >= 1"),
    ("heads", 0, "with heads 0: want an integer >= 1"),
    ("heads", 10**12, r"with width 16: want a multiple of 2 \* heads"),
    ("n", 10**18, "with n 1000000000000000000: want an integer below 2"),
    (
        "n",
        2**30,
        r"with model.embed_positions.weight of shape \(4, 16\) and type F32: want shape \(1073741824",
    ),
    ("q", 10**12, r"with model.embed_tokens.weight of shape \(3, 16\)"),
    ("hidden", 10**20, r"with model.layers.0.mlp.gate_proj.weight of shape \(24, 16\)"),
    ("learned_positions", 3, "with learned_positions 3: want True or False"),
    ("remat", "\x1b]0;title\x07" * 100, r"with remat '.x1b]0;title.*: want True or False"),
]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(("field", "value", "match"), FIELDS, ids=lambda x: str(x)[:20])
def test_every_field_of_the_config_is_checked_at_the_door(tmp_path, network, field, value, match):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    rewritten(path, lambda t, m: m.update(config=json.dumps(json.loads(m["config"]) | {field: value})))
    with refused(f"^model is .*model.safetensors {match}") as error:
        safetensor_files.read_model(path)
    assert one_line(error)
    assert str(error.value).isprintable()


def test_a_length_that_no_memory_holds_is_refused_with_its_bytes(tmp_path):
    path = tmp_path / "model.safetensors"
    config = TransformerConfig(n=4, q=2, width=16, depth=1, heads=2, hidden=24)
    safetensor_files.write_model(path, Transformer.create(jax.random.key(0), config), {})
    rewritten(path, lambda t, m: m.update(config=m["config"].replace('"n": 4', '"n": 1073741824')))
    with refused("^model is .*with n 1073741824, 72.0 GiB a sequence: want at most 16.0 GiB"):
        safetensor_files.read_model(path)


def test_a_file_larger_than_the_limit_is_not_read(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    with refused("model.safetensors, .* KiB: want at most 1.0 KiB"):
        safetensor_files.read_model(path, limit=1024)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.1.mlp.gate_proj.weight"])
def test_a_weight_that_is_not_finite_is_refused(tmp_path, network, name, value):
    def change(tensors, texts):
        tensors[name] = tensors[name].copy()
        tensors[name].flat[3] = value

    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    rewritten(path, change)
    with refused(f"with {name} not finite: want finite weights"):
        safetensor_files.read_model(path)


def test_a_model_without_a_checksum_is_read(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {"a": 1})
    rewritten(path, lambda t, m: None)
    read, metadata = safetensor_files.read_model(path)
    same(read, network)
    assert metadata == {"a": 1}


@pytest.mark.parametrize("where", [0.5, 0.9, 0.9999])
@pytest.mark.parametrize("bit", [0, 3])
def test_a_flipped_bit_in_the_weights_is_refused(tmp_path, network, where, bit):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    flip(path, where, bit)
    with refused("model is .*: want the file that was written; it is damaged: its sha256 differs"):
        safetensor_files.read_model(path)


def test_a_changed_digit_of_the_config_is_refused(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {})
    data = path.read_bytes()
    assert b"10000.0" in data
    path.write_bytes(data.replace(b"10000.0", b"10001.0"))
    with refused("its sha256 differs"):
        safetensor_files.read_model(path)


def test_a_full_disk_keeps_the_old_model(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {"step": 1})
    with NoRoom(1000), refused("model is .*: want a file on a disk with room for it"):
        safetensor_files.write_model(path, network, {"step": 2})
    assert safetensor_files.read_model(path)[1] == {"step": 1}
    assert os.listdir(tmp_path) == ["model.safetensors"]
