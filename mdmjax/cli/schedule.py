"""`mdmjax schedule SOURCE`: the best unmasking schedule of a source, beside those in use."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from .._errors import refuse
from ..files.atomic import check_writable_folder, write_bytes
from .file_sources import LossCurveFile
from .loaded import Sized, options_of
from .model_source import ModelCurve
from .pictures import check_picture
from .sources import Source


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
        from .progress import track

        self._check()
        source = self.source
        if isinstance(source, Sized):
            source = source.sized(source.curve_sizes)
        loaded = source.load(track)

        from .result import build

        result = build(loaded, options_of(source), self.steps, self.epsilon)
        if isinstance(self.source, LossCurveFile | ModelCurve) and self.source.bootstrap:
            from .result import with_bootstrap

            result = with_bootstrap(result, loaded, self.source)
        self._write(result)
        if self.json:
            print(json.dumps(result, allow_nan=False))
        else:
            from .table import show

            show(result, sys.stdout)

    def _check(self) -> None:
        """Refuse, before any work, options that do not fit or files that could not be written."""
        if self.steps is not None and self.epsilon is not None:
            refuse("steps, epsilon", f"{self.steps}, {self.epsilon}", "only one of the two")
        if self.steps is not None and self.steps < 1:
            refuse("steps", self.steps, "an integer in 1..n")
        if self.epsilon is not None and not 0 < self.epsilon < math.inf:
            refuse("epsilon", self.epsilon, "a positive number of nats")
        if self.plot:
            check_picture(self.plot)
        if self.export:
            check_writable_folder("export", self.export)

    def _write(self, result: dict[str, Any]) -> None:
        """Write the picture and the export, each whole or not at all."""
        if self.plot:
            from .plot import draw

            write_bytes(self.plot, draw(result, self.plot.suffix[1:].lower()))
        if self.export:
            from ..files.schedule_files import export_schedule
            from ..schedules.schedule import Schedule

            kept = ("source", "title", "method", "criterion", "expected_kl", "nll")
            metadata = {key: result[key] for key in kept}
            export_schedule(self.export, Schedule(result["steps"]), metadata)
