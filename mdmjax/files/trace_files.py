"""The traces of any decoder on disk: ours are written here, and those of other tools are read."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..decoders.run import Trace
from .atomic import write_bytes
from .trace_about import Sample
from .trace_batches import Chunk, HowRead, chunk_of, sample_of, seen_mask
from .trace_rows import rows_of

CHUNK = 2**23
"""Numbers of traces that are read at once (our choice): they are some ten times as many bytes."""
AS_IT_SAYS = HowRead()
"""Nothing is known but what a file says of itself."""


def write_traces(path: Path, traces: Trace, q: int) -> None:
    """Write the arrays of traces, and the mask token `q`, to an `.npz`, whole or not at all."""
    buffer = io.BytesIO()
    arrays = {name: value for name, value in traces._asdict().items() if value is not None}
    np.savez_compressed(buffer, **arrays, q=np.asarray(q))
    write_bytes(path, buffer.getvalue())


def read_traces(path: Path, how: HowRead = AS_IT_SAYS, *, chunk: int = CHUNK) -> Iterator[Chunk]:
    """The samples of a `.jsonl`, `.npz` or `.parquet`, some at a time: as many as have `chunk` numbers.

    Lengths are filled up to powers of two, and so are numbers of samples: programs are compiled for few.

    Raises:
        InvalidInputError: no such file, one without traces, of no known format, with a line that is no
            JSON, with steps that are no integers or out of order, or positions that were never finalised.
    """
    form, rows = rows_of(path, how.form)
    held, size = list[Sample](), 0
    for row in rows:
        sample = sample_of(path, row, form)
        if form == "canvases" and how.mask is None:
            how = dataclasses.replace(how, mask=seen_mask(path, row, sample.trace))
        longest = max(size, sample.trace.size)
        if held and longest * (len(held) + 1) > chunk:
            yield chunk_of(path, held, form, how)
            held, longest = [], sample.trace.size
        size = longest
        held.append(sample)
    yield chunk_of(path, held, form, how)
