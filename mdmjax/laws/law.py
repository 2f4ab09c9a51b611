"""The law of a decoder: what it outputs, and what that costs."""

import equinox as eqx
import jax.numpy as jnp

from .._types import Array, Float


class Law(eqx.Module):
    r"""The exact distribution of a decoder's output, and of its number of denoiser calls.

    `probs[x_1, ..., x_n]` is the probability of the output `x`, shape `[q]*n`; it sums to one less
    `unfinished`, the mass that had not finished when a bound on steps was reached (0 for most).
    `calls[c]` is the probability of `c` calls, `c = 0..len-1`. `finalised[i, t]` is the probability
    that position `i` gets its final token in step `t` (from 0).
    """

    probs: Float[Array, "..."]
    calls: Float[Array, " counts"]
    finalised: Float[Array, "n steps"]
    unfinished: Float[Array, ""]

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.probs.ndim

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return self.probs.shape[0]

    @property
    def expected_calls(self) -> Float[Array, ""]:
        """Mean number of denoiser calls."""
        return self.calls @ jnp.arange(self.calls.shape[0], dtype=self.calls.dtype)
