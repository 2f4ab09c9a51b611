"""The traces of a decoder on disk."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..decoders.run import Trace
from .atomic import write_bytes


def write_traces(path: Path, traces: Trace, q: int) -> None:
    """Write traces with a leading axis to an `.npz`: `tokens` and `finalised` `[samples, n]`, `calls`, `q`.

    Whole or not at all. `q` is the mask token; see `Trace` for the others.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(values) for name, values in traces._asdict().items()}
    np.savez_compressed(buffer, **arrays, q=np.asarray(q))
    write_bytes(path, buffer.getvalue())
