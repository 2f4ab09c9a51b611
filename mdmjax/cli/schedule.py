"""`mdmjax schedule SOURCE`: the best unmasking schedule of a source, beside those in use."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .._errors import refuse
from .sources import Loaded, LossCurveFile, Source

if TYPE_CHECKING:
    from ..schedules.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class ScheduleCommand:
    """Best unmasking schedule of a distribution, a text, or a model's loss curve."""

    source: Source
    """What the schedule is for."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of steps. With neither --steps nor --epsilon: the best schedule of every number."""
    epsilon: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Fewest steps whose expected KL in nats is at most this (loss curve: whose excess loss is)."""
    json: bool = False
    """Print one JSON object instead of the table."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Draw the curve, its steps and the error area into this .png or .pdf file."""
    export: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Write the schedule for samplers into this folder."""

    def run(self) -> None:
        """Compute, write the files that are asked for, and print."""
        from . import table
        from .progress import track

        self._check()
        loaded = self.source.load(track)
        result = self._result(loaded)
        if self.plot:
            from ..files.atomic import write_bytes
            from .plot import draw

            write_bytes(self.plot, draw(result, self.plot.suffix[1:].lower()))
        if self.json:
            print(json.dumps(result, allow_nan=False))
        else:
            table.show(result, sys.stdout)

    def _check(self) -> None:
        """Refuse, before any work, options that do not go together or files that cannot be written."""
        from ..files.atomic import check_writable

        if self.steps is not None and self.epsilon is not None:
            refuse("steps, epsilon", f"{self.steps}, {self.epsilon}", "only one of the two")
        if self.steps is not None and self.steps < 1:
            refuse("steps", self.steps, "an integer in 1..n")
        if self.epsilon is not None and not 0 < self.epsilon < float("inf"):
            refuse("epsilon", self.epsilon, "a positive number of nats")
        if self.plot:
            from .plot import check_available

            if self.plot.suffix.lower() not in (".png", ".pdf"):
                refuse("plot", str(self.plot), "a name that ends in .png or .pdf")
            check_writable("plot", self.plot)
            check_available()

    def _result(self, loaded: Loaded) -> dict[str, Any]:
        from .report import build, plain

        options = plain(
            {
                name: str(value) if isinstance(value, Path) else value
                for name, value in dataclasses.asdict(self.source).items()
            }
        )
        return build(loaded, options, self.steps, self.epsilon)
