"""Samples of traces as rows, one after the other, from JSONL, Parquet and NPZ: what `trace_files` reads."""

import importlib.util
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .._errors import refuse, shown
from .arrays import read_npz, reading

NAMES = {
    "steps": ("steps", "step_map", "unmasking_stage", "finalised"),
    "canvases": ("canvases", "histories", "history", "output_history"),
    "masks": ("masks", "accepted_index", "transfer_index"),
}
"""What each format is called in a file; `own` is known by `finalised` and `q`."""
TIME_FIRST = ("histories", "history", "output_history", "accepted_index", "transfer_index")
"""Of these a batch is `[steps, samples, n]`, as samplers keep it; of all others `[samples, steps, n]`."""
DEPTH = {"steps": 1, "canvases": 2, "masks": 2}
"""Axes of one sample."""
MAX_ARRAYS = 2**34
"""Bytes of the arrays of an NPZ (our choice)."""
MAX_LINE = 2**28
"""Bytes of a line (our choice)."""


class Row(NamedTuple):
    """One sample: where it is in the file, its trace, and the other things that the file says of it."""

    place: str
    trace: Any
    about: dict[str, Any]


def rows_of(path: Path, form: str | None) -> tuple[str, Iterator[Row]]:
    """The format of a file, as given or by the names in it, and its samples, read as they are asked for."""
    kind = path.suffix.lower()
    read = {".jsonl": _lines, ".npz": _arrays, ".parquet": _parquet}.get(kind)
    if read is None:
        refuse("FILE", path, "a name that ends in .jsonl, .npz or .parquet")
    samples = read(path)
    first = next(samples, None)
    if first is None:
        refuse("FILE", f"{path} without a trace", "a trace a line, or arrays of them")
    form = form or _format_of(path, *first)

    def rows() -> Iterator[Row]:
        for place, values in itertools.chain([first], samples):
            yield from _samples(path, place, values, form)

    return form, rows()


def _format_of(path: Path, place: str, values: Any) -> str:
    if not isinstance(values, dict):
        refuse("format", "not given", f"one of steps, canvases, masks: {place} of {path} has no names")
    if "finalised" in values and "q" in values:
        return "own"
    found = [form for form, names in NAMES.items() if any(name in values for name in names)]
    if len(found) != 1:
        names = shown(", ".join(map(str, values)) or "no names", 120)
        wanted = "one of steps, canvases, masks, own"
        refuse("format", f"not to be seen: {place} of {path} has {names}", wanted)
    return found[0]


def _samples(path: Path, place: str, values: Any, form: str) -> Iterator[Row]:
    """The samples of a line, which has one, or a batch of them with what is said of each."""
    names = NAMES["steps" if form == "own" else form]
    depth = DEPTH["steps" if form == "own" else form]
    if not isinstance(values, dict):
        values = {names[0]: values}
    name = next((name for name in names if name in values), None)
    if name is None:
        found = shown(", ".join(map(str, values)) or "nothing", 120)
        refuse("FILE", f"{path} with {found} in {place}", f"{' or '.join(names)} (--format {form})")
    trace = values[name]
    about = {key: value for key, value in values.items() if key != name}
    axes = _axes(trace)
    if axes == depth:
        yield Row(place, trace, about)
    elif axes == depth + 1:
        batch = _by_sample(path, place, trace) if name in TIME_FIRST else trace
        for number, one in enumerate(batch):
            yield Row(f"sample {number} of {place}", one, _of_sample(about, number, len(batch)))
    else:
        wanted = f"{depth} axes a sample ({'positions' if depth == 1 else 'steps, then positions'})"
        refuse("FILE", f"{path} with {name} of {axes} axes in {place}", wanted)


def _by_sample(path: Path, place: str, trace: Any) -> Any:
    """`[steps, samples, n]` with the samples first."""
    if hasattr(trace, "swapaxes"):
        return trace.swapaxes(0, 1)
    if len({len(step) for step in trace}) > 1:
        refuse("FILE", f"{path} with steps of different numbers of samples in {place}", "as many in each")
    return [list(steps) for steps in zip(*trace, strict=True)]


EACH = {"q", "mask", "mask_id", "mask_token_id"}
"""What is one for all samples."""
OF_SAMPLE = {"entropy": 1, "difficulty": 1, "tokens": 1, "edits": 1, "prompt_mask": 1, "canvases": 2}
"""Axes of what is said of a sample, none if it is not here; and of masks as many as of a trace."""


def _of_sample(about: dict[str, Any], number: int, batch: int) -> dict[str, Any]:
    """What a batch says of one sample: its entry where there is one for each."""
    found = {}
    for key, value in about.items():
        many = _axes(value) > OF_SAMPLE.get(key, 2 if key in EDITED else 0) and key not in EACH
        if many and key in EDITED:
            found[key] = value[:, number] if hasattr(value, "ndim") else [step[number] for step in value]
        else:
            found[key] = value[number] if many and len(value) == batch else value
    return found


EDITED = ("editing_transfer_index", "edited")


def _axes(value: Any) -> int:
    """How deep lists go, or the axes of an array."""
    if hasattr(value, "ndim"):
        return value.ndim
    depth = 0
    while isinstance(value, list | tuple):
        depth += 1
        value = value[0] if value else None
    return depth


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with reading("FILE", path), path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                refuse("FILE", f"{path} with a line {number} of 256 MiB or more", "one sample a line")
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                text = shown(line.decode("utf-8", "replace"))
                refuse("FILE", f"{path} with {text} in line {number}", "JSON on each line")
            if not isinstance(values, dict | list):
                refuse("FILE", f"{path} with {shown(values)} in line {number}", "an object or a list")
            yield f"line {number}", values


def _arrays(path: Path) -> Iterator[tuple[str, Any]]:
    arrays = read_npz("FILE", path, limit=MAX_ARRAYS, kinds="fiub")
    if any(array.size for array in arrays.values()):
        yield "the arrays", arrays


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    if importlib.util.find_spec("pyarrow") is None:
        refuse("FILE", f"{path}, not readable here", "pyarrow", "pip install 'mdmjax[sweep]'")
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with reading("FILE", path):
        try:
            file = pq.ParquetFile(path)
            for batch in file.iter_batches(batch_size=256):
                for values in batch.to_pylist():
                    number += 1
                    yield f"row {number}", values
        except pa.ArrowException as error:
            refuse("FILE", f"{path}, not to be read", "a Parquet file", shown(error))
