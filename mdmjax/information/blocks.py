r"""The information curve of a product of independent blocks, by hypergeometric mixing."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Float
from .curve import InformationCurve, check_positions

MAX_BLOCK_WORK = 2 * 10**10  # hypergeometric weights that are made unasked (minutes on two cores)


def blocks_curve(curves: Sequence[InformationCurve], copies: Sequence[int]) -> InformationCurve:
    r"""The curve of independent blocks: `copies[t]` of them with the law of `curves[t]`.

    Blocks of kind $t$ have $B_t$ positions, $n = \sum_t c_t B_t$. When $k$ random others are revealed, a
    token of such a block sees $L \sim \mathrm{Hypergeometric}(n-1, B_t-1, k)$ of its block mates, so

    $$Z_{k+1} = \sum_t \frac{c_t B_t}{n}\, \mathbb{E}\, Z^{(t)}_{L+1}.$$

    The weights come from ratios of neighbours and every sum is of non-negative numbers: the relative error
    is at most about $4 B_t$ roundings even where $Z$ is tiny. A running maximum keeps rounding from making
    the curve fall. Time $n \sum_t B_t$, refused above `MAX_BLOCK_WORK`; memory a few arrays of length `n`.

    >>> pair = InformationCurve(jnp.array([0.0, 1.0]), jnp.array(1.0))
    >>> [round(z, 4) for z in blocks_curve([pair], [2]).information.tolist()]
    [0.0, 0.3333, 0.6667, 1.0]
    """
    if len(curves) != len(copies) or not curves:
        refuse("copies", list(copies), f"one number for each of {len(curves)} curves, at least one")
    sizes = [curve.n for curve in curves]
    covered = [check_integer("copies", count, 1) * size for count, size in zip(copies, sizes, strict=True)]
    n = check_positions(sum(covered))
    work = n * sum(sizes)
    if work > MAX_BLOCK_WORK:
        wanted = f"n times the sum of the sizes at most {MAX_BLOCK_WORK:.0e}"
        remedy = f"{work:.1e} are needed: use smaller blocks or fewer copies"
        refuse("curves", f"of sizes {sizes} for n = {n}", wanted, remedy)
    nothing = jnp.zeros_like(curves[0].marginal_entropy)
    kinds = [(positions / n, curve) for positions, curve in zip(covered, curves, strict=True)]
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


def mean_from_ratios(
    values: Array, mode: Array, ratio_up: Callable, ratio_down: Callable, reach: int | None = None
) -> Array:
    r"""$\mathbb{E}\, v_L$ under many laws $p$ on `0..m` at once, one for each entry of `mode`.

    `ratio_up(l)` is $p(l+1)/p(l)$ and `ratio_down(l)` is $p(l-1)/p(l)$, finite, and 0 where they leave the
    support. They are multiplied outwards from `mode`, any outcome of positive probability near the mode of
    each law: a few roundings a factor, and underflow only where nothing matters, where binomial
    coefficients by log-gamma would lose the digits of a large logarithm. What is further from the mode
    than `reach` counts as impossible.
    """
    last = values.shape[0] - 1
    reach = last if reach is None else min(reach, last)

    def follow(state, ratio, offsets):
        def step(state, offset):
            weight, total, mean = state
            outcome = mode + offset
            value = values[jnp.clip(outcome, 0, last).astype(jnp.int32)]
            return (weight * ratio(outcome), total + weight, mean + weight * value), None

        return jax.lax.scan(step, state, offsets)[0]

    offsets, nothing = jnp.arange(reach + 1, dtype=mode.dtype), jnp.zeros_like(mode)
    _, *sums = follow((nothing + 1, nothing, nothing), ratio_up, offsets)
    _, total, mean = follow((ratio_down(mode), *sums), ratio_down, -offsets[1:])
    return mean / total
