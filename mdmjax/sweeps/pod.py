"""Chunks on the processes of a pod: one command on each of its hosts, which `jax.distributed` joins.

In rounds every process measures one chunk on its own devices. The first process leads: it alone has the
folder, says which chunks a round has, and when all end. What they say is JSON, whose floats are exact; it
travels by JAX's collectives, so that hosts share nothing but their network.
"""

import contextlib
import json
import os
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

from .._errors import refuse
from .config import Config, parse_config
from .run import Chunks, Measured, measure

PLACE = re.compile(r"(\d{1,6})/(\d{1,6})@(.+:\d{1,5})")
PATIENCE = 300.0  # seconds in which all processes must have come (JAX's own default)


class Lost(Exception):
    """A process of the pod is gone. JAX would wait for it as this one ends: leave by `os._exit`."""


class Leader:
    """The first process: `measured` is for `run_sweep`, and so is `stopped`.

    `code` is what all processes end with: that of the signal that stops one of them, or 0.
    """

    def __init__(self, code: Callable[[], int]):
        self._code, self._told, self._waiting = code, 0, 0

    @property
    def code(self) -> int:
        """The exit code of this process, or of another one that was told to stop."""
        return self._code() or self._told

    def stopped(self) -> bool:
        """Whether to stop: not before all rows of a round are written."""
        return self.code > 0 and not self._waiting

    def measured(self, config: Config, chunks: Chunks) -> Iterator[Measured]:
        """Measure one chunk on every process at a time."""
        _exchange({"config": config.document})
        left = deque(chunks)
        while left:
            numbers = [left.popleft() for _ in range(min(jax.process_count(), len(left)))]
            _exchange({"round": numbers})
            answers = _exchange(_answer(config, chunks, numbers, self._code()))
            for answer in answers:
                if answer["fault"]:
                    raise RuntimeError(f"a process of the pod failed:\n{answer['fault']}")
                self._told = self._told or answer["code"]
            found = [Measured(*answer["found"]) for answer in answers if answer["found"]]
            for place, one in enumerate(found, start=1):
                self._waiting = len(found) - place
                yield one


@contextlib.contextmanager
def leading(code: Callable[[], int] = lambda: 0) -> Iterator[Leader]:
    """Lead the pod, and end it: with the leader's code, or with 2 if the work here fails.

    `code` is the exit code of a signal that has come to this process, or 0.
    """
    leader, end = Leader(code), 2
    try:
        yield leader
        end = leader.code
    except Lost:
        end = None  # nobody is told
        raise
    finally:
        if end is not None:
            _exchange({"end": end})
            jax.distributed.shutdown()


def follow(code: Callable[[], int] = lambda: 0) -> int:
    """Measure what the leader says, until it says with which code to end."""
    config, chunks = None, []
    while True:
        match _exchange(None)[0]:
            case {"end": end}:
                jax.distributed.shutdown()
                return end
            case {"config": document}:
                config = parse_config(document)
                chunks = config.chunks()
            case {"round": numbers}:
                assert config is not None
                _exchange(_answer(config, dict(enumerate(chunks)), numbers, code()))


def join(place: str, patience: float = PATIENCE) -> bool:
    """Be a process of a pod; returns whether this one is to lead. To be called before JAX computes.

    `place` is `INDEX/COUNT@HOST:PORT`, of which the first process listens at `HOST:PORT`, or `auto` in a
    job of a kind that JAX knows.

    Raises:
        InvalidInputError: no such place, no such job; unequal numbers of devices.
        Lost: not all of them came.
    """
    _initialize(place, patience)
    if len(jax.devices()) != jax.local_device_count() * jax.process_count():
        devices = f"of {len(jax.devices())} devices on {jax.process_count()} processes"
        refuse("pod", devices, "as many devices on every process")
    with _silent():
        _exchange(None)
    return jax.process_index() == 0


def _initialize(place: str, patience: float) -> None:
    """`jax.distributed.initialize`, which ends the process where the others do not come in time."""
    where: dict[str, Any] = {}
    if place != "auto":
        parts = PLACE.fullmatch(place)
        if parts is None or not int(parts[1]) < int(parts[2]):
            wanted = "INDEX/COUNT@HOST:PORT with INDEX in 0..COUNT-1, or auto"
            refuse("pod", place, wanted, "HOST:PORT is that of process 0")
        where = {"process_id": int(parts[1]), "num_processes": int(parts[2])}
        where |= {"coordinator_address": parts[3], "cluster_detection_method": "deactivate"}
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM
    faults: list[Exception] = []

    def initialize() -> None:
        try:
            jax.distributed.initialize(**where, initialization_timeout=int(patience) + 3600)
        except Exception as fault:
            faults.append(fault)

    thread = threading.Thread(target=initialize, daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        raise Lost(f"pod is {place}: want all of its processes within {patience:g} s; not all came")
    if faults and place == "auto":
        remedy = "else INDEX/COUNT@HOST:PORT"
        refuse("pod", place, "a job of SLURM, MPI, Kubernetes or TPUs that JAX knows", remedy)
    if faults:
        refuse("pod", place, "an address at which process 0 can listen", str(faults[0]).splitlines()[0])


def _answer(config: Config, chunks: Chunks, numbers: list[int], code: int) -> dict[str, Any]:
    """What a process says at the end of a round: its rows, that it failed, that it was told to stop."""
    found, fault, index = None, None, jax.process_index()
    try:
        if index < len(numbers):
            found = measure(config, numbers[index], chunks[numbers[index]])
    except Exception:
        fault = traceback.format_exc()
    return {"found": found, "fault": fault, "code": code}


def _exchange(message: Any) -> list[Any]:
    """What every process says, in their order; each waits for all."""
    data = np.frombuffer(json.dumps(message).encode(), np.uint8)
    try:
        sizes = process_allgather(np.array(data.size, np.int32))
        room = 1 << int(sizes.max()).bit_length()  # a power of two: few programs are compiled
        rows = process_allgather(np.pad(data, (0, room - data.size)))
    except Exception as fault:
        raise Lost("a process of the pod is gone; the command started again on all goes on") from fault
    return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing on standard output, where Gloo greets as processes first meet."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
