r"""Hidden chains: evidence by a rescaled forward pass in the log domain, and exact draws.

Everything is a log-sum-exp of sums, so that nothing is subtracted, no state is lost to underflow
however unlikely it looks at first, and the gradient of the evidence is the smoothed posterior: a
product of softmax weights, all in `[0, 1]`.
"""

import jax
import jax.numpy as jnp

from .._checks import check_rows, check_shape
from .._numerics import safe_log
from .._types import Array, Float, Int, Key


def log_sum_exp(values: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    r"""$\log \sum e^{v}$ over `axis`; $-\infty$ with gradient 0 where every value is $-\infty$.

    >>> log_sum_exp(jnp.array([-jnp.inf, -jnp.inf]), axis=0).item()
    -inf
    """
    shift = _finite_max(values, axis)
    total = jnp.sum(jnp.exp(values - shift), axis=axis)
    return safe_log(total) + jnp.squeeze(shift, axis)


def chain_log_evidence(
    initial: Float[Array, " states"],
    transition: Float[Array, "states states"],
    log_likelihoods: Float[Array, "length states"],
) -> Float[Array, ""]:
    r"""$\log \sum_z \pi(z_1) \prod_t A(z_t, z_{t+1}) \prod_t L_t(z_t)$ in nats.

    The filtered log-probabilities are shifted to a maximum of 0 at each step, and the shifts are summed at
    the end, so that a long chain keeps its digits.
    """
    log_transition = safe_log(transition)

    def rescale(log_state):
        shift = _finite_max(log_state, 0)
        return log_state - shift, shift[0]

    def step(log_state, log_likelihood):
        predicted = log_sum_exp(log_state[:, None] + log_transition, axis=0)
        return rescale(predicted + log_likelihood)

    first, first_shift = rescale(safe_log(initial) + log_likelihoods[0])
    last, shifts = jax.lax.scan(step, first, log_likelihoods[1:])
    return log_sum_exp(last, axis=0) + (first_shift + jnp.sum(shifts))


def check_chain(initial: Array, transition: Array, axis: str) -> None:
    """Refuse what is no chain on the states of `initial`; `axis` is what they are called."""
    check_shape("transition", transition, initial.shape * 2, f"({axis}, {axis})")
    check_rows("initial", initial)
    check_rows("transition", transition)


def sample_chain(
    key: Key[Array, ""],
    initial: Float[Array, " states"],
    transition: Float[Array, "states states"],
    length: int,
) -> Int[Array, " length"]:
    """One exact draw of the states, by the Gumbel-max rule.

    `mode="high"`: the default noise has 23 random bits in float32, and rarer events never happen.
    """
    log_initial, log_transition = safe_log(initial), safe_log(transition)
    shape = (length, initial.shape[0])
    noise = jax.random.gumbel(key, shape, log_initial.dtype, mode="high")

    def step(state, gumbel):
        following = jnp.argmax(log_transition[state] + gumbel)
        return following, following

    first = jnp.argmax(log_initial + noise[0])
    _, rest = jax.lax.scan(step, first, noise[1:])
    return jnp.concatenate([first[None], rest])


def _finite_max(values: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The maximum over `axis` (kept), 0 where it is infinite, and a constant for gradients."""
    top = jnp.max(values, axis=axis, keepdims=True)
    return jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0.0))
