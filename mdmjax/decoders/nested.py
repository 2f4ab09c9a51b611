"""Rules made of another rule: stopped early once the denoiser is sure, or block after block."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import Numbers, as_floats, check_integer, check_shape
from .._errors import refuse
from .._numerics import comparable
from .._types import Array, Bool, Float, Key, LogProbs, Positions, Step, Tokens
from .base import AbstractRule, certain_choice
from .ranked import top_two


class EarlyCommit(AbstractRule):
    r"""`rule`, until the mean gap of the masked positions is large: then all at once (Prophet).

    The gap is $\log \hat p_i(a_1) - \log \hat p_i(a_2)$ of the two most probable symbols (arXiv
    2508.19982). It is held against the first of `thresholds` while less than 0.33 of the positions are
    revealed, the second while less than 0.67 are, then the third. Prophet averages over an answer span,
    counts progress in steps (our choices are masked positions, revealed share), and writes the argmax:
    `Reveal(rule, temperature=0)`.

    Raises:
        InvalidInputError: not three thresholds, or NaN among them.

    >>> import jax
    >>> from mdmjax import ConfidenceThreshold
    >>> rule = EarlyCommit(ConfidenceThreshold(1.0), [2.0, 1.0, 1.0])
    >>> rows, step = jnp.log(jnp.array([[0.2, 0.8], [0.1, 0.9], [0.8, 0.2]])), jnp.array(0)
    >>> rule.choose(jax.random.key(0), rows, jnp.array([2, 2, 2]), step).tolist()
    [False, True, False]
    >>> rule.choose(jax.random.key(0), rows, jnp.array([2, 1, 2]), step).tolist()
    [True, False, True]
    """

    rule: AbstractRule
    thresholds: Float[Array, "3"]
    is_random = property(lambda self: self.rule.is_random)  # type: ignore[assignment]

    def __init__(self, rule: AbstractRule, thresholds: Numbers = (7.5, 5.0, 2.5)):
        (values,) = as_floats(thresholds)
        check_shape("thresholds", values, (3,), "(3,)")
        if not isinstance(values, Tracer) and np.isnan(values).any():
            refuse("thresholds", values.tolist(), "three gaps in nats")
        self.rule, self.thresholds = rule, values

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """All masked positions if the gap is large, or what `rule` chooses."""
        masked = tokens == log_probs.shape[1]
        return masked & (self._commits(log_probs, masked) | self.rule.choose(key, log_probs, tokens, step))

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """All masked positions if the gap is large, or the law of `rule`."""
        masked = tokens == log_probs.shape[1]
        law = self.rule.choice_law(log_probs, tokens, step)
        return jnp.where(self._commits(log_probs, masked), certain_choice(masked, law.dtype), law)

    def _commits(self, log_probs: LogProbs, masked: Positions) -> Bool[Array, ""]:
        """Whether the mean gap of the masked positions reaches the threshold of the stage."""
        best, second = top_two(log_probs)
        count = jnp.maximum(jnp.sum(masked), 1).astype(log_probs.dtype)
        gap = jnp.sum(jnp.where(masked, best - second, 0.0)) / count
        shares = np.array([33, 67]) * masked.shape[0]  # integers: 0.33 and 0.67 are not rounded
        stage = jnp.sum(100 * jnp.sum(~masked) >= shares)
        return comparable(gap) >= comparable(self.thresholds[stage].astype(gap.dtype))


class SemiAutoregressive(AbstractRule):
    r"""Blocks of `block` positions from left to right, each decoded to its end by `rule` (LLaDA).

    `rule` is one of `block` positions: it is given the rows and the tokens of the block alone, and the step
    counted over the whole.

    Raises:
        InvalidInputError: a block below 1; at the first use, one that does not divide `n`.

    >>> import jax
    >>> from mdmjax import Schedule, left_to_right
    >>> rule = SemiAutoregressive(left_to_right(Schedule([2, 1])), 3)
    >>> tokens = jnp.array([0, 1, 1, 2, 2, 2])
    >>> rule.choose(jax.random.key(0), jnp.zeros((6, 2)), tokens, jnp.array(2)).tolist()
    [False, False, False, True, True, False]
    """

    rule: AbstractRule
    block: int = eqx.field(static=True, converter=lambda x: check_integer("block", x, 1))
    is_random = property(lambda self: self.rule.is_random)  # type: ignore[assignment]

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
