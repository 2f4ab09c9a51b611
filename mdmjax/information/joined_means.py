"""The mean losses of several models side by side: halved together, with the errors of any sum over all."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Key
from .loss_means import LossMeans


@dataclasses.dataclass(frozen=True, eq=False)
class JoinedMeans:
    """What `LossMeans` is of one table, of several: `m` of `n` tokens revealed in the `i`-th are `in + m`.

    Tables that number their sequences are of the same ones, and are halved together; errors are summed over
    sequences. Other tables are taken as independent.

    Raises:
        InvalidInputError: tables with numbered sequences that are not the same (`same_sequences`).
    """

    tables: Sequence[LossMeans]

    def __post_init__(self):
        if not same_sequences(self.tables):
            remedy = "measure all models with the same --sequences and --seed"
            refuse("loss table", "of other sequences or mask counts", "those of the first", remedy)

    @property
    def at(self) -> Int[np.ndarray, " measured"]:
        """The places of all measured losses."""
        return np.concatenate([i * one.table.n + one.at for i, one in enumerate(self.tables)])

    @property
    def degrees(self) -> float:
        """Those of Student's law: of the table that has fewest."""
        return min(one.degrees for one in self.tables)

    def parts(self, losses: Float[np.ndarray, "*other measured"]) -> list[np.ndarray]:
        """What belongs to each table."""
        return np.split(losses, np.cumsum([one.at.size for one in self.tables])[:-1], axis=-1)

    def halves(self, key: Key[Array, ""], pairs: int) -> Float[np.ndarray, "pairs 2 measured"]:
        """Pairs of independent halves of all data: see `LossMeans.halves`."""
        numbered = [one.kind == "sequences" for one in self.tables]
        keys = [key if same or i == 0 else jax.random.fold_in(key, i) for i, same in enumerate(numbered)]
        each = [one.halves(own, pairs) for one, own in zip(self.tables, keys, strict=True)]
        return np.concatenate(each, axis=-1)

    def stderr_of(self, weights: Float[np.ndarray, "sums measured"]) -> Float[np.ndarray, " sums"]:
        """The standard errors of sums of losses over all tables."""
        each = list(zip(self.tables, self.parts(weights), strict=True))
        total = sum(one.stderr_of(own) ** 2 for one, own in each if one.kind != "sequences")
        joint = [(one, own) for one, own in each if one.kind == "sequences"]
        total = total + sum(own**2 @ one.own for one, own in joint)
        shared = sum(one.shares @ own.T for one, own in joint)
        return np.sqrt(total + np.sum(np.square(shared), axis=0))


def same_sequences(tables: Sequence[LossMeans]) -> bool:
    """Whether tables that number their sequences are of the same ones, masked at the same counts."""
    numbered = [one.table for one in tables if one.kind == "sequences"]
    rows = [np.stack([one.sequence, one.n_masked]) for one in numbered if one.sequence is not None]
    rows = [one[:, np.lexsort(one)] for one in rows]
    return all(np.array_equal(rows[0], other) for other in rows[1:])
