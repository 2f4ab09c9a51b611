"""Where sweeps end: the law of a sequence whose blocks are masked and redrawn for ever."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, as_floats, check_integer, check_rows
from .._contexts import readable_state
from .._errors import check_bytes, refuse
from .._types import Array, Float
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES
from ..divergences.tables import Table, Tabulated
from ._rows import with_tables
from .fixed_order import CONTEXTS_AT_ONCE, block_products

Blocks = Sequence[Sequence[int]]


class StationaryLaw(NamedTuple):
    """A law that a pass no longer changes, and how well that is known.

    `residual` is the total variation between the laws before and after the last of `passes` passes.
    `bound` is on the total variation from the stationary law; `inf` where none is known.
    """

    probs: Float[Array, "..."]
    residual: Float[Array, ""]
    bound: Float[Array, ""]
    passes: int


def stationary_law(
    denoiser: AbstractDenoiser,
    blocks: Blocks,
    *,
    weights: Numbers | None = None,
    start: Table | None = None,
    tolerance: float = 1e-12,
    max_passes: int = 2**14,
) -> StationaryLaw:
    r"""The limit of passes in which every one of `blocks` is masked and redrawn.

    A pass redraws the blocks in turn, as `Sweeps` does; with `weights` it redraws one of them, drawn with
    these probabilities. Passes go on from `start` (uniform if not given) until one changes the law by at
    most `tolerance` in total variation.

    The law is unique, and reached from any start, if no row has a zero and the blocks (those of positive
    weight) hold every position. With zeros there may be several, and this is the one that `start` leads
    to, if it leads to any. With the oracle of a positive $p$ and blocks of one position it is $p$.

    `bound` is $\text{residual} \cdot (1 - \epsilon) / \epsilon$ with $\epsilon = \prod_B \sum_{x_B}
    \min_{x_{-B}} \prod_{i \in B} \hat p(x_i \mid x_{-B})$: in a pass two chains can be made to meet with at
    least that probability (with `weights`, only a block of all positions counts). Our choice; it is
    sharp for few positions and says little for many.

    Cost: `O(passes * blocks * q^n)` time, `O(blocks * q^n)` memory, $\sum_B q^{n-|B|}$ calls of the
    denoiser. `max_passes` that do not suffice, as for a periodic chain, are refused.

    >>> from mdmjax import Joint, Oracle
    >>> noisy = Joint(jnp.array([[0.4, 0.1], [0.2, 0.3]]))
    >>> stationary_law(Oracle(noisy), [[0], [1]]).probs.round(4).tolist()
    [[0.4, 0.1], [0.2, 0.3]]
    """
    check_integer("max_passes", max_passes, 1)
    one_pass = _Pass(denoiser, blocks, weights)
    law = one_pass.start(start)
    passes, residual = 0, np.inf
    while residual > tolerance and passes < max_passes:
        after = one_pass(law)
        passes, residual, law = passes + 1, np.abs(after - law).sum() / 2, after
    if residual > tolerance:
        far = f"the last pass changed the law by {residual:.3g}, not {tolerance:.3g}"
        refuse("max_passes", max_passes, "more passes", f"{far}; raise it, or see sweep_laws")
    meets = one_pass.meeting_chance()
    bound = residual * (1 - meets) / meets if meets > 0 else np.inf
    known = (jnp.asarray(x, jnp.result_type(float)) for x in (law, residual, bound))
    return StationaryLaw(*known, passes=passes)


def sweep_laws(
    denoiser: AbstractDenoiser, blocks: Blocks, start: Table, passes: int, *, weights: Numbers | None = None
) -> Float[Array, "..."]:
    r"""The laws after `0..passes` passes from `start`, shape `[passes + 1] + [q]*n`.

    Blocks, weights, cost and errors are those of `stationary_law`. If a pass leaves $p$ as it is, KL and
    reverse KL to $p$ never rise. From $p$, if redrawing the one block can write a sequence that $p$ never
    has, the reverse KL is infinite after every number of passes (arXiv 2602.00286, Prop. C.5).
    """
    check_integer("passes", passes, 0)
    size = denoiser.q**denoiser.n
    check_bytes((passes + 1) * size * 8, MAX_TABLE_BYTES, "the laws after every pass", "use fewer passes")
    one_pass = _Pass(denoiser, blocks, weights)
    laws = [one_pass.start(start)]
    for _ in range(passes):
        laws.append(one_pass(laws[-1]))
    return jnp.asarray(np.stack(laws), jnp.result_type(float))


class _Pass:
    r"""One pass as a function of a law: the tables of the blocks, and where the denoiser is NaN.

    Redrawing block $B$ takes the law $m$ to $m'(x) = m(x_{-B}) \prod_{i \in B} \hat p(x_i \mid x_{-B})$: a
    sum over some axes of the table and a product, with no matrix on sequences.
    """

    def __init__(self, denoiser: AbstractDenoiser, blocks: Blocks, weights: Numbers | None):
        n, q = self.n, self.q = denoiser.n, denoiser.q
        self.blocks = [tuple(check_integer("blocks", i, 0) for i in block) for block in blocks]
        if any(len(set(block)) < len(block) or max(block, default=0) >= n for block in self.blocks):
            refuse("blocks", [list(b) for b in self.blocks], f"sets of positions 0..{n - 1}")
        if not self.blocks:
            refuse("blocks", "empty", "at least one set of positions")
        self.weights = None
        if weights is not None:
            (values,), count = as_floats(weights), len(self.blocks)
            if values.shape != (count,):
                refuse("weights", f"of shape {values.shape}", f"{count} numbers, one a block")
            check_rows("weights", values)
            self.weights = _normalised(np.asarray(values, np.float64))
        widest = min(CONTEXTS_AT_ONCE, max(q ** (n - len(block)) for block in self.blocks))
        need = (len(self.blocks) + 3) * q**n * 8 + widest * n * (q * 24 + 8)
        check_bytes(need, MAX_TABLE_BYTES, "the table of the sweep", "use fewer positions or blocks")
        denoiser, self.tables, self.missing = with_tables(denoiser), [], []
        for block in self.blocks:
            rest = [i for i in range(n) if i not in block]
            products, missing = block_products(denoiser, rest, list(block))
            order = np.argsort([*rest, *block])
            self.tables.append(np.ascontiguousarray(products.reshape((q,) * n).transpose(order)))
            missing = missing.reshape([q] * len(rest) + [1] * len(block)).transpose(order)
            self.missing.append(missing if missing.any() else None)

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
        everything, chances = set(range(self.n)), []
        for block, table in zip(self.blocks, self.tables, strict=True):
            chances.append(table.min(axis=tuple(everything.difference(block))).sum())
        if self.weights is not None:
            whole = [set(block) == everything for block in self.blocks]
            return min(1.0, float(self.weights @ np.where(whole, chances, 0.0)))
        return min(1.0, float(np.prod(chances))) if set().union(*self.blocks) == everything else 0.0

    def _redrawn(self, law: Float[np.ndarray, "..."], block: int) -> Float[np.ndarray, "..."]:
        """The law after one block is redrawn."""
        context, missing = law.sum(axis=self.blocks[block], keepdims=True), self.missing[block]
        if missing is not None and np.any(context[missing] > 0):
            state = np.argwhere(missing & (context > 0))[0]
            state[list(self.blocks[block])] = self.q
            where = f"the denoiser's row at the state {readable_state(state, self.q)}"
            refuse(where, "NaN", "probabilities", "the passes lead to a context that the data never have")
        return context * self.tables[block]


def _normalised(law: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Divided by its sum, against the drift of many passes."""
    return law / law.sum()
