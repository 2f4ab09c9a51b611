"""The command line: `mdmjax schedule SOURCE`. Nothing heavy is imported before it is needed."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from .._errors import InvalidInputError
from .errors import parse, report
from .schedule import ScheduleCommand

Command = (
    Annotated[ScheduleCommand, tyro.conf.subcommand("schedule")] | Annotated[None, tyro.conf.Suppress]
)
"""Every command; a second one is added with `|`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 after one line about what is wrong."""
    command = parse(
        lambda: tyro.cli(
            Command,
            prog="mdmjax",
            description=__doc__,
            args=argv,
            config=(
                tyro.conf.OmitArgPrefixes,
                tyro.conf.OmitSubcommandPrefixes,
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.FlagCreatePairsOff,
            ),
        )
    )
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        command.run()
    except InvalidInputError as error:
        return report(str(error))
    except BrokenPipeError:  # `mdmjax ... | head`
        sys.stderr.close()
        return 0
    return 0
