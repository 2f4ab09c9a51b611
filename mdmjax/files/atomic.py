"""Files that are written whole or not at all."""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from .._errors import refuse

PART = ".part"
"""How the name of a temporary file ends."""


def check_writable(argument: str, path: Path) -> None:
    """Refuse, before any work, a file that could not be written: no such folder, or a folder itself."""
    if path.is_dir():
        refuse(argument, str(path), "a file name", "this is a folder")
    folder = path.parent
    if not folder.is_dir():
        refuse(argument, str(path), "a file in an existing folder", f"make {folder} first")
    if not os.access(folder, os.W_OK):
        refuse(argument, str(path), "a file in a folder that can be written")


def check_writable_folder(argument: str, folder: Path) -> None:
    """Refuse, before any work, a folder that could not be made or written."""
    if folder.exists() and not folder.is_dir():
        refuse(argument, str(folder), "a folder", "a file of this name exists")
    parent = folder.resolve().parent
    if not parent.is_dir():
        refuse(argument, str(folder), "a folder in an existing one", f"make {parent} first")
    if not os.access(folder if folder.exists() else parent, os.W_OK):
        refuse(argument, str(folder), "a folder that can be written")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A stream into a temporary file beside `path`, renamed over it when the block ends.

    A reader sees the old file or the new one, and a failure leaves the old one. The bytes are on the disk
    before the new name is, so that this also holds when the power fails.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_parts(path: Path) -> None:
    """Remove the temporary files of `path` that a killed writer left; no other process may write it."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{PART}"):
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with opened(path) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write every file of `files` (name to content) into `folder`.

    They are written to a temporary folder first. A new `folder` appears by one rename; in one that exists
    (it may be a file system of its own) each file replaces its namesake whole, and other files are left
    alone.
    """
    folder = folder.resolve()
    place = folder if folder.exists() else folder.parent
    stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=PART, dir=place))
    try:
        for name, data in files.items():
            (stage / name).write_bytes(data)
        if folder.exists():
            for name in files:
                os.replace(stage / name, folder / name)
        else:
            os.chmod(stage, 0o777 & ~_umask())
            os.rename(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
