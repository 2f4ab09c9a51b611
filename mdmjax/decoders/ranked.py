"""Rules that reveal the positions of highest score: easy-first and its relatives.

All decoders compare scores on the grid of `comparable`, and the lowest position comes first among equals:
samples and exact laws break ties alike.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp

from .._numerics import comparable, entropy
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..schedules.schedule import Schedule
from .base import AbstractRule
from .orders import ends_of, first, step_size

Score = Callable[[LogProbs], Float[Array, " n"]]
"""How much a rule wants every position, from its row."""


class Ranked(AbstractRule):
    r"""The masked positions of highest `score`, as many as the schedule says.

    `score` is `negative_entropy`, `confidence` or `margin` for easy-first, `row_entropy` for hard-first, or
    any other function of the rows. `Ranked(confidence, ascending_steps(n))` is ASS.

    Raises:
        InvalidInputError: as `RandomSubset`.

    >>> import jax
    >>> rows = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.9, 0.1]]))
    >>> rule, masked = Ranked(confidence, Schedule([1, 2])), jnp.array([2, 2, 2])
    >>> rule.choose(jax.random.key(0), rows, masked, jnp.array(0)).tolist()
    [False, True, False]
    """

    score: Score = eqx.field(static=True)
    ends: Int[Array, " n"]
    is_random = False

    def __init__(self, score: Score, schedule: Schedule):
        self.score, self.ends = score, ends_of(schedule)

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The best of the masked positions."""
        masked = tokens == log_probs.shape[1]
        return first(-comparable(self.score(log_probs)), masked, step_size(self.ends, masked))


def row_entropy(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$H(\hat p_i)$ in nats: the score of hard-first.

    >>> row_entropy(jnp.log(jnp.array([[0.5, 0.5]]))).round(4).tolist()
    [0.6931]
    """
    return entropy(jnp.exp(log_probs))


def negative_entropy(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$-H(\hat p_i)$ in nats: easy-first.

    >>> negative_entropy(jnp.log(jnp.array([[0.5, 0.5]]))).round(4).tolist()
    [-0.6931]
    """
    return -row_entropy(log_probs)


def confidence(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$\max_a \hat p_i(a)$.

    >>> confidence(jnp.log(jnp.array([[0.25, 0.75]]))).round(4).tolist()
    [0.75]
    """
    return jnp.exp(jnp.max(log_probs, axis=-1))


def margin(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""The most probable symbol's probability less that of the second, which is 0 if there is none.

    >>> margin(jnp.log(jnp.array([[0.25, 0.75]]))).round(4).tolist()
    [0.5]
    """
    best, second = top_two(log_probs)
    return jnp.exp(best) - jnp.exp(second)


def top_two(log_probs: LogProbs) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    r"""The two largest logarithms of each row; the second is $-\infty$ for an alphabet of one."""
    q = log_probs.shape[1]
    others = jnp.arange(q)[None, :] != jnp.argmax(log_probs, axis=-1)[:, None]
    second = jnp.max(log_probs, axis=-1, where=others, initial=-jnp.inf)
    return jnp.max(log_probs, axis=-1), second
