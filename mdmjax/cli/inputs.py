"""What several commands check and make of their options, before any work."""

import dataclasses
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from ..families import Use
from ..files.atomic import check_writable, write_bytes
from .options import Chosen


def source_of(chosen: Chosen, use: Use) -> Any:  # a `Source` that gives what the command offers it for
    """The source that the words name, with every size given; a text for a training is one of tokens."""
    from ..studies import sources
    from ..tasks.registry import task_of, word_of

    values = chosen.values
    if chosen.name == "joint":
        return sources.JointSource(values["file"])
    if chosen.name == "hmm":
        return sources.HMMSource(values["file"], values["n"])
    if chosen.name == "mixture":
        return sources.MixtureSource(values["file"], values["n"])
    if chosen.name == "multiset":
        return sources.MultisetSource(values["repeats"])
    if chosen.name == "text":
        return (sources.TextSource if "window" in values else sources.CorpusSource)(**values)
    if chosen.name.startswith("task:"):
        kept = {key: values[key] for key in ("problems", "reverse")}
        options = {key: value for key, value in values.items() if key not in kept}
        made = word_of(task_of(chosen.name.removeprefix("task:"), **options))
        return sources.TaskSource(made, **kept)
    if chosen.name == "loss-curve":
        kept = {field.name for field in dataclasses.fields(sources.LossTableSource)}
        return sources.LossTableSource(**{key: value for key, value in values.items() if key in kept})
    family = mj.FAMILIES[chosen.name]
    known = {parameter.name: values[parameter.name] for parameter in family.parameters}
    return sources.FamilySource(chosen.name, family.values(use, **known))


def estimated(source: Any, options: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """A hidden Markov model, its losses, curve and subject; without the first two where it is exact."""
    from ..studies.estimated import Estimation, hidden_markov
    from .output import track

    names = ("sequences", "batch", "seed", "fit")
    how = Estimation(**{name: options[name] for name in names}, path=options["losses"])
    found = hidden_markov(source)
    if found is None:
        left_out(options, ("sequences", "losses", "fit"), "left out", "this curve is exact")
        return None, None, *source.curve(track)
    model, subject = found
    if how.path is not None:
        check_suffix("losses", how.path, ".csv")
    return model, *how.curve(model, subject, track)


def key_of(seed: int) -> Any:
    """The key of a seed; refused if it is none."""
    import jax

    if not 0 <= seed < 2**63:
        refuse("seed", seed, "an integer in 0..2^63-1")
    return jax.random.key(seed)


def left_out(values: dict[str, Any], names: Iterable[str], wanted: str, remedy: str = "") -> None:
    """Refuse each of the options that is given."""
    for name in names:
        if values[name] is not None:
            refuse(name, values[name], wanted, remedy)


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


def check_gif(path: Path | None) -> None:
    """Refuse an animation that could not be written, or when matplotlib is not installed."""
    if path is None:
        return
    check_suffix("animate", path, ".gif")
    if importlib.util.find_spec("matplotlib") is None:
        refuse("animate", "not possible here", "matplotlib", "pip install 'mdmjax[figures]'")


def write_picture(path: Path | None, report: Any) -> None:
    """The picture of a report, if one is asked for, whole or not at all."""
    if path is not None:
        from ..studies.plots import picture

        write_bytes(path, picture(report, path.suffix[1:].lower()))


def schedule_of(
    values: dict[str, Any], name: str, n: int, best: Callable[[], tuple[Any, str]]
) -> "tuple[mj.Schedule, str]":
    """The steps of `--counts`, of a file, or as many as `--steps` of a name; and what they are.

    `best` gives the curve of that name's optimum, and where the curve is from.
    """
    from ..files.schedule_files import read_schedule

    if (text := values["counts"]) is not None:
        try:
            counts = [int(part) for part in text.split(",")]
        except ValueError:
            refuse("counts", text, "integers with commas between them, as 1,2,2")
        schedule = mj.Schedule(counts)
        if schedule.n != n:
            refuse("counts", text, f"a sum of n = {n}", f"theirs is {schedule.n}")
        return schedule, "as given"
    if name.endswith(".json"):
        schedule = read_schedule(Path(name))
        if schedule.n != n:
            refuse("schedule", f"{name} of {schedule.n} tokens", f"n = {n} of the model")
        return schedule, f"read from {name}"
    if name != "best" and name not in mj.NAMED:
        refuse("schedule", name, f"best, a file .json, or one of {', '.join(mj.NAMED)}")
    steps = n if values["steps"] is None else values["steps"]
    if not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}")
    if name == "best":
        curve, how = best()
        return mj.optimal_schedule(curve, steps), f"best {how}"
    return mj.NAMED[name](n, steps), name
