"""Checkpoints of LLaDA and Dream as networks of JAX: config.json and shards of safetensors, read lazily.

Every tensor of the files is used, and every one that the network needs is there, with its shape; but for
`IGNORED` ones, by name.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from .._errors import InvalidInputError, check_bytes, readable_bytes, refuse, shown
from ..denoisers.layouts import EMBEDDINGS, layout_of, pretrained_config
from ..denoisers.transformer import Transformer, TransformerConfig
from .arrays import read_text, reading

CONFIG, WHOLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
IGNORED = {"rotary_emb.inv_freq": "frequencies of rotary positions, which rope_theta gives"}
"""Ends of names of tensors that need not be read, and why."""

TYPES = {"F32": np.dtype(np.float32), "BF16": np.dtype(jnp.bfloat16), "F16": np.dtype(np.float16)}

SPLIT = {
    "query": (2, "heads"), "query_bias": (1, "heads"), "out": (1, "heads"),
    "key": (2, "shared"), "key_bias": (1, "shared"), "value": (2, "shared"), "value_bias": (1, "shared"),
    "gate": (2, "hidden"), "up": (2, "hidden"), "down": (1, "hidden"),
    "embedding": (1, "width"), "head": (1, "q"),
}  # fmt: skip
"""The axis of an array along which devices share it, and what it counts."""


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json of a folder holds."""
    path = folder / CONFIG
    if not path.is_file():
        remedy = "save_pretrained of transformers writes one"
        refuse("model", f"hf:{folder}", f"a folder with {CONFIG}", remedy)
    return _object(path)


def read_pretrained(
    folder: Path,
    *,
    mask_id: int | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    mesh: Mesh | None = None,
    limit: int | None = None,
) -> Transformer:
    """The network of a folder, with weights of type `dtype`: those of the files are rounded to it.

    One tensor after the other goes to the device, so that the host holds the largest array, of all blocks,
    and no more. With a `mesh` of one axis its devices share the arrays: queries and the output of attention
    by heads, keys and values by theirs, the feed-forward part by its hidden width, the embedding by the
    width, the head by ids; each reads its own part. Norms, and what the devices do not divide, are whole
    on each.

    Raises:
        InvalidInputError: a config that we have no network for; a tensor that is missing, not used, of
            another shape or type, or not finite; a file that is cut off or not there; weights of more than
            `limit` bytes a device (by default what it has, or the machine's memory where it is the host).
    """
    stored = read_config(folder)
    try:
        layout, config = layout_of(stored), pretrained_config(stored, mask_id, dtype)
    except InvalidInputError as error:
        if error.argument == "mask_id" and mask_id is not None:
            raise
        raise InvalidInputError(f"model is hf:{folder} whose {CONFIG} has {error}") from None
    shapes, places = config.shapes(), shardings(config, mesh)
    part = {name: math.prod(places[name].shard_shape(shape)) for name, shape in shapes.items()}
    need = jnp.dtype(dtype).itemsize * sum(part.values())
    check_bytes(
        need, memory() if limit is None else limit, "network", "take --dtype bfloat16 or more devices"
    )
    files = _Tensors(folder)
    files.check(dict(layout.shapes(config)))

    def array(field: str) -> jax.Array:
        names = layout.names(config, field)
        read = lambda index: files.read(names, field, index, field in layout.inner, jnp.dtype(dtype))
        return jax.make_array_from_callback(shapes[field], places[field], read)

    return Transformer.of(config, {field: array(field) for field in shapes})


def shardings(config: TransformerConfig, mesh: Mesh | AbstractMesh | None = None) -> dict[str, Sharding]:
    """Where every array is: on the first device, or split over a mesh of one axis by `SPLIT`."""
    shapes = config.shapes()
    if mesh is None:
        return dict.fromkeys(shapes, SingleDeviceSharding(jax.devices()[0]))
    (axis,) = mesh.axis_names
    units = {"heads": config.heads, "shared": config.kv_heads or config.heads, "hidden": config.hidden}
    units |= {"width": config.width, "q": config.q}
    found = dict[str, Sharding]()
    for field in shapes:
        at, unit = SPLIT.get(field, (0, ""))
        split = field in SPLIT and units[unit] % mesh.size == 0
        found[field] = NamedSharding(mesh, PartitionSpec(*[None] * at, axis) if split else PartitionSpec())
    return found


def memory() -> int:
    """Bytes that a device has, or this machine where it is the device."""
    known = jax.local_devices()[0].memory_stats() or {}
    return known.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class _Tensors:
    """The tensors of a folder by name, as they lie in its files; nothing is read before it is asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.found: dict[str, tuple[Path, str, tuple[int, ...], int]] = {}
        if (folder / WHOLE).is_file():
            self.found = dict(_tensors(folder / WHOLE))
            return
        if not (folder / INDEX).is_file():
            refuse(
                "model", f"hf:{folder}", f"a folder with {WHOLE} or {INDEX}", "other formats are not read"
            )
        listed = _object(folder / INDEX).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(x, str) for x in listed.values()):
            refuse("model", folder / INDEX, "an index with a weight_map of names to files")
        for file in sorted(set(listed.values())):
            if Path(file).name != file or not (folder / file).is_file():
                refuse("model", f"{folder / INDEX} with {shown(file)}", "files that are in its folder")
            for name, tensor in _tensors(folder / file):
                if listed.get(name) != file:
                    refuse("model", f"{folder / file} with a tensor {shown(name)}", "those of the index")
                self.found[name] = tensor
        for name in sorted(set(listed) - set(self.found)):
            refuse("model", f"{folder / listed[name]} without a tensor {shown(name)}", "those of the index")

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse all but tensors of these names and shapes, and `IGNORED` ones."""
        for name, shape in shapes.items():
            if name not in self.found:
                refuse("model", f"hf:{self.folder} without a tensor {name}", "all that its config asks for")
            _, kind, found, _ = self.found[name]
            if found != shape or kind not in TYPES:
                wanted = f"shape {shape} and type {' or '.join(TYPES)}"
                refuse("model", f"hf:{self.folder} with {name} of shape {found} and type {kind}", wanted)
        for name in sorted(set(self.found) - set(shapes)):
            if not name.endswith(tuple(IGNORED)):
                said = "this network would not use it"
                refuse("model", f"hf:{self.folder} with a tensor {shown(name)}", "no other tensor", said)

    def read(
        self, names: list[str], field: str, index: tuple[slice, ...], stacked: bool, dtype: np.dtype
    ) -> np.ndarray:
        """A part of an array of ours: of the tensors `names` stacked, or of the only one; transposed."""
        inner = index[1:] if stacked else index
        own = inner if field in EMBEDDINGS else inner[::-1]
        parts = [self._part(name, own, dtype) for name in (names[index[0]] if stacked else names)]
        parts = parts if field in EMBEDDINGS else [part.T for part in parts]
        return np.stack(parts) if stacked else np.ascontiguousarray(parts[0])

    def _part(self, name: str, index: tuple[slice, ...], dtype: np.dtype) -> np.ndarray:
        path, kind, shape, start = self.found[name]
        with reading("model", path):
            whole = np.memmap(path, TYPES[kind], "r", offset=start, shape=shape)
            part = np.asarray(whole[index]).astype(dtype)
        if not np.isfinite(part).all():
            refuse("model", f"{path} with {name} not finite", "finite weights", f"as {dtype}")
        return part


def _tensors(path: Path) -> Iterator[tuple[str, tuple[Path, str, tuple[int, ...], int]]]:
    """Of every tensor of a file: its name, file, type, shape, and the byte where it begins."""
    with reading("model", path):
        try:
            with safetensors.safe_open(path, framework="numpy"):  # which checks the header against the size
                pass
        except safetensors.SafetensorError:
            said = f"the file is cut off or damaged ({readable_bytes(path.stat().st_size)})"
            refuse("model", path, "a safetensors file", said)
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size))
    for name, one in header.items():
        if name != "__metadata__":
            yield name, (path, one["dtype"], tuple(one["shape"]), 8 + size + one["data_offsets"][0])


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text("model", path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        found = None
    if not isinstance(found, dict):
        refuse("model", path, "an object of JSON", "the file is damaged")
    return found
