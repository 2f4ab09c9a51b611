"""The folder of a sweep: a Parquet data set, one file a chunk and one row a point, and its manifest.

`chunk-000017.parquet` is written whole or not at all. Names that begin with `_` are no part of a data set,
so that `pandas.read_parquet(DIR)` reads the rows alone. One process writes: it holds a lock, which ends
with it.
"""

import contextlib
import datetime
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import pyarrow as pa
import pyarrow.parquet as pq

from .._errors import refuse
from ..files.atomic import check_writable_folder, write_bytes, writing
from .columns import COLUMNS, HOLDERS, Kind, parameters_of
from .config import Config
from .engine import Rows
from .studies import STUDIES

MANIFEST, LOCK = "_manifest.json", "_lock"
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
        self.chunks = config.chunks()
        check_writable_folder("out", folder)
        if folder.exists():
            _check_same(folder, config)

    def path(self, number: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"chunk-{number:06d}.parquet"

    def done(self) -> dict[int, Done]:
        """The chunks that are there; a broken file is none."""
        found = {}
        names = (NAME.fullmatch(path.name) for path in self.folder.glob("chunk-*.parquet"))
        for number in sorted(int(name[1]) for name in names if name):
            with contextlib.suppress(OSError, pa.ArrowInvalid):
                metadata = pq.read_metadata(self.path(number))
                if number < len(self.chunks) and metadata.num_rows == len(self.chunks[number]):
                    about = metadata.metadata or {}
                    found[number] = Done(float(about.get(b"seconds", 0)), int(about.get(b"failed", 0)))
        return found

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
        about = {"seconds": f"{seconds:.3f}", "failed": str(failures)}
        table = pa.table(columns, schema=self.schema).replace_schema_metadata(about)
        with writing("out", self.path(number)) as stream:
            pq.write_table(table, stream, compression="zstd")

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

    def a_reason(self) -> str | None:
        """Why the first of the failed points failed."""
        for number, about in self.done().items():
            if about.failed:
                reasons = pq.read_table(self.path(number), columns=["failed"])["failed"].to_pylist()
                return next(reason for reason in reasons if reason is not None)
        return None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, made if there is none, and its manifest; refused while another process does."""
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / LOCK, "ab") as lock:
            _lock(lock.fileno(), self.folder)
            _check_same(self.folder, self.config)
            self._write_manifest()
            yield

    def _write_manifest(self) -> None:
        """The config, and a line for each run: when, with which versions, on which devices."""
        path = self.folder / MANIFEST
        known = json.loads(path.read_bytes()) if path.exists() else {"runs": []}
        run = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("mdmjax", "jax", "jaxlib", "numpy", "pyarrow")},
            "devices": [device.device_kind for device in jax.local_devices()],
            "float": str(jax.numpy.result_type(float)),
        }
        document = {
            "schema": "mdmjax.sweep",
            "version": 1,
            "units": "nats",
            "config": dict(self.config.document),
            "points": self.config.size,
            "chunks": len(self.chunks),
            "runs": [*known["runs"], run],
        }
        write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def _check_same(folder: Path, config: Config) -> None:
    """Refuse a folder of another sweep, with the first key in which they differ, or of something else."""
    path = folder / MANIFEST
    if not path.exists():
        others = sorted(one.name for one in folder.iterdir() if one.name != LOCK)
        if others:
            refuse("out", folder, "a new folder, or one of this sweep", f"{others[0]} is in it")
        return
    try:
        known = json.loads(path.read_bytes())["config"]
    except (OSError, ValueError, KeyError, TypeError):
        refuse("out", folder, "a folder of a sweep", f"{MANIFEST} cannot be read")
    theirs, ours = _by_key(known), _by_key(json.loads(json.dumps(config.document)))
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            remedy = f"{key} is {theirs.get(key, 'not given')} there, {ours.get(key, 'not given')} here"
            refuse("out", folder, "a folder of this sweep", f"{remedy}; take a new folder")


def _by_key(document: Any) -> dict[str, Any]:
    """The axes beside the other keys."""
    axes = {f"axes.{name}": value for name, value in document.get("axes", {}).items()}
    return {key: value for key, value in document.items() if key != "axes"} | axes


def _lock(handle: int, folder: Path) -> None:
    """Take the lock of the folder, which ends with this process; nothing is locked on Windows."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        refuse("out", folder, "a folder in which no other sweep runs", "wait for it, or stop it")
