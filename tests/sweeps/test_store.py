"""The folder of a sweep: its rows and its manifest, what is no folder of it, every way to be stopped."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.run import planned, report_of, run_sweep
from mdmjax.sweeps.store import LOCK, MANIFEST, Store

pq = pytest.importorskip("pyarrow.parquet")

AXES = {"source": ["noisy-bit", "markov"], "source.n": [4, 5], "steps": [2, 3]}
DOCUMENT = {"study": "schedule", "chunk": 1, "axes": AXES}


@pytest.fixture
def config():
    return parse_config(DOCUMENT)


def rows_in(folder):
    """The rows as a reader gets them, in the order of the points."""
    return pq.read_table(folder).sort_by("point")


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


CONFIG = """
study = "schedule"
chunk = 2
[axes]
source = ["noisy-bit", "markov", "permutation"]
"source.n" = [4, 5, 6, 7, 8]
steps = [2, 3, 4]
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_the_same(tmp_path):
    (tmp_path / "sweep.toml").write_text(CONFIG)
    words = [sys.executable, "-m", "mdmjax.cli", "sweep", "sweep.toml", "--out"]
    subprocess.run([*words, "whole"], cwd=tmp_path, check=True, capture_output=True)
    chance, kills = random.Random(0), 0
    while True:
        process = subprocess.Popen(
            [*words, "rows"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with_time = chance.uniform(0.5, 4.0)
        try:
            out, err = process.communicate(timeout=with_time)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            assert kills < 200
            continue
        assert (process.returncode, err) == (0, b""), out
        break
    assert kills > 0
    assert rows_in(tmp_path / "rows").equals(rows_in(tmp_path / "whole"))


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
