"""A measured mean and its standard error."""

from typing import NamedTuple

import numpy as np

from .._errors import refuse
from .._types import Array, Float


class Estimate(NamedTuple):
    """A mean and its standard error; an interval of 95% is `mean` plus and minus 1.96 of it."""

    mean: float
    stderr: float


def estimate(values: Float[np.ndarray, " samples"] | Float[Array, " samples"]) -> Estimate:
    r"""The mean of independent values and $s / \sqrt{N}$, $s$ with $N - 1$; refuses fewer than two.

    Of means on the same samples take the estimate of their difference: what they share cancels.

    >>> estimate(np.array([1.0, 2.0, 3.0])).mean, round(estimate(np.array([1.0, 2.0, 3.0])).stderr, 4)
    (2.0, 0.5774)
    """
    values = np.asarray(values, np.float64)
    if values.size < 2:
        refuse("values", f"of {values.size} samples", "at least two", "a standard error needs them")
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))
