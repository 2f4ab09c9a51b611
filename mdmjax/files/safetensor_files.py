"""Trained models as safetensors, with the names and the layout of LLaMA's exported checkpoints.

Matrices act as `W x`; queries and keys are in the rotary convention of two halves. The last row of the
embedding is the mask's, which `lm_head` has not. The header's `sha256` is that of its config, its metadata
and the bytes of the tensors; a file without one is read too.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from .._errors import InvalidInputError, readable_bytes, refuse, shown
from ..denoisers.layouts import EMBEDDINGS, LLAMA
from ..denoisers.transformer import MAX_NETWORK_BYTES, Transformer, TransformerConfig
from . import atomic
from .arrays import reading

FORMAT = "mdmjax transformer 1"


def write_model(path: Path, network: Transformer, metadata: dict[str, Any]) -> None:
    """Write the network, its config and `metadata` (what JSON can hold), whole or not at all."""
    config = json.dumps(network.config.to_json())
    texts = {"format": FORMAT, "config": config, "metadata": json.dumps(metadata, allow_nan=False)}
    with atomic.writing("model", path) as stream:
        stream.write(_hashed(safetensors.numpy.save(to_llama(network), texts)))


def read_model(path: Path, *, limit: int = MAX_NETWORK_BYTES) -> tuple[Transformer, dict[str, Any]]:
    """The network of a file, and its metadata; at most `limit` bytes, of the file and for one sequence."""
    with reading("model", path, limit):
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                texts = file.metadata() or {}
                config, metadata = _described(path, texts)
                _check_tensors(path, file, config)
                if config.sequence_bytes > limit:
                    need = f"n {config.n}, {readable_bytes(config.sequence_bytes)} a sequence"
                    refuse("model", f"{path} with {need}", f"at most {readable_bytes(limit)}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError:
            refuse("model", path, "a safetensors file", "the file is cut off, damaged or of another format")
        for name, values in tensors.items():
            if not np.isfinite(values).all():
                refuse("model", f"{path} with {name} not finite", "finite weights", "the file is damaged")
        if "sha256" in texts and texts["sha256"] != _digest(texts, np.memmap(path, np.uint8, "r")):
            refuse("model", path, "the file that was written", "it is damaged: its sha256 differs")
    return from_llama(tensors, config), metadata


def to_llama(network: Transformer) -> dict[str, np.ndarray]:
    """Every parameter by LLaMA's name for it."""
    config = network.config
    fields, tensors = config.shapes(), dict[str, np.ndarray]()
    for field in (field for field in LLAMA.outer if field in fields):
        value = np.asarray(getattr(network, field))
        tensors[LLAMA.outer[field]] = value if field in EMBEDDINGS else np.ascontiguousarray(value.T)
    for field in (field for field in LLAMA.inner if field in fields):
        values = np.asarray(getattr(network.blocks, field))
        for name, value in zip(LLAMA.names(config, field), values, strict=True):
            tensors[name] = np.ascontiguousarray(value.T)
    return tensors


def from_llama(tensors: dict[str, np.ndarray], config: TransformerConfig) -> Transformer:
    """The network of parameters by LLaMA's names: `to_llama` undone."""
    arrays = dict[str, np.ndarray]()
    for field in config.shapes():
        values = [tensors[name] for name in LLAMA.names(config, field)]
        values = values if field in EMBEDDINGS else [value.T for value in values]
        arrays[field] = np.stack(values) if field in LLAMA.inner else np.ascontiguousarray(values[0])
    return Transformer.of(config, {field: jnp.asarray(values) for field, values in arrays.items()})


def _hashed(data: bytes) -> bytes:
    """A file's bytes with its checksum, and its metadata in order: the library writes a random one."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    texts = header["__metadata__"]
    header["__metadata__"] = dict(sorted((texts | {"sha256": _digest(texts, data)}).items()))
    line = json.dumps(header, separators=(",", ":")).encode()
    line += b" " * (-len(line) % 8)
    return len(line).to_bytes(8, "little") + line + data[8 + size :]


def _digest(texts: dict[str, str], data: Any) -> str:
    """The SHA-256 of what a file says and holds, wherever its tensors begin."""
    digest = hashlib.sha256(json.dumps([texts["config"], texts["metadata"]]).encode())
    digest.update(memoryview(data)[8 + int.from_bytes(bytes(data[:8]), "little") :])
    return digest.hexdigest()


def _described(path: Path, texts: dict[str, str]) -> tuple[TransformerConfig, dict[str, Any]]:
    """The config and the metadata, checked."""
    if texts.get("format") != FORMAT:
        found = f"{path} of format {shown(repr(texts.get('format')))}"
        refuse("model", found, repr(FORMAT), "write it with mdmjax")
    try:
        config, metadata = json.loads(texts["config"]), json.loads(texts["metadata"])
        # How attention is computed is a matter of the machine, and not of the model.
        return TransformerConfig(**config | {"attention": None}), dict(metadata)
    except InvalidInputError as error:
        field, _, rest = str(error).partition(" is ")
        raise InvalidInputError(f"model is {shown(path, 200)} with {field} {rest}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        refuse("model", f"{path} with damaged metadata", f"JSON as a file of {FORMAT!r} has it")


def _check_tensors(path: Path, file: Any, config: TransformerConfig) -> None:
    """Refuse all but the tensors that `config` asks for, as float32."""
    left, only = set(file.keys()), "the tensors of its config, and no other"
    for name, shape in LLAMA.shapes(config):
        if name not in left:
            refuse("model", f"{path} without a tensor {name}", only)
        part = file.get_slice(name)
        if tuple(part.get_shape()) != shape or part.get_dtype() != "F32":
            got = f"{tuple(part.get_shape())} and type {part.get_dtype()}"
            refuse("model", f"{path} with {name} of shape {got}", f"shape {shape} and type F32")
        left.remove(name)
    for name in sorted(left):
        refuse("model", f"{path} with a tensor {shown(name)}", only)
