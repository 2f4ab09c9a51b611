"""What a decoder is: a rule that chooses, from what the denoiser says, which positions to reveal."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import refuse
from .._types import Array, Bool, Float, Int, Key, Tokens


class AbstractDecoder(eqx.Module):
    r"""One step of a sampler that reveals positions and never masks them again.

    A step calls the denoiser once on the tokens at hand, chooses a set of masked positions, and draws
    their tokens independently, all from the state before the step. `choose` is a function of one
    sequence; with `is_random` false it must not use its key. A random decoder has an exact law if it
    says the probability of every choice in `choice_law`. At least one masked position must be chosen
    while there is one.
    """

    is_random: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def choose(
        self,
        key: Key[Array, ""],
        log_probs: Float[Array, "n q"],
        tokens: Tokens,
        step: Int[Array, ""],
    ) -> Bool[Array, " n"]:
        """The masked positions that step `step` (from 0) reveals."""

    def choice_law(
        self, log_probs: Float[Array, "n q"], tokens: Tokens, step: Int[Array, ""]
    ) -> Float[Array, " subsets"]:
        """The probability that `choose` returns each set; bit `i` of the index is position `i`.

        Raises:
            InvalidInputError: a random decoder that does not say.
        """
        n = tokens.shape[0]
        if self.is_random:
            name = type(self).__name__
            refuse("decoder", name, "one that says the law of its choice", f"define {name}.choice_law")
        key = jax.random.key(0)  # not used: the decoder is not random
        chosen = self.choose(key, log_probs, tokens, step) & (tokens == log_probs.shape[1])
        index = jnp.sum(jnp.where(chosen, 1 << jnp.arange(n), 0))
        return jax.nn.one_hot(index, 2**n, dtype=log_probs.dtype)
