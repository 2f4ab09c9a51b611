"""Checkpoints: one line of JSON that says what follows, then the leaves of a tree as NumPy arrays.

The line's `sha256` is that of the whole file with zeros in this place; files without one are read too.
"""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import equinox as eqx
import jax
import numpy as np

from .._errors import refuse, shown
from . import atomic
from .arrays import reading

FORMAT = "mdmjax checkpoint 1"
MAX_HEADER_BYTES = 2**24
UNKNOWN = "0" * 64
"""What stands for the checksum in what it is taken of."""

Tree = TypeVar("Tree")


def write_checkpoint(path: Path, header: dict[str, Any], tree: Any) -> None:
    """Write `header` (what JSON can hold) and `tree`, a leaf at a time, whole or not at all."""
    first = {"format": FORMAT, "header": header, "leaves": _leaves(tree), "sha256": UNKNOWN}
    with atomic.writing("checkpoint", path) as stream:
        hashed = _Hashed(stream)
        hashed.write(_line(first))
        eqx.tree_serialise_leaves(cast(BinaryIO, hashed), tree)
        stream.seek(0)
        stream.write(_line(first | {"sha256": hashed.digest.hexdigest()}))


def read_header(path: Path) -> dict[str, Any]:
    """The header that a checkpoint was written with; its arrays are not read."""
    with reading("checkpoint", path), path.open("rb") as stream:
        return _first(path, stream)["header"]


def read_checkpoint(path: Path, skeleton: Tree) -> Tree:
    """The tree of a checkpoint; `skeleton` has its shapes and types, and what is not a number."""
    with reading("checkpoint", path), path.open("rb") as stream:
        first, damaged = _first(path, stream), "the file is cut off or damaged"
        for found, wanted in itertools.zip_longest(first["leaves"], _leaves(skeleton)):
            if found != wanted:
                there = f"{path} with {_described(found)}"
                refuse("checkpoint", there, _described(wanted), "it was written with another configuration")
        if "sha256" in first:
            begin, digest = stream.tell(), hashlib.sha256(_line(first | {"sha256": UNKNOWN}))
            while block := stream.read(2**20):
                digest.update(block)
            if digest.hexdigest() != first["sha256"]:
                refuse("checkpoint", path, "a whole one", f"{damaged}: its sha256 differs")
            stream.seek(begin)
        try:
            tree = eqx.tree_deserialise_leaves(stream, skeleton)
        except Exception:  # NumPy and Equinox raise errors of half a dozen types on a damaged file
            refuse("checkpoint", path, "a whole one", damaged)
        if stream.read(1):
            refuse("checkpoint", path, "a whole one", "more follows its last array: it is damaged")
    return tree


class _Hashed:
    """A stream that is hashed while it is written."""

    def __init__(self, stream: BinaryIO):
        self.stream, self.digest = stream, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.stream.write(data)


def _line(first: dict[str, Any]) -> bytes:
    return json.dumps(first, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _leaves(tree: Any) -> list[list[Any]]:
    """Name, shape and type of every leaf that is a number or an array, in the order they are written."""
    numbers = eqx.filter(tree, lambda x: eqx.is_array_like(x) or isinstance(x, jax.ShapeDtypeStruct))
    return [
        [jax.tree_util.keystr(place), list(np.shape(x)), str(getattr(x, "dtype", type(x).__name__))]
        for place, x in jax.tree_util.tree_leaves_with_path(numbers)
    ]


def _described(leaf: list[Any] | None) -> str:
    if leaf is None:
        return "no further array"
    name, shape, dtype = map(shown, (leaf[0], tuple(leaf[1]), leaf[2]))
    return f"{name} of shape {shape} and type {dtype}"


def _first(path: Path, stream: BinaryIO) -> dict[str, Any]:
    """The first line, checked."""
    try:
        line = stream.readline(MAX_HEADER_BYTES)
        first: Any = json.loads(line if line.endswith(b"\n") else b"")
        known = first["format"] == FORMAT and isinstance(first["header"], dict)
        if known and all(len(leaf) == 3 and len(tuple(leaf[1])) >= 0 for leaf in first["leaves"]):
            return first
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    remedy = "the file is cut off or of another format"
    return refuse("checkpoint", path, f"a file that begins with a line of {FORMAT!r}", remedy)
