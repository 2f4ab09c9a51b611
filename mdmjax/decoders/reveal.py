"""How a rule becomes a decoder: what it chooses is drawn, the others stay."""

import jax
import jax.numpy as jnp

from .._types import Array, Key, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from .base import AbstractRule, Branches, drawn_from, revealed_rows
from .orders import subsets
from .writing import AbstractJudged


class Reveal(AbstractJudged):
    r"""The decoder of a rule: the positions that it chooses are drawn independently, the others stay.

    `Reveal(rule, temperature=1.0, judge=None)`. A step calls the denoiser once, on the tokens before it.
    Tokens are drawn at `temperature`, 0 for the argmax; the rule sees the rows as they are, or those of
    `judge` if one is given.

    Raises:
        InvalidInputError: `temperature` not a finite number of at least 0.

    >>> from mdmjax import Joint, Oracle, Schedule, left_to_right
    >>> fair = Oracle(Joint(jnp.full((2, 2), 0.25)))
    >>> step = Reveal(left_to_right(Schedule([1, 1]))).branches(fair, jnp.array([2, 2]), jnp.array(0))
    >>> step.rows.tolist()
    [[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]]
    """

    rule: AbstractRule
    revises = False

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch, or one a set for a random rule."""
        judged, written = self.rows(denoiser, tokens)
        if self.rule.is_random:
            weights, chosen = self.rule.choice_law(judged, tokens, step), jnp.asarray(subsets(denoiser.n))
        else:
            key = jax.random.key(0)  # not used: the rule is not random
            weights = jnp.ones((1,), judged.dtype)
            chosen = self.rule.choose(key, judged, tokens, step)[None, :]
        return Branches(weights, jax.vmap(lambda one: revealed_rows(written, tokens, one))(chosen))

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """The chosen positions drawn from their rows."""
        choosing, drawing = jax.random.split(key)
        judged, written = self.rows(denoiser, tokens)
        chosen = self.rule.choose(choosing, judged, tokens, step) & (tokens == denoiser.q)
        if self.temperature == 0:
            drawn = jnp.argmax(written, axis=-1)
        else:
            drawn = drawn_from(drawing, jnp.exp(written))
        return jnp.where(chosen, drawn.astype(tokens.dtype), tokens)

    def most_steps(self, n: int) -> int:
        """A step reveals at least one position."""
        return n
