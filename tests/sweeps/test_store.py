"""The folder of a sweep: its rows and its manifest, what is no folder of it, its lock."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import subprocess

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.sweeps import manifest
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.manifest import MANIFEST, MOST_RUNS
from mdmjax.sweeps.run import planned, report_of, run_sweep, status
from mdmjax.sweeps.store import LOCK, Store

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from _sweeps import AXES, DOCUMENT, rows_in, run_made  # noqa: E402


@pytest.fixture
def config():
    return parse_config(DOCUMENT)


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
