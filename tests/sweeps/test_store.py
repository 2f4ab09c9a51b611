"""The folder of a sweep: its rows and its manifest, what is no folder of it, every way to be stopped."""

import contextlib
import errno
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
from mdmjax.sweeps import manifest
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.manifest import MANIFEST, MOST_RUNS
from mdmjax.sweeps.run import Measured, planned, report_of, run_sweep, status
from mdmjax.sweeps.store import LOCK, Store

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

AXES = {"source": ["noisy-bit", "markov"], "source.n": [4, 5], "steps": [2, 3]}
DOCUMENT = {"study": "schedule", "chunk": 1, "axes": AXES}


@pytest.fixture
def config():
    return parse_config(DOCUMENT)


def rows_in(folder):
    """The rows as a reader gets them, in the order of the points."""
    return pq.read_table(folder).sort_by("point")


def made(config, chunks):
    """Rows that nobody has measured: the store does not ask where they are from."""
    for number, indices in chunks.items():
        rows = {key: [config.point(index)[key] for index in indices] for key in config.point(0)}
        numbers = {"expected_kl": [0.5 * index for index in indices], "failed": [None] * len(indices)}
        yield Measured(number, {"point": indices} | rows | numbers, 1.0)


def run_made(config, folder, **how):
    return run_sweep(config, folder, measured=made, **how)


def test_one_row_a_point(tmp_path, config):
    report = run_sweep(config, tmp_path / "rows")
    assert (report.points, report.done, report.failed, report.left, report.chunks_left) == (8, 8, 0, 0, 0)
    table = rows_in(tmp_path / "rows")
    assert table["point"].to_pylist() == list(range(8))
    assert table["source"].to_pylist() == ["noisy-bit"] * 4 + ["markov"] * 4
    assert table["source.flip"].to_pylist() == [0.1] * 8
    assert table.schema.field("steps").type == "int64"
    assert table.schema.field("expected_kl").type == "double"
    manifest = json.loads((tmp_path / "rows" / MANIFEST).read_text())
    assert manifest["config"] == DOCUMENT
    assert manifest["runs"][0]["versions"]["jax"]


def test_pandas_and_duckdb_read_it(tmp_path, config):
    run_sweep(config, tmp_path / "rows")
    expected = rows_in(tmp_path / "rows").to_pylist()
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(tmp_path / "rows").sort_values("point")
    assert frame["expected_kl"].tolist() == [row["expected_kl"] for row in expected]
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"select expected_kl from '{tmp_path}/rows/*.parquet' order by point").fetchall()
    assert [value for (value,) in found] == [row["expected_kl"] for row in expected]


def test_it_goes_on_where_it_was_stopped_and_ends_the_same(tmp_path, config):
    run_sweep(config, tmp_path / "whole")
    asked = iter([False, False, True])
    report = run_sweep(config, tmp_path / "rows", stopped=lambda: next(asked))
    assert (report.done, report.left) == (3, 5)
    assert report.seconds_left > 0
    kept = (tmp_path / "rows" / "chunk-000000.parquet").stat().st_mtime_ns
    (tmp_path / "rows" / "chunk-000001.parquet").write_bytes(b"PAR1 half of it")
    assert report_of(Store(tmp_path / "rows", config)).done == 2
    run_sweep(config, tmp_path / "rows")
    assert (tmp_path / "rows" / "chunk-000000.parquet").stat().st_mtime_ns == kept
    assert rows_in(tmp_path / "rows").equals(rows_in(tmp_path / "whole"))


def test_failed_points_are_tried_again_when_asked(tmp_path):
    axes = {"source": [{"name": "pairs", "n": [3, 4]}], "steps": [2]}
    config = parse_config({"study": "schedule", "chunk": 1, "axes": axes})
    report = run_sweep(config, tmp_path / "rows")
    assert (report.done, report.failed, report.left) == (2, 1, 0)
    assert report.reason == "n is 3: want an even integer; pairs take two positions each"
    path = [tmp_path / "rows" / f"chunk-00000{k}.parquet" for k in range(2)]
    before = [one.stat().st_mtime_ns for one in path]
    run_sweep(config, tmp_path / "rows")
    assert [one.stat().st_mtime_ns for one in path] == before
    run_sweep(config, tmp_path / "rows", retry_failed=True)
    after = [one.stat().st_mtime_ns for one in path]
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_a_folder_of_another_sweep_or_of_something_else(tmp_path, config):
    run_sweep(config, tmp_path / "rows")
    other = parse_config(DOCUMENT | {"axes": AXES | {"steps": [2, 4]}})
    line = r"axes.steps is \[2, 3\] there, \[2, 4\] here; take a new folder"
    for work in (lambda: Store(tmp_path / "rows", other), lambda: run_sweep(other, tmp_path / "rows")):
        with pytest.raises(InvalidInputError, match=line):
            work()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InvalidInputError, match="notes.txt is in it"):
        run_sweep(config, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]


def test_two_sweeps_in_one_folder_and_a_lock_that_a_dead_process_does_not_keep(tmp_path, config):
    store = Store(tmp_path / "rows", config)
    with store.held(), pytest.raises(InvalidInputError, match="no other sweep runs"):
        run_sweep(config, tmp_path / "rows")
    assert (tmp_path / "rows" / LOCK).exists()
    assert run_sweep(config, tmp_path / "rows").left == 0


def test_what_it_would_take(tmp_path, config):
    report = planned(config, tmp_path / "rows")
    assert (report.points, report.chunks, report.programs) == (8, 8, 8)
    assert report.seconds_left > 0
    assert report.row_bytes == 8 * 8 * len(Store(tmp_path / "rows", config).schema)
    assert not (tmp_path / "rows").exists()


def test_numbers_that_are_kept(tmp_path):
    config = parse_config(DOCUMENT | {"keep": ["entropy"]})
    run_sweep(config, tmp_path / "rows")
    names = rows_in(tmp_path / "rows").column_names
    assert "entropy" in names
    assert "expected_kl" not in names
    with pytest.raises(InvalidInputError, match="keep is entropi: .*perhaps entropy"):
        run_sweep(parse_config(DOCUMENT | {"keep": ["entropi"]}), tmp_path / "other")


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


def test_a_manifest_has_a_line_for_what_is_not_alike(tmp_path, config, monkeypatch):
    def runs():
        run_made(config, tmp_path / "rows")
        return json.loads((tmp_path / "rows" / MANIFEST).read_text())["runs"]

    for times in (1, 2, 3):
        (run,) = runs()
        assert run["times"] == times
        assert run["first"] <= run["last"]
    for number in range(2):
        code = {"commit": f"{number:040d}", "dirty": False}
        monkeypatch.setattr(manifest, "code", lambda code=code: code)
        assert [run["times"] for run in runs()] == [3, *[1] * (number + 1)]
    monkeypatch.setattr(manifest, "MOST_RUNS", 2)
    monkeypatch.setattr(manifest, "code", lambda: None)
    assert [run["code"] for run in runs()] == [code, None]
    assert MOST_RUNS == 100


def test_the_code_is_a_commit_where_there_is_one(tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    assert manifest.code(package) is None
    (package / "a.py").write_text("1")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    if shutil.which("git") is None:
        pytest.skip("no git")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(git + words, cwd=tmp_path, check=True)
    found = manifest.code(package)
    assert len(found["commit"]) == 40
    assert not found["dirty"]
    (package / "a.py").write_text("2")
    assert manifest.code(package) == found | {"dirty": True}
    monkeypatch.setenv("PATH", "")
    assert manifest.code(package) is None


def test_it_says_how_far_it_is_while_it_runs(tmp_path, config):
    seen = []
    run_made(config, tmp_path / "rows", stopped=lambda: seen.append(status(config, tmp_path / "rows").left))
    assert seen == [7, 6, 5, 4, 3, 2, 1, 0]
    with pytest.raises(InvalidInputError, match="rowz: want the folder of a sweep that was started"):
        status(config, tmp_path / "rowz")


def test_a_process_that_a_run_has_started_does_not_keep_its_lock(tmp_path, config):
    here = Store(tmp_path / "rows", config)
    with here.held():
        child = subprocess.Popen(["sleep", "60"])
    try:
        assert run_made(config, tmp_path / "rows").left == 0
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EAGAIN])
def test_a_file_system_without_locks_is_written_and_one_that_is_locked_is_not(
    tmp_path, config, monkeypatch, code
):
    def flock(handle, how):
        raise OSError(code, "no")

    monkeypatch.setattr(fcntl, "flock", flock)
    locked = pytest.raises(InvalidInputError, match="no other sweep runs")
    with locked if code == errno.EAGAIN else contextlib.nullcontext():
        assert run_made(config, tmp_path / "rows").left == 0


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


@pytest.mark.slow
def test_every_kind_of_parameter_is_a_column(tmp_path):
    """Flags, lists of numbers, and numbers that a decoder does not have."""
    decoders = [
        {"name": "remdm", "by_confidence": [True]},
        {"name": "early-commit", "thresholds": [3, 2, 1]},
    ]
    axes = {"source": [{"name": "noisy-bit", "n": 2}], "decoder": decoders, "mix": 0, "steps": 1}
    config = parse_config({"study": "law", "keep": ["forward_kl", "loss"], "axes": axes})
    assert run_sweep(config, tmp_path / "rows").failed == 0
    first, second = rows_in(tmp_path / "rows").to_pylist()
    assert first["decoder.by_confidence"] is True
    assert first["decoder.thresholds"] is None
    assert second["decoder.thresholds"] == [3.0, 2.0, 1.0]
    assert len(second["loss"]) == 2


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
