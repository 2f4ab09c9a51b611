"""Chunks on workers of Dask: the same rows, whatever is lost on the way."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest import mock

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.run import Measured, run_sweep

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("distributed")

from dask import config as dask_config  # noqa: E402
from dask.system import CPU_COUNT  # noqa: E402
from distributed import CancelledError, Client, Future, KilledWorker, WorkerPlugin  # noqa: E402
from distributed.comm import CommClosedError  # noqa: E402
from distributed.system import MEMORY_LIMIT  # noqa: E402

from mdmjax.sweeps import cluster  # noqa: E402
from mdmjax.sweeps.store import LOCK  # noqa: E402

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


def files_of(pid):
    """The names of the files that a process has open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return [os.readlink(link) for link in links if link.exists() or link.is_symlink()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_workers_give_the_rows_of_one_process_though_one_is_killed(tmp_path):
    (tmp_path / "sweep.toml").write_text(CONFIG)  # by the command: programs that are compiled alike
    words = [sys.executable, "-m", "mdmjax", "sweep", "sweep.toml", "--out", "one"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    with cluster.workers(2) as client:
        pids = list(client.run(os.getpid).values())
        killed, locks = [], []

        def kill_one():
            if not killed:
                locks.extend(
                    sum(name.endswith(LOCK) for name in files_of(pid)) for pid in (os.getpid(), *pids)
                )
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
            return False

        report = run_sweep(SWEEP, tmp_path / "two", measured=cluster.over(client), stopped=kill_one)
    assert killed
    assert locks == [1, 0, 0]  # who lives on when the command is killed does not hold the folder
    assert (report.done, report.failed, report.left) == (12, 0, 0)
    assert rows_in(tmp_path / "one").equals(rows_in(tmp_path / "two"))


def ends(number, how):
    """A plugin of workers that end, each as it measures this chunk: killed, or of hunger for memory."""

    class Ends(WorkerPlugin):  # workers cannot import what is no package: it is sent as it is
        def setup(self, worker):
            from mdmjax.sweeps import cluster

            measure = cluster.measure

            def ending(config, one, indices):
                while one == number:
                    kept.append(b"1" * 2**28) if how == "hungry" else os.kill(os.getpid(), signal.SIGKILL)
                return measure(config, one, indices)

            kept, cluster.measure = [], ending

    return Ends()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["killed", "hungry"])
def test_a_chunk_that_ends_its_workers_is_one_of_failed_points(tmp_path, how):
    share = MEMORY_LIMIT / max(1, CPU_COUNT)  # what Dask gives to a worker
    with dask_config.set({"distributed.worker.memory.terminate": min(0.95, 2e9 / share)}):
        with cluster.workers(2) as client:
            client.register_plugin(ends(3, how))
            report = run_sweep(SWEEP, tmp_path / "rows", measured=cluster.over(client))
        assert (report.done, report.failed, report.left) == (12, 1, 0)
        assert report.reason == "6 workers were lost with it: out of memory?"
        with cluster.workers(2) as client:
            report = run_sweep(SWEEP, tmp_path / "rows", measured=cluster.over(client), retry_failed=True)
    assert (report.done, report.failed, report.left) == (12, 0, 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_worker_is_left(tmp_path):
    def close_all():
        for one in client.cluster.workers.values():
            client.sync(one.close)
        return False

    line = "workers is 1: .*; no worker is left; run it again: what is done is kept"
    with pytest.raises(InvalidInputError, match=line), cluster.workers(1) as client:
        run_sweep(SWEEP, tmp_path / "rows", measured=cluster.over(client), stopped=close_all)
    assert len(list((tmp_path / "rows").glob("chunk-*"))) >= 1


def ended(error, status):
    """A future that ended so."""
    future = mock.create_autospec(Future, instance=True)
    future.result.side_effect, future.status = error, status
    return future


def result_of(future, client_status="running"):
    client = mock.create_autospec(Client, instance=True)
    client.status, client.cluster = client_status, None
    return cluster._result(client, future)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (CommClosedError("in <TCP>"), "finished", "the scheduler is gone"),
        (CancelledError("x"), "cancelled", "the scheduler is gone"),
        (TimeoutError(), "pending", "the scheduler is gone"),
        (ModuleNotFoundError("no mdmjax"), "error", "it says ModuleNotFoundError: no mdmjax"),
        (TimeoutError("of theirs"), "error", "it says TimeoutError: of theirs"),
    ],
)
def test_a_cluster_that_does_not_measure_to_the_end(error, status, line):
    told = f"^cluster is tcp://a:1: want a scheduler and workers .*; {line}; run it again: what is done"
    with pytest.raises(InvalidInputError, match=told), cluster._told("cluster", "tcp://a:1"):
        result_of(ended(error, status), "connecting")


def test_a_result_is_waited_for_again():
    future = ended([TimeoutError(), TimeoutError(), Measured(1, {}, 1.0)], "pending")
    assert result_of(future) == Measured(1, {}, 1.0)


def test_a_chunk_that_costs_too_many_workers_is_one_of_failed_points():
    with pytest.raises(KilledWorker):
        result_of(ended(KilledWorker("task", None, cluster.LOSSES - 1), "error"))
    rows = cluster._lost(SWEEP, 1, [1], 6).rows
    assert rows["point"] == [1]
    assert rows["source.n"] == [4]
    assert rows["failed"] == ["6 workers were lost with it: out of memory?"]


def test_a_worker_of_another_version_is_none():
    wanted = cluster.versions() | {"jax": "0.1"}
    with pytest.raises(RuntimeError, match="jax is .* there, 0.1 here"):
        cluster._on_worker(json.dumps(SWEEP.document), True, wanted, 0, [0])


def test_no_scheduler_answers():
    with (
        pytest.raises(InvalidInputError, match="cluster is tcp://127.0.0.1:1: want the address of a Dask"),
        cluster.cluster("tcp://127.0.0.1:1", patience=0.2),
    ):
        pass
