r"""The best decoder there is: Bellman's recursion over partial assignments.

For a deterministic policy that reveals $S_t$ after seeing $x_{C_t}$ with exact conditionals,
$\mathrm{KL}(p \| q_\pi) = \mathbb{E}_p \sum_t \mathrm{TC}(X_{S_t} \mid x_{C_t})$ (arXiv 2608.25505,
Thm 1), so the least KL is a shortest path over the $(q+1)^n$ partial assignments. A denoiser $\hat p$ adds
$\sum_{i \in S_t} \mathrm{KL}(p(x_i \mid x_{C_t}) \| \hat p(x_i \mid x_{C_t}))$ to each step, its own error:
cross-entropies take the place of the entropies of single positions. The recursion is over tables of
$(q+2)^n$ pairs of a state and a set (`_pairs`).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._contexts import place_values
from .._errors import check_bytes, refuse
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..decoders.base import AbstractRule
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ._local import context_rows, forward_errors
from ._pairs import any_slot, append_sum, slot, start


class PolicyTable(AbstractRule):
    """A decoder that looks up the set to reveal: bit `i` of `sets[step, code]` is position `i`.

    Steps beyond the last row use the last row. With `adaptive` false the code is in base 2, with digit 1
    where masked: the choice depends on which positions are revealed, and not on their symbols.
    """

    sets: Int[Array, "steps codes"]
    adaptive: bool = eqx.field(static=True)
    is_random = False

    def choose(
        self,
        key: Key[Array, ""],
        log_probs: Float[Array, "n q"],
        tokens: Tokens,
        step: Int[Array, ""],
    ) -> Bool[Array, " n"]:
        """The positions of the table's set."""
        n, q = log_probs.shape
        digits = tokens if self.adaptive else (tokens == q).astype(tokens.dtype)
        place = jnp.asarray(place_values(n, q if self.adaptive else 1), tokens.dtype)
        code = jnp.sum(digits * place, dtype=tokens.dtype)
        chosen = self.sets[jnp.minimum(step, self.sets.shape[0] - 1), code]
        return (chosen >> jnp.arange(n, dtype=chosen.dtype)) & 1 == 1


class OptimalPolicy(eqx.Module):
    r"""A policy that nothing beats: its `kl` in nats, its mean number of calls, and the decoder itself.

    `expected_calls` is $\mathbb{E}_p[R]$, the mean over the data, to which a price refers (arXiv
    2608.25505); `exact_law` of the decoder gives the mean over its own output, which may differ.
    """

    kl: Float[Array, ""]
    expected_calls: Float[Array, ""]
    decoder: PolicyTable


class Priced(NamedTuple):
    """The best of a class of policies at a price: KL in nats, expected calls, and its choices by state.

    A class is a function of the table of $p$, the `forward_errors` of a denoiser or None, and the price.
    """

    kl: Float[Array, ""]
    calls: Float[Array, ""]
    choices: Int[Array, " codes"]


def optimal_policy(
    joint: Joint, steps: int, *, adaptive: bool = True, denoiser: AbstractDenoiser | None = None
) -> OptimalPolicy:
    r"""The policy of least $\mathrm{KL}(p \| q_\pi)$ among those of at most `steps` calls, always.

    $$V_k(x_C) = \min_{\emptyset \ne B \subseteq \bar C} \mathrm{TC}(X_B \mid x_C)
    + \mathbb{E}[V_{k-1}(x_C X_B)]$$

    with $V_k = 0$ where nothing is masked. `adaptive` false restricts it to fixed ordered partitions,
    whose least cost is $L^*_T$ of arXiv 2510.04767 (Thm 2, in nats). Costs $(q+2)^n$ a step.

    Conditionals are those of `joint`. With a `denoiser` $\hat p$ the TC of a step gains
    $\sum_{i \in B} \mathrm{KL}(p(x_i \mid x_C) \| \hat p(x_i \mid x_C))$, `inf` where $\hat p$ rules out
    what occurs. It is called in every context that occurs, and more calls may then be worse than fewer.
    Where every choice costs `inf`, all is revealed.

    Raises:
        InvalidInputError: `steps` outside `1..n`; tables of more than 2 GiB; a denoiser of another size,
            or whose rows are NaN or do not sum to one in a context that occurs.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(float(optimal_policy(same, steps).kl), 4) for steps in (1, 2)]
    [0.6931, 0.0]
    """
    check_steps("steps", steps, joint)
    check_size(joint, steps)
    kl, calls, sets = _sweeps(joint.probs, errors_of(joint, denoiser), steps, adaptive)
    # Row t is the first choice with steps - t left.
    return OptimalPolicy(jnp.maximum(kl[-1], 0.0), calls[-1], PolicyTable(sets[::-1], adaptive))


def optimal_policy_frontier(
    joint: Joint, max_steps: int, *, adaptive: bool = True, denoiser: AbstractDenoiser | None = None
) -> Float[Array, " max_steps"]:
    """The least KL in nats for at most `k = 1..max_steps` calls: `optimal_policy` without its tables.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(kl, 4) for kl in optimal_policy_frontier(same, 2).tolist()]
    [0.6931, 0.0]
    """
    check_steps("max_steps", max_steps, joint)
    check_size(joint, 1)
    kl, _, _ = _sweeps(joint.probs, errors_of(joint, denoiser), max_steps, adaptive, tables=False)
    return jnp.maximum(kl, 0.0)


def optimal_policy_calls(
    joint: Joint, price: float, *, adaptive: bool = True, denoiser: AbstractDenoiser | None = None
) -> OptimalPolicy:
    r"""The policy that minimises $\mathrm{KL}(p \| q_\pi) + \text{price} \cdot \mathbb{E}_p[\text{calls}]$.

    `price` is in nats a call. The results are the lower convex hull of (expected calls, KL), which
    `calls_hull` gives whole: no deterministic policy with the same conditionals, exact ones or those of
    the `denoiser`, lies below the line of slope `-price` through them.

    Raises:
        InvalidInputError: a price that is negative or not finite; and as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [float(optimal_policy_calls(same, price).expected_calls) for price in (0.1, 1.0)]
    [2.0, 1.0]
    """
    check_price(price)
    check_size(joint, 1)
    solve = any_policy if adaptive else fixed_partition
    kl, calls, sets = solve(joint.probs, errors_of(joint, denoiser), price)
    return OptimalPolicy(kl, calls, PolicyTable(sets[None, :], adaptive))


def check_price(price: float) -> None:
    """Refuse a price that is negative or not finite."""
    if not 0 <= price < float("inf"):
        refuse("price", price, "a number of nats a call, >= 0")


def check_steps(argument: str, steps: int, joint: Joint) -> None:
    """Refuse a number of steps that no policy has."""
    if not 1 <= steps <= joint.n:
        refuse(argument, steps, f"an integer in 1..{joint.n}", "each step reveals at least one token")


def errors_of(joint: Joint, denoiser: AbstractDenoiser | None) -> Float[Array, "n contexts"] | None:
    """The errors of the denoiser, if there is one."""
    return None if denoiser is None else forward_errors(*context_rows(joint, denoiser))


def check_size(joint: Joint, rows: int) -> None:
    """Refuse tables that do not fit: about six of `(q+2)^n`, and `rows` of chosen sets."""
    n, q = joint.n, joint.q
    need = 6 * (q + 2) ** n * joint.probs.dtype.itemsize + rows * (q + 1) ** n * 4
    remedy = f"at n = {n}, q = {q} it has {q + 2}^{n} pairs of a state and a set; use fewer positions"
    check_bytes(need, MAX_TABLE_BYTES, "the optimal policy", remedy)


def any_policy(
    probs: Float[Array, "..."], errors: Float[Array, "n contexts"] | None, price: float
) -> Priced:
    """All policies as a class to compare with (`regret`): the best of them at a price.

    >>> float(any_policy(jnp.array([[0.5, 0.0], [0.0, 0.5]]), None, 0.1).calls)
    2.0
    """
    return _priced(probs, errors, price, True)


def fixed_partition(
    probs: Float[Array, "..."], errors: Float[Array, "n contexts"] | None, price: float
) -> Priced:
    """The policies that do not look at the tokens, as a class to compare with (`regret`).

    >>> float(fixed_partition(jnp.array([[0.5, 0.0], [0.0, 0.5]]), None, 1.0).calls)
    1.0
    """
    return _priced(probs, errors, price, False)


def _priced(
    probs: Float[Array, "..."], errors: Float[Array, "n contexts"] | None, price: float, adaptive: bool
) -> Priced:
    state, costs = start(probs, errors, adaptive)
    # Every step reveals something, so that after n sweeps the values no longer change.
    for _ in range(probs.ndim):
        state, sets = _bellman(costs, *state, jnp.asarray(price, probs.dtype))
    cost, calls = (x.reshape(-1)[-1] for x in state[:2])
    return Priced(jnp.maximum(cost - price * calls, 0.0), calls, sets.reshape(-1))


def _sweeps(
    probs: Float[Array, "..."],
    errors: Float[Array, "n contexts"] | None,
    steps: int,
    adaptive: bool,
    tables: bool = True,
) -> tuple[Float[Array, " steps"], Float[Array, " steps"], Int[Array, "steps codes"] | None]:
    """Cost and calls from all masked with `1..steps` steps left, and the sets chosen at every state."""
    state, costs = start(probs, errors, adaptive)
    found = []
    for _ in range(steps):
        state, sets = _bellman(costs, *state, jnp.zeros((), probs.dtype))
        values, calls, _ = state
        found.append((values.reshape(-1)[-1], calls.reshape(-1)[-1], sets.reshape(-1) if tables else None))
    kl, calls, sets = zip(*found, strict=True)
    return jnp.stack(kl), jnp.stack(calls), jnp.stack(sets) if tables else None


@jax.jit
def _bellman(costs, values, calls, weights, price):
    """One sweep: the least cost over the sets, the calls it takes, and the set, for every state."""
    future, later = values, calls
    for axis in range(costs.ndim):
        future, later = append_sum(future, axis), append_sum(later, axis)
    total = jnp.where(any_slot(costs.shape, -1), costs + future, jnp.inf)
    sets = jnp.zeros(costs.shape, jnp.int32)
    for axis in range(costs.ndim):
        # Ties leave the position masked, but where all is infinite everything is revealed.
        revealed, kept = slot(total, axis, -1), slot(total, axis, -2)
        better = (revealed < kept) | jnp.isinf(kept)
        sets = _choose(sets, axis, better, 1 << axis)
        later = _choose(later, axis, better, 0)
        total = _choose(total, axis, better, 0)
    masked = any_slot(weights.shape, -1)
    values = jnp.where(masked, total + price * weights, 0.0)
    return (values, jnp.where(masked, later + weights, 0.0), weights), sets


def _choose(table: Array, axis: int, better: Bool[Array, "..."], gain: int) -> Array:
    """The last two slots of an axis (masked, revealed now) as one: the better, plus `gain` if revealed."""
    symbols = jax.lax.slice_in_dim(table, 0, table.shape[axis] - 2, axis=axis)
    picked = jnp.where(better, slot(table, axis, -1) + gain, slot(table, axis, -2))
    return jnp.concatenate([symbols, picked], axis)
