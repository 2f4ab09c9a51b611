r"""Choices with Gumbel noise: the masked positions of highest $s_i + \tau g_i$, and their exact law.

$g_i$ are independent standard Gumbel variables, so the best of them are a sample without replacement with
weights $e^{s_i / \tau}$ (the Plackett-Luce law): random order for large $\tau$, the highest scores at 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import Numbers, as_floats
from .._errors import refuse
from .._numerics import dot
from .._types import Array, Float, Int, Key, Positions
from ..schedules.schedule import Schedule
from .base import certain_choice
from .orders import first, subsets


def linear_annealing(steps: int, temperature: float) -> Float[np.ndarray, " steps"]:
    r"""MaskGIT's choice temperatures: $\tau\,(1 - (t + 1) / T)$ in step $t$ of $T$, 0 in the last.

    This is the authors' code (google-research/maskgit), where `temperature` is 1 unless given, and 4.5 for
    their images. aMUSEd (diffusers) has `np.linspace(2, 0, T)`.

    >>> linear_annealing(4, 2.0).tolist()
    [1.5, 1.0, 0.5, 0.0]
    """
    return temperature * (1 - np.arange(1, steps + 1) / steps)


def by_revealed(argument: str, schedule: Schedule, values: Numbers) -> Float[Array, " n"]:
    """For each number of revealed tokens, the value of the step that comes next.

    `values` are one number, or one a step.

    Raises:
        InvalidInputError: another number of values, or one that is not a finite number of at least 0.
    """
    (given,) = as_floats(values)
    if given.shape not in ((), (schedule.steps,)):
        wanted = f"one number, or {schedule.steps}, one a step"
        refuse(argument, f"of shape {given.shape}", wanted)
    if not isinstance(given, Tracer) and not np.all((np.asarray(given) >= 0) & np.isfinite(given)):
        refuse(argument, np.asarray(given).tolist(), "finite numbers >= 0")
    return jnp.repeat(jnp.broadcast_to(given, (schedule.steps,)), np.asarray(schedule.counts))


def choice_temperatures(schedule: Schedule, values: Numbers) -> Float[Array, " n"] | None:
    """`by_revealed`, or nothing where all are 0: then no choice is random."""
    found = by_revealed("choice_temperature", schedule, values)
    return None if not isinstance(found, Tracer) and not np.any(found) else found


def at_revealed(values: Float[Array, " n"], masked: Positions, dtype: jnp.dtype) -> Float[Array, ""]:
    """The value of the next step; that of the last step where nothing is masked."""
    return values[jnp.minimum(jnp.sum(~masked), values.shape[0] - 1)].astype(dtype)


def noisy_first(
    key: Key[Array, ""],
    score: Float[Array, " n"],
    temperature: Float[Array, ""],
    masked: Positions,
    count: Int[Array, ""],
) -> Positions:
    r"""The `count` masked positions of highest $s_i + \tau g_i$, the lowest position first among equals.

    Scores of $-\infty$ come after all others.
    """
    noise = jax.random.gumbel(key, score.shape, score.dtype, mode="high")
    return first(-(score + temperature * noise), masked, count)


def noisy_first_law(
    score: Float[Array, " n"], temperature: Float[Array, ""], masked: Positions, count: Int[Array, ""]
) -> Float[Array, " subsets"]:
    r"""The probability that `noisy_first` chooses each set; bit `i` of the index is position `i`.

    With $V(\emptyset) = 1$ and $j$ over the masked positions,

    $$V(S) = \sum_{i \in S} V(S \setminus i)\,
      \frac{e^{s_i / \tau}}{\sum_{j \notin S \setminus i} e^{s_j / \tau}}.$$

    All terms are positive, so nothing cancels; the fraction is $1 / \sum_j e^{(s_j - s_i) / \tau}$, which
    does not underflow. Cost: $O(2^n n^2)$ operations, and $2^n n$ numbers.
    """
    n, dtype, sets = score.shape[0], score.dtype, subsets(score.shape[0])
    noisy, possible = temperature > 0, score > -jnp.inf
    known = jnp.where(possible, score, 0.0)
    ahead_by = (known[None, :] - known[:, None]) / jnp.where(noisy, temperature, 1.0)
    odds = jnp.minimum(jnp.exp(ahead_by), jnp.finfo(dtype).max / (2 * n))
    left = jnp.asarray(~sets) & masked[None, :]
    ahead = left & possible[None, :]
    shares = jnp.where(ahead, 1 / jnp.maximum(dot(ahead.astype(dtype), odds.T), 1.0), 0.0)
    # Where only scores of -inf are left, the lowest position comes next.
    lowest = (left & (jnp.cumsum(left, axis=1) == 1)).astype(dtype)
    shares = jnp.where(jnp.any(ahead, axis=1, keepdims=True), shares, lowest)
    sizes, order = sets.sum(axis=1), np.argsort(sets.sum(axis=1), kind="stable")
    layers, place = [jnp.ones((1,), dtype)], np.empty(2**n, int)
    place[order] = np.arange(2**n) - np.searchsorted(sizes[order], sizes[order])  # among its size
    for size in range(1, n + 1):
        here = np.flatnonzero(sizes == size)
        members = np.nonzero(sets[here])[1].reshape(-1, size)
        before = here[:, None] ^ (1 << members)
        layers.append(jnp.sum(layers[-1][place[before]] * shares[before, members], axis=1))
    law = jnp.concatenate(layers)[np.argsort(order)]
    count = jnp.minimum(count, jnp.sum(masked))
    law = jnp.where(jnp.asarray(sizes) == count, law, 0.0)
    return jnp.where(noisy, law, certain_choice(first(-score, masked, count), dtype))
