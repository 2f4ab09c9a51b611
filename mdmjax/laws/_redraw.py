r"""Blocks masked and redrawn, on tables: the engine of the stationary laws, in NumPy.

Redrawing block $B$ takes the law $m$ to $m'(x) = m(x_{-B}) \prod_{i \in B} \hat p(x_i \mid x_{-B})$: a sum
over some axes of the table and a product, with no matrix on sequences.
"""

from collections.abc import Sequence

import numpy as np

from .._checks import Numbers, as_floats, check_integer, check_rows
from .._contexts import readable_state
from .._errors import check_bytes, refuse
from .._types import Bool, Float
from ..denoisers.base import AbstractDenoiser
from ..divergences.tables import Table, Tabulated
from ._blocks import CONTEXTS_AT_ONCE, block_products
from ._rows import with_tables


class Pass:
    """One pass as a function of a law: the tables of the blocks, and where the denoiser is NaN."""

    def __init__(
        self,
        denoiser: AbstractDenoiser,
        blocks: Sequence[Sequence[int]],
        weights: Numbers | None,
        max_bytes: int,
    ):
        self.n, self.q = denoiser.n, denoiser.q
        self.blocks = [tuple(check_integer("blocks", i, 0) for i in block) for block in blocks]
        for block in self.blocks:
            if len(set(block)) < len(block) or max(block, default=0) >= self.n:
                refuse("blocks", [list(b) for b in self.blocks], f"sets of positions 0..{self.n - 1}")
        if not self.blocks:
            refuse("blocks", "empty", "at least one set of positions")
        self.weights = None if weights is None else _checked_weights(weights, len(self.blocks))
        widest = min(CONTEXTS_AT_ONCE, max(self.q ** (self.n - len(b)) for b in self.blocks))
        need = (len(self.blocks) + 3) * self.q**self.n * 8 + widest * self.n * (self.q * 24 + 8)
        check_bytes(need, max_bytes, "the table of the sweep", "use fewer positions or blocks")
        denoiser = with_tables(denoiser)
        self.tables, self.missing = zip(*(_redraw_table(denoiser, b) for b in self.blocks), strict=True)

    def start(self, law: Table | None) -> Float[np.ndarray, "..."]:
        """The law to start from, as float64."""
        shape = (self.q,) * self.n
        if law is None:
            return np.full(shape, 1.0 / self.q**self.n)
        table = law.probs if isinstance(law, Tabulated) else law
        if table.shape != shape:
            refuse("start", f"of shape {table.shape}", f"shape (q,)*n = {shape}")
        check_rows("start", table.reshape(-1))
        return _normalised(np.asarray(table, np.float64))

    def __call__(self, law: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The law after a pass."""
        if self.weights is None:
            for block in range(len(self.blocks)):
                law = self._redrawn(law, block)
            return _normalised(law)
        parts = (w * self._redrawn(law, b) for b, w in enumerate(self.weights) if w > 0)
        return _normalised(sum(parts, np.zeros_like(law)))

    def meeting_chance(self) -> float:
        """A lower bound of the chance that two chains agree after a pass, whatever they were before."""
        chances = []
        for block, table in zip(self.blocks, self.tables, strict=True):
            rest = tuple(i for i in range(self.n) if i not in block)
            chances.append(table.min(axis=rest).sum())
        everything = set(range(self.n))
        if self.weights is not None:
            whole = [set(block) == everything for block in self.blocks]
            return min(1.0, float(self.weights @ np.where(whole, chances, 0.0)))
        return min(1.0, float(np.prod(chances))) if set().union(*self.blocks) == everything else 0.0

    def _redrawn(self, law: Float[np.ndarray, "..."], block: int) -> Float[np.ndarray, "..."]:
        """The law after one block is redrawn."""
        context = law.sum(axis=self.blocks[block], keepdims=True)
        missing = self.missing[block]
        if missing is not None and np.any(context[missing] > 0):
            state = np.argwhere(missing & (context > 0))[0]
            state[list(self.blocks[block])] = self.q
            where = f"the denoiser's row at the state {readable_state(state, self.q)}"
            refuse(where, "NaN", "probabilities", "the passes lead to a context that the data never have")
        return context * self.tables[block]


def _redraw_table(
    denoiser: AbstractDenoiser, block: tuple[int, ...]
) -> tuple[Float[np.ndarray, "..."], Bool[np.ndarray, "..."] | None]:
    """`prod_i p(x_i | the rest)` of every sequence, and the contexts that are NaN (None: none is)."""
    n, q = denoiser.n, denoiser.q
    rest = [i for i in range(n) if i not in block]
    products, missing = block_products(denoiser, rest, list(block))
    order = np.argsort([*rest, *block])
    table = np.ascontiguousarray(products.reshape((q,) * n).transpose(order))
    shape = [q] * len(rest) + [1] * len(block)
    return table, missing.reshape(shape).transpose(order) if missing.any() else None


def _normalised(law: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Divided by its sum, against the drift of many passes."""
    return law / law.sum()


def _checked_weights(weights: Numbers, count: int) -> Float[np.ndarray, " blocks"]:
    """One probability a block, of sum one."""
    (values,) = as_floats(weights)
    if values.shape != (count,):
        refuse("weights", f"of shape {values.shape}", f"{count} numbers, one a block")
    check_rows("weights", values)
    return _normalised(np.asarray(values, np.float64))
