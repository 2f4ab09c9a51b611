"""The command line: one file a command. Nothing heavy is imported before it is needed."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from .._errors import InvalidInputError
from .decode import DecodeCommand
from .errors import complain, parse
from .law import LawCommand
from .loss_curve import LossCurveCommand
from .schedule import ScheduleCommand
from .train import TrainCommand

Command = (
    Annotated[ScheduleCommand, tyro.conf.subcommand("schedule")]
    | Annotated[LawCommand, tyro.conf.subcommand("law")]
    | Annotated[TrainCommand, tyro.conf.subcommand("train")]
    | Annotated[LossCurveCommand, tyro.conf.subcommand("loss-curve")]
    | Annotated[DecodeCommand, tyro.conf.subcommand("decode")]
)
"""Every command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 2 after one line about what is wrong, or 130 when interrupted."""
    if sys.stdout is None:  # as `>&-` leaves it
        return complain("standard output is closed: want a file, a pipe or a terminal to print to")
    command = parse(
        lambda: tyro.cli(
            Command,
            prog="mdmjax",
            description="Exact numbers and optimal unmasking schedules for masked diffusion models.",
            args=argv,
            config=(
                tyro.conf.OmitArgPrefixes,
                tyro.conf.OmitSubcommandPrefixes,
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.FlagCreatePairsOff,
            ),
        )
    )
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        command.run()
        sys.stdout.flush()
    except InvalidInputError as error:
        return complain(str(error))
    except BrokenPipeError:  # the reader of a pipe left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return complain(f"{error.filename or 'standard output'} cannot be used: {error.strerror}")
    return 0
