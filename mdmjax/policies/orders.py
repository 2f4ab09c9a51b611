"""Orders of one token at a time: what each costs in both directions of the KL, and the best of them.

One token a step has no sampling error, so that all of the KL is the denoiser's. Forward, contexts are
those of the data, and it is the recursion of `bellman`. Reverse, contexts are the model's own (Lemma 4.1 of
arXiv 2602.00286), which may have another law in every order: a recursion of its own.
"""

import itertools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import place_values
from .._errors import check_bytes, refuse
from .._numerics import comparable, dot, entropy, kl_terms
from .._types import Array, Float, Int
from ..decoders.orders import FixedPartition
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ..schedules.schedule import Schedule
from ._local import Rows, context_rows, forward_errors, one_more
from .bellman import given_sizes, summed
from .optimal import PolicyTable, optimal_policy


class FixedOrders(eqx.Module):
    r"""Every order of `n` positions, in lexicographic order, and what it costs in nats.

    `errors[o, t]` is $\bar\varepsilon_{\pi(t)}$, the mean of $\mathrm{KL}(\hat p_{\pi(t)} \| p_{\pi(t)})$
    over contexts $x_{\pi(<t)}$ from the model; `entropies[o, t]` is the mean of $H(p_{\pi(t)})$ over the
    same contexts. After a step of infinite error, contexts that the data never have are left out.
    `forward_kl[o]` is $\mathrm{KL}(p \| \hat p^\pi)$; `reverse_kl` sums the errors.
    """

    orders: Int[Array, "orders n"]
    errors: Float[Array, "orders n"]
    entropies: Float[Array, "orders n"]
    forward_kl: Float[Array, " orders"]

    @property
    def reverse_kl(self) -> Float[Array, " orders"]:
        r"""$J(\pi) = \mathrm{KL}(\hat p^\pi \| p)$ of every order."""
        return jnp.sum(self.errors, axis=1)


class OptimalOrder(eqx.Module):
    """A best order: its `kl` in nats, and the decoder that follows it."""

    kl: Float[Array, ""]
    decoder: Reveal


def fixed_orders(joint: Joint, denoiser: AbstractDenoiser) -> FixedOrders:
    r"""Both KLs of all $n!$ fixed orders of one token at a time: $n!\, q^{n-1}$ numbers.

    $$J(\pi) = \mathrm{KL}(\hat p^\pi \| p) = \sum_t \mathbb{E}_{x_{\pi(<t)} \sim \hat p^\pi}\,
    \mathrm{KL}\left(\hat p_{\pi(t)} \,\|\, p_{\pi(t)}\right)$$

    (arXiv 2602.00286, Eq. 7); `inf` if the model has a context that the data never have. More than 2 GiB
    are refused: 8 binary positions are feasible.
    """
    n, q = joint.n, joint.q
    need = 5 * math.factorial(n) * q ** (n - 1) * joint.probs.dtype.itemsize
    remedy = f"there are {n}! orders and {q}^{n - 1} contexts; optimal_order has a recursion without them"
    check_bytes(need, MAX_TABLE_BYTES, "the table of all orders", remedy)
    exact, log_made, mass = context_rows(joint, denoiser)
    steps = _walk(exact, jnp.exp(log_made))
    orders = np.array(list(itertools.permutations(range(n))))
    # The code of a revealed set has digit 1 where masked; before step t that is t..n-1 of the order.
    bits = 1 << (n - 1 - orders)
    before = np.cumsum(bits[:, ::-1], axis=1)[:, ::-1]
    errors = forward_errors(exact, log_made, mass)
    forward = summed(errors.reshape((n,) + (q + 1,) * n), q, 1).reshape(n, -1).T  # of every set: [sets, n]
    forward_kl = jnp.sum(forward[jnp.asarray(before), jnp.asarray(orders)], axis=1)
    return FixedOrders(jnp.asarray(orders), steps[:, :, 0], steps[:, :, 1], forward_kl)


def optimal_order(
    joint: Joint, denoiser: AbstractDenoiser, *, reverse: bool = False, adaptive: bool = True
) -> OptimalOrder:
    r"""The order of one token at a time of least $\mathrm{KL}(p \| \text{law})$, or of least `reverse` KL.

    Forward it is `optimal_policy` among `given_sizes` of one token a step, adaptive or fixed. Reverse the
    next position may depend on the tokens seen,

    $$V(x_S) = \min_{i \notin S} \left[ \mathrm{KL}(\hat p_i \| p_i)
    + \sum_a \hat p_i(a)\, V(x_S x_i{=}a) \right]$$

    at a cost of $n^2 q (q+1)^n$, or with `adaptive` false the order is the best of `fixed_orders` (Eq. 9 of
    arXiv 2602.00286); the first of equals up to rounding is taken.

    Raises:
        InvalidInputError: as `optimal_policy`; and more orders than 2 GiB hold.

    >>> from mdmjax import Mixed, Oracle
    >>> pair = Joint(jnp.array([[0.4, 0.1], [0.25, 0.25]]))
    >>> wrong = Mixed(Oracle(pair), 0.2)
    >>> [round(x, 4) for x in fixed_orders(pair, wrong).forward_kl.tolist()]  # of [0, 1] and [1, 0]
    [0.0049, 0.0041]
    >>> round(float(optimal_order(pair, wrong, adaptive=False).kl), 4)
    0.0041
    """
    if not reverse:
        one_by_one = given_sizes(Schedule([1] * joint.n), adaptive=adaptive)
        best = optimal_policy(joint, joint.n, among=one_by_one, denoiser=denoiser)
        return OptimalOrder(best.kl, best.decoder)
    if adaptive:
        exact, log_made, _ = context_rows(joint, denoiser)
        least, sets = _bellman(exact, jnp.exp(log_made))
        return OptimalOrder(least, Reveal(PolicyTable(sets=sets[None, :])))
    every = fixed_orders(joint, denoiser)
    first = int(jnp.argmin(comparable(every.reverse_kl)))
    order = FixedPartition([[i] for i in every.orders[first].tolist()])
    return OptimalOrder(every.reverse_kl[first], Reveal(order))


@jax.jit
def _walk(exact: Rows, made: Rows) -> Float[Array, "orders n 2"]:
    """The mean error and the mean entropy of every step of every order, contexts from the model."""
    _, n, q = made.shape
    place = place_values(n, q)
    local = jnp.stack([jnp.sum(kl_terms(made, exact), axis=2), entropy(exact)], axis=2)
    laws, codes = jnp.ones((1, 1), made.dtype), jnp.full((1, 1), q * int(place.sum()))
    steps = jnp.zeros((1, 0, 2), made.dtype)
    for revealed in range(n):
        # Prefixes in lexicographic order: those that continue one of them follow each other.
        longer = np.array(list(itertools.permutations(range(n), revealed + 1)))[:, -1]
        laws, codes, steps = (jnp.repeat(x, n - revealed, axis=0) for x in (laws, codes, steps))
        weight, terms = laws[:, :, None], local[codes, longer[:, None]]
        means = jnp.sum(jnp.where(weight > 0, weight * terms, 0.0), axis=1)
        steps = jnp.concatenate([steps, means[:, None, :]], axis=1)
        if revealed < n - 1:
            moves = ((np.arange(q) - q) * place[longer][:, None])[:, None, :]
            laws = (weight * made[codes, longer[:, None]]).reshape(longer.size, -1)
            codes = (codes[:, :, None] + jnp.asarray(moves, codes.dtype)).reshape(longer.size, -1)
    return steps


@jax.jit
def _bellman(exact: Rows, made: Rows) -> tuple[Float[Array, ""], Int[Array, " contexts"]]:
    """The least reverse KL from all masked, and the set of one position at every context."""
    contexts, n, q = made.shape
    errors = jnp.sum(kl_terms(made, exact), axis=2)
    masked, after = one_more(n, q)

    def choose(values):
        total = errors + jnp.sum(jnp.where(made > 0, made * values[after], 0.0), axis=2)
        # An infinite masked position is still better than one that is revealed.
        rounded = jnp.minimum(comparable(total), jnp.finfo(total.dtype).max)
        return total, jnp.argmin(jnp.where(masked, rounded, jnp.inf), axis=1)

    def sweep(_, values):
        total, best = choose(values)
        least = jnp.take_along_axis(total, best[:, None], axis=1)[:, 0]
        return jnp.where(jnp.any(masked, axis=1), least, 0.0)

    # Contexts with m masked positions are right after m sweeps.
    values = jax.lax.fori_loop(0, n, sweep, jnp.zeros((contexts,), errors.dtype))
    sets = jnp.asarray(1, jnp.int32) << choose(values)[1].astype(jnp.int32)
    return values[-1], sets


def sum_error_weights(alpha: float, lam: float, steps: int) -> Float[Array, " steps"]:
    r"""$W_t = \alpha (1 + \lambda)^{T-t}$ of `order_bound`: the error enters as the *sum* of past errors.

    $\sum_t W_t h_t = \sum_t \bar\varepsilon_t$ for $\bar\varepsilon_t = \alpha h_t
    + \lambda \sum_{s<t} \bar\varepsilon_s$, since the sums obey $E_t = (1 + \lambda) E_{t-1} + \alpha h_t$.
    """
    _check(alpha, lam, steps)
    return alpha * (1 + jnp.asarray(lam, float)) ** jnp.arange(steps - 1, -1, -1, dtype=float)


def last_error_weights(alpha: float, lam: float, steps: int) -> Float[Array, " steps"]:
    r"""$W_t = \alpha \sum_{s=0}^{T-t} \lambda^s$: the error enters as that of the *last* step."""
    _check(alpha, lam, steps)
    return alpha * jnp.cumsum(jnp.asarray(lam, float) ** jnp.arange(steps, dtype=float))[::-1]


def order_bound(
    entropies: Float[Array, "... steps"],
    alpha: float,
    lam: float,
    b: float = 0.0,
    *,
    weights: Callable[[float, float, int], Float[Array, " steps"]] = sum_error_weights,
) -> Float[Array, "..."]:
    r"""$\sum_t W_t (h_t + b / \alpha) \ge J(\pi)$ in nats, from `entropies` $h_t$ as of `fixed_orders`.

    It holds if $\bar\varepsilon_t \le \alpha h_t + \lambda \bar\varepsilon_{<t} + b$ (Assumption 4.2 and
    Eq. 10 of arXiv 2602.00286) with the reading of $\bar\varepsilon_{<t}$ that gives the `weights`: the
    paper takes those of the sum in Eq. 11, and those of the last error in its proof (Eq. 36). In both, $b$
    is carried on like $\alpha h_t$, which adds $b \sum_t W_t / \alpha$; the paper's $T b$ is that for
    $\lambda = 0$ only.

    >>> float(order_bound(jnp.array([0.5, 0.25]), 1.0, 1.0))
    1.25
    """
    if not 0 <= b < float("inf"):
        refuse("b", b, "a finite number of nats >= 0")
    per_nat = weights(alpha, lam, entropies.shape[-1])  # refuses an alpha of 0
    return dot(entropies + b / alpha, per_nat)


def _check(alpha: float, lam: float, steps: int) -> None:
    if not 0 < alpha < float("inf"):
        refuse("alpha", alpha, "a finite number > 0")
    if not 0 <= lam < float("inf"):
        refuse("lam", lam, "a finite number >= 0")
    if steps < 1:
        refuse("steps", steps, "an integer >= 1")
