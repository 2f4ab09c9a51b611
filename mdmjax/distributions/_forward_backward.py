r"""What each position is told from its left and from its right: forward and backward messages of an HMM.

Once scaled, which is fast, and once in the log domain, which loses nothing to underflow. Both take what is
seen from the left and what is seen from the right, likelihoods `[n, states]` that are 1 where nothing is.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._numerics import dot, safe_log
from .._types import Array, Bool, Float
from ._chain import log_sum_exp, rescaled

UNROLL = 4
"""Positions a turn of a loop: the turn costs more than the position where states are few (measured)."""


class Messages(NamedTuple):
    r"""`before[i]` is $p(z_i \mid x_{<i})$, `after[i]` is $p(x_{>i} \mid z_i)$ up to a factor of its own.

    `log_evidence` is that of all that is seen from the left.
    """

    before: Float[Array, "n states"]
    after: Float[Array, "n states"]
    log_evidence: Float[Array, ""]


def scaled_messages(initial: Array, transition: Array, left: Array, right: Array) -> Messages:
    """Messages, of which the largest are one or a little less: $O(n K^2)$, two products a position."""
    moves = transition if transition.ndim == 3 else None
    move = lambda own: transition if own is None else own

    def forward(before, inputs):
        likelihood, own = inputs
        seen = before * likelihood
        total = jnp.sum(seen)
        following = dot(seen / jnp.where(total > 0, total, 1.0), move(own))
        return following, (following, total)

    def backward(after, inputs):
        likelihood, own = inputs
        seen = after * likelihood
        top = jnp.max(seen)
        following = dot(move(own), seen / jnp.where(top > 0, top, 1.0))
        return following, following

    last, (later, totals) = jax.lax.scan(forward, initial, (left[:-1], moves), unroll=UNROLL)
    end = jnp.ones_like(initial)
    earlier = jax.lax.scan(backward, end, (right[1:], moves), reverse=True, unroll=UNROLL)[1]
    log_evidence = jnp.sum(safe_log(totals)) + safe_log(jnp.sum(last * left[-1]))
    before = jnp.concatenate([initial[None], later])
    return Messages(before, jnp.concatenate([earlier, end[None]]), log_evidence)


def log_messages(initial: Array, transition: Array, left: Array, right: Array) -> Messages:
    """The same of log-likelihoods, in the log domain."""
    log_transition = safe_log(transition)
    moves = log_transition if transition.ndim == 3 else None
    move = lambda own: log_transition if own is None else own

    def forward(before, inputs):
        log_likelihood, own = inputs
        seen, shift = rescaled(before + log_likelihood)
        following = log_sum_exp(seen[:, None] + move(own), axis=0)
        return following, (following, shift)

    def backward(after, inputs):
        log_likelihood, own = inputs
        following = log_sum_exp(move(own) + (after + log_likelihood)[None, :], axis=1)
        following = rescaled(following)[0]
        return following, following

    first = safe_log(initial)
    last, (later, shifts) = jax.lax.scan(forward, first, (left[:-1], moves))
    end = jnp.zeros_like(initial)
    earlier = jax.lax.scan(backward, end, (right[1:], moves), reverse=True)[1]
    log_evidence = log_sum_exp(last + left[-1], axis=0) + jnp.sum(shifts)
    before = jnp.concatenate([first[None], later])
    return Messages(before, jnp.concatenate([earlier, end[None]]), log_evidence)


def sound(messages: Messages, transition: Array, emission: Array) -> Bool[Array, ""]:
    r"""Whether no number of `scaled_messages`, or of the conditionals from them, can have underflowed.

    With $a$ and $e$ the least positive transition and emission, a message whose positive entries are at
    least $f = \sqrt{t / (a e)}$, $t$ the least normal float, has a product $f e a \ge t$ in the next one;
    so by induction no entry was lost, and $f\, f\, e \ge t$ holds for a conditional too.
    """
    least = lambda values: jnp.min(jnp.where(values > 0, values, 1.0))
    smallest = least(transition) * least(emission)
    floor = jnp.sqrt(jnp.finfo(transition.dtype).tiny / smallest)
    return jnp.minimum(least(messages.before), least(messages.after)) >= floor
