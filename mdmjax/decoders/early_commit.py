"""Decoding that stops early: once the denoiser is sure, everything is revealed (Prophet)."""

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, as_floats, check_shape
from .._errors import refuse
from .._numerics import comparable
from .._types import Array, Bool, Float, Int, Key, Tokens
from .base import AbstractRule
from .ranked import top_two


class EarlyCommit(AbstractRule):
    r"""`decoder`, until the mean gap of the masked positions is large: then all at once (Prophet).

    The gap is $\log \hat p_i(a_1) - \log \hat p_i(a_2)$ of the two most probable symbols, the difference
    of their logits (arXiv 2508.19982). It is held against the first of `thresholds` while less than 0.33
    of the positions are revealed, the second while less than 0.67 are, then the third. Prophet averages
    over an answer span and counts progress in steps; the masked positions and the revealed share are
    our choice. It writes the argmax: `Reveal(rule, temperature=0)`.

    Raises:
        InvalidInputError: not three thresholds, or NaN among them.

    >>> from mdmjax import ConfidenceThreshold
    >>> decoder = EarlyCommit(ConfidenceThreshold(1.0), [2.0, 1.0, 1.0])
    >>> rows, step = jnp.log(jnp.array([[0.2, 0.8], [0.1, 0.9], [0.8, 0.2]])), jnp.array(0)
    >>> decoder.choose(jax.random.key(0), rows, jnp.array([2, 2, 2]), step).tolist()
    [False, True, False]
    >>> decoder.choose(jax.random.key(0), rows, jnp.array([2, 1, 2]), step).tolist()
    [True, False, True]
    """

    decoder: AbstractRule
    thresholds: Float[Array, "3"]

    def __init__(self, decoder: AbstractRule, thresholds: Numbers = (7.5, 5.0, 2.5)):
        (values,) = as_floats(thresholds)
        check_shape("thresholds", values, (3,), "(3,)")
        if not isinstance(values, jax.core.Tracer) and np.isnan(values).any():
            refuse("thresholds", values.tolist(), "three gaps in nats")
        self.decoder, self.thresholds = decoder, values

    @property
    def is_random(self) -> bool:
        """Whether `decoder` is."""
        return self.decoder.is_random

    def choose(
        self, key: Key[Array, ""], log_probs: Float[Array, "n q"], tokens: Tokens, step: Int[Array, ""]
    ) -> Bool[Array, " n"]:
        """All masked positions if the gap is large, or what `decoder` chooses."""
        masked = tokens == log_probs.shape[1]
        return masked & (
            self.commits(log_probs, masked) | self.decoder.choose(key, log_probs, tokens, step)
        )

    def choice_law(
        self, log_probs: Float[Array, "n q"], tokens: Tokens, step: Int[Array, ""]
    ) -> Float[Array, " subsets"]:
        """All masked positions if the gap is large, or the law of `decoder`."""
        masked = tokens == log_probs.shape[1]
        everything = jnp.sum(jnp.where(masked, 1 << jnp.arange(tokens.shape[0]), 0))
        law = self.decoder.choice_law(log_probs, tokens, step)
        certain = jax.nn.one_hot(everything, law.shape[0], dtype=law.dtype)
        return jnp.where(self.commits(log_probs, masked), certain, law)

    def commits(self, log_probs: Float[Array, "n q"], masked: Bool[Array, " n"]) -> Bool[Array, ""]:
        """Whether the mean gap of the masked positions reaches the threshold of the stage."""
        n = masked.shape[0]
        best, second = top_two(log_probs)
        count = jnp.maximum(jnp.sum(masked), 1).astype(log_probs.dtype)
        gap = jnp.sum(jnp.where(masked, best - second, 0.0)) / count
        revealed = jnp.sum(~masked)
        # Integers, so that 0.33 and 0.67 are not subject to rounding.
        stage = (100 * revealed >= 33 * n).astype(int) + (100 * revealed >= 67 * n).astype(int)
        threshold = self.thresholds[stage].astype(gap.dtype)
        return comparable(gap) >= comparable(threshold)
