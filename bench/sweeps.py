"""Sweeps: what a chunk costs beside its program, two workers against one, more devices, other tiles."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import jax

from mdmjax.sweeps import cluster
from mdmjax.sweeps.config import Config, parse_config
from mdmjax.sweeps.engine import TILE, Group, built, completed, mapped
from mdmjax.sweeps.run import here, run_sweep
from mdmjax.sweeps.studies import STUDIES

from ._timing import Row, once

TILES = (8, 32, 64)
"""Cases that are one vector, beside `TILE` of them and all."""

NUMBERS = STUDIES["law"].numbers


def laws(n: int, decoder: str, steps: int, points: int, chunk: int = 256) -> Config:
    """Laws of chains that differ in their noise and in the model's error."""
    flips = {"from": 0.05, "to": 0.45, "count": points // 2}
    axes = {"source": [{"name": "markov", "n": n, "flip": flips}], "mix": [0.0, 0.1]}
    return parse_config(
        {"study": "law", "chunk": chunk, "axes": axes | {"decoder": decoder, "steps": steps}}
    )


def of_a_second(chunks: int) -> Config:
    """Chunks of as many points as a chunk has by itself, and of about a second."""
    return laws(9, "random", 4, 256 * chunks)


def groups_of(config: Config) -> Iterator[Group]:
    """The stacked cases of every chunk."""
    for indices in config.chunks():
        points, _ = completed(config, indices)
        yield from built(STUDIES["law"], dict(enumerate(points)))


def program(group: Group, tile: int = TILE) -> dict:
    """The numbers of a chunk, of its stacked cases."""
    assert NUMBERS is not None
    return mapped(NUMBERS, group.arrays, group.known, len(group.places), jax.local_devices(), tile)


def in_turns(works: dict, runs: int) -> tuple[dict, dict]:
    """What the first call of each takes, and the median of further ones, all of them in turns."""
    first = {name: once(work) for name, work in works.items()}
    times = [{name: once(work) for name, work in works.items()} for _ in range(runs)]
    return first, {name: median(one[name] for one in times) for name in works}


def sweep_of(config: Config, measured: Callable = here) -> Callable[[], int]:
    """The whole sweep, into a folder of its own."""

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            report = run_sweep(config, Path(folder) / "rows", measured=measured)
        assert report.done == config.size
        assert report.failed == 0
        return report.done

    return work


def overhead(chunks: int = 3, runs: int = 5) -> Row:
    """A sweep of a few chunks, from its config to its files, against their compiled program alone."""
    config = of_a_second(chunks)
    groups = list(groups_of(config))
    works = {"sweep": sweep_of(config), "program": lambda: [program(group) for group in groups]}
    first, times = in_turns(works, runs)
    ours, theirs = times["sweep"] / chunks, times["program"] / chunks
    note = f"{100 * (ours / theirs - 1):.2g}% beside the program, of {config.chunk} laws"
    what = f"a chunk of a sweep, {ours:.2g} s"
    return Row(what, ours, first["sweep"] - times["sweep"], "its program alone", theirs, 1 / 1.05, note)


def workers(chunks: int = 8, runs: int = 3) -> Row:
    """The sweep on two workers, each pinned to a core, against one that is, once they stand."""
    config, seconds, start = of_a_second(chunks), {}, {}
    cores = sorted(os.sched_getaffinity(0))
    for count in (1, 2):
        began = time.perf_counter()
        with cluster.workers(count) as client:
            client.register_plugin(cluster.Pinned({i: [cores[i]] for i in range(count)}), name="one core")
            work = sweep_of(config, cluster.over(client))
            work()
            start[count] = time.perf_counter() - began
            seconds[count] = median(once(work) for _ in range(runs))
            start[count] -= seconds[count]
    note = f"they start and compile for {start[2]:.2g} s, one for {start[1]:.2g} s"
    return Row(f"{chunks} chunks, two workers", seconds[2], 0.0, "one worker", seconds[1], 1.7, note)


def chunk_seconds(runs: int = 5) -> float:
    """Of the program of a chunk, on the devices that there are."""
    (group,) = groups_of(of_a_second(1))
    return in_turns({"": lambda: program(group)}, runs)[1][""]


def devices() -> list[Row]:
    """The program of a chunk, sharded over forced devices of the CPU, each in a process of its own."""
    script = "import jax; jax.config.update('jax_enable_x64', True); from bench import sweeps;"
    script += "print(sweeps.chunk_seconds())"
    times = {}
    for count in (1, 2, 4, 8):
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", "JAX_PLATFORMS": "cpu"}
        found = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | flags,
            check=True,
            capture_output=True,
            text=True,
        )
        times[count] = float(found.stdout)
    note = f"{len(os.sched_getaffinity(0))} cores"
    return [
        Row(f"a chunk on {count} forced devices", times[count], 0.0, "one device", times[1], 0.0, note)
        for count in (2, 4, 8)
    ]


def tiles(n: int, decoder: str, runs: int = 15) -> Row:
    """The program of a chunk in tiles against one vector of all its cases."""
    config = laws(n, decoder, n // 2, 256)
    (group,) = groups_of(config)
    works = {size: lambda size=size: program(group, size) for size in (TILE, *TILES, config.size)}
    first, times = in_turns(works, runs)
    note = ", ".join(f"{1e3 * times[size]:.3g} ms in tiles of {size}" for size in TILES)
    what = f"{config.size} laws of {decoder}, n = {n}, in tiles of {TILE}"
    ours = times[TILE]
    return Row(what, ours, first[TILE] - ours, "one vector of all", times[config.size], 1 / 1.1, note)


def run() -> list[Row]:
    return [
        overhead(),
        workers(),
        *devices(),
        *(tiles(n, decoder) for n in (4, 6, 8) for decoder in ("random", "entropy")),
    ]
