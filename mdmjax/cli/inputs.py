"""What several commands check and make of their options, before any work."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import refuse
from ..files.atomic import check_writable
from .options import Chosen

if TYPE_CHECKING:
    from ..families import Use
    from ..schedules.schedule import Schedule


def source_of(chosen: Chosen, use: "Use") -> Any:  # a `Source` that gives what the command offers it for
    """The source that the words name, with every size given."""
    from ..studies.sources import FAMILIES, FamilySource, JointSource, LossTableSource
    from ..studies.text_sources import TextSource

    values = chosen.values
    if chosen.name == "joint":
        return JointSource(values["file"])
    if chosen.name == "text":
        return TextSource(values["path"], values["window"], values["classes"])
    if chosen.name == "loss-curve":
        return LossTableSource(values["file"], values["length"], values["isotonic"])
    return FamilySource(chosen.name, FAMILIES[chosen.name].values(use, **values))


def training_source(chosen: Chosen) -> Any:
    """What to train on: a text as windows of tokens; or as for a law, that the model has one."""
    from ..studies.text_sources import CorpusSource

    if chosen.name == "text":
        return CorpusSource(chosen.values["path"], chosen.values["length"], chosen.values["bytes"])
    return source_of(chosen, "law")


def check_seed(seed: int) -> None:
    """Refuse what is no seed."""
    if not 0 <= seed < 2**63:
        refuse("seed", seed, "an integer in 0..2^63-1")


def check_temperature(temperature: float) -> None:
    """Refuse what is no temperature."""
    if not 0 <= temperature < float("inf"):
        refuse("temperature", temperature, "a finite number >= 0", "0 writes the argmax")


def check_suffix(option: str, path: Path, *suffixes: str) -> None:
    """Refuse a file name of another kind, or one that could not be written."""
    if path.suffix.lower() not in suffixes:
        refuse(option, str(path), f"a name that ends in {' or '.join(suffixes)}")
    check_writable(option, path)


def check_picture(path: Path | None) -> None:
    """Refuse a picture that could not be written, or when matplotlib, an extra, is not installed."""
    if path is None:
        return
    check_suffix("plot", path, ".png", ".pdf")
    if importlib.util.find_spec("matplotlib") is None:
        refuse("plot", "not possible here", "matplotlib", "pip install 'mdmjax[figures]'")


def write_picture(path: Path | None, report: Any) -> None:
    """The picture of a report, if one is asked for, whole or not at all."""
    if path is not None:
        from ..files.atomic import write_bytes
        from ..studies.plots import picture

        write_bytes(path, picture(report, path.suffix[1:].lower()))


def counts_of(text: str, n: int) -> "Schedule":
    """The schedule that is written as `1,2,2`."""
    from ..schedules.schedule import Schedule

    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        refuse("counts", text, "integers with commas between them, as 1,2,2")
    schedule = Schedule(counts)
    if schedule.n != n:
        refuse("counts", text, f"a sum of n = {n}", f"theirs is {schedule.n}")
    return schedule


def check_steps(steps: int, n: int) -> None:
    """Refuse a number of steps that no schedule has."""
    if not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}")
