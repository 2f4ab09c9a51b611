"""The folder of a sweep: a Parquet data set, one file a chunk and one row a point, and its manifest.

`chunk-000017.parquet` is written whole or not at all, and is trusted if it says that it is of this sweep
and has the points and the columns of its chunk. Names that begin with `_` or `.` are no part of a data set,
so that `pandas.read_parquet(DIR)` reads the rows alone. One process writes: it holds a lock, which ends
with it.
"""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from .._errors import refuse
from ..files.atomic import PART, check_writable_folder, remove_parts, writing
from .columns import COLUMNS, HOLDERS, Kind, parameters_of
from .config import Config
from .engine import Rows
from .manifest import MANIFEST, check_same, digest, write_manifest
from .studies import STUDIES

LOCK = "_lock"
NAME = re.compile(r"chunk-(\d{6})\.parquet")


class Done(NamedTuple):
    """What the file of a chunk says of it: how long it took, and how many of its points failed."""

    seconds: float
    failed: int


def schema_of(config: Config) -> pa.Schema:
    """The columns of every chunk: the point, what it is, its numbers in nats, and why it failed."""
    fields = {"point": pa.int64()}
    for name, kind in COLUMNS[config.study].items():
        fields[name] = _type(Kind(kind))
    for holder in HOLDERS:
        for name in sorted({part[holder] for axis in config.axes for part in axis if holder in part}):
            for key, kind in parameters_of(holder, name).items():
                fields[f"{holder}.{key}"] = _type(kind)
    study = STUDIES[config.study]
    for name in study.kept(config.keep):
        fields[name] = pa.list_(pa.float64()) if study.known[name] else pa.float64()
    return pa.schema(fields | {"failed": pa.string()})


def _type(kind: Kind) -> pa.DataType:
    plain = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}[kind.of]
    return plain if kind.size is None else pa.list_(plain)


class Store:
    """The folder of one sweep.

    Raises:
        InvalidInputError: the folder holds another sweep, or what is no sweep.
    """

    def __init__(self, folder: Path, config: Config):
        self.folder, self.config, self.schema = folder, config, schema_of(config)
        self.chunks, self.digest = config.chunks(), digest(config)
        if folder.is_dir():
            check_same(folder, config, self._strange())

    def check_writable(self) -> None:
        """Refuse, before any work, a folder that could not be made or written."""
        check_writable_folder("out", self.folder)

    def path(self, number: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"chunk-{number:06d}.parquet"

    def done(self) -> dict[int, Done]:
        """The chunks that are there; a broken file is none, nor one of other columns or points."""
        found = {}
        names = (NAME.fullmatch(path.name) for path in self.folder.glob("chunk-*.parquet"))
        for number in sorted(int(name[1]) for name in names if name):
            about = self._about(self.path(number))
            if about and number < len(self.chunks) and about.pop("points") == self.chunks[number]:
                found[number] = Done(float(about["seconds"]), int(about["failed"]))
        return found

    def _about(self, path: Path) -> dict[str, Any] | None:
        """What a file says of itself, and its points, if it is one of this sweep."""
        with contextlib.suppress(OSError, pa.ArrowException), pq.ParquetFile(path) as file:
            about = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
            if about.get("sweep") == self.digest and file.schema_arrow.equals(self.schema):
                return about | {"points": file.read(columns=["point"])["point"].to_pylist()}
        return None

    def _strange(self) -> Iterator[str]:
        """Names of what is in the folder and no run of this sweep has written."""
        names = {path.name for path in self.folder.iterdir()}
        parts = {name for name in names if name.startswith(".") and name.endswith(PART)}
        ours = {name for name in names if NAME.fullmatch(name) and self._about(self.folder / name)}
        yield from sorted(names - parts - ours - {LOCK} - ({MANIFEST} if ours else set()))

    def left(self, *, failed_too: bool = False) -> list[int]:
        """The chunks that are still to be done, in order; those with a failed point again, if asked for."""
        done = self.done()
        kept = {number for number, about in done.items() if not (failed_too and about.failed)}
        return [number for number in range(len(self.chunks)) if number not in kept]

    def write(self, number: int, rows: Rows, seconds: float) -> None:
        """Write the rows of a chunk. The time they took is metadata of the file, no part of its rows."""
        columns = {
            field.name: pa.array(rows.get(field.name, [None] * len(rows["point"])), field.type)
            for field in self.schema
        }
        failures = sum(reason is not None for reason in rows["failed"])
        about = {"sweep": self.digest, "seconds": f"{seconds:.3f}", "failed": str(failures)}
        table = pa.table(columns, schema=self.schema).replace_schema_metadata(about)
        memory = pa.BufferOutputStream()
        pq.write_table(table, memory, compression="zstd")
        with writing("out", self.path(number)) as stream:
            stream.write(memory.getvalue())

    def rows(self) -> pa.Table:
        """The rows that are there, in the order of their points; none of a chunk that is not done."""
        tables = [self.schema.empty_table()]
        for number in self.done():
            try:
                tables.append(pq.ParquetFile(self.path(number)).read())
            except (OSError, pa.ArrowInvalid) as error:
                what = "remove it and run the sweep again: only its points are measured"
                refuse("out", self.path(number), "a chunk that can be read", f"{error}; {what}")
        return pa.concat_tables(tables, promote_options="default").sort_by("point")

    def a_reason(self, done: dict[int, Done]) -> str | None:
        """Why the first of the failed points of chunks that are done failed."""
        for number, about in done.items():
            if about.failed:
                with contextlib.suppress(OSError):  # it is being measured again
                    reasons = pq.read_table(self.path(number), columns=["failed"])["failed"].to_pylist()
                    return next((reason for reason in reasons if reason is not None), None)
        return None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, made if there is none, and its manifest; refused while another process does."""
        self.check_writable()
        with self._lock_file() as lock:
            _lock(lock.fileno(), self.folder)
            check_same(self.folder, self.config, self._strange())
            self._tidy()
            write_manifest(self.folder, self.config, len(self.chunks))
            yield

    def _lock_file(self) -> BinaryIO:
        try:
            self.folder.mkdir(exist_ok=True)
            return open(self.folder / LOCK, "ab")
        except OSError as error:
            refuse("out", self.folder, "a folder on a disk with room for it", error.strerror or "")

    def _tidy(self) -> None:
        """Remove what killed runs left, and chunks beyond the last one, which another version cut."""
        for part in self.folder.glob(f".*{PART}"):
            remove_parts(self.folder / part.name[1:].rsplit(".", 2)[0])
        for path in self.folder.glob("chunk-*.parquet"):
            name = NAME.fullmatch(path.name)
            if name and int(name[1]) >= len(self.chunks) and self._about(path):
                path.unlink()


NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF}


def _lock(handle: int, folder: Path) -> None:
    """Take the lock of the folder, which ends with this process.

    Nothing is locked on Windows, nor by a file system that has no locks, as Lustre may be mounted. Two
    sweeps there write the same rows twice: each file is still whole.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            refuse("out", folder, "a folder in which no other sweep runs", "wait for it, or stop it")
