"""Arrays of an `.npz` file, read without pickle and with its size known before it is loaded."""

import zipfile
from pathlib import Path

import numpy as np

from .._errors import InvalidInputError, readable_bytes, refuse


def check_readable(argument: str, path: Path) -> None:
    """Refuse a path that is not an existing file."""
    if not path.exists():
        refuse(argument, str(path), "a file", "no such file")
    if not path.is_file():
        refuse(argument, str(path), "a file", "this is not a file")


def read_npz(argument: str, path: Path, *, limit: int) -> dict[str, np.ndarray]:
    """Every array of an `.npz` file by name, as numbers.

    Raises:
        InvalidInputError: a file that is missing or not an `.npz`; an array of anything but real
            numbers; arrays of more than `limit` bytes together, known from the file's index.
    """
    check_readable(argument, path)
    wanted = "an .npz file of real numbers, as numpy.savez writes it"
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > limit:
            refuse(
                argument,
                f"{path}, {readable_bytes(size)} unpacked",
                f"at most {readable_bytes(limit)}",
                "use fewer positions",
            )
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except InvalidInputError:
        raise
    except PermissionError:
        refuse(argument, str(path), "a file that can be read")
    except Exception as error:  # on a damaged file zipfile and numpy raise errors of a dozen types
        objects = "Object arrays" in str(error)
        remedy = (
            "arrays of objects are never loaded" if objects else "the file is damaged or of another format"
        )
        refuse(argument, str(path), wanted, remedy)
    for name, values in arrays.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
            kind = getattr(values, "dtype", "bytes")
            refuse(argument, f"{path} with {name} of type {kind}", wanted)
    return arrays
