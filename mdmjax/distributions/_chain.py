r"""Hidden chains: evidence by a rescaled forward pass in the log domain, and exact draws.

Everything is a log-sum-exp of sums: nothing is subtracted, no state is lost to underflow, and the gradient
of the evidence is the smoothed posterior, a product of softmax weights in `[0, 1]`.
"""

import jax
import jax.numpy as jnp

from .._checks import check_rows, check_shape
from .._numerics import safe_log
from .._types import Array, Float, Key


def log_sum_exp(values: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    r"""$\log \sum e^{v}$ over `axis`; $-\infty$ with gradient 0 where every value is $-\infty$."""
    shift = _finite_max(values, axis)
    return safe_log(jnp.sum(jnp.exp(values - shift), axis=axis)) + jnp.squeeze(shift, axis)


def _finite_max(values: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The maximum over `axis` (kept), 0 where it is infinite, and a constant for gradients."""
    top = jnp.max(values, axis=axis, keepdims=True)
    return jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0.0))


def rescaled(log_state: Float[Array, " states"]) -> tuple[Float[Array, " states"], Float[Array, ""]]:
    """The state with a maximum of 0, and what was taken off: apart, a long chain keeps its digits."""
    shift = _finite_max(log_state, 0)
    return log_state - shift, shift[0]


def chain_log_evidence(initial: Array, transition: Array, log_likelihoods: Array) -> Float[Array, ""]:
    r"""$\log \sum_z \pi(z_1) \prod_t A_t(z_t, z_{t+1}) \prod_t L_t(z_t)$ in nats; $A$ may be one."""
    log_transition = safe_log(transition)
    moves = log_transition if transition.ndim == 3 else None

    def step(log_state, inputs):
        log_likelihood, own = inputs
        move = log_transition if own is None else own
        return rescaled(log_sum_exp(log_state[:, None] + move, axis=0) + log_likelihood)

    first, first_shift = rescaled(safe_log(initial) + log_likelihoods[0])
    last, shifts = jax.lax.scan(step, first, (log_likelihoods[1:], moves))
    return log_sum_exp(last, axis=0) + (first_shift + jnp.sum(shifts))


def check_chain(initial: Array, transition: Array, axis: str) -> None:
    """Refuse what is no chain on the states of `initial`; `axis` is what they are called."""
    check_shape("transition", transition, initial.shape * 2, f"({axis}, {axis})")
    check_rows("initial", initial)
    check_rows("transition", transition)


def sample_chain(key: Key[Array, ""], initial: Array, transition: Array, length: int) -> Array:
    """One exact draw of the states, by the Gumbel-max rule."""
    log_initial, log_transition = safe_log(initial), safe_log(transition)
    moves = log_transition if transition.ndim == 3 else None
    # mode="high": by default float32 has 23 random bits, and rarer events never happen.
    noise = jax.random.gumbel(key, (length, initial.shape[0]), log_initial.dtype, mode="high")

    def step(state, inputs):
        gumbel, own = inputs
        following = jnp.argmax((log_transition if own is None else own)[state] + gumbel)
        return following, following

    first = jnp.argmax(log_initial + noise[0])
    return jnp.concatenate([first[None], jax.lax.scan(step, first, (noise[1:], moves))[1]])
