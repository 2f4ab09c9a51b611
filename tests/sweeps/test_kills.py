"""Kill -9 of the command, of its workers and of the scheduler, at random moments: the same bits."""

import collections
import contextlib
import json
import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

pq = pytest.importorskip("pyarrow.parquet")
psutil = pytest.importorskip("psutil")
pytest.importorskip("distributed")

CONFIG = """
study = "law"
chunk = 4
[axes]
source = [{ name = "noisy-bit", n = [4, 5], flip = { from = 0.1, to = 0.4, count = 24 } }]
steps = [2]
decoder = ["random", "entropy"]
mix = [0.0, 0.1, 0.2, 0.3]
"""
COMMAND = [sys.executable, "-m", "mdmjax", "sweep", "sweep.toml", "--json", "--out"]
BAR = re.compile(r"(\d+)/(\d+) +(\d+):(\d+):(\d+)")
PATIENCE = 120.0  # seconds for whatever ends by itself


class Sweep:
    """One sweep in `place`: what it ends in, run through once, and where a killed one is."""

    def __init__(self, place, seed):
        self.place, self.chance, self.tally = place, random.Random(seed), collections.Counter()
        (place / "sweep.toml").write_text(CONFIG)
        self.runs, self.started = 0, time.monotonic()
        words = [*COMMAND, "whole"]
        subprocess.run(words, cwd=place, check=True, capture_output=True, timeout=PATIENCE)
        self.whole = {path.name: pq.read_table(path) for path in (place / "whole").glob("chunk-*")}
        self.anew()

    def anew(self):
        self.runs += 1
        self.folder = self.place / f"rows{self.runs}"

    def start(self, *options):
        """The command; returned when it holds its folder, and so after its imports."""
        manifest = self.folder / "_manifest.json"
        before = manifest.stat().st_mtime_ns if manifest.exists() else 0
        process = subprocess.Popen(
            [*COMMAND, self.folder.name, *options],
            cwd=self.place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and not (manifest.exists() and manifest.stat().st_mtime_ns > before):
            time.sleep(0.005)
        return process

    def wait(self, process, most, hurry=0.002):
        """So long at random, mostly from the first new file on; or until one is written."""
        before, rushed = self.chunks(), self.chance.random() < 0.25
        while process.poll() is None and self.chunks() == before and self.chance.random() >= hurry:
            time.sleep(0.005)
        until = time.monotonic() + self.chance.uniform(0, most)
        while process.poll() is None and time.monotonic() < until:
            if rushed and any(self.folder.glob(".*.part")):
                return
            time.sleep(0 if rushed else 0.005)

    def chunks(self):
        """What is done of it; a folder may not be there yet."""
        return {path.name for path in self.folder.glob("chunk-*.parquet")}

    def note(self, before, kind):
        """Nothing that was finished is lost, all of it is what it would have been; where the kill fell."""
        after = self.chunks()
        assert before <= after
        for name in after:
            assert pq.read_table(self.folder / name).equals(self.whole[name])
        parts = list(self.folder.glob(".*.part"))
        moment = (
            "while writing" if parts else "before its first chunk" if after == before else "between files"
        )
        self.tally[kind, moment] += 1

    def finish(self, process, out, err):
        """A run that was not killed: all rows are those of the whole, and nothing is left of the others."""
        assert (process.returncode, err) == (0, ""), out
        found, whole = (
            pq.read_table(folder).sort_by("point") for folder in (self.folder, self.place / "whole")
        )
        assert found.equals(whole)
        assert set(os.listdir(self.folder)) == {*self.whole, "_lock", "_manifest.json"}
        self.tally["sweeps", "ended equal"] += 1
        self.anew()

    def kills(self, kind):
        return sum(count for (what, _), count in self.tally.items() if what == kind)

    def told(self):
        seconds = time.monotonic() - self.started
        return f"{dict(self.tally)} in {seconds:.0f} s"


def kill_commands(place, count):
    """The command alone, killed and started again; where it ends first, a new sweep begins."""
    sweep = Sweep(place, "commands")
    while True:
        before, last = sweep.chunks(), sweep.kills("command") >= count
        process = sweep.start()
        if not last:
            sweep.wait(process, 1.5)
            process.kill()
        if process.wait(PATIENCE) != -signal.SIGKILL:
            sweep.finish(process, *process.communicate(timeout=PATIENCE))
            if last:
                return sweep
            continue
        process.communicate()
        sweep.note(before, "command")


def workers_of(process):
    """The processes that Dask has started for the command."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def kill_workers(place, count):
    """Workers of a command that goes on; one time in five both at once.

    A chunk ends between two kills: one whose workers are all killed before they have started is given up.
    """
    sweep = Sweep(place, "workers")
    while sweep.kills("worker") < count:
        process = sweep.start("--workers", "2")
        while process.poll() is None and sweep.kills("worker") < count:
            sweep.wait(process, 2.0, hurry=0.0)
            both, alive = sweep.chance.random() < 0.2, workers_of(process)
            for worker in sweep.chance.sample(alive, min(len(alive), 1 + both)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
                    sweep.note(set(), "worker")
        sweep.finish(process, *process.communicate(timeout=PATIENCE))
    return sweep


class Dask:
    """A scheduler and two workers, processes of their own."""

    def __init__(self, place):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        silent = {"cwd": place, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        words = [sys.executable, "-m", "dask"]
        where = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        self.scheduler = subprocess.Popen([*words, "scheduler", *where], **silent)
        worker = [*words, "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        self.workers = [subprocess.Popen(worker, **silent) for _ in range(2)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.wait(PATIENCE)


def kill_schedulers(place, count):
    """The scheduler of a cluster: one line, and with a new one the sweep goes on."""
    sweep = Sweep(place, "schedulers")
    while True:
        with Dask(place) as dask:
            before, last = sweep.chunks(), sweep.kills("scheduler") >= count
            process = sweep.start("--cluster", dask.address)
            if not last:
                sweep.wait(process, 1.5)
                dask.scheduler.kill()
            out, err = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            sweep.finish(process, out, err)
            if last:
                return sweep
            continue
        line = f"--cluster is {dask.address}: want a scheduler and workers that measure to the end"
        assert (process.returncode, out) == (2, "")
        assert err.startswith(f"mdmjax: error: {line}; "), err
        assert err.endswith("; run it again: what is done is kept\n")
        assert err.count("\n") == 1
        sweep.note(before, "scheduler")


def interrupt_commands(place, count, *options):
    """Ctrl-C of the terminal, which all processes of the command get: its one line, and none of them stays.

    Every third time it is pressed twice.
    """
    sweep = Sweep(place, "interrupts")
    while True:
        with Dask(place) if "--cluster" in options else contextlib.nullcontext() as dask:
            before, last = sweep.chunks(), sweep.kills("command") >= count
            words = [*COMMAND, sweep.folder.name, *options, *([dask.address] if dask else [])]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = subprocess.Popen(words, cwd=place, preexec_fn=as_of_a_terminal, **pipes)
            if not last and sweep.chance.random() < 0.5:
                sweep.wait(process, 2.0)
            elif not last:
                time.sleep(sweep.chance.uniform(0.2, 6.0))
            twice = sweep.kills("command") % 3 == 2
            for _ in range(0 if last else 1 + twice):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
                time.sleep(0.15)
            out, err = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            sweep.finish(process, out, err)
            if last:
                return sweep
            continue
        allowed = {130, -signal.SIGINT} if twice else {130}  # at its very end Python handles no signal
        assert process.returncode in allowed, err
        assert err in ("", "stopping after these steps; once more stops at once\n")
        if out:
            assert json.loads(out)["left"] > 0
        until = time.monotonic() + 10.0
        while alive := [one for one in psutil.process_iter() if session_of(one) == process.pid]:
            assert time.monotonic() < until, alive
        sweep.note(before, "command")


@pytest.mark.slow
def test_the_bar_of_a_sweep_that_goes_on_is_of_what_is_left(tmp_path):
    sweep = Sweep(tmp_path, "bar")
    process = sweep.start()
    while len(sweep.chunks()) < 20:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    left = len(sweep.whole) - len(sweep.chunks())
    terminal, theirs = pty.openpty()
    words = [*COMMAND, sweep.folder.name]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = []
    with contextlib.suppress(OSError):  # the terminal is closed
        while text := os.read(terminal, 2**16).decode(errors="replace"):
            for done, of, hours, minutes, seconds in BAR.findall(
                re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
            ):
                told = 3600 * int(hours) + 60 * int(minutes) + int(seconds)
                seen.append((time.monotonic(), int(done), int(of), told))
    end = time.monotonic()
    sweep.finish(process, process.communicate(timeout=PATIENCE)[0], "")
    assert {of for _, _, of, _ in seen} == {left}
    assert seen[0][1] < left / 4
    assert seen[-1][1:] == (left, left, 0)
    moment, _, _, told = min(seen, key=lambda one: abs(one[1] - left * 3 / 4))
    assert told / 3 - 2 <= end - moment <= 3 * told + 2  # the machine may do other things


def as_of_a_terminal():
    """A session of its own, that does not ignore Ctrl-C, as a shell lets what is in the background."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def session_of(process):
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        return os.getsid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    return None


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--cluster",)])
def test_interrupted_at_random_moments(tmp_path, options):
    sweep = interrupt_commands(tmp_path, 9, *options)
    print(options, sweep.told())  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kill", "count"), [(kill_commands, 80), (kill_workers, 80), (kill_schedulers, 40)]
)
def test_killed_at_random_moments_it_ends_in_the_same_bits(tmp_path, kill, count):
    sweep = kill(tmp_path, count)
    print(sweep.told())  # noqa: T201  # where the kills fell: seen with -s
    assert sweep.kills(kill.__name__.removeprefix("kill_").removesuffix("s")) >= count
    assert sweep.tally["sweeps", "ended equal"] > 0
