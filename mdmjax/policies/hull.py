r"""The best policies at every price of a call: the lower convex hull of (expected calls, forward KL).

At a price of $\lambda$ nats a call `optimal_policy_calls` minimises
$\mathrm{KL} + \lambda\,\mathbb{E}_p[R]$, so that the hull at $c$ calls is
$\max_\lambda \min_\pi (\mathrm{KL}_\pi + \lambda\,\mathbb{E}_p[R_\pi]) - \lambda c$. Between two vertices
the price is the slope of their chord: either nothing lies below it, or the policy found is another vertex.
"""

import itertools
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
    joint: Joint,
    denoiser: AbstractDenoiser | None = None,
    *,
    among: Policies = any_policy,
    calls: float | None = None,
) -> CallsHull:
    r"""The lower convex hull of $(\mathbb{E}_p[R], \mathrm{KL}(p \| q_\pi))$ of a class of policies.

    No decoder of the class with the conditionals of `joint`, or of `denoiser`, lies below it, nor does the
    mean KL of a random choice among them (the KL of their mixture may). With `random_order` the KL is a
    mean over the choices. Vertices that gain less than `1e-12` nats are left out. Costs $2v - 1$ solves and
    a few, for $v$ vertices, fewer where chords will do away from so many `calls` (at least 1).

    Raises:
        InvalidInputError: as `optimal_policy`; `calls` below 1.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> hull = calls_hull(same)
    >>> hull.calls.tolist(), [round(x, 4) for x in hull.kl.tolist()], round(float(hull.kl_at(1.5)), 4)
    ([1.0, 2.0], [0.6931, 0.0], 0.3466)
    """
    if calls is not None and not comparable(jnp.asarray(calls, joint.probs.dtype)) >= 1:
        refuse("calls", calls, "a number >= 1", "each sequence takes at least one call")
    given = problem(joint, among, denoiser)

    def solve(price: float) -> Point:
        best = priced(given, price)
        return float(best.calls), float(best.cost)

    def between(left: Point, right: Point) -> list[Point]:
        """The vertices between two, from the policy that lies farthest below their chord."""
        (fewer, high), (more, low) = left, right
        if more - fewer < 1e-12 or high - low < 1e-12 or not (calls is None or fewer < calls < more):
            return []
        price = (high - low) / (more - fewer)
        vertex = solve(price)
        gain = high + price * fewer - (vertex[1] + price * vertex[0])
        if not (gain > 1e-12 * (1 + price) and fewer < vertex[0] < more):
            return []
        return [*between(left, vertex), vertex, *between(vertex, right)]

    first, last = _ends(solve)
    vertices = [first, *between(first, last), last]
    # What gains nothing more than rounding is no vertex.
    kept = [first, *(b for a, b in itertools.pairwise(vertices) if a[1] - b[1] > 1e-12)]
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
