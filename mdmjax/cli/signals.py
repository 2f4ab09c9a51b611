"""Ctrl-C, a closed terminal, a preempted job: a command is told to end, and says which it was."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType


@dataclasses.dataclass
class Stop:
    """The signal that came, if one did; true then. `exit_code` is what a shell expects: 128 and it."""

    exit_code: int = 0

    def __bool__(self) -> bool:
        return self.exit_code > 0


def _leave(number: int, frame: FrameType | None = None) -> None:
    """End the process now, its progress bar with it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the cursor that the bar hid
    os._exit(128 + number)


_noted: list[int] = []  # the signals that `stop_on_signals` took note of


def leave_on_ctrl_c() -> None:
    """From now on Ctrl-C ends this process at once, with 130, but where `stop_on_signals` takes note of it.

    As an exception it would wait for XLA's programs to end, be lost in a callback, or crash there. A thread
    is told of the signal as it comes. Nothing is done if SIGINT is ignored, or handled by somebody else,
    outside the main thread, and on Windows.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        return
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.signal(signal.SIGINT, _leave)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

    def watch() -> None:
        while number := os.read(told, 1):
            time.sleep(0.1)  # for the main thread to take note, if it is to
            if _noted:
                _noted.pop()
            elif number[0] == signal.SIGINT and signal.getsignal(signal.SIGINT) is _leave:
                _leave(signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


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
        _noted.append(number)
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
