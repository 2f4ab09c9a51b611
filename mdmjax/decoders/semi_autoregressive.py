"""Semi-autoregressive decoding: block after block, each by a rule of its own."""

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Float, Key, LogProbs, Positions, Step, Tokens
from .base import AbstractRule


class SemiAutoregressive(AbstractRule):
    r"""Blocks of `block` positions from left to right, each decoded to its end by `rule` (LLaDA).

    `block` is the block length, and `rule` one of so many positions: it is given the rows and the tokens of
    the block alone, and the step counted over the whole.

    Raises:
        InvalidInputError: a block below 1; at the first use, one that does not divide the number of
            positions.

    >>> import jax
    >>> from mdmjax import Schedule, left_to_right
    >>> rule = SemiAutoregressive(left_to_right(Schedule([2, 1])), 3)
    >>> tokens = jnp.array([0, 1, 1, 2, 2, 2])
    >>> rule.choose(jax.random.key(0), jnp.zeros((6, 2)), tokens, jnp.array(2)).tolist()
    [False, False, False, True, True, False]
    """

    rule: AbstractRule
    block: int = eqx.field(static=True)

    def __init__(self, rule: AbstractRule, block: int):
        self.rule, self.block = rule, check_integer("block", block, 1)

    @property
    def is_random(self) -> bool:
        """Whether the rule of a block is."""
        return self.rule.is_random

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """What `rule` chooses in the first block that has masked positions."""
        current, rows, block = self._current(log_probs, tokens)
        chosen = self.rule.choose(key, rows, block, step) & (block == log_probs.shape[1])
        here = jnp.arange(tokens.shape[0] // self.block) == current
        return (here[:, None] & chosen[None, :]).reshape(tokens.shape)

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """The law of `rule` on the sets within the first block that has masked positions."""
        current, rows, block = self._current(log_probs, tokens)
        law = self.rule.choice_law(rows, block, step)
        places = jnp.arange(2**self.block) << (current * self.block)
        return jnp.zeros((2 ** tokens.shape[0],), law.dtype).at[places].set(law)

    def _current(self, log_probs: LogProbs, tokens: Tokens) -> tuple[Array, Array, Array]:
        """The first block that has masked positions, or the first if none has; its rows and tokens."""
        n, q = log_probs.shape
        if n % self.block:
            refuse("block", self.block, f"a divisor of n = {n}")
        current = jnp.argmax(tokens == q) // self.block
        rows, blocks = log_probs.reshape(-1, self.block, q), tokens.reshape(-1, self.block)
        return current, rows[current], blocks[current]
