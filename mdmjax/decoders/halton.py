"""The Halton order: positions of a grid so that each next few are spread over all of it."""

import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .._types import Int
from ..schedules.schedule import Schedule, check_schedule
from .orders import FixedPartition

BASES = 2, 3  # of the rows and the columns


def halton_order(rows: int, columns: int) -> Int[np.ndarray, " n"]:
    r"""The cells of a grid, `row * columns + column`, in the order in which a Halton sequence meets them.

    Point $i = 1, 2, \dots$ is $(\phi_2(i), \phi_3(i))$, $\phi_b$ the digits of $i$ in base $b$ behind the
    point, reversed; it is in cell $(\lfloor r \phi_2 \rfloor, \lfloor c \phi_3 \rfloor)$ of $r$ rows and
    $c$ columns, and a cell counts when it is met first. This is the order of Halton-MaskGIT (arXiv
    2503.17076) and of its authors' code, on squares. Other grids are our choice; so are exact arithmetic,
    where the code has float32, and points without end, where it has 10000. Its option to begin at a random
    place of the order is not built.

    `rows` or `columns` below 1 are refused.

    >>> halton_order(2, 3).tolist(), halton_order(1, 6).tolist()
    ([4, 2, 3, 1, 5, 0], [2, 4, 0, 1, 3, 5])
    """
    rows, columns = check_integer("rows", rows, 1), check_integer("columns", columns, 1)
    count = rows * columns
    while True:
        place, column = (
            _radical_inverse(count, base, size) for base, size in zip(BASES, (rows, columns), strict=True)
        )
        cells = place * columns + column
        first = np.sort(np.unique(cells, return_index=True)[1])
        if first.size == rows * columns:
            return cells[first]
        count *= 2


def halton(schedule: Schedule, rows: int = 1) -> FixedPartition:
    """The next `counts[t]` positions of the Halton order on `rows` rows in step `t`.

    A sequence is one row (our choice). `rows` that do not divide `n` are refused. The authors' own counts
    follow an arccosine; here they are those of any schedule.

    >>> halton(Schedule([2, 2, 2])).levels.tolist()
    [1, 1, 0, 2, 0, 2]
    """
    check_schedule(schedule)
    rows = check_integer("rows", rows, 1)
    if schedule.n % rows:
        refuse("rows", rows, f"a divisor of n = {schedule.n}")
    parts = np.split(halton_order(rows, schedule.n // rows), schedule.boundaries[1:-1])
    return FixedPartition([part.tolist() for part in parts])


def _radical_inverse(count: int, base: int, size: int) -> Int[np.ndarray, " points"]:
    """Which of `size` equal intervals of [0, 1) holds each of the first `count` points in a base."""
    left, digits, whole = np.arange(1, count + 1), np.zeros(count, int), 1
    while left.any():
        digits, left, whole = digits * base + left % base, left // base, whole * base
    return digits * size // whole
