"""What may be in the folder of a sweep: files that are not what was written, disks without room."""

import contextlib
import fcntl
import functools
import json
import os
import resource
import shutil
import subprocess

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.cli import main
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.manifest import MANIFEST
from mdmjax.sweeps.run import report_of, status
from mdmjax.sweeps.store import LOCK, Store

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from _sweeps import AXES, DOCUMENT, made, rows_in, run_made  # noqa: E402


@pytest.fixture
def config():
    return parse_config(DOCUMENT)


def chunk(folder, number):
    return folder / f"chunk-{number:06d}.parquet"


def half(folder, config):
    chunk(folder, 1).write_bytes(chunk(folder, 1).read_bytes()[:-100])


def empty(folder, config):
    chunk(folder, 1).write_bytes(b"")


def hole(folder, config):
    """The end of the file is as it was, what is before it is not."""
    data = chunk(folder, 1).read_bytes()
    chunk(folder, 1).write_bytes(data[:4] + bytes(200) + data[204:])


def of_another_chunk(folder, config):
    shutil.copy(chunk(folder, 2), chunk(folder, 1))


def other_points(folder, config):
    table = pq.read_table(chunk(folder, 1))
    pq.write_table(table.set_column(0, "point", pa.array([5])), chunk(folder, 1))


def other_columns(folder, config):
    pq.write_table(pq.read_table(chunk(folder, 1)).drop_columns(["entropy"]), chunk(folder, 1))


def of_another_sweep(folder, config):
    other = parse_config(DOCUMENT | {"axes": AXES | {"steps": [2, 4]}})
    run_made(other, folder.parent / "other")
    shutil.copy(chunk(folder.parent / "other", 1), chunk(folder, 1))


@pytest.mark.parametrize(
    "spoil", [half, empty, hole, of_another_chunk, other_points, other_columns, of_another_sweep]
)
def test_a_file_that_is_not_what_was_written_is_measured_again(tmp_path, config, spoil):
    run_made(config, tmp_path / "rows")
    whole = rows_in(tmp_path / "rows")
    spoil(tmp_path / "rows", config)
    report = status(config, tmp_path / "rows")
    assert (report.done, report.left) == (7, 1)
    run_made(config, tmp_path / "rows")
    assert rows_in(tmp_path / "rows").equals(whole)


def test_a_lost_manifest_is_made_again_where_all_else_is_of_this_sweep(tmp_path, config):
    run_made(config, tmp_path / "rows", stopped=lambda: True)
    for lose in (lambda path: path.unlink(), lambda path: path.write_bytes(b'{"schema": "mdmjax.sw')):
        lose(tmp_path / "rows" / MANIFEST)
        run_made(config, tmp_path / "rows", stopped=lambda: True)
        assert json.loads((tmp_path / "rows" / MANIFEST).read_text())["config"] == DOCUMENT
    assert status(config, tmp_path / "rows").done == 3
    other = parse_config(DOCUMENT | {"axes": AXES | {"steps": [2, 4]}})
    (tmp_path / "rows" / MANIFEST).unlink()
    with pytest.raises(InvalidInputError, match="chunk-000000.parquet is in it"):
        run_made(other, tmp_path / "rows")


def test_chunks_of_a_version_that_cut_them_otherwise_are_not_read_twice(tmp_path, config, monkeypatch):
    with monkeypatch.context() as version:
        version.setattr(type(config), "chunks", lambda self: [[index] for index in (*range(8), 0)])
        run_made(config, tmp_path / "rows")
    assert len(rows_in(tmp_path / "rows")) == 9
    run_made(config, tmp_path / "rows")
    assert rows_in(tmp_path / "rows")["point"].to_pylist() == list(range(8))


def test_what_killed_writers_leave_is_neither_read_nor_in_the_way_and_goes(tmp_path, config):
    rows = tmp_path / "rows"
    rows.mkdir()
    left = [
        rows / f".{name}.ab_1.part" for name in (MANIFEST, "chunk-000001.parquet", "chunk-000777.parquet")
    ]
    for path in left:
        path.write_bytes(b"PAR1 half")
    assert report_of(Store(rows, config)).done == 0
    with left[2].open() as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)  # one that lives
        run_made(config, rows)
        assert [path.exists() for path in left] == [False, False, True]
        assert len(pytest.importorskip("pandas").read_parquet(rows)) == 8
    run_made(config, rows)
    assert not left[2].exists()


@contextlib.contextmanager
def small_files(folder):
    """No file may be larger than half a chunk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@contextlib.contextmanager
def full(folder, spare=0):
    """All is taken of the file system, but for so many bytes."""
    stuff = folder.parent / "stuff"
    stuff.write_bytes(bytes(shutil.disk_usage(folder.parent).free - spare))
    try:
        yield
    finally:
        stuff.unlink()


@contextlib.contextmanager
def read_only(folder):
    mount = ["mount", "-o"]
    subprocess.run([*mount, "remount,ro", folder.parent], check=True)
    try:
        yield
    finally:
        subprocess.run([*mount, "remount,rw", folder.parent], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "mdmjax-test", place]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    yield place
    subprocess.run(["umount", place], check=True)


def lacking_room(config, folder, lack, why):
    """A run that ends for lack of room: one line, nothing lost and nothing half done; then it goes on."""
    run_made(config, folder, stopped=lambda: status(config, folder).done == 3)
    before = {path: path.read_bytes() for path in folder.glob("chunk-*")}
    with lack(folder), pytest.raises(InvalidInputError, match=why) as caught:
        run_made(config, folder)
    assert str(caught.value).startswith(f"out is {folder}")
    assert "\n" not in str(caught.value)
    assert before.items() <= {path: path.read_bytes() for path in folder.glob("chunk-*")}.items()
    done = {f"chunk-{number:06d}.parquet" for number in Store(folder, config).done()}
    assert set(os.listdir(folder)) == done | {LOCK, MANIFEST}
    report = run_made(config, folder)
    assert (report.done, report.left) == (8, 0)


def test_a_disk_with_room_for_small_files_only(tmp_path, config):
    line = "chunk-000003.parquet: want a file on a disk with room for it; File too large"
    lacking_room(config, tmp_path / "rows", small_files, line)


LACKS = [
    (full, "_manifest.json: want a file on a disk with room for it; No space left on device"),
    (functools.partial(full, spare=4096), "parquet: want a file on a disk with room for it; No space left"),
    (read_only, "want a folder that can be written"),
]


@pytest.mark.parametrize(("lack", "why"), LACKS)
def test_a_full_disk_and_one_that_cannot_be_written(small_disk, config, lack, why):
    lacking_room(config, small_disk / "rows", lack, why)


def test_a_disk_that_is_full_before_it_starts(small_disk, config):
    with full(small_disk / "rows"):
        with pytest.raises(InvalidInputError, match="^out is .*No space left on device"):
            run_made(config, small_disk / "rows")
        assert os.listdir(small_disk / "rows") == [LOCK]
    assert run_made(config, small_disk / "rows").left == 0


def test_a_folder_that_goes_away(tmp_path, config):
    def remove():
        shutil.rmtree(tmp_path / "rows")
        return False

    with pytest.raises(InvalidInputError, match="^out is .*chunk-000001.parquet: .*No such file"):
        run_made(config, tmp_path / "rows", stopped=remove)
    assert run_made(config, tmp_path / "rows").left == 0


TOML = """
study = "schedule"
axes = { source = ["noisy-bit", "markov"], "source.n" = [4, 5], steps = [2, 3] }
"""


def test_the_command_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mdmjax.sweeps.run.here", made)
    (tmp_path / "sweep.toml").write_text(TOML)
    words = ["sweep", "sweep.toml", "--out", "rows"]
    assert main([*words, "--status"]) == 2
    line = "--out is rows: want the folder of a sweep that was started"
    assert capsys.readouterr() == ("", f"mdmjax: error: {line}; it is made by a run\n")
    with small_files(tmp_path):
        assert main(words) == 2
    line = "--out is rows/chunk-000000.parquet: want a file on a disk with room for it; File too large"
    assert capsys.readouterr() == ("", f"mdmjax: error: {line}\n")
    assert sorted(os.listdir("rows")) == [LOCK, MANIFEST]
    assert main(words) == 0
    assert main([*words, "--status"]) == 0
