r"""Information curves of mixtures of products of identical coordinates, from counts of symbols."""

import bisect
import math
from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, as_floats, check_rows, probability
from .._errors import readable_bytes, refuse
from .._numerics import dot, entropy, kl_terms
from .._types import Array, Float, Int
from ..distributions.multiset import check_repeats
from .counts import log_choose
from .curve import InformationCurve, check_positions

MAX_COUNT_BYTES = 2**31  # the largest table of count probabilities that is made unasked
MAX_COUNT_WORK = 2 * 10**9  # updates of that table (about half a minute on two cores)


def identical_mixture_curve(weights: Numbers, probs: Numbers, n: int) -> InformationCurve:
    r"""The curve of $p(x) = \sum_m w_m \prod_i P_m(x_i)$, with $w$ `weights` and $P$ `probs`.

    `weights` has shape (parts,) and `probs` (parts, q). The counts $C$ of the symbols among $k$
    revealed ones are sufficient, so with $\bar P = \sum_m w_m P_m$

    $$Z_{k+1} = \mathbb{E}_C\, \mathrm{KL}\left(p(x_{k+1} \mid C) \,\|\, \bar P\right),$$

    a sum of non-negative terms; the law of $C$ follows from $k$ to $k+1$ by non-negative sums.
    The relative error is about `eps / sqrt(Z_2)`; a running maximum keeps rounding from making it fall.

    Two things are left out, each below one rounding. Counts far from their mean: by Hoeffding's
    maximal inequality $C_a$ stays within $t$ of $k P_m(a)$ for all $k \le K$ but with probability
    $2 e^{-2t^2/K}$. And the end of the curve: it rises to $I(X; M)$, and

    $$I(X;M) - Z_{k+1} = I(X_{k+1}; M \mid C) \le H(M \mid C) \le
    \sum_{m \ne m'} \sqrt{w_m w_{m'}}\, \rho_{mm'}^k, \quad
    \rho_{mm'} = \sum_a \sqrt{P_m(a) P_{m'}(a)}$$

    (Shannon's entropy is at most Renyi's of order 1/2), so from where this is negligible the curve
    is its limit, and `n` may be $10^6$. Refuses wrong shapes, numbers that are not probabilities, and too
    many counts before the curve is flat (`MAX_COUNT_BYTES`, `MAX_COUNT_WORK`).

    >>> coins = identical_mixture_curve([0.5, 0.5], [[1.0, 0.0], [0.0, 1.0]], 3)
    >>> [round(z, 4) for z in coins.information.tolist()]
    [0.0, 0.6931, 0.6931]
    """
    n = check_positions(n)
    weights, probs = as_floats(weights, probs)
    if weights.ndim != 1 or probs.ndim != 2 or weights.shape[0] != probs.shape[0]:
        shapes = f"of shapes {weights.shape}, {probs.shape}"
        refuse("weights, probs", shapes, "shapes (parts,) and (parts, q)")
    check_rows("weights", weights)
    check_rows("probs", probs)
    w = np.asarray(weights)  # without empty parts, and with equal parts as one
    rows, index = np.unique(np.asarray(probs)[w > 0], axis=0, return_inverse=True)
    probs, weights = jnp.asarray(rows), jnp.asarray(np.bincount(index.reshape(-1), w[w > 0]), weights.dtype)
    marginal = dot(weights, probs)
    limit = jnp.sum(weights[:, None] * kl_terms(probs, jnp.broadcast_to(marginal, probs.shape)))
    reveals = min(n - 1, _reveals_until_flat(weights, probs, float(limit)))
    widths, shifts = _windows(weights, probs, reveals)
    _check_counts(widths, reveals, probs)
    information = _predictive_information(weights, probs, widths, jnp.asarray(shifts))
    information = jnp.pad(information.at[0].set(0.0), (0, n - 1 - reveals), constant_values=limit)
    return InformationCurve(jax.lax.cummax(information), entropy(marginal))


def multiset_curve(repeats: Sequence[int]) -> InformationCurve:
    r"""The curve of a uniform order of a multiset that has symbol `a` $r_a$ = `repeats[a]` times.

    Of the $L = n - k$ that are left after $k$ are revealed $R_a$ are `a`, a hypergeometric number:

    $$Z_{k+1} = \sum_a \mathbb{E} \left[\tfrac{R_a}{L} \log \tfrac{R_a / L}{r_a / n}
    - \tfrac{R_a}{L} + \tfrac{r_a}{n}\right],$$

    a sum of non-negative terms, `n` times the most repeated one's number for each different number.
    Refuses what `Multiset` does, and a size that takes too long (`MAX_COUNT_WORK`).

    >>> [round(z, 4) for z in multiset_curve([2, 1]).information.tolist()]
    [0.0, 0.1744, 0.6365]
    """
    repeats = check_repeats(repeats)
    n = check_positions(sum(repeats), argument="repeats")
    numbers, times = np.unique([count for count in repeats if count], return_counts=True)
    if (work := n * int(np.sum(numbers + 1))) > MAX_COUNT_WORK:
        refuse("repeats", f"{n} in all", f"at most {MAX_COUNT_WORK:.0e} terms", f"{work:.1e} are needed")
    left = jnp.arange(n, 0, -1)
    terms = sum(
        float(of) * _of_symbol(n, int(count), left) for count, of in zip(numbers, times, strict=True)
    )
    shares = np.repeat(numbers, times) / n
    return InformationCurve(jax.lax.cummax(jnp.asarray(terms).at[0].set(0.0)), entropy(jnp.asarray(shares)))


@partial(jax.jit, static_argnums=(0, 1))
def _of_symbol(n: int, count: int, left: Int[Array, " n"]) -> Float[Array, " n"]:
    """The terms of `multiset_curve` of one symbol that is there `count` times."""
    kept = jnp.arange(count + 1)
    log_all = log_choose(count, kept)

    def one(left: Array) -> Array:
        log_law = log_all + log_choose(n - count, left - kept)
        law = jnp.exp(log_law - jnp.max(log_law))
        share = jnp.minimum(kept / left, 1.0)
        return jnp.sum(law * kl_terms(share, jnp.full_like(share, count / n))) / jnp.sum(law)

    return jax.lax.map(one, left, batch_size=max(1, 2**20 // (count + 1)))


def noisy_bit_curve(n: int, flip: Numbers) -> InformationCurve:
    r"""One uniform bit seen `n` times, each time flipped with probability `flip`.

    $Z_{k+1}$ rises from 0 to $\log 2 - h(\text{flip})$ nats, with $h$ the binary entropy. Refuses a `flip`
    not in `[0, 1]`, or so near 1/2 that too many counts are needed.

    >>> round(float(noisy_bit_curve(10**6, 0.1).information[-1]), 6)
    0.368064
    """
    flip = probability("flip", flip)
    bits = jnp.stack([1 - flip, flip, flip, 1 - flip]).reshape(2, 2)
    return identical_mixture_curve(jnp.full(2, 0.5, flip.dtype), bits, n)


@eqx.filter_jit
def _predictive_information(weights: Array, probs: Array, widths: tuple[int, ...], shifts: Array) -> Array:
    r"""$Z_1, Z_2, ...$ by a scan that reveals one symbol at a time."""
    # The state is the law of the counts given each part, on a window of `widths` counts of all symbols but
    # the last, which moves up by one where `shifts` says so.
    parts, q = probs.shape
    joint_weights = (weights[:, None] * probs).T
    marginal = jnp.sum(joint_weights, 1)
    # Below this, r - p inside the divergence is no longer a normal number.
    floor = jnp.finfo(probs.dtype).tiny / jnp.finfo(probs.dtype).eps

    def reveal(law, shift):
        joint = dot(joint_weights, law)
        product = jnp.expand_dims(marginal, range(1, q)) * joint.sum(0, keepdims=True)
        terms = jnp.where(product > floor, kl_terms(joint, product), 0.0)
        padded = jnp.pad(law, [(0, 0)] + [(1, 1)] * (q - 1))
        start = jnp.concatenate([jnp.zeros(1, int), 1 + shift.astype(int)])

        def one_more(symbol):
            below = start - jnp.zeros_like(start).at[symbol + 1].set(1, mode="drop")
            seen = jax.lax.dynamic_slice(padded, list(below), law.shape)
            return jnp.expand_dims(probs[:, symbol], range(1, q)) * seen

        return sum(map(one_more, range(q)), start=jnp.zeros_like(law)), jnp.sum(terms)

    law = jnp.zeros((parts, *widths), probs.dtype).at[(slice(None), *(0,) * (q - 1))].set(1.0)
    return jax.lax.scan(reveal, law, shifts)[1]


def _reveals_until_flat(weights: Array, probs: Array, limit: float) -> int:
    r"""The least $k$ with $H(M|C)$ provably below half a rounding of the limit $I(X;M)$."""
    w, p = np.asarray(weights, np.float64), np.asarray(probs, np.float64)
    i, j = np.triu_indices(len(w), 1)
    # 1 - rho = (1/2) sum_a (sqrt P_m(a) - sqrt P_m'(a))^2 has no cancellation near rho = 1.
    distance = np.sum((np.sqrt(p[i]) - np.sqrt(p[j])) ** 2, 1) / 2
    with np.errstate(divide="ignore"):
        log_rho = np.log1p(-np.minimum(distance, 1.0))
    scale, target = 2 * np.sqrt(w[i] * w[j]), float(jnp.finfo(probs.dtype).eps) / 2 * limit
    flat = lambda reveals: np.sum(scale * np.exp(reveals * log_rho)) <= target
    return 1 + bisect.bisect_left(range(1, 2**60), True, key=flat)


def _windows(weights: Array, probs: Array, reveals: int) -> tuple[tuple[int, ...], np.ndarray]:
    """How many counts of each symbol but the last are kept, and after which steps they move up."""
    w, p = np.asarray(weights, np.float64), np.asarray(probs, np.float64)
    eps, least, most = float(jnp.finfo(probs.dtype).eps), p.min(0)[:-1], p.max(0)[:-1]
    marginal = w @ p
    # Z_2 >= this by Pinsker's inequality; what is lost is at most log 1/min P of that probability.
    pairs = np.einsum("m,ma,mb->ab", w, p, p) - np.outer(marginal, marginal)
    smallest = max(np.abs(pairs).sum() ** 2 / 2, eps**4)
    lost = eps * smallest / ((1 - np.log(marginal[marginal > 0].min())) * 2 * p.shape[1])
    spread = math.sqrt(reveals / 2 * -math.log(lost))
    widths = np.minimum(np.ceil(reveals * (most - least) + 2 * spread) + 2, reveals + 1)
    steps = np.arange(reveals + 2)[:, None]
    lowest = np.clip(np.floor(steps * least - spread), 0, reveals + 1 - widths)
    return tuple(int(width) for width in widths), np.diff(lowest, axis=0) > 0


def _check_counts(widths: tuple[int, ...], reveals: int, probs: Array) -> None:
    """Refuse a table of counts that is too large, or takes too long to follow."""
    parts, q = probs.shape
    cells = parts * q * math.prod(widths)
    need, work = 4 * cells * probs.dtype.itemsize, cells * (reveals + 1)
    if need > MAX_COUNT_BYTES or work > MAX_COUNT_WORK:
        found = f"of shape {probs.shape} with parts that {reveals} tokens may not tell apart"
        wanted = f"at most {readable_bytes(MAX_COUNT_BYTES)} and {MAX_COUNT_WORK:.0e} updates"
        needed = f"{math.prod(widths)} counts of {q} symbols at a time need {readable_bytes(need)} and "
        remedy = "use fewer positions, fewer symbols, or parts further apart"
        refuse("probs", found, wanted, f"{needed}{work:.1e} updates; {remedy}")
