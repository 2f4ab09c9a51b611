"""Chunks as tasks of Dask: local processes, or a cluster that runs somewhere. Workers return rows only.

Dask sends a task of a lost worker to another one. A chunk that has cost `LOSSES` workers is one of failed
points: it is too large for them, or ends them.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from dask import config as dask_config
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, as_completed

from .._errors import refuse
from .config import Config
from .run import Measured, measure

LOSSES = 3  # workers that one chunk may cost (Dask's own choice)


@contextlib.contextmanager
def workers(count: int) -> Iterator[Client]:
    """A client of so many processes of this machine, each with its share of the cores."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with (
        dask_config.set({"distributed.scheduler.allowed-failures": LOSSES}),
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address="localhost:0") as local,
        Client(local) as client,
    ):
        if len(cores) >= count:
            client.register_plugin(Pinned({i: cores[i::count] for i in range(count)}))
        yield client


@contextlib.contextmanager
def cluster(address: str, patience: float = 10.0) -> Iterator[Client]:
    """A client of the scheduler at `address`; refused where none answers."""
    try:
        client = Client(address, timeout=patience)
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else "none answered"
        refuse("cluster", address, "the address of a Dask scheduler, as tcp://HOST:8786", why)
    with client:
        yield client


class Pinned(WorkerPlugin):
    """Keeps each worker to its own cores."""

    def __init__(self, cores: Mapping[int, list[int]]):
        self.cores = cores

    def setup(self, worker: Any) -> None:
        """Called on each worker as it starts."""
        os.sched_setaffinity(0, self.cores[int(worker.name) % len(self.cores)])


def over(client: Client) -> Any:
    """What `run_sweep` measures chunks with: the workers of a client, in the order in which they end."""

    def measured(config: Config, chunks: Mapping[int, list[int]]) -> Iterator[Measured]:
        double = jax.numpy.result_type(float) == jax.numpy.float64
        futures = {
            client.submit(_on_worker, config, number, indices, double, pure=False): number
            for number, indices in chunks.items()
        }
        try:
            for future in as_completed(futures):
                number = futures[future]
                error = future.exception()
                if isinstance(error, KilledWorker):
                    yield _lost(config, number, chunks[number])
                elif error is not None:
                    raise error
                else:
                    yield future.result()
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                client.cancel(list(futures))

    return measured


def _on_worker(config: Config, number: int, indices: list[int], double: bool) -> Measured:
    jax.config.update("jax_enable_x64", double)
    return measure(config, number, indices)


def _lost(config: Config, number: int, indices: list[int]) -> Measured:
    """The rows of a chunk that ends its workers."""
    points = [config.point(index) for index in indices]
    keys = dict.fromkeys(key for point in points for key in point)
    rows = {key: [point.get(key) for point in points] for key in keys}
    reason = f"{LOSSES} workers were lost with it: out of memory?"
    return Measured(number, {"point": list(indices), **rows, "failed": [reason] * len(points)}, 0.0)
