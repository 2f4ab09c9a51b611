"""Ctrl-C, a closed terminal, a preempted job: a command is told to end, and says which it was."""

import contextlib
import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


@dataclasses.dataclass
class Stop:
    """The signal that came, if one did; true then. `exit_code` is what a shell expects: 128 and it."""

    exit_code: int = 0

    def __bool__(self) -> bool:
        return self.exit_code > 0


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Takes note of the first SIGINT, SIGTERM or SIGHUP, and says so; a second one ends the program.

    A signal that the parent process has ignored, as a shell does for jobs in the background and `nohup`
    for its own, stays ignored. Outside the main thread, which alone gets signals, nothing is done.
    """
    stop, old = Stop(), {}

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        stop.exit_code = 128 + number
        restore()
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):  # no terminal any more
            print("stopping after these steps; once more stops at once", file=sys.stderr, flush=True)

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                old[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
