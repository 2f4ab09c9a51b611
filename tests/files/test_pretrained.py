"""Folders of checkpoints: shards, and every way in which one is not what its config says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from _checkpoints import dream, llada, written
from jax.sharding import Mesh

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.layouts import pretrained_config
from mdmjax.files.pretrained import INDEX, WHOLE, read_pretrained, shardings

NAME = "model.transformer.blocks.1.up_proj.weight"


@pytest.fixture
def tiny():
    return llada(np.random.default_rng(0))


def test_shards_and_one_file_are_the_same_network(tiny, tmp_path):
    one = read_pretrained(written(tmp_path / "one", *tiny))
    two = read_pretrained(written(tmp_path / "two", *tiny, shards=3))
    assert all((x == y).all() for x, y in zip(*map(jax.tree.leaves, (one, two)), strict=True))
    assert np.asarray(one.blocks.up[1]) == pytest.approx(tiny[1][NAME].T, abs=0)
    assert one.config == two.config == pretrained_config(tiny[0])


def test_a_mesh_of_one_device_is_no_mesh(tiny, tmp_path):
    folder = written(tmp_path, *tiny)
    mesh = Mesh(np.array(jax.devices()[:1]), ("devices",))
    one, two = read_pretrained(folder), read_pretrained(folder, mesh=mesh)
    assert all((x == y).all() for x, y in zip(*map(jax.tree.leaves, (one, two)), strict=True))


def test_two_devices_share_what_they_divide():
    config = pretrained_config(dream(np.random.default_rng(0), shared=1)[0])
    mesh = jax.sharding.AbstractMesh((2,), ("devices",))
    found, shapes = shardings(config, mesh), config.shapes()
    parts = {name: found[name].shard_shape(shape) for name, shape in shapes.items()}
    assert parts["query"] == (2, 32, 16)
    assert parts["out"] == (2, 16, 32)
    assert parts["key"] == shapes["key"]  # one head of keys is not split
    assert (parts["gate"], parts["down"]) == ((2, 32, 6), (2, 6, 32))
    assert (parts["embedding"], parts["head"]) == ((11, 16), (32, 11))  # 11 ids are not split
    assert parts["attention_norm"] == shapes["attention_norm"]


def test_only_named_buffers_are_ignored(tiny, tmp_path):
    config, tensors = tiny
    buffer = {"model.transformer.blocks.0.rotary_emb.inv_freq": np.ones(4, np.float32)}
    assert read_pretrained(written(tmp_path, config, tensors | buffer)).config.depth == 2


CHANGES = {
    "missing": (lambda t: t.pop(NAME), f"without a tensor {NAME}: want all that its config asks for"),
    "unused": (lambda t: t.update(more=np.ones(2, np.float32)), "with a tensor more: want no other tensor"),
    "shape": (lambda t: t.update({NAME: np.ones((9, 9), np.float32)}), f"with {NAME} of shape .9, 9."),
    "type": (lambda t: t.update({NAME: np.ones((12, 32), np.int64)}), f"with {NAME} .* and type I64"),
    "not finite": (lambda t: t[NAME].fill(np.nan), f"with {NAME} not finite"),
    "bias": (
        lambda t: t.update({NAME.replace("up", "q").replace("weight", "bias"): np.ones(32, np.float32)}),
        "q_proj.bias: want no other tensor",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shards", [1, 2])
def test_nothing_is_dropped_or_made_up(name, shards, tiny, tmp_path):
    change, message = CHANGES[name]
    change(tiny[1])
    with pytest.raises(InvalidInputError, match=message) as error:
        read_pretrained(written(tmp_path, *tiny, shards=shards))
    assert "\n" not in str(error.value)


def test_a_shard_that_is_cut_off_not_there_or_not_of_the_index(tiny, tmp_path):
    folder = written(tmp_path, *tiny, shards=2)
    index, shard = json.loads((folder / INDEX).read_text()), folder / "model-1.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    with pytest.raises(InvalidInputError, match=r"model-1.safetensors: want .* cut off or damaged"):
        read_pretrained(folder)
    shard.unlink()
    with pytest.raises(
        InvalidInputError, match=r"index.json with model-1.safetensors: want files that are"
    ):
        read_pretrained(folder)
    shard.write_bytes(whole)
    moved = next(name for name, file in index["weight_map"].items() if file == "model-1.safetensors")
    for change, message in (
        ({moved: "model-0.safetensors"}, f"model-1.safetensors with a tensor {moved}"),
        ({"nowhere": "model-0.safetensors"}, "model-0.safetensors without a tensor nowhere"),
        (
            {moved: "../model-1.safetensors"},
            "with ../model-1.safetensors: want files that are in its folder",
        ),
    ):
        changed = {"weight_map": index["weight_map"] | change}
        (folder / INDEX).write_text(json.dumps(changed))
        with pytest.raises(InvalidInputError, match=message):
            read_pretrained(folder)
    (folder / INDEX).write_text("{")
    with pytest.raises(InvalidInputError, match=r"index.json: want an object of JSON"):
        read_pretrained(folder)


def test_folders_that_are_no_checkpoint(tiny, tmp_path):
    with pytest.raises(InvalidInputError, match=r"want a folder with config.json"):
        read_pretrained(tmp_path / "nowhere")
    folder = written(tmp_path, *tiny)
    with pytest.raises(InvalidInputError, match="network is of .*: want at most 1.0 KiB; take --dtype"):
        read_pretrained(folder, limit=1024)
    with pytest.raises(InvalidInputError, match="mask_id is 11: want an id in 0..10"):
        read_pretrained(folder, mask_id=11)
    (folder / "config.json").write_text(json.dumps(tiny[0] | {"rope": False}))
    with pytest.raises(InvalidInputError, match=r"model is hf:.* whose config.json has rope is False"):
        read_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(tiny[0]))
    (folder / WHOLE).unlink()
    with pytest.raises(InvalidInputError, match=r"want a folder with model.safetensors or model.safe"):
        read_pretrained(folder)


def test_types_of_files_are_rounded_to_the_one_that_is_asked_for(tiny, tmp_path):
    config, tensors = tiny
    halves = {name: value.astype(np.float16) for name, value in tensors.items()}
    network = read_pretrained(written(tmp_path, config, halves))
    assert np.asarray(network.embedding) == pytest.approx(
        halves["model.transformer.wte.weight"].astype(np.float32), abs=0
    )
    bfloat = {name: np.asarray(jnp.asarray(value, jnp.bfloat16)) for name, value in tensors.items()}
    safetensors.numpy.save_file(bfloat, tmp_path / WHOLE)
    network = read_pretrained(tmp_path)
    assert network.blocks.up.dtype == np.float32
    assert (np.asarray(network.blocks.up[1]) == bfloat[NAME].T.astype(np.float32)).all()
