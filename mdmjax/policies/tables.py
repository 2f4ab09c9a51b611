"""Rules that look up what to reveal: the form in which policies are found."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._contexts import place_values
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..decoders.base import AbstractRule
from ..decoders.orders import first, uniform_choice_law


class PolicyTable(AbstractRule):
    """The set to reveal of every step and state: bit `i` of `sets[step, code]` is position `i`.

    Steps beyond the last row use the last row. With `adaptive` false the code is in base 2, with digit 1
    where masked: the choice depends on which positions are revealed, and not on their symbols.
    """

    sets: Int[Array, "steps codes"]
    adaptive: bool = eqx.field(static=True, default=True)
    is_random = False

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The positions of the table's set."""
        n, q = log_probs.shape
        chosen = _entry(self.sets, self.adaptive, q, tokens, step)
        return (chosen >> jnp.arange(n, dtype=chosen.dtype)) & 1 == 1


class SizeTable(AbstractRule):
    """The number of tokens to reveal, at uniformly random masked positions; codes as in `PolicyTable`."""

    sizes: Int[Array, "steps codes"]
    adaptive: bool = eqx.field(static=True, default=True)
    is_random = True

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The masked positions that come first in a random order."""
        n, q = log_probs.shape
        size = _entry(self.sizes, self.adaptive, q, tokens, step)
        return first(jax.random.permutation(key, n), tokens == q, size)

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """Uniform over the sets of masked positions of this size."""
        q = log_probs.shape[1]
        size = _entry(self.sizes, self.adaptive, q, tokens, step)
        return uniform_choice_law(tokens == q, size, log_probs.dtype)


def _entry(
    table: Int[Array, "steps codes"], adaptive: bool, q: int, tokens: Tokens, step: Int[Array, ""]
) -> Int[Array, ""]:
    digits = tokens if adaptive else (tokens == q).astype(tokens.dtype)
    place = jnp.asarray(place_values(tokens.shape[0], q if adaptive else 1), tokens.dtype)
    code = jnp.sum(digits * place, dtype=tokens.dtype)
    return table[jnp.minimum(step, table.shape[0] - 1), code].astype(int)
