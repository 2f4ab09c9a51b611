"""The command line: one file a command. Nothing heavy is imported before it is needed."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .._errors import InvalidInputError
from ..studies.table import as_text
from . import (
    certify,
    conditionals,
    decode,
    law,
    likelihood,
    loss_curve,
    schedule,
    sweep,
    task,
    trace,
    train,
)
from .help import page
from .options import Command
from .output import complain, write
from .parser import as_typed, asks_for_help, parse
from .signals import leave_on_ctrl_c

COMMANDS = tuple(
    file.COMMAND
    for file in (
        schedule,
        certify,
        law,
        conditionals,
        task,
        train,
        loss_curve,
        decode,
        trace,
        likelihood,
        sweep,
    )
)


def main(argv: Sequence[str] | None = None, commands: Sequence[Command] = COMMANDS) -> int:
    """Run the command line; returns 0, 2 after one line about what is wrong, or 130 when interrupted.

    Only a mistake of ours is a traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        leave_on_ctrl_c()
    parsed = None
    try:
        write("")  # refuses an output that is closed before any work
        if asks_for_help(words):
            write(as_text(page(words, commands), sys.stdout))
            return 0
        parsed = parse(words, commands)
        import jax

        jax.config.update("jax_enable_x64", True)
        if folder := parsed.values.get("compilation_cache"):
            _keep_programs(folder)
        code = parsed.command.run(parsed)
        write("")  # what a command printed by itself
        return code or 0
    except InvalidInputError as error:
        return complain(as_typed(error, parsed) if parsed else str(error))
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return complain(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}")
    except MemoryError:
        return complain("the memory is full: want a smaller problem")
    except RecursionError:
        return complain("the input is nested too deeply")
    except Exception as error:
        fault = _fault_of_the_device(error)
        if fault is None:
            raise
        return complain(fault)


def _keep_programs(folder: Path) -> None:
    """Programs, however short they took to compile, are read from the folder or written to it."""
    import jax

    from ..files.atomic import check_writable_folder

    check_writable_folder("compilation_cache", folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _fault_of_the_device(error: Exception) -> str | None:
    """One line, if the error is that JAX has no device to work on, or that the device is full."""
    import jax

    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error):
        return "the memory of the device is full: want a smaller problem"
    try:
        jax.devices()
    except Exception as fault:  # whatever a backend that does not start raises
        reason = f" ({str(fault).splitlines()[0]})" if str(fault) else ""
        if platforms := os.environ.get("JAX_PLATFORMS"):
            return f"JAX_PLATFORMS is {platforms}: want a platform that JAX finds here, such as cpu{reason}"
        return f"JAX can use no device here{reason}; JAX_PLATFORMS=cpu computes on the CPU"
    return None
