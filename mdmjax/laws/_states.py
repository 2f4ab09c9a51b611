"""States with their mass: what the frontier of a law is made of, and how equal ones are added up."""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.sparse import csr_array

from .._types import Float, Int
from ._rows import States

Numbers = Int[np.ndarray, " m"]
Mass = Float[np.ndarray, " m"]


class Frontier(NamedTuple):
    """States with their mass: tokens as codes, calls so far, last changes, and what is remembered.

    `last[s, i, t]` is the part of the mass of state `s` whose position `i` last changed in step `t`; it
    has no states where no token is ever revised, for then it is not needed. `memory` has the arrays of the
    decoder that it remembers, each with a leading axis of states; no array for a decoder without memory.
    """

    codes: Numbers
    calls: Numbers
    mass: Mass
    last: Float[np.ndarray, "m_or_0 n steps"]
    memory: Any


def taken(arrays: Any, rows: Any) -> Any:
    """These rows of every array; an array without rows is as it is."""
    return jax.tree.map(lambda x: x[rows] if len(x) else x, arrays)


def alike(numbers: Numbers, memory: Any) -> tuple[Int[np.ndarray, " kinds"], Int[np.ndarray, " m"]]:
    """The first of each kind of equal rows, and which kind each is of: memory is compared byte by byte."""
    leaves = [leaf for leaf in jax.tree.leaves(memory) if leaf.size]
    if leaves:
        flat = [np.ascontiguousarray(x).reshape(len(x), x.size // len(x)) for x in (numbers, *leaves)]
        rows = np.concatenate([x.view(np.uint8) for x in flat], axis=1)
        numbers = rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]
    return np.unique(numbers, return_index=True, return_inverse=True)[1:]


def merged(parts: list[Frontier], code_count: int) -> tuple[Frontier, Int[np.ndarray, " before"]]:
    """One frontier with equal states added up, and which of its states each has become."""
    codes, calls, mass, last, memory = jax.tree.map(lambda *columns: np.concatenate(columns), *parts)
    # The calls are a further digit in front of the code.
    first, which = alike(codes + code_count * calls, memory)
    added = np.bincount(which, weights=mass, minlength=first.size)
    if len(last):
        adder = csr_array((np.ones(which.size), (which, np.arange(which.size))))
        last = (adder @ last.reshape(which.size, -1)).reshape(first.size, *last.shape[1:])
    return Frontier(codes[first], calls[first], added, last, taken(memory, first)), which


def last_changes(
    last: Float[np.ndarray, "m n steps"], total: Mass, flow: csr_array, before: States, after: np.ndarray
) -> np.ndarray:
    """`last` of what follows: its sources' by the shares in `flow`, or now where the token changed."""
    target = np.repeat(np.arange(len(after)), np.diff(flow.indptr))
    columns = []
    for old, new, steps in zip(before.T, after.T, last.transpose(1, 0, 2), strict=True):
        kept = new[target] == old[flow.indices]
        stays, moves = (
            csr_array((flow.data * part, flow.indices, flow.indptr), flow.shape) for part in (kept, ~kept)
        )
        columns.append(np.column_stack([stays @ steps, moves @ total]))
    return np.stack(columns, axis=1)
