"""Chunks on workers of Dask: the same rows, whatever is lost on the way."""

import os
import signal
import subprocess
import sys
import tomllib

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.run import run_sweep

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("distributed")

from mdmjax.sweeps import cluster  # noqa: E402

CONFIG = """
study = "schedule"
chunk = 1
[axes]
source = ["noisy-bit", "markov"]
"source.n" = [4, 5, 6]
steps = [2, 3]
"""
SWEEP = parse_config(tomllib.loads(CONFIG))


def rows_in(folder):
    return pq.read_table(folder).sort_by("point")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_workers_give_the_rows_of_one_process_though_one_is_killed(tmp_path):
    (tmp_path / "sweep.toml").write_text(CONFIG)  # by the command: programs that are compiled alike
    words = [sys.executable, "-m", "mdmjax.cli", "sweep", "sweep.toml", "--out", "one"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    with cluster.workers(2) as client:
        pids = list(client.run(os.getpid).values())
        killed = []

        def kill_one():
            if not killed:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
            return False

        report = run_sweep(SWEEP, tmp_path / "two", measured=cluster.over(client), stopped=kill_one)
    assert killed
    assert (report.done, report.failed, report.left) == (12, 0, 0)
    assert rows_in(tmp_path / "one").equals(rows_in(tmp_path / "two"))


def test_no_scheduler_answers():
    with (
        pytest.raises(InvalidInputError, match="cluster is tcp://127.0.0.1:1: want the address of a Dask"),
        cluster.cluster("tcp://127.0.0.1:1", patience=0.2),
    ):
        pass
