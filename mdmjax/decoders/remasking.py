"""Decoders that may mask again: low-confidence remasking (LLaDA), ReMDM, wide-in narrow-out (WINO)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import Numbers, as_floats, probability
from .._errors import refuse
from .._numerics import comparable
from .._types import Array, Bool, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES
from ..schedules.schedule import Schedule
from .base import AbstractDecoder, Branches, check_branches, kept_rows, revealed_rows, word_branches
from .kept import kept_on_the_way
from .orders import ends_of, first, step_size
from .ranked import ConfidenceThreshold
from .reveal import AbstractJudged


def leave_one_out(denoiser: AbstractDenoiser, tokens: Tokens) -> Float[Array, " n"]:
    r"""$\hat p(x_i \mid x_{S \setminus i})$ of every revealed token, and 1 of a masked position."""
    n, q = denoiser.n, denoiser.q
    drafts = jnp.where(jnp.eye(n, dtype=bool), q, tokens[None, :])
    rows = jax.vmap(lambda i, draft: denoiser(draft)[i])(jnp.arange(n), drafts)
    found = jnp.exp(jnp.take_along_axis(rows, jnp.minimum(tokens, q - 1)[:, None], axis=1)[:, 0])
    return jnp.where(tokens == q, 1.0, found)


class LowConfidence(AbstractJudged):
    r"""LLaDA's low-confidence remasking, with drawn tokens (arXiv 2502.09992).

    Every masked position is drawn from its row; the draws of highest $\hat p_i(x_i)$ stay for good, as many
    as the schedule says, and the others are masked again. Because the choice looks at the draws, what is
    kept is not distributed as the rows say. `temperature` and `judge` are as in `Reveal`; at temperature 0
    it is `Reveal(Ranked(confidence, schedule), temperature=0)`. `branches` has $q^n$, one a word; a draw
    takes `O(n q)` and one call.

    Raises:
        InvalidInputError: as `RandomSubset` and `Reveal`; branches of more than 512 MiB.

    >>> from mdmjax import Joint, Oracle
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75]))))
    >>> step = LowConfidence(Schedule([1, 1])).branches(coins, jnp.array([2, 2]), jnp.array(0))
    >>> step.weights.tolist()
    [0.125, 0.375, 0.125, 0.375]
    >>> jnp.argmax(step.rows, -1).tolist()  # a 0 of the second coin is less likely than the first coin
    [[0, 2], [2, 1], [1, 2], [2, 1]]
    """

    ends: Int[Array, " n"]
    widest: int = eqx.field(static=True)
    revises = False

    def __init__(
        self, schedule: Schedule, *, temperature: float | int = 1.0, judge: AbstractDenoiser | None = None
    ):
        self.ends, self.temperature, self.judge = ends_of(schedule), temperature, judge
        self.widest = 1 << int(schedule.counts.max() - 1).bit_length()  # of few values: few programs

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch a word: its weight is the product of the rows, its rows are what is kept of it."""
        n, q = denoiser.n, denoiser.q
        check_branches("n, q", f"{n}, {q}", q**n, n, q, MAX_TABLE_BYTES // 4)
        masked = tokens == q
        judged, probs = (jnp.exp(rows) for rows in self.rows(denoiser, tokens))
        # Revealed positions are certain of their token, whatever the denoiser says of them.
        probs = jnp.where(masked[:, None], probs, kept_rows(tokens, q, probs.dtype)[:, :q])
        words = jnp.asarray(np.indices((q,) * n).reshape(n, -1).T, tokens.dtype)
        weights = jnp.prod(probs[jnp.arange(n), words], axis=1)
        kept = jax.vmap(lambda word: jnp.where(self._kept(judged, masked, word), word, tokens))(words)
        return word_branches(weights, kept, q)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One word drawn, and what is kept of it."""
        judged, written = self.rows(denoiser, tokens)
        drawn = jax.random.categorical(key, written).astype(tokens.dtype)
        return jnp.where(self._kept(jnp.exp(judged), tokens == denoiser.q, drawn), drawn, tokens)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        """Positions in proportion to the probability that they are kept with the tokens of `target`."""
        judged, written = self.rows(denoiser, tokens)
        masked = tokens == denoiser.q
        size = step_size(self.ends, masked)
        return kept_on_the_way(key, jnp.exp(judged), written, masked, target, size, self.widest)

    def _kept(self, judged: LogProbs, masked: Positions, word: Tokens) -> Positions:
        """The masked positions whose drawn tokens are the most probable."""
        sure = comparable(judged[jnp.arange(word.shape[0]), word])
        return first(-sure, masked, step_size(self.ends, masked))


class ReMDM(AbstractDecoder):
    r"""All positions at once: revealed ones are masked again, masked ones drawn, each by its own coin.

    In step $t$ a revealed token is masked with probability $\sigma_t$; a masked position is drawn from
    its row with probability $(\alpha_{t+1} - (1 - \sigma_t) \alpha_t) / (1 - \alpha_t)$, else stays masked.
    So a position is revealed after step $t$ with probability $\alpha_{t+1}$, whatever the denoiser says.
    `sigmas` are at most $\sigma_t^{\max} = \min(1, (1 - \alpha_{t+1}) / \alpha_t)$; all of 0 are MDLM's
    sampler, and a stretch of level `alphas` is the loop of ReMDM-loop.

    `by_confidence` (`ReMDM.conf`) shares $\sigma_t$ out among the revealed positions by softmax of
    $-\psi_i$, and draws masked ones with $\sigma_t = 0$ as the authors' code does; then fewer are revealed
    than $\alpha_t$. Their $\psi_i$ is the probability that the token had when it was drawn; states have no
    memory of it, and the present $\hat p(x_i \mid x_{S \setminus i})$ is our choice.

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
        values, most = np.asarray(self.sigmas), most_remasked(self.alphas)
        wrong = ~((values >= 0) & (values <= most * (1 + 4 * np.finfo(values.dtype).eps)))
        if wrong.any():
            step = int(np.argmax(wrong))
            found, wanted = (
                f"{values[step]:.6g} at step {step}",
                f"a probability of at most {most[step]:.6g}",
            )
            refuse("sigmas", found, wanted)

    @classmethod
    def cap(cls, levels: Schedule | Numbers, eta: Numbers) -> "ReMDM":
        r"""ReMDM-cap: $\sigma_t = \min(\eta, \sigma_t^{\max})$ with $\eta$ in `[0, 1]`.

        `levels` are $\alpha_0 = 0, \dots, \alpha_T = 1$, or a schedule, whose boundaries over `n` they are.

        >>> ReMDM.cap(Schedule([1, 1, 2]), 0.3).sigmas.round(4).tolist()
        [0.3, 0.3, 0.0]
        """
        alphas = _levels(levels)
        return cls(alphas, np.minimum(float(probability("eta", eta)), most_remasked(alphas)))

    @classmethod
    def rescale(cls, levels: Schedule | Numbers, eta: Numbers) -> "ReMDM":
        r"""ReMDM-rescale: $\sigma_t = \eta \, \sigma_t^{\max}$; `levels` as in `cap`."""
        alphas = _levels(levels)
        return cls(alphas, float(probability("eta", eta)) * most_remasked(alphas))

    @classmethod
    def conf(cls, levels: Schedule | Numbers) -> "ReMDM":
        r"""ReMDM-conf: $\sigma_t^{\max}$, most of it on the least likely tokens; `levels` as in `cap`."""
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
        moves = jnp.where(masked, drawn, sigma)[:, None]
        filled = jnp.pad(jnp.exp(log_probs), ((0, 0), (0, 1)))
        hidden = kept_rows(jnp.full_like(tokens, denoiser.q), denoiser.q, dtype)
        others = jnp.where(masked[:, None], filled, hidden)
        rows = (1 - moves) * kept_rows(tokens, denoiser.q, dtype) + moves * others
        return Branches(jnp.ones((1,), dtype), rows[None])

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """After `T` steps: the last reveals everything."""
        return step >= self.sigmas.shape[0]


def most_remasked(alphas: Float[Array, "..."]) -> Float[np.ndarray, " steps"]:
    r"""$\sigma_t^{\max}$, 1 where $\alpha_t = 0$; levels that do not rise from 0 to 1 are refused."""
    values = np.asarray(alphas, np.float64)
    right = values.ndim == 1 and values.size > 1 and values[0] == 0 and values[-1] == 1
    if not (right and np.all(np.diff(values) >= 0) and np.all(values[:-1] < 1)):
        refuse("alphas", values.tolist(), "numbers that rise from 0 to 1, below 1 until the end")
    before, after = values[:-1], values[1:]
    return np.minimum(1.0, np.divide(1 - after, before, out=np.ones_like(before), where=before > 0))


def _levels(levels: Schedule | Numbers) -> Float[Array, "..."]:
    """The levels as given, or those of the schedule."""
    return as_floats(levels.boundaries / levels.n if isinstance(levels, Schedule) else levels)[0]


class Wino(AbstractJudged):
    r"""Draft the confident positions, and mask again the tokens that fail verification (arXiv 2507.18578).

    A step drafts as `ConfidenceThreshold(draft_threshold)`, and masks again the tokens revealed before
    it with $\hat p(x_i \mid x_{S \setminus i}) <$ `verify_threshold`, the least probable first and one
    fewer at most than it drafts: `n` steps are enough. Drafts and verifications share one call. Tokens of
    the last step are never verified; defaults are the authors'.

    Our choices: their limit is one fewer than the step before drafted, which a state has no memory of;
    they cut drafts at 20 and at 0.7 of the masked positions; and with drawn tokens they judge the draw,
    not the row. `temperature` and `judge`, who verifies too, are as in `Reveal`. A verification that is NaN
    fails.

    Raises:
        InvalidInputError: a threshold not in `[0, 1]`; as `Reveal`.

    >>> from mdmjax import Joint, Oracle
    >>> pair, coin = jnp.array([[0.4, 0.1], [0.1, 0.4]]), jnp.array([0.25, 0.75])
    >>> three = Oracle(Joint(jnp.tensordot(pair, coin, axes=0)))
    >>> step = Wino(0.6, 0.9).branches(three, jnp.array([0, 2, 2]), jnp.array(0))
    >>> step.rows[0].round(2).tolist()  # two are drafted, so the first may be masked again
    [[0.0, 0.0, 1.0], [0.8, 0.2, 0.0], [0.25, 0.75, 0.0]]
    """

    draft_threshold: Any = eqx.field(default=0.6, converter=lambda x: probability("draft_threshold", x))
    verify_threshold: Any = eqx.field(default=0.9, converter=lambda x: probability("verify_threshold", x))
    revises = True

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch: drafts are drawn, failures are masked, the rest stays."""
        judged, log_probs = self.rows(denoiser, tokens)
        model = denoiser if self.judge is None else self.judge
        draft = ConfidenceThreshold(self.draft_threshold)
        drafted = draft.choose(jax.random.key(0), judged, tokens, step)  # the key is not used
        support = comparable(leave_one_out(model, tokens))
        passed = support >= comparable(self.verify_threshold.astype(support.dtype))
        failed = first(support, (tokens != denoiser.q) & ~passed, jnp.sum(drafted) - 1)
        hidden = kept_rows(jnp.where(failed, denoiser.q, tokens), denoiser.q, log_probs.dtype)
        rows = jnp.where(failed[:, None], hidden, revealed_rows(log_probs, tokens, drafted))
        return Branches(jnp.ones((1,), log_probs.dtype), rows[None])
