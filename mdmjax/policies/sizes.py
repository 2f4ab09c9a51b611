r"""The best random order: Bellman's recursion when only the number of tokens of a step may be chosen.

A step reveals $s$ uniformly random masked positions, and $s$ may depend on all that is seen. A schedule is
the case where it depends on the number of revealed tokens only; a policy of `optimal_policy` may choose the
positions too. So the optimum lies between those two. What it minimises is a mean over the random
choices, as `expected_kl` is: by convexity the KL of the sampler's own law is no larger.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from .._contexts import place_values
from .._errors import check_bytes
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..decoders.base import AbstractRule
from ..decoders.orders import first, uniform_choice_law
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ._pairs import append_sum, slot, start
from .optimal import Priced, check_price, check_steps, errors_of


class SizeTable(AbstractRule):
    """`sizes[step, code]` uniformly random masked positions; steps beyond the last row use the last row."""

    sizes: Int[Array, "steps codes"]
    is_random = True

    def choose(
        self, key: Key[Array, ""], log_probs: Float[Array, "n q"], tokens: Tokens, step: Int[Array, ""]
    ) -> Bool[Array, " n"]:
        """The masked positions that come first in a random order."""
        n, q = log_probs.shape
        return first(jax.random.permutation(key, n), tokens == q, self._size(tokens, q, step))

    def choice_law(
        self, log_probs: Float[Array, "n q"], tokens: Tokens, step: Int[Array, ""]
    ) -> Float[Array, " subsets"]:
        """Uniform over the sets of masked positions of this size."""
        q = log_probs.shape[1]
        return uniform_choice_law(tokens == q, self._size(tokens, q, step), log_probs.dtype)

    def _size(self, tokens: Tokens, q: int, step: Int[Array, ""]) -> Int[Array, ""]:
        place = jnp.asarray(place_values(tokens.shape[0], q), tokens.dtype)
        code = jnp.sum(tokens * place, dtype=tokens.dtype)
        return self.sizes[jnp.minimum(step, self.sizes.shape[0] - 1), code]


class OptimalSizes(eqx.Module):
    r"""A best random order: `expected_kl` in nats and the mean number of calls, and the decoder itself.

    Both are means over the data and over the random choices. The KL of the decoder's own law, which is
    that of `exact_law`, is at most `expected_kl`.
    """

    expected_kl: Float[Array, ""]
    expected_calls: Float[Array, ""]
    decoder: SizeTable


def optimal_sizes(joint: Joint, steps: int, *, denoiser: AbstractDenoiser | None = None) -> OptimalSizes:
    r"""The random order of least expected KL among those of at most `steps` calls, always.

    $$V_k(x_C) = \min_{1 \le s \le |\bar C|} \binom{|\bar C|}{s}^{-1} \sum_{B \subseteq \bar C,\, |B| = s}
    \left( \mathrm{TC}(X_B \mid x_C) + \mathbb{E}[V_{k-1}(x_C X_B)] \right)$$

    with $V_k = 0$ where nothing is masked; a `denoiser` adds its own error as in `optimal_policy`. It is at
    most the `expected_kl` of any schedule of `steps` steps, and at least the KL of `optimal_policy`. Costs
    $n (q+2)^n$ a step.

    Raises:
        InvalidInputError: as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(abs(float(optimal_sizes(same, steps).expected_kl)), 4) for steps in (1, 2)]
    [0.6931, 0.0]
    """
    check_steps("steps", steps, joint)
    _check_size(joint.probs, steps)
    cost, calls, sizes = _sweeps(joint.probs, errors_of(joint, denoiser), steps)
    return OptimalSizes(jnp.maximum(cost[-1], 0.0), calls[-1], SizeTable(sizes[::-1]))


def optimal_sizes_calls(
    joint: Joint, price: float, *, denoiser: AbstractDenoiser | None = None
) -> OptimalSizes:
    r"""The random order that minimises its expected KL $+ \text{price} \cdot \mathbb{E}[\text{calls}]$.

    `price` is in nats a call.

    Raises:
        InvalidInputError: as `optimal_policy_calls`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [float(optimal_sizes_calls(same, price).expected_calls) for price in (0.1, 1.0)]
    [2.0, 1.0]
    """
    check_price(price)
    _check_size(joint.probs, 1)  # before the denoiser is called
    cost, calls, sizes = random_order(joint.probs, errors_of(joint, denoiser), price)
    return OptimalSizes(cost, calls, SizeTable(sizes[None, :]))


def _check_size(probs: Float[Array, "..."], rows: int) -> None:
    """Refuse tables that do not fit: two of `n (q+2)^n` and six of `(q+2)^n`, and `rows` of sizes."""
    n, q = probs.ndim, probs.shape[0]
    need = (2 * n + 8) * (q + 2) ** n * probs.dtype.itemsize + rows * (q + 1) ** n * 8
    remedy = f"at n = {n}, q = {q} it has {q + 2}^{n} pairs of a state and a set; use fewer positions"
    check_bytes(need, MAX_TABLE_BYTES, "the optimal random order", remedy)


def random_order(
    probs: Float[Array, "..."], errors: Float[Array, "n contexts"] | None, price: float
) -> Priced:
    """The random orders of adaptive sizes as a class to compare with (`regret`); their KL is a mean.

    >>> float(random_order(jnp.array([[0.5, 0.0], [0.0, 0.5]]), None, 1.0).calls)
    1.0
    """
    _check_size(probs, 1)
    cost, calls, sizes = _priced(probs, errors, jnp.asarray(price, probs.dtype))
    return Priced(jnp.maximum(cost - price * calls, 0.0), calls, sizes)


@eqx.filter_jit
def _priced(probs, errors, price):
    state, costs = start(probs, errors, True)

    def sweep(_, carry):
        (values, calls, weights), _ = carry
        return _bellman(costs, values, calls, weights, price)

    (values, calls, _), sizes = jax.lax.fori_loop(1, probs.ndim, sweep, _bellman(costs, *state, price))
    return values.reshape(-1)[-1], calls.reshape(-1)[-1], sizes.reshape(-1)


@eqx.filter_jit
def _sweeps(probs, errors, steps: int):
    state, costs = start(probs, errors, True)

    def sweep(carry, _):
        carry, sizes = _bellman(costs, *carry, 0.0)
        return carry, (carry[0].reshape(-1)[-1], carry[1].reshape(-1)[-1], sizes.reshape(-1))

    return jax.lax.scan(sweep, state, length=steps)[1]


def _bellman(costs, values, calls, weights, price):
    """One sweep: the least mean cost over the sizes, the calls it takes, and the size, for every state."""
    n, future, later = costs.ndim, values, calls
    for axis in range(n):
        future, later = append_sum(future, axis), append_sum(later, axis)
    totals, later = _by_size(costs + future), _by_size(later)
    count = _masked(weights.shape)
    size = jnp.arange(n + 1).reshape((n + 1,) + (1,) * n)
    ways = jnp.asarray([[max(1, math.comb(m, s)) for m in range(n + 1)] for s in range(n + 1)], costs.dtype)
    ways = ways[:, count]
    totals = jnp.where((size >= 1) & (size <= count[None]), totals / ways, jnp.inf)
    # The first of equals; where all is infinite everything is revealed.
    best = jnp.where(jnp.isinf(jnp.min(totals, axis=0)), count, jnp.argmin(totals, axis=0))
    least, then = (jnp.take_along_axis(x, best[None], axis=0)[0] for x in (totals, later / ways))
    values = jnp.where(count > 0, least + price * weights, 0.0)
    return (values, jnp.where(count > 0, then + weights, 0.0), weights), best


def _masked(shape: tuple[int, ...]) -> Int[Array, "..."]:
    """How many positions are masked in every state: those whose index is the last of its axis."""
    lines = (jnp.arange(size) == size - 1 for size in shape)
    axes = (tuple(j for j in range(len(shape)) if j != i) for i in range(len(shape)))
    return sum(jnp.expand_dims(line.astype(int), others) for line, others in zip(lines, axes, strict=True))


def _by_size(table: Float[Array, "..."]) -> Float[Array, "sizes ..."]:
    """Sums over the sets of every size: the last two slots of an axis (masked, revealed now) become one."""
    table = table[None]
    for axis in range(1, table.ndim):
        slots, none = table.shape[axis], ((0, 0),) * table.ndim
        kept = jax.lax.slice_in_dim(table, 0, slots - 1, axis=axis)
        # What is kept is of the same size, what is revealed of the next; symbols are kept.
        moved = ((1, 0), *none[1:axis], (slots - 2, 0), *none[axis + 1 :])
        table = jnp.pad(kept, ((0, 1), *none[1:])) + jnp.pad(slot(table, axis, -1), moved)
    return table
