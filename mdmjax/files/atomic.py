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

try:
    import fcntl
except ImportError:  # on Windows: no part is locked, and none is ever removed
    fcntl = None

PART = ".part"
"""How the name of a temporary file or folder ends. Its writer holds a lock on it, which ends with the
writer: a part that nobody holds was left by a killed one, and the next writer removes it."""


def check_writable(argument: str, path: Path) -> None:
    """Refuse, before any work, a file that could not be written: no such folder, or not a file itself."""
    _check_link(argument, path, "a file name")
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "a pipe or a device"
        refuse(argument, path, "a file name", f"this is {what}")
    folder = path.parent
    if not os.path.isdir(folder):
        refuse(argument, path, "a file in an existing folder", f"make {folder} first")
    if not os.access(folder, os.W_OK):
        refuse(argument, path, "a file in a folder that can be written")


def check_not_itself(argument: str, path: Path, read: Path, what: str) -> None:
    """Refuse to write over a file that is read here: what is in it would be lost."""
    if os.path.exists(path) and os.path.exists(read) and os.path.samefile(path, read):
        refuse(argument, path, f"another file than {what}")


def check_writable_folder(argument: str, folder: Path) -> None:
    """Refuse, before any work, a folder that could not be made or written."""
    _check_link(argument, folder, "a folder")
    if os.path.exists(folder) and not os.path.isdir(folder):
        refuse(argument, folder, "a folder", "a file of this name exists")
    parent = Path(os.path.realpath(folder)).parent
    if not os.path.isdir(parent):
        refuse(argument, folder, "a folder in an existing one", f"make {parent} first")
    if not os.access(folder if os.path.exists(folder) else parent, os.W_OK):
        refuse(argument, folder, "a folder that can be written")


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make `folder`, if there is none; it is removed again, with what is in it, if the block raises."""
    made = not os.path.exists(folder)
    folder.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A stream into a file that replaces `path` when the block ends; a failure, of power too, leaves it."""
    with _part(path, path.parent, is_folder=False) as part:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _set_mode(part, 0o666)
        os.replace(part, path)


@contextlib.contextmanager
def writing(argument: str, path: Path) -> Iterator[BinaryIO]:
    """`opened(path)`, in which an error of the disk is refused, wherever below others it was raised."""
    try:
        with opened(path) as stream:
            yield stream
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__
        if cause is None:
            raise
        refuse(argument, path, "a file on a disk with room for it", str(cause.strerror))


def remove_parts(path: Path) -> None:
    """Remove the temporary files and folders that killed writers of `path` left beside it or in it."""
    for place in (path.parent, path):
        for part in place.glob(f".{glob.escape(path.name)}.*{PART}"):
            with contextlib.suppress(OSError), _held(part, wait=False):
                _remove(part)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with opened(path) as stream:
        stream.write(data)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name to content): a new folder whole, into one that exists each file whole."""
    folder = Path(os.path.realpath(folder))
    place = folder if folder.exists() else folder.parent  # it may be a file system of its own
    with _part(folder, place, is_folder=True) as stage:
        for name, data in files.items():
            (stage / name).write_bytes(data)
        if folder.exists():
            for name in files:
                os.replace(stage / name, folder / name)
        else:
            _set_mode(stage, 0o777)
            os.rename(stage, folder)


@contextlib.contextmanager
def _part(path: Path, place: Path, *, is_folder: bool) -> Iterator[Path]:
    """A new temporary file or folder in `place`, held; removed at the end if it was not renamed."""
    remove_parts(path)
    prefix = f".{path.name}."
    with contextlib.ExitStack() as stack:
        while True:
            if is_folder:
                part = Path(tempfile.mkdtemp(prefix=prefix, suffix=PART, dir=place))
            else:
                handle, name = tempfile.mkstemp(prefix=prefix, suffix=PART, dir=place)
                os.close(handle)
                part = Path(name)
            with contextlib.suppress(OSError):
                stack.enter_context(_held(part, wait=True))
            if part.exists():  # or another writer removed it before it was held
                break
        try:
            yield part
        finally:
            _remove(part)


@contextlib.contextmanager
def _held(part: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of a part; an `OSError` if there are none, or it is another's and we do not `wait`."""
    if fcntl is None:
        raise OSError("no locks")
    handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _remove(part: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _set_mode(part: Path, mode: int) -> None:
    """The mode of an ordinary file or folder by the process's mask, which is read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(part, mode & ~mask)


def _check_link(argument: str, path: Path, wanted: str) -> None:
    """Refuse a link that leads nowhere, a circle of links for one."""
    if os.path.islink(path) and not os.path.exists(path):
        refuse(argument, path, wanted, "this link leads to none")
