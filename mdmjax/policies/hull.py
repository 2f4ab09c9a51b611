r"""The best policies at every price of a call: the lower convex hull of (expected calls, forward KL).

At a price of $\lambda$ nats a call `optimal_policy_calls` minimises
$\mathrm{KL} + \lambda\,\mathbb{E}_p[R]$, so that the hull at $c$ calls is
$\max_\lambda \min_\pi (\mathrm{KL}_\pi + \lambda\,\mathbb{E}_p[R_\pi]) - \lambda c$. Between two vertices
the price is the slope of their chord: either nothing lies below the chord, and it is an edge, or the policy
found is another vertex. There are finitely many, so that this ends with the hull itself.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._numerics import comparable
from .._types import Array, Float
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import Joint
from .bellman import Policies, any_policy, priced, problem

HIGHEST_PRICE = 1e12  # nats a call above which fewer calls are better than any finite KL, up to rounding
Point = tuple[float, float]  # expected calls and KL of a policy


class CallsHull(eqx.Module):
    """The vertices of the lower convex hull: `calls` over the data increases, `kl` in nats decreases.

    With fewer calls than the first vertex every KL is infinite; more than the last one needs do not help.
    """

    calls: Float[Array, " vertices"]
    kl: Float[Array, " vertices"]

    def kl_at(self, calls: Float[Array, "..."] | float) -> Float[Array, "..."]:
        """The least KL for these expected calls: linear between vertices, a mixture of two policies."""
        calls = jnp.asarray(calls, self.calls.dtype)
        below = comparable(calls) < comparable(self.calls[0])
        return jnp.where(below, jnp.inf, jnp.interp(calls, self.calls, self.kl))


def calls_hull(
    joint: Joint, denoiser: AbstractDenoiser | None = None, *, among: Policies = any_policy
) -> CallsHull:
    r"""The lower convex hull of $(\mathbb{E}_p[R], \mathrm{KL}(p \| q_\pi))$ of a class of policies.

    No decoder of the class with the conditionals of `joint`, or of `denoiser`, lies below it, nor does the
    mean KL of a random choice among them (the KL of their mixture may). With `random_order` the KL is a
    mean over the choices. Vertices that gain less than `1e-12` nats are left out. Costs $2v - 1$ solves and
    a few, for $v$ vertices. Refused as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> hull = calls_hull(same)
    >>> hull.calls.tolist(), [round(x, 4) for x in hull.kl.tolist()], round(float(hull.kl_at(1.5)), 4)
    ([1.0, 2.0], [0.6931, 0.0], 0.3466)
    """
    return _hull(joint, denoiser, among, None)


def least_kl(
    joint: Joint, calls: float, denoiser: AbstractDenoiser | None = None, *, among: Policies = any_policy
) -> Float[Array, ""]:
    """One point of `calls_hull`, at `calls >= 1`: only the vertices towards it are solved for.

    >>> round(float(least_kl(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])), 1.5)), 4)
    0.3466
    """
    if not comparable(jnp.asarray(calls, joint.probs.dtype)) >= 1:
        refuse("calls", calls, "a number >= 1", "each sequence takes at least one call")
    return _hull(joint, denoiser, among, calls).kl_at(calls)


def _hull(joint: Joint, denoiser: AbstractDenoiser | None, among: Policies, at: float | None) -> CallsHull:
    """The hull; only around `at` calls if that is given, with chords elsewhere."""
    given = problem(joint, among, denoiser)

    def solve(price: float) -> Point:
        best = priced(given, price)
        return float(best.calls), float(best.cost)

    first, last = _ends(solve)
    vertices, pending = [first], [last]
    while pending:
        left, right = vertices[-1], pending[-1]
        between = _below(solve, left, right) if at is None or left[0] < at < right[0] else None
        if between is None:
            vertices.append(pending.pop())
        else:
            pending.append(between)
    # What gains nothing more than rounding is no vertex.
    kept = [first, *(b for a, b in zip(vertices, vertices[1:], strict=False) if a[1] - b[1] > 1e-12)]
    return CallsHull(*(jnp.asarray(x, joint.probs.dtype) for x in np.array(kept).T))


def _ends(solve: Callable[[float], Point]) -> tuple[Point, Point]:
    """The fewest calls of any policy of finite KL, with the least KL; and the least KL of all."""
    last = solve(0.0)
    if np.isinf(last[1]):
        return (1.0, np.inf), (1.0, np.inf)
    # A price may be too low for the fewest calls, and one that is too high has no digits of the KL.
    fewest, price = solve(HIGHEST_PRICE)[0], 1.0
    while (first := solve(price))[0] > fewest + 1e-12 and price < HIGHEST_PRICE:
        price *= 4
    return first, last


def _below(solve: Callable[[float], Point], left: Point, right: Point) -> Point | None:
    """The policy that lies farthest below the chord of two, if any does by more than rounding."""
    (fewer, high), (more, low) = left, right
    if more - fewer < 1e-12 or high - low < 1e-12:
        return None
    price = (high - low) / (more - fewer)
    calls, kl = solve(price)
    gain = high + price * fewer - (kl + price * calls)
    return (calls, kl) if gain > 1e-12 * (1 + price) and fewer < calls < more else None
