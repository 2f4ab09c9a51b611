"""ReMDM: an ancestral sampler of masked diffusion that may mask again (arXiv 2503.00307)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import Numbers, as_floats, probability
from .._errors import refuse
from .._types import Array, Bool, Float, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..schedules.schedule import Schedule
from .base import AbstractDecoder, Branches, kept_rows
from .leave_one_out import leave_one_out


class ReMDM(AbstractDecoder):
    r"""All positions at once: revealed ones are masked again, masked ones drawn, each by its own coin.

    In step $t$ a revealed token is masked with probability $\sigma_t$; a masked position is drawn from
    its row with probability $(\alpha_{t+1} - (1 - \sigma_t) \alpha_t) / (1 - \alpha_t)$, else stays masked.
    So a position is revealed after step $t$ with probability $\alpha_{t+1}$, whatever the denoiser says.
    `alphas` go from 0 to 1 in `T` steps and `sigmas` are at most $\min(1, (1 - \alpha_{t+1}) / \alpha_t)$;
    all of 0 are the sampler of MDLM, and a stretch of level `alphas` is the loop of ReMDM-loop. The paper's
    choices are `ReMDM.cap`, `ReMDM.rescale` and `ReMDM.conf`.

    `by_confidence` (`ReMDM.conf`) shares $\sigma_t$ out among the revealed positions by softmax of
    $-\psi_i$, and draws masked ones with $\sigma_t = 0$ as the authors' code does; then fewer are revealed
    than $\alpha_t$. Their $\psi_i$ is the probability that the token had when it was drawn. States have no
    memory of it: the present $\hat p(x_i \mid x_{S \setminus i})$ (`leave_one_out`) is our choice. Rows
    and leave-one-out drafts are one batched call.

    Raises:
        InvalidInputError: `alphas` that are not one more than `sigmas`, or do not rise from 0 to 1 and are
            below 1 until the end; `sigmas` beyond their bound.

    >>> from mdmjax import Joint, Oracle
    >>> fair = Oracle(Joint(jnp.full((2, 2), 0.25)))
    >>> sampler = ReMDM([0.0, 0.5, 1.0], [0.0, 0.0])
    >>> sampler.branches(fair, jnp.array([1, 2]), jnp.array(0)).rows[0].tolist()
    [[0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]
    """

    alphas: Float[Array, " levels"]
    sigmas: Float[Array, " steps"]
    by_confidence: bool = eqx.field(static=True)
    revises = True

    def __init__(self, alphas: Numbers, sigmas: Numbers, *, by_confidence: bool = False):
        self.alphas, self.sigmas = as_floats(alphas, sigmas)
        self.by_confidence = by_confidence
        if self.sigmas.shape != (self.alphas.size - 1,):
            refuse("sigmas", f"of shape {self.sigmas.shape}", f"{self.alphas.size - 1} numbers, one a step")
        if any(isinstance(x, Tracer) for x in (self.alphas, self.sigmas)):
            return
        values, most = np.asarray(self.sigmas), most_remasked(_checked_levels(self.alphas))
        wrong = ~((values >= 0) & (values <= most * (1 + 4 * np.finfo(values.dtype).eps)))
        if wrong.any():
            step = int(np.argmax(wrong))
            wanted = f"a probability of at most {most[step]:.6g}"
            refuse("sigmas", f"{values[step]:.6g} at step {step}", wanted)

    @classmethod
    def cap(cls, levels: Schedule | Numbers, eta: Numbers) -> "ReMDM":
        r"""ReMDM-cap: $\sigma_t = \min(\eta, \sigma_t^{\max})$.

        `levels` are $\alpha_0 = 0, \dots, \alpha_T = 1$, or a schedule, whose boundaries over `n` they are.

        Raises:
            InvalidInputError: as `ReMDM`, and `eta` not in `[0, 1]`.

        >>> ReMDM.cap(Schedule([1, 1, 2]), 0.3).sigmas.round(4).tolist()
        [0.3, 0.3, 0.0]
        """
        alphas = _levels(levels)
        return cls(alphas, np.minimum(float(probability("eta", eta)), most_remasked(alphas)))

    @classmethod
    def rescale(cls, levels: Schedule | Numbers, eta: Numbers) -> "ReMDM":
        r"""ReMDM-rescale: $\sigma_t = \eta \, \sigma_t^{\max}$; `levels` and errors as in `cap`.

        >>> ReMDM.rescale(Schedule([2, 1, 1]), 0.3).sigmas.round(4).tolist()
        [0.3, 0.15, 0.0]
        """
        alphas = _levels(levels)
        return cls(alphas, float(probability("eta", eta)) * most_remasked(alphas))

    @classmethod
    def conf(cls, levels: Schedule | Numbers) -> "ReMDM":
        r"""ReMDM-conf: $\sigma_t^{\max}$, most of it on the least likely tokens; `levels` as in `cap`.

        >>> ReMDM.conf(Schedule([2, 1, 1])).sigmas.round(4).tolist()
        [1.0, 0.5, 0.0]
        """
        alphas = _levels(levels)
        return cls(alphas, most_remasked(alphas), by_confidence=True)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch: a coin a position."""
        log_probs = denoiser(tokens)
        masked, dtype = tokens == denoiser.q, log_probs.dtype
        before, after = self.alphas[step].astype(dtype), self.alphas[step + 1].astype(dtype)
        sigma = self.sigmas[step].astype(dtype)
        compensated = sigma
        if self.by_confidence:
            weights = jnp.where(masked, 0.0, jnp.exp(-leave_one_out(denoiser, tokens)))
            sigma = sigma * weights / jnp.where(masked.all(), 1.0, jnp.sum(weights))
            compensated = jnp.zeros((), dtype)
        drawn = jnp.clip((after - (1 - compensated) * before) / (1 - before), 0.0, 1.0)
        stays = jnp.where(masked, 1 - drawn, 1 - sigma)
        kept = stays[:, None] * kept_rows(tokens, denoiser.q, dtype)
        filled = jnp.pad(drawn * jnp.exp(log_probs), ((0, 0), (0, 1)))
        mask = jax.nn.one_hot(denoiser.q, denoiser.q + 1, dtype=dtype)
        hidden = jnp.broadcast_to(sigma, masked.shape)[:, None] * mask[None, :]
        rows = kept + jnp.where(masked[:, None], filled, hidden)
        return Branches(jnp.ones((1,), dtype), rows[None])

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """After `T` steps: the last reveals everything."""
        return step >= self.sigmas.shape[0]


def most_remasked(alphas: Float[np.ndarray, " levels"]) -> Float[np.ndarray, " steps"]:
    r"""$\sigma_t^{\max} = \min(1, (1 - \alpha_{t+1}) / \alpha_t)$, 1 where $\alpha_t = 0$.

    >>> most_remasked(np.array([0.0, 0.5, 0.75, 1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    before, after = alphas[:-1], alphas[1:]
    return np.minimum(1.0, np.divide(1 - after, before, out=np.ones_like(before), where=before > 0))


def _levels(levels: Schedule | Numbers) -> Float[np.ndarray, " levels"]:
    """The levels as given, or those of the schedule."""
    given = levels.boundaries / levels.n if isinstance(levels, Schedule) else levels
    return _checked_levels(*as_floats(given))


def _checked_levels(alphas: Float[Array, " levels"]) -> Float[np.ndarray, " levels"]:
    """The levels as NumPy; refused if they do not rise from 0 to 1."""
    values = np.asarray(alphas, np.float64)
    right = values.ndim == 1 and values.size > 1 and values[0] == 0 and values[-1] == 1
    if not (right and np.all(np.diff(values) >= 0) and np.all(values[:-1] < 1)):
        refuse("alphas", values.tolist(), "numbers that rise from 0 to 1, below 1 until the end")
    return values
