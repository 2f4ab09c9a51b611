r"""Tables of a state and a set to reveal: what every Bellman recursion over them starts from.

A pair is a word over `0..q+1`: symbols, `q` for masked, `q+1` for revealed in this step; its tables have
$(q+2)^n$ entries and are filled one axis at a time. Values are weighted by $p(x_C)$, so that the
expectation over what a step reveals is a plain sum.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._contexts import marginal_table
from .._numerics import neg_xlogx
from .._types import Array, Bool, Float


@eqx.filter_jit
def start(probs: Float[Array, "..."], errors: Float[Array, "n contexts"] | None, adaptive: bool):
    """Values, calls and weights before the first sweep; and the cost of every state and set."""
    n, q = probs.ndim, probs.shape[0]
    weights = marginal_table(probs)
    costs = _correlations(neg_xlogx(weights))
    if errors is not None:
        costs = costs + _sums(errors.reshape((n,) + weights.shape))
    if not adaptive:
        for axis in range(n):
            symbols, rest = jnp.split(costs, [q], axis)
            costs = jnp.concatenate([symbols.sum(axis, keepdims=True), rest], axis)
        weights = jnp.ones((2,) * n, probs.dtype)
    unfinished = any_slot(weights.shape, -1) & (weights > 0)
    none = jnp.zeros_like(weights)
    return (jnp.where(unfinished, jnp.inf, none), none, weights), costs


def _correlations(terms: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""$p(x_C)\,\mathrm{TC}(X_B \mid x_C)$ of every pair, from the table of $-p \log p$.

    It is $\sum_{i \in B} h_i - h_B$ with $h_B = \sum_{x_B} -p \log p\,(x_C x_B) + p \log p\,(x_C)$.
    """
    state = joint = terms
    singles = jnp.zeros_like(terms)
    for axis in range(terms.ndim):
        symbols, masked = jnp.split(state, [terms.shape[0] - 1], axis)
        h = symbols.sum(axis, keepdims=True) - masked
        kept = jax.lax.slice_in_dim(singles, terms.shape[0] - 1, terms.shape[0], axis=axis)
        singles = jnp.concatenate([singles, kept + h], axis)
        joint = append_sum(joint, axis)
        state = jnp.concatenate([state, masked], axis)
    return singles - (joint - state)


def _sums(errors: Float[Array, "n ..."]) -> Float[Array, "..."]:
    r"""$\sum_{i \in B} e_i(x_C)$ of every pair; what is revealed in the step counts as masked in $C$."""
    total = jnp.zeros((errors.shape[1] + 1,) * errors.shape[0], errors.dtype)
    for position, table in enumerate(errors):
        for axis in range(table.ndim):
            masked = slot(table, axis, -1)
            kept = jnp.zeros_like(table) if axis == position else table
            table = jnp.concatenate([kept, masked], axis)
        total = total + table
    return total


def append_sum(table: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The sum over the symbols, behind the slot of the mask."""
    symbols = jax.lax.slice_in_dim(table, 0, table.shape[axis] - 1, axis=axis)
    return jnp.concatenate([table, symbols.sum(axis, keepdims=True)], axis)


def any_slot(shape: tuple[int, ...], index: int) -> Bool[Array, "..."]:
    """Whether any index of an entry is `index`, from the end if negative."""
    found = jnp.zeros(shape, bool)
    for axis, size in enumerate(shape):
        line = jnp.arange(size) == index % size
        found = found | line.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return found


def slot(table: Array, axis: int, index: int) -> Array:
    """One slot of an axis, counted from the end, kept as an axis of length one."""
    first = table.shape[axis] + index
    return jax.lax.slice_in_dim(table, first, first + 1, axis=axis)
