r"""What a decoder is when it may take tokens back: a Markov kernel on the partial assignments.

One step is a mixture of products, $K(x' \mid x) = \sum_b w_b(x) \prod_i r_{b,i}(x'_i \mid x)$, with the
mask as one more symbol. That form holds every decoder here: a rule that reveals has one branch, a random
subset one branch a subset, a rule that looks at what it drew one branch a draw. Samples are drawn from it
and exact laws are propagated through it, so that both are of the same decoder.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..denoisers.argmax import certain
from ..denoisers.base import AbstractDenoiser
from ..denoisers.perturbed import tempered
from .base import AbstractDecoder
from .orders import subsets


class Branches(NamedTuple):
    """A mixture of products: `weights` sum to one, and so does every row over `0..q` (`q`: masked)."""

    weights: Float[Array, " branches"]
    rows: Float[Array, "branches n symbols"]


class AbstractKernel(eqx.Module):
    r"""One step of a sampler as a law on what follows: reveal, write, mask again, stop.

    `branches` is that law. `calls` is what the step costs, in calls of the denoiser (batched calls on
    several drafts count once). `finished` says when to stop. `revises` is whether a revealed token may
    change. `draw` samples from `branches`; a kernel whose branches are many overrides it, with the
    same law.
    """

    revises: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> Branches:
        """The law of the tokens after step `step` (from 0)."""

    def draw(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> Tokens:
        """One draw from `branches`."""
        weights, rows = self.branches(denoiser, tokens, step)
        choosing, drawing = jax.random.split(key)
        branch = jax.random.categorical(choosing, safe_log(weights)) if weights.shape[0] > 1 else 0
        return jax.random.categorical(drawing, safe_log(rows[branch])).astype(tokens.dtype)

    def calls(self, tokens: Tokens, step: Int[Array, ""], q: int) -> Int[Array, ""]:
        """Calls of the denoiser in this step: one, unless a kernel says otherwise."""
        return jnp.ones((), int)

    def finished(self, tokens: Tokens, step: Int[Array, ""], q: int) -> Bool[Array, ""]:
        """Whether to stop before step `step`: once nothing is masked, unless a kernel says otherwise."""
        return jnp.all(tokens != q)


class Reveal(AbstractKernel):
    r"""The kernel of a decoder that only reveals: the chosen positions are drawn, the others stay.

    Tokens are drawn at `temperature`, 0 for the argmax, while `decoder` sees the rows as they are. The law
    is that of `ChosenBy(decoder, model)` on `Tempered(model, temperature)` or on `Argmax(model)`, but a
    step calls the model once and not twice.

    Raises:
        InvalidInputError: `temperature` not a finite number of at least 0.

    >>> from mdmjax import Joint, Oracle, Schedule, left_to_right
    >>> fair = Oracle(Joint(jnp.full((2, 2), 0.25)))
    >>> step = Reveal(left_to_right(Schedule([1, 1]))).branches(fair, jnp.array([2, 2]), jnp.array(0))
    >>> step.rows.tolist()
    [[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]]
    """

    decoder: AbstractDecoder
    temperature: float = eqx.field(static=True, default=1.0)
    revises = False

    def __check_init__(self):
        """Refuse what is no temperature."""
        if not 0 <= self.temperature < float("inf"):
            refuse("temperature", self.temperature, "a finite number >= 0", "0 writes the argmax")

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> Branches:
        """One branch, or one a set for a random decoder."""
        log_probs = denoiser(tokens)
        if self.decoder.is_random:
            weights = self.decoder.choice_law(log_probs, tokens, step)
            chosen = subsets(denoiser.n)
        else:
            key = jax.random.key(0)  # not used: the decoder is not random
            chosen = self.decoder.choose(key, log_probs, tokens, step)[None, :]
            weights = jnp.ones((1,), log_probs.dtype)
        written = self._written(log_probs)
        return Branches(weights, jax.vmap(lambda one: revealed_rows(written, tokens, one))(chosen))

    def draw(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> Tokens:
        """The chosen positions drawn from their rows."""
        choosing, drawing = jax.random.split(key)
        log_probs = denoiser(tokens)
        chosen = self.decoder.choose(choosing, log_probs, tokens, step) & (tokens == denoiser.q)
        if self.temperature == 0:
            drawn = jnp.argmax(self._written(log_probs), axis=-1)
        else:
            drawn = drawn_from(drawing, self._written(log_probs))
        return jnp.where(chosen, drawn.astype(tokens.dtype), tokens)

    def _written(self, log_probs: Float[Array, "n q"]) -> Float[Array, "n q"]:
        """The rows that tokens are drawn from."""
        if self.temperature == 1:
            return log_probs
        return certain(log_probs) if self.temperature == 0 else tempered(log_probs, self.temperature)


def as_kernel(decoder: AbstractDecoder | AbstractKernel) -> AbstractKernel:
    """The decoder as a kernel."""
    return decoder if isinstance(decoder, AbstractKernel) else Reveal(decoder)


def drawn_from(key: Key[Array, ""], log_probs: Float[Array, "n q"]) -> Int[Array, " n"]:
    r"""One symbol from each row, by inversion of its sums: `n` random numbers; Gumbel noise takes `n q`.

    A symbol of probability zero is never drawn, however the sums are rounded.

    >>> drawn_from(jax.random.key(0), jnp.log(jnp.array([[0.0, 1.0], [1.0, 0.0]]))).tolist()
    [1, 0]
    """
    probs = jnp.exp(log_probs)
    possible, sums = probs > 0, jnp.cumsum(probs, axis=-1)
    total = jnp.max(sums, axis=-1, keepdims=True, where=possible, initial=0.0)
    place = jax.random.uniform(key, total.shape, total.dtype) * total
    place = jnp.minimum(place, jnp.nextafter(total, jnp.zeros_like(total)))
    return jnp.argmax(possible & (sums > place), axis=-1)


def kept_rows(tokens: Tokens, q: int, dtype: jnp.dtype) -> Float[Array, "n symbols"]:
    """The rows of a step that changes nothing.

    >>> kept_rows(jnp.array([0, 2]), 2, jnp.dtype(float)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return jax.nn.one_hot(tokens, q + 1, dtype=dtype)


def revealed_rows(
    log_probs: Float[Array, "n q"], tokens: Tokens, chosen: Bool[Array, " n"]
) -> Float[Array, "n symbols"]:
    """The rows of a step that draws the chosen masked positions and keeps the others."""
    q = log_probs.shape[1]
    drawn = jnp.pad(jnp.exp(log_probs), ((0, 0), (0, 1)))
    masked = chosen & (tokens == q)
    return jnp.where(masked[:, None], drawn, kept_rows(tokens, q, log_probs.dtype))
