r"""Loss tables of the blocks of a sequence: side by side, and their mean."""

from collections.abc import Mapping

import numpy as np

from .._errors import refuse, shown
from .loss_curve import LossTable
from .loss_rows import merged_rows

BlockTables = Mapping[int, LossTable]
"""The loss table of every block by its number: block $b$ given those before it, those after it masked."""


def check_blocks(tables: BlockTables) -> None:
    """Refuse blocks of unequal lengths, or of which one lacks rows of a mask count that another has."""
    if not tables:
        refuse("blocks", "none", "the loss table of one block or more")
    lengths = {block: table.n for block, table in tables.items()}
    first = next(iter(lengths))
    for block, n in lengths.items():
        if n != lengths[first]:
            refuse(
                "block", f"{block} of {n} tokens", f"{lengths[first]}, as block {first} has", "one length"
            )
    counts = {block: np.unique(table.n_masked) for block, table in tables.items()}
    every = np.unique(np.concatenate(list(counts.values())))
    for block, known in counts.items():
        missing = np.setdiff1d(every, known)
        if missing.size:
            some = shown(", ".join(map(str, missing)), 60)
            found = f"{block} without rows of n_masked = {some}"
            refuse("block", found, "the same mask counts in every block", "measure them, or leave it out")


def mean_table(tables: BlockTables) -> LossTable:
    r"""The rows of all blocks as those of one curve, $\bar c(m) = \frac1B \sum_b c_b(m)$.

    Every block has the same share of each mask count, however many rows it has. Standard errors are taken
    as independent, as in the tables. Errors of rows that have no sequence count the differences of the
    blocks as noise: they are too wide, not too narrow (our choice).

    Raises:
        InvalidInputError: as `check_blocks`.

    >>> one, two = (LossTable(2, np.array([2, 2, 1]), np.array([3.0, 1.0, 1.0]) / k) for k in (1, 2))
    >>> mean = mean_table({0: one, 1: two})
    >>> [float(mean.loss[mean.n_masked == m] @ mean.count[mean.n_masked == m]) for m in (2, 1)]
    [1.5, 0.75]
    """
    check_blocks(tables)
    one, share = _joined(tables), []
    for table in tables.values():
        total = np.bincount(table.n_masked, table.count)
        share.append(table.count / total[table.n_masked] / len(tables))
    count = np.concatenate(share)
    if one["stderr"] is None:
        return LossTable(
            _length(tables), one["n_masked"], one["loss"], count=count, sequence=one["sequence"]
        )
    n_masked, loss, stderr, count = merged_rows(one["n_masked"], one["loss"], one["stderr"], count)
    return LossTable(_length(tables), n_masked, loss, count=count, stderr=stderr)


def side_by_side(tables: BlockTables) -> LossTable:
    r"""One table of as many positions as all blocks have: $m$ revealed of the $j$-th is $jn + m$ revealed.

    It is no curve of a sequence. But sums over blocks are sums over its mask counts: so their standard
    errors are known, and halves of the sequences are the same in every block.

    >>> rows = LossTable(2, np.array([2, 1]), np.array([2.0, 1.0]))
    >>> both = side_by_side({0: rows, 1: rows})
    >>> both.n, (both.n - both.n_masked).tolist()
    (4, [0, 1, 2, 3])
    """
    check_blocks(tables)
    n, one = _length(tables), _joined(tables)
    sizes = [table.loss.size for table in tables.values()]
    after = len(tables) - 1 - np.repeat(np.arange(len(tables)), sizes)
    one["n_masked"] = one["n_masked"] + n * after
    return LossTable(n * len(tables), **one)


def _length(tables: BlockTables) -> int:
    return next(iter(tables.values())).n


def _joined(tables: BlockTables) -> dict:
    """The columns of all tables below each other; one that some table has not is None."""
    columns = {}
    for name in ("n_masked", "loss", "count", "stderr", "sequence"):
        parts = [getattr(table, name) for table in tables.values()]
        columns[name] = None if any(part is None for part in parts) else np.concatenate(parts)
    return columns
