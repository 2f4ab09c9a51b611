"""Trained models as safetensors, with the names and the layout of LLaMA's exported checkpoints.

Matrices are `[out, in]` and act as `W x`; queries and keys are in the rotary convention of two halves. The
embedding has `q + 1` rows, the last for the mask, and `lm_head` has `q`: nothing ever predicts a mask.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from .._errors import InvalidInputError, refuse
from ..denoisers.transformer import Block, Transformer, TransformerConfig
from . import atomic
from .arrays import check_readable

FORMAT = "mdmjax transformer 1"


def write_model(path: Path, network: Transformer, metadata: dict[str, Any]) -> None:
    """Write the network, its config and `metadata` (what JSON can hold) to `path`, whole or not at all.

    Raises:
        InvalidInputError: a file that cannot be written, a full disk for one; an older `path` is left.
    """
    texts = {
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(network.config)),
        "metadata": json.dumps(metadata, allow_nan=False),
    }
    try:
        atomic.write_bytes(path, _in_order(safetensors.numpy.save(to_llama(network), texts)))
    except OSError as error:
        refuse("model", str(path), "a file on a disk with room for it", str(error.strerror))


def read_model(path: Path) -> tuple[Transformer, dict[str, Any]]:
    """The network of a file, and its metadata.

    Raises:
        InvalidInputError: no such file, a damaged one, one of another program, or one whose tensors are
            not those of its config: the first that differs is named.
    """
    check_readable("model", path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            config, metadata = _described(path, file.metadata() or {})
            tensors = _tensors(path, file, config)
    except OSError as error:
        refuse("model", str(path), "a file that can be read", str(error.strerror or error))
    except safetensors.SafetensorError:
        refuse(
            "model", str(path), "a safetensors file", "the file is cut off, damaged or of another format"
        )
    return from_llama(tensors, config), metadata


def to_llama(network: Transformer) -> dict[str, np.ndarray]:
    """Every parameter by LLaMA's name for it."""
    c, blocks = network.config, network.blocks
    qkv = np.asarray(blocks.qkv).reshape(c.depth, c.width, 3, c.width)
    gate_up = np.asarray(blocks.gate_up).reshape(c.depth, c.width, 2, c.hidden)
    out, down = np.asarray(blocks.out).reshape(c.depth, c.width, c.width), np.asarray(blocks.down)
    tensors = {
        "model.embed_tokens.weight": np.asarray(network.embedding),
        "model.norm.weight": np.asarray(network.norm),
        "lm_head.weight": np.asarray(network.head).T,
    }
    for i in range(c.depth):
        of_block = {
            "input_layernorm": np.asarray(blocks.attention_norm[i]),
            "post_attention_layernorm": np.asarray(blocks.mlp_norm[i]),
            "self_attn.q_proj": qkv[i, :, 0].T,
            "self_attn.k_proj": qkv[i, :, 1].T,
            "self_attn.v_proj": qkv[i, :, 2].T,
            "self_attn.o_proj": out[i].T,
            "mlp.gate_proj": gate_up[i, :, 0].T,
            "mlp.up_proj": gate_up[i, :, 1].T,
            "mlp.down_proj": down[i].T,
        }
        tensors |= {f"model.layers.{i}.{name}.weight": value for name, value in of_block.items()}
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def from_llama(tensors: dict[str, np.ndarray], config: TransformerConfig) -> Transformer:
    """The network of parameters by LLaMA's names: `to_llama` undone."""
    c = config

    def stacked(*names: str) -> np.ndarray:
        """`[depth, in, parts, out]`: the matrices of these names beside each other, for every block."""
        return np.stack(
            [
                np.stack([tensors[f"model.layers.{i}.{name}.weight"].T for name in names], axis=-2)
                for i in range(c.depth)
            ]
        )

    def vectors(name: str) -> np.ndarray:
        return np.stack([tensors[f"model.layers.{i}.{name}.weight"] for i in range(c.depth)])

    skeleton = eqx.filter_eval_shape(Transformer.create, jax.random.key(0), c)
    values = {
        "attention_norm": vectors("input_layernorm"),
        "qkv": stacked("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "out": stacked("self_attn.o_proj"),
        "mlp_norm": vectors("post_attention_layernorm"),
        "gate_up": stacked("mlp.gate_proj", "mlp.up_proj"),
        "down": stacked("mlp.down_proj"),
    }
    shaped = {name: value.reshape(getattr(skeleton.blocks, name).shape) for name, value in values.items()}
    return Transformer(
        config=c,
        blocks=Block(**{name: jnp.asarray(value) for name, value in shaped.items()}),
        embedding=jnp.asarray(tensors["model.embed_tokens.weight"]),
        norm=jnp.asarray(tensors["model.norm.weight"]),
        head=jnp.asarray(np.ascontiguousarray(tensors["lm_head.weight"].T)),
    )


def llama_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a file, by name.

    >>> llama_shapes(TransformerConfig(n=4, q=2, width=16, depth=1, heads=2, hidden=32))["lm_head.weight"]
    (2, 16)
    """
    c = config
    of_block = {
        "input_layernorm": (c.width,),
        "post_attention_layernorm": (c.width,),
        **{f"self_attn.{x}_proj": (c.width, c.width) for x in "qkvo"},
        "mlp.gate_proj": (c.hidden, c.width),
        "mlp.up_proj": (c.hidden, c.width),
        "mlp.down_proj": (c.width, c.hidden),
    }
    return {
        "model.embed_tokens.weight": (c.q + 1, c.width),
        "model.norm.weight": (c.width,),
        "lm_head.weight": (c.q, c.width),
    } | {f"model.layers.{i}.{name}.weight": of_block[name] for i in range(c.depth) for name in of_block}


def _in_order(data: bytes) -> bytes:
    """A file's bytes with its metadata in order: the library writes them in a random one."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    line = json.dumps(header, separators=(",", ":")).encode()
    line += b" " * (-len(line) % 8)
    return len(line).to_bytes(8, "little") + line + data[8 + size :]


def _described(path: Path, texts: dict[str, str]) -> tuple[TransformerConfig, dict[str, Any]]:
    """The config and the metadata, checked."""
    if texts.get("format") != FORMAT:
        refuse("model", f"{path} of format {texts.get('format')!r}", repr(FORMAT), "write it with mdmjax")
    try:
        config, metadata = json.loads(texts["config"]), json.loads(texts["metadata"])
        return TransformerConfig(**config), dict(metadata)
    except InvalidInputError as error:
        refuse("model", f"{path} with a config that is refused", "a possible one", str(error))
    except (ValueError, TypeError, KeyError, RecursionError):
        refuse("model", f"{path} with damaged metadata", f"JSON as a file of {FORMAT!r} has it")


def _tensors(path: Path, file: Any, config: TransformerConfig) -> dict[str, np.ndarray]:
    """The tensors that `config` asks for, all of them and no other, as float32."""
    wanted, found = llama_shapes(config), set(file.keys())
    for name in sorted(found ^ set(wanted)):
        has = "without" if name in wanted else "with"
        refuse("model", f"{path} {has} a tensor {name}", "the tensors of its config, and no other")
    for name, shape in wanted.items():
        part = file.get_slice(name)
        if tuple(part.get_shape()) != shape or part.get_dtype() != "F32":
            got = f"{tuple(part.get_shape())} and type {part.get_dtype()}"
            refuse("model", f"{path} with {name} of shape {got}", f"shape {shape} and type F32")
    return {name: file.get_tensor(name) for name in wanted}
