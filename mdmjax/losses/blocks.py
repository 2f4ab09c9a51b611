r"""What a sampler sees that writes block by block: the blocks before are written, those after are masked."""

from typing import NamedTuple

import numpy as np

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._types import Bool, Int

ROW_BYTES, MAX_BYTES = 16, 2**32  # of a position in a row: its id, twice, and masks; all of them


class BlockRows(NamedTuple):
    """One row for each block of each sequence: `regions` are the block, `later` the region after it.

    `left_out` counts the tokens of regions that are in no row.
    """

    sequence: Int[np.ndarray, " rows"]
    block: Int[np.ndarray, " rows"]
    regions: Bool[np.ndarray, "rows length"]
    later: Bool[np.ndarray, "rows length"]
    left_out: int


def block_rows(regions: Bool[np.ndarray, "samples length"], block_length: int) -> BlockRows:
    r"""The blocks of `block_length` tokens of every region, number 0 first, as rows of their own.

    Block $b$ are the positions number $bB, \dots, (b + 1)B - 1$ of a region: what a sampler such as LLaDA's
    writes while the tokens before are known and all after are masks (`later`). A model that is causal
    between blocks (SDAR, LLaDA2, BD3LM) sees none of these. Of a region that is no multiple of $B$ the rest
    is left out, and so are blocks that one sequence alone has, as a standard error needs two.

    Raises:
        InvalidInputError: a block length below 1, or longer than all regions but one; too many rows.

    >>> rows = block_rows(np.ones((2, 5), bool), 2)
    >>> rows.sequence.tolist(), rows.block.tolist(), rows.left_out
    ([0, 0, 1, 1], [0, 1, 0, 1], 2)
    >>> rows.regions[0].astype(int).tolist(), rows.later[0].astype(int).tolist()
    ([1, 1, 0, 0, 0], [0, 0, 1, 1, 1])
    """
    check_integer("block_length", block_length, 1)
    lengths = regions.sum(axis=1)
    most = int(np.sort(lengths)[-2:][0])
    if block_length > most:
        wanted = f"an integer in 1..{most}, the region that two sequences have"
        refuse("block_length", block_length, wanted)
    blocks = lengths // block_length
    count = int(np.sort(blocks)[-2:][0])  # the last of them in two sequences
    blocks = np.minimum(blocks, count)
    need = ROW_BYTES * int(blocks.sum()) * regions.shape[1]
    check_bytes(need, MAX_BYTES, "blocks", "take fewer or shorter sequences", block_length=block_length)
    sequence = np.repeat(np.arange(lengths.size), blocks)
    block = np.arange(sequence.size) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    number = np.where(regions, (np.cumsum(regions, axis=1) - 1) // block_length, -1)[sequence]
    here = number == block[:, None]
    left_out = int(lengths.sum()) - block_length * sequence.size
    return BlockRows(sequence, block, here, number > block[:, None], left_out)
