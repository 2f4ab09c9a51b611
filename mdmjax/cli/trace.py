"""`mdmjax trace FILE...`: what the traces of any decoder say of it, and of several, compared."""

from pathlib import Path
from typing import Any

from .._errors import refuse
from .choices import ANIMATE, SHOWN
from .options import Command, Option, Parsed, Positional

FORMATS = ("steps", "canvases", "masks", "own")


def run(parsed: Parsed) -> None:
    """Read, measure, draw what is asked for, and show."""
    from ..files.trace_batches import HowRead
    from ..files.trace_files import read_traces
    from ..files.trace_rows import rows_of
    from ..studies.trace import trace_study
    from .inputs import check_gif, check_picture, key_of
    from .output import show

    values = parsed.values
    key, paths = key_of(values["seed"]), [Path(word) for word in values["files"]]
    if not paths:
        refuse("FILE", "not given", "files of traces, .jsonl, .npz or .parquet")
    if len(set(paths)) < len(paths):
        refuse("FILE", "given twice", "each file once")
    if values["prompt_length"] is not None and values["prompt_length"] < 0:
        refuse("prompt_length", values["prompt_length"], "an integer >= 0")
    check_picture(values["plot"])
    check_gif(values["animate"])
    names = ("mask", "end_token", "prompt_length", "partial")
    mask, end, prompt, partial = (values[name] for name in names)
    files = {}
    for path in paths:
        form, _ = rows_of(path, values["format"])
        how = HowRead(form, mask, prompt, end, partial)
        files[str(path)] = (form, read_traces(path, how))
    report = trace_study(key, files, seed=values["seed"])
    _draw(values, report)
    show(report, json=values["json"])


def _draw(values: dict[str, Any], report: Any) -> None:
    """The pictures of the first file."""
    if values["plot"] is None and values["animate"] is None:
        return
    import numpy as np

    from ..files.atomic import write_bytes
    from ..studies.trace_pictures import animation, heat_map, states_of

    file = report.files[0]
    chunk, title = file.measured.first, Path(file.file).name
    steps, counted = (np.asarray(a)[: chunk.samples] for a in (chunk.traces.steps, chunk.traces.counted))
    if (path := values["plot"]) is not None:
        write_bytes(path, heat_map(steps, counted, title, path.suffix[1:].lower()))
    if (path := values["animate"]) is not None:
        sample = int(np.argmax(counted.any(1)))
        canvases = None if chunk.canvases is None else chunk.canvases[sample]
        width = int(np.flatnonzero(counted[sample])[-1]) + 1
        cut = None if canvases is None else canvases[:, :width]
        states = states_of(steps[sample, :width], counted[sample, :width], cut, chunk.mask)
        write_bytes(path, animation(states, f"{title}, sample {sample}"))


COMMAND = Command(
    "trace",
    "How parallel, and in which order, any decoder wrote: from the traces of other tools, or of decode.",
    run,
    positionals=(
        Positional(
            "files",
            "Traces: .jsonl, .npz or .parquet. Those after the first are compared with it.",
            "FILE",
            required=True,
            kind=str,
            many=True,
        ),
    ),
    options=(
        Option(
            "format",
            str,
            None,
            "steps: the step that finalised each position (step_map). canvases: the tokens between steps "
            "(histories). masks: what each step accepted (accepted_index). own: of decode --out. Else by "
            "the names in the file.",
            choices=FORMATS,
        ),
        Option("mask", int, None, "Mask token of canvases; else as the file says or shows."),
        Option(
            "prompt-length",
            int,
            None,
            "First tokens that were given; else as the file says.",
        ),
        Option("end-token", int, None, "Token that ends a text: it and what follows do not count."),
        Option("partial", bool, False, "Leave out what was never finalised, and do not refuse it."),
        Option("seed", int, 0, "Seed of the resampling."),
        Option(
            "plot",
            Path,
            None,
            "Draw all samples, position by step, into this .png or .pdf.",
        ),
        ANIMATE,
        *SHOWN,
    ),
    examples=(
        ("mdmjax trace traces.npz", "what mdmjax decode --out traces.npz wrote"),
        ("mdmjax trace base.jsonl fast.jsonl --format canvases --mask 126336", "compared, with intervals"),
    ),
)
