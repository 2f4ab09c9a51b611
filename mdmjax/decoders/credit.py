r"""Credits for what was predicted before: CreditDecoding, a wrapper that makes any decoder remember."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, check_integer, probability, scalar
from .._errors import refuse
from .._numerics import comparable
from .._types import Array, Float, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..denoisers.perturbed import AbstractPerturbed
from .base import AbstractDecoder, Branches
from .reveal import of_decoder


class Credited(AbstractDecoder):
    r"""`decoder` with rows that earlier predictions have raised: CreditDecoding (arXiv 2510.06133).

    Every masked position has a credit for each symbol, 0 at first. A step multiplies all credits by
    `decay`, adds $\max_a \hat p_i(a)^{\text{boost}}$ to that of the best symbol, and decodes the rows

    $$\tilde p_i(a) \propto \hat p_i(a)\, (1 + C_i(a))^{\text{strength}},$$

    which its present prediction has raised as well: $\log \hat p + \text{strength} \log(1 + C)$ in logits.
    The formula and its default values are read in the code of dInfer, which decodes with
    `Reveal(ConfidenceThreshold(...))`; the paper was seen as an abstract only. A temperature of `decoder`
    is that of the raised rows, as there. Our choices: any decoder may be wrapped; all positions are one
    block (dInfer starts the credits of a block when it comes to it); among best symbols that are equal the
    lowest has the credit. With `strength` 0 it is `decoder`, whose calls are its own.

    Raises:
        InvalidInputError: `n` or `q` below 1, or at the first use not the denoiser's; `strength` or `boost`
            no finite number >= 0; `decay` not in `[0, 1]`.

    >>> from mdmjax import ConfidenceThreshold, Oracle, Reveal, exact_law, symmetric_chain
    >>> chain, plain = Oracle(symmetric_chain(3, 2, 0.1)), Reveal(ConfidenceThreshold(0.95))
    >>> credited = Credited(plain, 3, 2, strength=2)
    >>> [round(float(exact_law(chain, one).expected_calls), 4) for one in (plain, credited)]
    [3.0, 2.2223]
    """

    decoder: AbstractDecoder
    credits: Float[Array, "n q"]
    strength: Float[Array, ""]
    decay: Float[Array, ""]
    boost: Float[Array, ""]
    remembers = True
    revises = property(lambda self: self.decoder.revises)  # type: ignore[assignment]
    one_path = property(lambda self: self.decoder.one_path)  # type: ignore[assignment]
    calls_of = property(lambda self: self.decoder.calls_of)  # type: ignore[assignment]
    calls, finished = of_decoder("calls"), of_decoder("finished")
    start, most_steps, writer = of_decoder("start"), of_decoder("most_steps"), of_decoder("writer")

    def __init__(
        self,
        decoder: AbstractDecoder,
        n: int,
        q: int,
        *,
        strength: Numbers = 0.7,
        decay: Numbers = 0.8,
        boost: Numbers = 0.2,
    ):
        self.decoder, self.decay = decoder, probability("decay", decay)
        wanted, good = "a finite number >= 0", lambda x: 0 <= x < math.inf
        self.strength = scalar("strength", strength, wanted, good)
        self.boost = scalar("boost", boost, wanted, good)
        self.credits = jnp.zeros((check_integer("n", n, 1), check_integer("q", q, 1)))

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """Those of the decoder with the raised rows."""
        return self.decoder.branches(self._raised(denoiser), tokens, step)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """A draw of the decoder with the raised rows."""
        return self.decoder.draw(key, self._raised(denoiser), tokens, step)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        """A step of the decoder with the raised rows."""
        return self.decoder.follow(key, self._raised(denoiser), tokens, target, step)

    def then(self, denoiser: AbstractDenoiser, tokens: Tokens, after: Tokens, step: Step) -> "Credited":
        """The same, with the credits of this step; and what the decoder remembers."""
        raised = self._raised(denoiser)
        credits = raised.grown(denoiser(tokens), tokens).astype(self.credits.dtype)
        decoder = self.decoder.then(raised, tokens, after, step)
        return eqx.tree_at(lambda one: (one.decoder, one.credits), self, (decoder, credits))

    def _raised(self, denoiser: AbstractDenoiser) -> "_Raised":
        if self.credits.shape != (denoiser.n, denoiser.q):
            refuse("n, q", f"{self.credits.shape}", f"those of the denoiser, {(denoiser.n, denoiser.q)}")
        return _Raised(denoiser, self.credits, self.strength, self.decay, self.boost)


class _Raised(AbstractPerturbed):
    """A denoiser with the credits of the steps before, to which its present prediction adds."""

    credits: Float[Array, "n q"]
    strength: Float[Array, ""]
    decay: Float[Array, ""]
    boost: Float[Array, ""]

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """The raised rows."""
        credits = self.grown(log_probs, tokens)
        raised = log_probs + self.strength.astype(log_probs.dtype) * jnp.log1p(credits)
        return jax.nn.log_softmax(raised, axis=-1)

    def grown(self, log_probs: LogProbs, tokens: Tokens) -> Float[Array, "n q"]:
        """The credits after the present prediction: of masked positions, the best symbol's grows."""
        dtype, probs = log_probs.dtype, jnp.exp(log_probs)
        best = jnp.argmax(comparable(probs), axis=-1)
        more = jnp.max(probs, axis=-1) ** self.boost.astype(dtype)
        here = jnp.where(tokens == self.q, more, 0.0)
        grown = here[:, None] * jax.nn.one_hot(best, self.q, dtype=dtype)
        return self.decay.astype(dtype) * self.credits.astype(dtype) + grown
