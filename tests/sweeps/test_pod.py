"""A pod of two processes on loopback: the rows of one process, and one end for all of them."""

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib

import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.sweeps import pod
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.run import run_sweep

pq = pytest.importorskip("pyarrow.parquet")

LAW = """
study = "law"
chunk = 130
[axes]
source = [
  { name = "markov", n = 3, flip = { from = 0.05, to = 0.45, count = 65 } },
  { name = "pairs", n = 3 },
]
steps = [2, 3]
mix = [0.0, 0.1]
decoder = "random"
"""  # chunks that are mapped, small ones of points that fail

SCHEDULE = """
study = "schedule"
chunk = 1
[axes]
source = ["noisy-bit", "markov", "permutation"]
"source.n" = { from = 4, to = 11, count = 8 }
steps = [2, 3, 4]
"""


def rows_in(folder):
    return pq.read_table(folder).sort_by("point")


def start(folder, *words, devices=1):
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-m", "mdmjax", "sweep", "sweep.toml", "--out", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


def start_pod(folder, devices=1):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    places = [f"{index}/2@127.0.0.1:{port}" for index in range(2)]
    return [start(folder, "rows", "--pod", place, devices=devices) for place in places]


def ends(processes):
    """Exit code, standard output and standard error of each; none takes long to follow the others."""
    found = []
    for one in processes:
        out, err = one.communicate(timeout=90)
        found.append((one.returncode, out, err))
    return found


def whole(folder, config):
    (folder / "sweep.toml").write_text(config)
    [(code, _, err)] = ends([start(folder, "whole")])
    assert (code, err) == (0, "")
    return rows_in(folder / "whole")


def wait_for(folder, count):
    limit = time.monotonic() + 60
    while len(list(folder.glob("rows/chunk-*.parquet"))) < count:
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_pod_of_one_process(tmp_path):
    axes = {"source": [{"name": "pairs", "n": [3, 4]}], "steps": [2, 3]}
    config = parse_config({"study": "schedule", "chunk": 3, "axes": axes})
    run_sweep(config, tmp_path / "one")
    with pod.leading() as leader:
        how = {"measured": leader.measured, "stopped": leader.stopped}
        report = run_sweep(config, tmp_path / "rows", **how)
    assert (report.done, report.failed, leader.code) == (4, 2, 0)
    assert rows_in(tmp_path / "rows").equals(rows_in(tmp_path / "one"))


@pytest.mark.parametrize("place", ["", "here", "2/2@a:1", "0/0@a:1", "0/2@a", "-1/2@a:1", "0/2@a:b"])
def test_no_place_in_a_pod(place):
    with pytest.raises(InvalidInputError, match=r"pod is .*: want INDEX/COUNT@HOST:PORT with INDEX in 0"):
        pod.join(place)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_two_processes_give_the_rows_of_one(tmp_path, devices):
    expected = whole(tmp_path, LAW)
    (code, out, err), follower = ends(start_pod(tmp_path, devices))
    assert (code, err) == (0, "")
    assert "264, of which 4 failed" in out
    assert follower == (0, "", "")
    assert expected.num_rows == 264
    assert rows_in(tmp_path / "rows").equals(expected)


@pytest.mark.slow
def test_a_pod_that_was_killed_or_stopped_goes_on_where_it_was(tmp_path):
    expected = whole(tmp_path, SCHEDULE)
    for count, (index, number) in enumerate(
        [(0, signal.SIGKILL), (1, signal.SIGKILL), (0, signal.SIGTERM), (1, signal.SIGTERM)], start=1
    ):
        processes = start_pod(tmp_path)
        wait_for(tmp_path, 8 * count)
        processes[index].send_signal(number)
        found = ends(processes)
        if number == signal.SIGTERM:
            assert [code for code, *_ in found] == [143, 143]
        else:
            assert found[index][0] == -signal.SIGKILL
            assert found[1 - index][0] not in (0, -signal.SIGKILL)
        if (index, number) == (1, signal.SIGKILL):
            line = "mdmjax: error: a process of the pod is gone; the command started again on all goes on\n"
            assert found[0] == (2, "", line)
        left = 72 - len(list(tmp_path.glob("rows/chunk-*.parquet")))
        assert left > 0
    assert [code for code, *_ in ends(start_pod(tmp_path))] == [0, 0]
    assert rows_in(tmp_path / "rows").equals(expected)


@pytest.mark.slow
def test_all_end_with_the_leader_that_refuses(tmp_path):
    (tmp_path / "sweep.toml").write_text(SCHEDULE)
    run_sweep(
        parse_config(tomllib.loads(SCHEDULE.replace("11", "10").replace("8", "7"))),
        tmp_path / "rows",
        stopped=lambda: True,
    )
    leader, follower = ends(start_pod(tmp_path))
    assert leader[:2] == (2, "")
    assert leader[2].startswith("mdmjax: error: --out is rows: want a folder of this sweep")
    assert leader[2].count("\n") == 1
    assert follower == (2, "", "")


@pytest.mark.slow
def test_not_all_of_a_pod_came():
    script = """if True:
        import os
        from mdmjax.sweeps import pod
        try:
            pod.join("1/2@127.0.0.1:1", 1.0)
        except pod.Lost as lost:
            print(lost, flush=True)
            os._exit(2)
    """
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    line = "pod is 1/2@127.0.0.1:1: want all of its processes within 1 s; not all came\n"
    assert (found.returncode, found.stdout, found.stderr) == (2, line, "")
