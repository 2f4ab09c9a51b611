r"""Information curves of mixtures of products of identical coordinates, from counts of symbols."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, as_floats, check_rows, probability
from .._errors import readable_bytes, refuse
from .._numerics import entropy, kl_terms
from .._types import Array, Bool, Float
from .curve import InformationCurve, check_positions

MAX_COUNT_BYTES = 2**31
"""The largest table of count probabilities that is made without being asked for (2 GiB)."""

MAX_COUNT_WORK = 2 * 10**9
"""The most updates of that table (about half a minute on two cores)."""


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
    is its limit, and `n` may be $10^6$. Equal rows of `probs` are merged first.

    Raises:
        InvalidInputError: numbers that are not probabilities, wrong shapes, or too many counts
            before the curve is flat (`MAX_COUNT_BYTES`, `MAX_COUNT_WORK`).

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
    weights, probs = _merge_equal_parts(weights, probs)
    marginal = weights @ probs
    limit = jnp.sum(weights[:, None] * kl_terms(probs, jnp.broadcast_to(marginal, probs.shape)))

    reveals = min(n - 1, _reveals_until_flat(weights, probs, float(limit)))
    widths, shifts = _windows(weights, probs, reveals)
    _check_counts(widths, reveals, probs)
    information = _predictive_information(weights, probs, widths, jnp.asarray(shifts))
    information = jnp.pad(information.at[0].set(0.0), (0, n - 1 - reveals), constant_values=limit)
    return InformationCurve(jax.lax.cummax(information), entropy(marginal))


def noisy_bit_curve(n: int, flip: Numbers) -> InformationCurve:
    r"""One uniform bit seen `n` times, each time flipped with probability `flip`.

    $Z_{k+1}$ rises from 0 to $\log 2 - h(\text{flip})$ nats, with $h$ the binary entropy.

    Raises:
        InvalidInputError: `flip` not in `[0, 1]`, or so near 1/2 that too many counts are needed.

    >>> round(float(noisy_bit_curve(10**6, 0.1).information[-1]), 6)
    0.368064
    """
    flip = probability("flip", flip)
    keep = 1 - flip
    bits = jnp.stack([jnp.stack([keep, flip]), jnp.stack([flip, keep])])
    return identical_mixture_curve(jnp.full(2, 0.5, flip.dtype), bits, n)


@eqx.filter_jit
def _predictive_information(
    weights: Float[Array, " parts"],
    probs: Float[Array, "parts q"],
    widths: tuple[int, ...],
    shifts: Bool[Array, "reveals_and_one free"],
) -> Float[Array, " reveals_and_one"]:
    r"""$Z_1, Z_2, ...$ by a scan that reveals one symbol at a time.

    The state is the law of the counts given each part, on a window of `widths` counts of all
    symbols but the last; `shifts` says when the window moves up by one.
    """
    parts, q = probs.shape
    joint_weights = (weights[:, None] * probs).T
    marginal = jnp.sum(joint_weights, 1)
    # Below this, r - p inside the divergence is no longer a normal number.
    floor = jnp.finfo(probs.dtype).tiny / jnp.finfo(probs.dtype).eps

    def reveal(law, shift):
        joint = jnp.tensordot(joint_weights, law, 1, precision=jax.lax.Precision.HIGHEST)
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


def _merge_equal_parts(
    weights: Float[Array, " parts"], probs: Float[Array, "parts q"]
) -> tuple[Float[Array, " merged"], Float[Array, "merged q"]]:
    """The same mixture without empty parts and with equal parts as one."""
    w = np.asarray(weights)
    rows, index = np.unique(np.asarray(probs)[w > 0], axis=0, return_inverse=True)
    return jnp.asarray(np.bincount(index.reshape(-1), w[w > 0]), weights.dtype), jnp.asarray(rows)


def _reveals_until_flat(
    weights: Float[Array, " parts"], probs: Float[Array, "parts q"], limit: float
) -> int:
    r"""The least $k$ with $H(M|C)$ provably below half a rounding of the limit $I(X;M)$."""
    w, p = np.asarray(weights, np.float64), np.asarray(probs, np.float64)
    i, j = np.triu_indices(len(w), 1)
    # 1 - rho = (1/2) sum_a (sqrt P_m(a) - sqrt P_m'(a))^2 has no cancellation near rho = 1.
    distance = np.sum((np.sqrt(p[i]) - np.sqrt(p[j])) ** 2, 1) / 2
    with np.errstate(divide="ignore"):
        log_rho = np.log1p(-np.minimum(distance, 1.0))
    scale, target = 2 * np.sqrt(w[i] * w[j]), float(jnp.finfo(probs.dtype).eps) / 2 * limit
    high = 1
    while np.sum(scale * np.exp(high * log_rho)) > target and high < 2**60:
        high *= 2
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        flat = np.sum(scale * np.exp(middle * log_rho)) <= target
        low, high = (low, middle) if flat else (middle, high)
    return high


def _windows(
    weights: Float[Array, " parts"], probs: Float[Array, "parts q"], reveals: int
) -> tuple[tuple[int, ...], np.ndarray]:
    """How many counts of each symbol but the last are kept, and after which steps they move up."""
    w, p = np.asarray(weights, np.float64), np.asarray(probs, np.float64)
    least, most = p.min(0)[:-1], p.max(0)[:-1]
    marginal = w @ p
    # Z_2 >= this by Pinsker's inequality; what is lost is at most log 1/min P of that probability.
    pairs = np.einsum("m,ma,mb->ab", w, p, p) - np.outer(marginal, marginal)
    smallest = max(np.abs(pairs).sum() ** 2 / 2, float(jnp.finfo(probs.dtype).eps) ** 4)
    worst = 1 - np.log(marginal[marginal > 0].min())
    lost = float(jnp.finfo(probs.dtype).eps) * smallest / (worst * 2 * p.shape[1])
    spread = math.sqrt(reveals / 2 * -math.log(lost))
    widths = np.minimum(np.ceil(reveals * (most - least) + 2 * spread) + 2, reveals + 1)
    steps = np.arange(reveals + 2)[:, None]
    lowest = np.clip(np.floor(steps * least - spread), 0, reveals + 1 - widths)
    return tuple(int(width) for width in widths), np.diff(lowest, axis=0) > 0


def _check_counts(widths: tuple[int, ...], reveals: int, probs: Float[Array, "parts q"]) -> None:
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
