r"""The information curve of a product of independent blocks, by hypergeometric mixing."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Float
from ._weights import mean_from_ratios
from .curve import InformationCurve, check_positions

MAX_BLOCK_WORK = 2 * 10**10
"""The most hypergeometric weights that are made without being asked for (minutes on two cores)."""


def blocks_curve(curves: Sequence[InformationCurve], copies: Sequence[int]) -> InformationCurve:
    r"""The curve of independent blocks: `copies[t]` of them with the law of `curves[t]`.

    Blocks of kind $t$ have $B_t$ positions, $n = \sum_t c_t B_t$. When $k$ random others are revealed, a
    token of such a block sees $L \sim \mathrm{Hypergeometric}(n-1, B_t-1, k)$ of its block mates, so

    $$Z_{k+1} = \sum_t \frac{c_t B_t}{n}\, \mathbb{E}\, Z^{(t)}_{L+1}.$$

    The weights come from ratios of neighbours and every sum is of non-negative numbers: the relative error
    is at most about $4 B_t$ roundings even where $Z$ is tiny. Time $n \sum_t B_t$, memory a few arrays of
    length `n`. A running maximum keeps rounding from making the curve fall.

    Raises:
        InvalidInputError: no kind of block, another number of copies than of curves, copies < 1, or
            $n \sum_t B_t$ above `MAX_BLOCK_WORK`.

    >>> pair = InformationCurve(jnp.array([0.0, 1.0]), jnp.array(1.0))
    >>> [round(z, 4) for z in blocks_curve([pair], [2]).information.tolist()]
    [0.0, 0.3333, 0.6667, 1.0]
    """
    if len(curves) != len(copies) or not curves:
        refuse("copies", list(copies), f"one number for each of {len(curves)} curves, at least one")
    counts = [check_integer("copies", count, 1) for count in copies]
    n = check_positions(sum(count * curve.n for count, curve in zip(counts, curves, strict=True)))
    work = n * sum(curve.n for curve in curves)
    if work > MAX_BLOCK_WORK:
        found = f"of sizes {[curve.n for curve in curves]} for n = {n}"
        wanted = f"n times the sum of the sizes at most {MAX_BLOCK_WORK:.0e}"
        refuse("curves", found, wanted, f"{work:.1e} are needed: use smaller blocks or fewer copies")
    nothing = jnp.zeros_like(curves[0].marginal_entropy)
    kinds = [(count * curve.n / n, curve) for count, curve in zip(counts, curves, strict=True)]
    information = sum((share * _seen_by_mates(c.information, n) for share, c in kinds), start=nothing)
    marginal = sum((share * c.marginal_entropy for share, c in kinds), start=nothing)
    return InformationCurve(jax.lax.cummax(information), marginal)


@eqx.filter_jit
def _seen_by_mates(block: Float[Array, " size"], n: int) -> Float[Array, " n"]:
    r"""$\mathbb{E}\, Z_{L+1}$ for $L \sim$ Hypergeometric(n-1, B-1, k), $k = 0..n-1$."""
    mates, others = block.shape[0] - 1, n - block.shape[0]
    k = jnp.arange(n, dtype=block.dtype)
    mode = jnp.floor((k + 1) * ((mates + 1) / (n + 1)))
    mode = jnp.clip(mode, jnp.maximum(k - others, 0), jnp.minimum(k, mates))

    def ratio_up(seen):
        unseen = (mates - seen) / (seen + 1)
        return unseen * ((k - seen) / jnp.maximum(others - k + seen + 1, 1))

    def ratio_down(seen):
        return seen / (mates - seen + 1) * ((others - k + seen) / jnp.maximum(k - seen + 1, 1))

    return mean_from_ratios(block, mode, ratio_up, ratio_down)
