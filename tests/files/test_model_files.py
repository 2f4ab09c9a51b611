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
    path.write_bytes(whole + b"x")
    with refused("more follows its last array"):
        checkpoint.read_checkpoint(path, tree)
    path.write_bytes(whole[: line + 1] + bytes(len(whole) - line - 1))
    with refused("cut off or damaged"):
        checkpoint.read_checkpoint(path, tree)


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
    assert shapes == safetensor_files.llama_shapes(CONFIG)
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
    "a config that is refused.*n is 0": lambda t, m: m.update(config='{"n": 0, "q": 2}'),
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


def test_a_full_disk_keeps_the_old_model(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensor_files.write_model(path, network, {"step": 1})
    with NoRoom(1000), refused("model is .*: want a file on a disk with room for it"):
        safetensor_files.write_model(path, network, {"step": 2})
    assert safetensor_files.read_model(path)[1] == {"step": 1}
    assert os.listdir(tmp_path) == ["model.safetensors"]
