"""Trained models as safetensors, with the names and the layout of LLaMA's exported checkpoints.

Matrices are `[out, in]` and act as `W x`; queries and keys are in the rotary convention of two halves. The
embedding has `q + 1` rows, the last for the mask, and `lm_head` has `q`: nothing ever predicts a mask.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from .._errors import InvalidInputError, refuse
from ..denoisers.transformer import Block, Transformer, TransformerConfig
from . import atomic
from .arrays import check_readable

FORMAT = "mdmjax transformer 1"

LLAMA_NAMES = {
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "out": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""What LLaMA calls the parameters of a block."""


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
    tensors = {
        "model.embed_tokens.weight": np.asarray(network.embedding),
        "model.norm.weight": np.asarray(network.norm),
        "lm_head.weight": np.ascontiguousarray(np.asarray(network.head).T),
    }
    for field, name in LLAMA_NAMES.items():
        for i, value in enumerate(np.asarray(getattr(network.blocks, field))):
            tensors[f"model.layers.{i}.{name}.weight"] = np.ascontiguousarray(value.T)
    return tensors


def from_llama(tensors: dict[str, np.ndarray], config: TransformerConfig) -> Transformer:
    """The network of parameters by LLaMA's names: `to_llama` undone."""
    blocks = {
        field: np.stack([tensors[f"model.layers.{i}.{name}.weight"].T for i in range(config.depth)])
        for field, name in LLAMA_NAMES.items()
    }
    return Transformer(
        config=config,
        embedding=jnp.asarray(tensors["model.embed_tokens.weight"]),
        blocks=Block(**{field: jnp.asarray(value) for field, value in blocks.items()}),
        norm=jnp.asarray(tensors["model.norm.weight"]),
        head=jnp.asarray(np.ascontiguousarray(tensors["lm_head.weight"].T)),
    )


def llama_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a file, by name.

    >>> llama_shapes(TransformerConfig(n=4, q=2, width=16, depth=1, heads=2, hidden=32))["lm_head.weight"]
    (2, 16)
    """
    c = config
    norm, square = (c.width,), (c.width, c.width)
    of_block = dict.fromkeys(LLAMA_NAMES.values(), square)
    of_block |= {LLAMA_NAMES[x]: norm for x in ("attention_norm", "mlp_norm")}
    of_block |= {LLAMA_NAMES[x]: (c.hidden, c.width) for x in ("gate", "up")}
    of_block[LLAMA_NAMES["down"]] = (c.width, c.hidden)
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
