"""A joint distribution from a file."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from .._errors import refuse, shown
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from .arrays import read_npz


def read_joint(path: Path, *, limit: int = MAX_TABLE_BYTES) -> Joint:
    """The `Joint` of the array `probs`, of shape `(q,)*n`, in an `.npz` file.

    A table stored in less than float64 sums to one within `1e-4` only: it is checked as it is, then
    divided by its sum in the default float type. The file is read without pickle.

    Raises:
        InvalidInputError: see `read_npz` and `Joint`; and a file without an array `probs`.
    """
    arrays = read_npz("file", path, limit=limit)
    if "probs" not in arrays:
        names = shown(", ".join(sorted(arrays)) or "none")
        refuse("file", f"{path} with arrays {names}", "an array named probs of shape (q,)*n")
    values = arrays["probs"]
    if values.dtype.kind in "iu":
        values = values.astype(np.float64)
    if values.dtype != np.float64:
        Joint(jnp.asarray(values))
        values = values.astype(np.float64)
        values = values / values.sum()
    return Joint(jnp.asarray(values, dtype=jnp.result_type(float)))
