"""Chunks as tasks of Dask: local processes, or a cluster that runs somewhere. Workers return rows only.

Dask sends a task of a lost worker to another one. A chunk that has cost `LOSSES` workers, perhaps by bad
luck, is tried again when all others are done; one that costs as many once more is one of failed points: it
is too large for them, or ends them. Where the scheduler is lost, the sweep ends, and can go on.
"""

import contextlib
import functools
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from dask import config as dask_config
from distributed import Client, Future, KilledWorker, LocalCluster, Status, WorkerPlugin, as_completed

from .._errors import refuse
from .config import Config, parse_config
from .manifest import versions
from .run import Measured, Stream, measure

LOSSES = 3  # workers that one chunk may cost at a time (our choice; a cluster has its own)
LOOK = 0.02  # seconds between looks for a chunk that has ended: workers do not wait for them

GONE = Status.closed, Status.failed

LOCAL = {
    "distributed.scheduler.allowed-failures": LOSSES - 1,
    "distributed.scheduler.worker-saturation": 1.0,  # a chunk that waits is not lost with the one before it
    "distributed.deploy.lost-worker-timeout": "365 days",  # else one that starts again slowly is given up
    "distributed.worker.multiprocessing-method": "spawn",  # a fork would hold the lock of the folder
    "distributed.worker.memory.target": False,  # JAX keeps its memory: who waits for it waits for ever
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
"""How Dask is set for workers of this machine; one that takes nearly all of its memory is ended."""


class BrokenError(RuntimeError):
    """The scheduler is gone, or its workers cannot measure."""


@contextlib.contextmanager
def workers(count: int) -> Iterator[Client]:
    """A client of so many processes of this machine, each with its share of the cores."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    _start_tracker()  # which lets signals through again
    with _quiet(), dask_config.set(LOCAL), contextlib.ExitStack() as stack:
        with _without_signals():
            local = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address="localhost:0",
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
        if len(cores) >= count:
            client.register_plugin(Pinned({i: cores[i::count] for i in range(count)}))
        with _told("workers", count):
            yield client


@contextlib.contextmanager
def cluster(address: str, patience: float = 10.0) -> Iterator[Client]:
    """A client of the scheduler at `address`; refused where none answers, or it does so no more."""
    with _quiet():
        try:
            client = Client(address, timeout=patience)
        except Exception as error:  # Dask has many for an address that is none
            why = str(error).splitlines()[0] if str(error) else "none answered"
            refuse("cluster", address, "the address of a Dask scheduler, as tcp://HOST:8786", why)
        with client, _told("cluster", address):
            yield client


@contextlib.contextmanager
def _told(argument: str, value: Any) -> Iterator[None]:
    try:
        yield
    except BrokenError as error:
        remedy = f"{error}; run it again: what is done is kept"
        refuse(argument, value, "a scheduler and workers that measure to the end", remedy)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is logged: Dask tells of every connection that is lost, which is no news to a user."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Threads that begin here, and the processes that they start, get no Ctrl-C of the terminal.

    It is for the command, which goes on to the end of a chunk; workers end with it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _start_tracker() -> None:
    """Python's process that removes semaphores of ended ones, so that it does not complain of each."""
    if sys.platform == "win32":
        return
    from multiprocessing import resource_tracker

    old = list(sys.warnoptions)
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions[:] = old


class Pinned(WorkerPlugin):
    """Keeps each worker to its own cores."""

    def __init__(self, cores: Mapping[int, list[int]]):
        self.cores = cores

    def setup(self, worker: Any) -> None:
        """Called on each worker as it starts."""
        os.sched_setaffinity(0, self.cores[int(worker.name) % len(self.cores)])


def over(client: Client) -> Any:
    """What `run_sweep` measures chunks with: the workers of a client, in the order in which they end."""

    def measured(config: Config, chunks: Mapping[int, list[int]]) -> Stream:
        double = jax.numpy.result_type(float) == jax.numpy.float64
        work = functools.partial(_on_worker, json.dumps(config.document), double, versions())
        left = list(chunks)
        for last in (False, True):
            lost: list[int] = []
            tasks = client.map(work, left, [chunks[number] for number in left], pure=False)
            futures = dict(zip(tasks, left, strict=True))
            try:
                for future in _ended(client, tasks):
                    number = futures.pop(future)
                    try:
                        yield _result(client, future)
                    except KilledWorker as error:
                        if last:
                            yield _lost(config, number, chunks[number], 2 * (error.allowed_failures + 1))
                        else:
                            lost.append(number)
                    future.release()  # what is written is not kept, nor measured again for a lost worker
            finally:
                if client.status == "running":
                    with contextlib.suppress(OSError):
                        client.cancel(list(futures))
            left = lost

    return measured


def _ended(client: Client, futures: list[Future]) -> Iterator[Future]:
    """Futures in the order in which they end, while there is somebody to wait for."""
    ready = as_completed(futures)
    while not ready.is_empty():
        if ready.has_ready():
            yield next(ready)
        else:
            _check(client)
            time.sleep(LOOK)


def _check(client: Client) -> None:
    """Refuse to wait for a scheduler that is gone, or for local workers of which none is left."""
    if client.status != "running":
        raise BrokenError("the scheduler is gone")
    if client.cluster and all(one.status in GONE for one in client.cluster.workers.values()):
        raise BrokenError("no worker is left")


def _result(client: Client, future: Future) -> Measured:
    """What a future that has ended gives; waited for again, if its worker is lost before we have it."""
    while True:
        try:
            return future.result(timeout=1.0)
        except KilledWorker:
            raise
        except Exception as error:
            if future.status == "error":
                cause = error.__cause__ or error
                raise BrokenError(f"it says {type(cause).__name__}: {cause}") from error
            if not isinstance(error, TimeoutError):
                raise BrokenError("the scheduler is gone") from error
            _check(client)


def _on_worker(
    document: str, double: bool, wanted: Mapping[str, str], number: int, indices: list[int]
) -> Measured:
    """A worker with other versions would perhaps round otherwise."""
    jax.config.update("jax_enable_x64", double)
    for name, there in versions().items():
        if there != wanted[name]:
            raise RuntimeError(f"{name} is {there} there, {wanted[name]} here")
    return measure(_config(document), number, indices)


@functools.lru_cache(1)
def _config(document: str) -> Config:
    """A config is sent as its text, which is short where its axes are not."""
    return parse_config(json.loads(document))


def _lost(config: Config, number: int, indices: list[int], losses: int) -> Measured:
    """The rows of a chunk that ends its workers."""
    points = [config.point(index) for index in indices]
    keys = dict.fromkeys(key for point in points for key in point)
    rows = {key: [point.get(key) for point in points] for key in keys}
    reason = f"{losses} workers were lost with it: out of memory?"
    return Measured(number, {"point": list(indices), **rows, "failed": [reason] * len(points)}, 0.0)
