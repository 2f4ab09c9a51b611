r"""The bound of an order by its entropies: Assumption 4.2 and Eq. 11 of arXiv 2602.00286.

$h_t$ is the mean entropy of what step $t$ reveals, $\bar\varepsilon_t$ its mean error. Eq. 10 is
$\bar\varepsilon_t \le \alpha h_t + \lambda \bar\varepsilon_{<t} + b$. The paper bounds
$J = \sum_t \bar\varepsilon_t$ by $\sum_t W_t h_t + T b$ with $W_t = \alpha (1 + \lambda)^{T-t}$, in its
proof (Eq. 36) with $W_t = \alpha \sum_{s=0}^{T-t} \lambda^s$: two readings of $\bar\varepsilon_{<t}$. In
both, $b$ is carried on like $\alpha h_t$, which adds $b \sum_t W_t / \alpha$: $T b$ for $\lambda = 0$ only.
"""

from collections.abc import Callable

import jax.numpy as jnp

from .._errors import refuse
from .._types import Array, Float

Weights = Callable[[float, float, int], Float[Array, " steps"]]
"""`alpha`, `lam` and the number of steps to the weights of Eq. 11."""


def sum_error_weights(alpha: float, lam: float, steps: int) -> Float[Array, " steps"]:
    r"""$W_t = \alpha (1 + \lambda)^{T-t}$: the error enters as the *sum* of past errors.

    $\sum_t W_t h_t = \sum_t \bar\varepsilon_t$ for $\bar\varepsilon_t = \alpha h_t
    + \lambda \sum_{s<t} \bar\varepsilon_s$, since the sums obey $E_t = (1 + \lambda) E_{t-1} + \alpha h_t$.

    >>> sum_error_weights(1.0, 1.0, 3).tolist()
    [4.0, 2.0, 1.0]
    """
    _check(alpha, lam, steps)
    return alpha * (1 + jnp.asarray(lam, float)) ** jnp.arange(steps - 1, -1, -1, dtype=float)


def last_error_weights(alpha: float, lam: float, steps: int) -> Float[Array, " steps"]:
    r"""$W_t = \alpha \sum_{s=0}^{T-t} \lambda^s$: the error enters as that of the *last* step.

    As `sum_error_weights`, for $\bar\varepsilon_t = \alpha h_t + \lambda \bar\varepsilon_{t-1}$.
    """
    _check(alpha, lam, steps)
    return alpha * jnp.cumsum(jnp.asarray(lam, float) ** jnp.arange(steps, dtype=float))[::-1]


def order_bound(
    entropies: Float[Array, "... steps"],
    alpha: float,
    lam: float,
    b: float = 0.0,
    *,
    weights: Weights = sum_error_weights,
) -> Float[Array, "..."]:
    r"""$\sum_t W_t \left(h_t + b / \alpha\right) \ge J(\pi)$ in nats: Eq. 11, with $b$ carried on.

    `entropies[..., t]` are those of `fixed_orders`: the mean of $H(p_{\pi(t)})$ over contexts from the
    *model*. It is a bound if Eq. 10 holds with the reading of `weights`.

    >>> float(order_bound(jnp.array([0.5, 0.25]), 1.0, 1.0))
    1.25
    """
    if not 0 <= b < float("inf"):
        refuse("b", b, "a finite number of nats >= 0")
    per_nat = weights(alpha, lam, entropies.shape[-1])  # refuses an alpha of 0
    return (entropies + b / alpha) @ per_nat


def _check(alpha: float, lam: float, steps: int) -> None:
    if not 0 < alpha < float("inf"):
        refuse("alpha", alpha, "a finite number > 0")
    if not 0 <= lam < float("inf"):
        refuse("lam", lam, "a finite number >= 0")
    if steps < 1:
        refuse("steps", steps, "an integer >= 1")
