"""Checkpoints: one line of JSON that says what follows, then the leaves of a tree as NumPy arrays.

No pickle is read or written. The first line can be read with any tool, and tells the arrays of another
configuration from those that are wanted before any of them is loaded. Its `sha256` is that of the whole
file with zeros in this place; files without one are read too.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import equinox as eqx
import jax
import numpy as np

from .._errors import refuse, shown
from . import atomic
from .arrays import check_readable

FORMAT = "mdmjax checkpoint 1"
MAX_HEADER_BYTES = 2**24
UNKNOWN = "0" * 64
"""What stands for the checksum in what it is taken of."""

Tree = TypeVar("Tree")


def write_checkpoint(path: Path, header: dict[str, Any], tree: Any) -> None:
    """Write `header` (what JSON can hold) and the numbers of `tree` to `path`, whole or not at all.

    Leaves are written one at a time, so that the memory needed beside the tree is that of one leaf.

    Raises:
        InvalidInputError: a file that cannot be written, a full disk for one; an older `path` is left.
    """
    first = {"format": FORMAT, "header": header, "leaves": _leaves(tree), "sha256": UNKNOWN}
    try:
        with atomic.opened(path) as stream:
            hashed = _Hashed(stream)
            hashed.write(_line(first))
            eqx.tree_serialise_leaves(cast(BinaryIO, hashed), tree)
            stream.seek(0)
            stream.write(_line(first | {"sha256": hashed.digest.hexdigest()}))
    except (OSError, RuntimeError) as error:
        cause = _os_error(error)
        if cause is None:
            raise
        refuse("checkpoint", path, "a file on a disk with room for it", str(cause.strerror))


def read_header(path: Path) -> dict[str, Any]:
    """The header that a checkpoint was written with; its arrays are not read.

    Raises:
        InvalidInputError: no such file, or one that is no checkpoint.
    """
    with _opened(path) as stream:
        return _first(path, stream)["header"]


def read_checkpoint(path: Path, skeleton: Tree) -> Tree:
    """The tree of a checkpoint, of the structure, shapes and types of `skeleton`.

    Leaves of `skeleton` may be arrays or `jax.ShapeDtypeStruct`s (see `eqx.filter_eval_shape`); what is
    not a number is taken from it.

    Raises:
        InvalidInputError: no such file, one that is no checkpoint, that is cut off or longer than it should
            be, or that holds other arrays than `skeleton`: the first that differs is named.
    """
    with _opened(path) as stream:
        first = _first(path, stream)
        _check_leaves(path, first["leaves"], _leaves(skeleton))
        if "sha256" in first:
            begin, digest = stream.tell(), hashlib.sha256(_line(first | {"sha256": UNKNOWN}))
            while block := stream.read(2**20):
                digest.update(block)
            if digest.hexdigest() != first["sha256"]:
                refuse(
                    "checkpoint", path, "a whole one", "the file is cut off or damaged: its sha256 differs"
                )
            stream.seek(begin)
        try:
            tree = eqx.tree_deserialise_leaves(stream, skeleton)
        except Exception:  # NumPy and Equinox raise errors of half a dozen types on a damaged file
            refuse("checkpoint", path, "a whole one", "the file is cut off or damaged")
        if stream.read(1):
            refuse("checkpoint", path, "a whole one", "more follows its last array: it is damaged")
    return tree


class _Hashed:
    """A stream that is hashed while it is written."""

    def __init__(self, stream: BinaryIO):
        self.stream, self.digest = stream, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.digest.update(data)
        return self.stream.write(data)


def _line(first: dict[str, Any]) -> bytes:
    return json.dumps(first, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _leaves(tree: Any) -> list[list[Any]]:
    """Name, shape and type of every leaf that is a number or an array, in the order they are written."""
    numbers = eqx.filter(tree, lambda x: eqx.is_array_like(x) or isinstance(x, jax.ShapeDtypeStruct))
    return [
        [
            jax.tree_util.keystr(place),
            list(np.shape(leaf)),
            str(getattr(leaf, "dtype", type(leaf).__name__)),
        ]
        for place, leaf in jax.tree_util.tree_leaves_with_path(numbers)
    ]


def _check_leaves(path: Path, found: list[list[Any]], wanted: list[list[Any]]) -> None:
    """Refuse the first leaf that is not as wanted."""
    for i in range(max(len(found), len(wanted))):
        ours = wanted[i] if i < len(wanted) else None
        theirs = found[i] if i < len(found) else None
        if ours != theirs:
            refuse(
                "checkpoint",
                f"{path} with {_described(theirs)}",
                _described(ours),
                "it was written with another configuration",
            )


def _described(leaf: list[Any] | None) -> str:
    if leaf is None:
        return "no further array"
    name, shape, dtype = map(shown, (leaf[0], tuple(leaf[1]), leaf[2]))
    return f"{name} of shape {shape} and type {dtype}"


def _opened(path: Path) -> BinaryIO:
    check_readable("checkpoint", path)
    try:
        return path.open("rb")
    except OSError as error:
        refuse("checkpoint", path, "a file that can be read", str(error.strerror))


def _first(path: Path, stream: BinaryIO) -> dict[str, Any]:
    """The first line, checked."""
    first: Any = None
    try:
        line = stream.readline(MAX_HEADER_BYTES)
        first = json.loads(line) if line.endswith(b"\n") else None
        known = first["format"] == FORMAT and isinstance(first["header"], dict)
        known = known and all(len(leaf) == 3 and len(tuple(leaf[1])) >= 0 for leaf in first["leaves"])
    except (ValueError, TypeError, KeyError, RecursionError):
        known = False
    if not known:
        remedy = "the file is cut off or of another format"
        refuse("checkpoint", path, f"a file that begins with a line of {FORMAT!r}", remedy)
    return first


def _os_error(error: BaseException | None) -> OSError | None:
    """The `OSError` behind an error: Equinox wraps what a leaf raises."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error
