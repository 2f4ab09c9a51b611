"""The traces of a decoder on disk."""

import io
from pathlib import Path

import numpy as np

from ..decoders.run import Trace
from .atomic import write_bytes


def write_traces(path: Path, traces: Trace, q: int) -> None:
    """Write the arrays of traces, and the mask token `q`, to an `.npz`, whole or not at all."""
    buffer = io.BytesIO()
    arrays = {name: value for name, value in traces._asdict().items() if value is not None}
    np.savez_compressed(buffer, **arrays, q=np.asarray(q))
    write_bytes(path, buffer.getvalue())
