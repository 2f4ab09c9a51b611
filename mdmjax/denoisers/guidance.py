r"""Classifier-free guidance: a denoiser that is told the prompt, sharpened by one that is not."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, scalar
from .._errors import refuse
from .._types import Array, Float, Int, LogProbs, Tokens
from .base import AbstractDenoiser
from .conditioned import Conditioned


class Guided(AbstractDenoiser):
    r"""$\hat p(x_i \mid x_S) \propto p(x_i \mid x_S, y)^{1+w} \, p(x_i \mid x_S)^{-w}$, $w$ the `scale`.

    LLaDA's `cfg_scale`: logits are `un_logits + (cfg_scale + 1) * (logits - un_logits)`; 0 is the
    conditional denoiser. Log-probabilities may stand for logits, for what a softmax adds to all drops out.
    Both are asked at each call, as LLaDA does in one batch: it counts once. Rows are NaN where the
    unconditional one rules out a symbol that the other does not, which no joint law does.

    Raises:
        InvalidInputError: two shapes; a `scale` that is not a finite number of at least 0.

    >>> from mdmjax import Joint, Oracle
    >>> told, untold = (Oracle(Joint(jnp.array(p))) for p in ([0.2, 0.8], [0.5, 0.5]))
    >>> print(jnp.exp(Guided(told, untold, 1.0)(jnp.array([2])))[0].round(4))  # 1 : 16
    [0.0588 0.9412]
    """

    conditional: AbstractDenoiser
    unconditional: AbstractDenoiser
    scale: Float[Array, ""] = eqx.field(converter=lambda x: guidance_scale(x))
    n = property(lambda self: self.conditional.n)
    q = property(lambda self: self.conditional.q)

    def __check_init__(self):
        one, other = self.conditional, self.unconditional
        if (one.n, one.q) != (other.n, other.q):
            found = f"of n, q = {other.n}, {other.q}"
            refuse("unconditional", found, f"n, q = {one.n}, {one.q} of the conditional one")

    def __call__(self, tokens: Tokens) -> LogProbs:
        """Log-probabilities of every symbol at every position."""
        told = self.conditional(tokens)
        rows = guided_rows(told, self.unconditional(tokens), self.scale)
        return jnp.where((tokens == self.q)[:, None], rows, told)


def guidance_scale(value: Numbers) -> Float[Array, ""]:
    """The scale as a number, refused if it is known and not finite and at least 0."""
    return scalar("scale", value, "a finite number >= 0", lambda x: 0 <= x < float("inf"))


def guided_rows(
    conditional: Float[Array, "... q"], unconditional: Float[Array, "... q"], scale: Numbers
) -> Float[Array, "... q"]:
    r"""`log_softmax(c + w (c - u))`, minus infinity where the conditional row is.

    >>> told, untold = jnp.log(jnp.array([0.5, 0.5, 0.0])), jnp.log(jnp.array([0.5, 0.25, 0.25]))
    >>> print(jnp.exp(guided_rows(told, untold, 1.0)).round(4))
    [0.3333 0.6667 0.    ]
    """
    never = jnp.isneginf(conditional)
    told, untold = (jnp.where(never, 0.0, rows) for rows in (conditional, unconditional))
    raised = told + jnp.asarray(scale, told.dtype) * (told - untold)
    return jax.nn.log_softmax(jnp.where(never, -jnp.inf, raised), axis=-1)


def prompt_guided(
    denoiser: AbstractDenoiser, context: Int[Array, " length"], positions: Int[Array, " n"], scale: Numbers
) -> Guided:
    """One denoiser of whole sequences as both: with the tokens of `context`, and with the mask there.

    What is not among the `positions` is the prompt. LLaDA masks all of it in its second call.

    Raises:
        InvalidInputError: as `Conditioned` and `Guided`.

    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.4, 0.1], [0.1, 0.4]])))
    >>> guided = prompt_guided(pair, jnp.array([1, 2]), jnp.array([1]), 1.0)
    >>> print(jnp.exp(guided(jnp.array([2])))[0].round(4))
    [0.0588 0.9412]
    """
    masked = jnp.full_like(context, denoiser.q)
    told, untold = (Conditioned(denoiser, whole, positions) for whole in (context, masked))
    return Guided(told, untold, scale)
