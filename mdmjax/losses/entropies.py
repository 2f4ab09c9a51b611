r"""The information curve of a hidden Markov model by sampling: entropies of its exact conditionals."""

from collections.abc import Callable, Iterable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import check_bytes
from .._numerics import entropy
from .._types import Array, Float, Int
from ..distributions.base import MAX_TABLE_BYTES
from ..distributions.hmm import HMM
from .masks import EVERY, mask_levels, mask_plan
from .sampled import BATCH, MAX_ROWS_BYTES, ROW_BYTES, MaskedLosses


def curve_levels(n: int) -> Int[np.ndarray, " levels"]:
    r"""Mask counts of an estimated curve: `mask_levels`, and those of 1, 2, 4, 8, .. revealed (our choice).

    >>> (256 - curve_levels(256)[::-1])[:8].tolist()
    [0, 1, 2, 4, 7, 8, 10, 13]
    """
    levels = mask_levels(n)
    return levels if n <= EVERY else np.union1d(levels, n - 2 ** np.arange(int(np.log2(n - 1)) + 1))


def entropy_losses(
    seed: int,
    model: HMM,
    data: Int[np.ndarray, "samples n"],
    *,
    levels: Int[np.ndarray, " levels"] | None = None,
    batch: int = BATCH,
    known: Float[np.ndarray, " known"] | None = None,
    keep: Callable[[Float[np.ndarray, " new"]], None] | None = None,
    track: Callable[[Sequence[int], str], Iterable[int]] = lambda items, label: items,
) -> MaskedLosses:
    r"""Unbiased estimates of $f(m) = H_1 - Z_{m+1}$ in nats, $m$ tokens revealed; a row each.

    With `data` draws of the model, $S$ a prefix of a random order of each and $|S| = m$, a row is

    $$\frac{1}{n - m} \sum_{i \notin S} H(p(\cdot \mid x_S)_i),$$

    whose mean is $\mathbb{E}\, H(X_i \mid X_S)$: both the symbol of a masked position and which of them is
    looked at are averaged exactly (Rao-Blackwell), so that its variance is below that of $-\log p$. Each
    sequence is masked at every level (`curve_levels`) in one order: differences of the curve have less
    noise than its values. Errors are those of `MaskedLosses`, over sequences.

    `known`, `keep` and `track` are as in `measure`: a measurement can go on. `batch` rows are taken at
    once, fewer where these would need more than 2 GiB.

    Raises:
        InvalidInputError: one row or all of them too large; fewer than two sequences.

    >>> from mdmjax.distributions.hmm import HMM
    >>> fair = HMM([1.0], [[1.0]], [[0.5, 0.5]], 3)
    >>> rows = entropy_losses(0, fair, np.array([[0, 1, 1], [1, 0, 0]]))
    >>> rows.table().loss.round(4).tolist()
    [0.6931, 0.6931, 0.6931]
    """
    data = np.asarray(data)
    plan = mask_plan(
        seed, np.ones(data.shape, bool), levels=curve_levels(model.n) if levels is None else levels
    )
    check_bytes(ROW_BYTES * plan.rows, MAX_ROWS_BYTES, "rows of a curve", "take fewer sequences")
    batch = bounded_batch(model, check_integer("batch", batch, 1), plan.rows)
    found = np.zeros(plan.rows)
    done = 0 if known is None else known.size
    found[:done] = () if known is None else known
    for start in track(range(done, plan.rows, batch), "measuring"):
        # The last batch begins early enough to be whole: one program for all.
        rows = range(min(start, plan.rows - batch), min(start + batch, plan.rows))
        masked = np.stack([plan.masked(row) for row in rows])
        tokens = np.where(masked, model.q, data[plan.sequence[rows.start : rows.stop]])
        values = np.asarray(_mean_entropies(model, jnp.asarray(tokens)), np.float64)[start - rows.stop :]
        found[start : rows.stop] = values
        if keep is not None:
            keep(values)
    return MaskedLosses(plan.n, plan.sequence, plan.n_masked, np.maximum(found, 0.0))


def row_bytes(model: HMM) -> int:
    """About the bytes of all conditionals of one sequence, with the messages that they are made of."""
    return 8 * model.n * (10 * model.initial.size + 4 * model.q + 8)


def bounded_batch(model: HMM, batch: int, rows: int) -> int:
    """At most `batch` of the rows, as many as fit into `MAX_TABLE_BYTES`; refused where none does."""
    need = row_bytes(model)
    remedy = "use fewer positions, states or symbols"
    check_bytes(need, MAX_TABLE_BYTES, "conditionals of one sequence", remedy, n=model.n)
    return max(1, min(batch, rows, MAX_TABLE_BYTES // need))


@eqx.filter_jit
def _mean_entropies(model: HMM, tokens: Int[Array, "rows n"]) -> Float[Array, " rows"]:
    """The mean over masked positions of the entropy of their conditionals."""

    def one(row):
        masked = row == model.q
        each = jnp.where(masked, entropy(jnp.exp(model.log_conditionals(row))), 0.0)
        return jnp.sum(each) / jnp.sum(masked).astype(each.dtype)

    return jax.vmap(one)(tokens)
