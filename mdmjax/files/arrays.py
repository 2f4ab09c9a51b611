"""What users bring: files that are there, that are files, and whose size is known before they are read."""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from .._checks import check_rows, check_shape
from .._errors import InvalidInputError, readable_bytes, refuse, shown
from ..decoders.automaton import Automaton
from ..distributions.hmm import HMM
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ..information.curve import check_positions

MAX_TEXT_BYTES = 2**28
"""The largest file of text that is read as one (our choice)."""


def check_readable(argument: str, path: Path) -> None:
    """Refuse a path that is not an existing file: a folder, a pipe, a device, a link to none of its own."""
    if not os.path.exists(path):  # which no path makes raise, unlike `Path.exists`
        links = os.path.islink(path)
        refuse(argument, path, "a file", "this link leads to none" if links else "no such file")
    if not os.path.isfile(path):
        refuse(argument, path, "a file", "this is not a file")


@contextlib.contextmanager
def reading(argument: str, path: Path, limit: int | None = None) -> Iterator[None]:
    """Refuse what is not a file, has more than `limit` bytes, or cannot be read in the block."""
    check_readable(argument, path)
    size = os.path.getsize(path)
    if limit is not None and size > limit:
        refuse(argument, f"{path}, {readable_bytes(size)}", f"at most {readable_bytes(limit)}")
    try:
        yield
    except OSError as error:
        refuse(argument, path, "a file that can be read", str(error.strerror or error))


def read_text(argument: str, path: Path, *, limit: int = MAX_TEXT_BYTES) -> str:
    """The text of a file of at most `limit` bytes in UTF-8, without a byte order mark."""
    with reading(argument, path, limit):
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            refuse(argument, f"{path}, not text", "UTF-8 text")


def read_npz(argument: str, path: Path, *, limit: int, kinds: str = "fiu") -> dict[str, np.ndarray]:
    """Every array of an `.npz` by name, without pickle, if its index says no more than `limit` bytes.

    `kinds` are those of its types as NumPy has them: `b` are those of true and false.
    """
    wanted = "an .npz file of real numbers of at most 64 bits, as numpy.savez writes it"
    with reading(argument, path):
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > limit:
                unpacked = f"{path}, {readable_bytes(size)} unpacked"
                refuse(argument, unpacked, f"at most {readable_bytes(limit)}", "use fewer positions")
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
        except (InvalidInputError, PermissionError):
            raise
        except Exception as error:  # on a damaged file zipfile and numpy raise errors of a dozen types
            objects, damaged = "Object arrays" in str(error), "the file is damaged or of another format"
            refuse(argument, path, wanted, "arrays of objects are never loaded" if objects else damaged)
    for name, values in arrays.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.itemsize > 8:
            kind = getattr(values, "dtype", "bytes")
            refuse(argument, f"{path} with {shown(name)} of type {shown(kind)}", wanted)
    return {name: values.astype(values.dtype.newbyteorder("=")) for name, values in arrays.items()}


def read_joint(path: Path, *, limit: int = MAX_TABLE_BYTES) -> Joint:
    """The `Joint` of the array `probs`, of shape `(q,)*n`, in an `.npz` file."""
    arrays = read_npz("file", path, limit=limit)
    if "probs" not in arrays:
        names = shown(", ".join(sorted(arrays)) or "none")
        refuse("file", f"{path} with arrays {names}", "an array named probs of shape (q,)*n")
    values = arrays["probs"]
    if values.dtype.kind in "iu":
        values = values.astype(np.float64)
    if values.dtype != np.float64:  # which sums to one within 1e-4 only: it is checked as it is
        Joint(jnp.asarray(values))
        values = values.astype(np.float64) / values.sum(dtype=np.float64)
    return Joint(jnp.asarray(values, dtype=jnp.result_type(float)))


def read_hmm(path: Path, n: int | None = None, *, limit: int = MAX_TABLE_BYTES) -> HMM:
    """The `HMM` of arrays `initial`, `transition` and `emission` in an `.npz` file or a JSON object.

    The number of positions is `n`, or else that of the file, a number `n`.
    """
    wanted = "arrays initial (K,), transition (K, K) and emission (K, q), and a number n"
    names = ("initial", "transition", "emission")
    arrays, n = _rows_and_n(path, names, n, wanted, limit)
    with _of_file(path, names):
        initial, transition, emission = (_rows(name, arrays[name]) for name in names)
        return HMM(initial, transition, emission, n)


def read_mixture(
    path: Path, n: int | None = None, *, limit: int = MAX_TABLE_BYTES
) -> tuple[np.ndarray, np.ndarray, int]:
    """Checked arrays `weights` (parts,) and `probs` (parts, q) of a file as `read_hmm` takes, and `n`."""
    wanted = "arrays weights (parts,) and probs (parts, q), and a number n"
    arrays, n = _rows_and_n(path, ("weights", "probs"), n, wanted, limit)
    with _of_file(path, ("weights", "probs")):
        weights, probs = arrays["weights"], arrays["probs"]
        if probs.ndim != 2 or 0 in probs.shape:
            refuse("probs", f"of shape {probs.shape}", "shape (parts, q)")
        check_shape("weights", weights, probs.shape[:1], "(parts,)")
        weights, probs = _rows("weights", weights), _rows("probs", probs)
        check_rows("weights", jnp.asarray(weights))
        check_rows("probs", jnp.asarray(probs))
    return weights, probs, check_positions(n)


def read_automaton(path: Path, *, limit: int = MAX_TABLE_BYTES) -> Automaton:
    """The `Automaton` of `transition` (states, q), `start`, `accepting` (states,), a file as of `read_hmm`.

    `accepting` is 1 or 0 a state.
    """
    names = ("transition", "start", "accepting")
    arrays = _by_name(
        path, names, "arrays transition (states, q), accepting (states,) and a number start", limit
    )
    with _of_file(path, names):
        for name in names:
            if not np.all(arrays[name] == np.floor(arrays[name])) or np.any(np.abs(arrays[name]) > 2**31):
                refuse(name, "not of integers", "numbers of states, and 1 or 0 in accepting")
        if not np.all((arrays["accepting"] == 0) | (arrays["accepting"] == 1)):
            refuse("accepting", "of other numbers", "1 or 0 a state")
        moves, start = (arrays[name].astype(np.int64) for name in names[:2])
        return Automaton(moves, start, arrays["accepting"] == 1)


def _by_name(
    path: Path, names: Sequence[str], wanted: str, limit: int, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Arrays of an `.npz` file or a JSON object by name, and what there is of the `optional`."""
    is_json = path.suffix.lower() == ".json"
    every = (*names, *optional)
    arrays = _json_arrays(path, every, wanted) if is_json else read_npz("file", path, limit=limit)
    if missing := [name for name in names if name not in arrays]:
        found = shown(", ".join(sorted(arrays)) or "none")
        refuse("file", f"{path} with {found}", wanted, f"{missing[0]} is missing")
    return arrays


def _rows_and_n(
    path: Path, names: Sequence[str], n: int | None, wanted: str, limit: int
) -> tuple[dict[str, np.ndarray], int]:
    """Arrays of a file by name; the number of positions, or that of the file."""
    arrays = _by_name(path, names, wanted, limit, ["n"])
    if n is None:
        if "n" not in arrays:
            refuse("n", "not given", "the number of positions", f"--n N, or a number n in {path}")
        n = arrays["n"].item() if arrays["n"].ndim == 0 else None
        if n is None or n != int(n):
            refuse("n", f"{shown(arrays['n'])} in {path}", "an integer >= 1")
        n = int(n)
    return arrays, n


@contextlib.contextmanager
def _of_file(path: Path, names: Sequence[str]) -> Iterator[None]:
    """What is refused of one of the arrays is refused of the file."""
    try:
        yield
    except InvalidInputError as error:
        if error.argument not in names:
            raise
        found = f"{path.name}, whose {error.argument} is {error.value}"
        refuse("file", found, error.wanted, error.remedy)


def _rows(name: str, values: np.ndarray) -> np.ndarray:
    """Probabilities in float64; those of fewer digits, which sum to one within 1e-4, are normalised."""
    wide = values.astype(np.float64)
    if values.dtype.kind != "f" or values.itemsize == 8:
        return wide
    check_rows(name, jnp.asarray(values))
    return wide / wide.sum(axis=-1, keepdims=True)


def _json_arrays(path: Path, names: Sequence[str], wanted: str) -> dict[str, np.ndarray]:
    """The numbers and lists of numbers of a JSON object, by name."""
    try:
        document = json.loads(read_text("file", path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        refuse("file", f"{path}, not JSON", wanted, shown(error))
    if not isinstance(document, dict):
        refuse("file", f"{path}, no JSON object", wanted)
    arrays = {}
    for name in names:
        if name not in document:
            continue
        try:
            arrays[name] = np.asarray(document[name], np.float64)
        except (TypeError, ValueError, OverflowError):
            refuse("file", f"{path} with {name} {shown(document[name])}", f"numbers: {wanted}")
    return arrays
