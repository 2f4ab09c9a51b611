"""What a decoder is: a rule that chooses, from what the denoiser says, which positions to reveal."""

import abc

import equinox as eqx

from .._types import Array, Bool, Float, Int, Key, Tokens


class AbstractDecoder(eqx.Module):
    r"""One step of a sampler that reveals positions and never masks them again.

    A step calls the denoiser once on the tokens at hand, chooses a set of masked positions, and draws
    their tokens independently, all from the state before the step. `choose` is a function of one
    sequence; with `is_random` false it must not use its key, and its law is then exact over the states
    that it reaches. At least one masked position must be chosen while there is one.
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
