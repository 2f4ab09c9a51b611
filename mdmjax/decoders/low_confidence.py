"""Decoders that draw every masked position and keep the surest draws: LLaDA's low confidence, MaskGIT."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, check_integer
from .._contexts import place_values, tokens_of
from .._draws import drawn_from
from .._errors import refuse
from .._numerics import comparable, safe_log
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES
from ..schedules.named import ascending_steps
from ..schedules.schedule import Schedule
from .base import Branches, check_branches, kept_rows, word_branches
from .gumbel import (
    at_revealed,
    by_revealed,
    choice_temperatures,
    linear_annealing,
    noisy_first,
    noisy_first_law,
)
from .kept import kept_on_the_way
from .orders import ends_of, first, step_size, subsets
from .reveal import AbstractJudged

MAX_CHOICES = 2**20  # words times sets of positions, of a step with noise


class LowConfidence(AbstractJudged):
    r"""LLaDA's low-confidence remasking, with drawn tokens (arXiv 2502.09992), and MaskGIT's with noise.

    Every masked position is drawn from its row; the draws of highest $\hat p_i(x_i)$ stay for good, as many
    as the schedule says, and the others are masked again. Because the choice looks at the draws, what is
    kept is not distributed as the rows say. `temperature` and `judge` are as in `Reveal`; at temperature 0
    it is `Reveal(Ranked(confidence, schedule), temperature=0)`. `branches` has $q^n$, one a word; a draw
    takes `O(n q)` and one call.

    With a `choice_temperature` $\tau$, one number or one a step, the draws of highest
    $\log \hat p_i(x_i) + \tau g_i$ stay, $g_i$ standard Gumbel noise (arXiv 2202.04200): `maskgit` anneals
    it as the authors do. Then there is a branch for each of the $(q+1)^n$ states.

    The confidence of a draw among the symbols `discounted` is multiplied by `discount`, one number or one a
    step; at 0 it comes after all others. So LLaDA describes its `confidence_eos_eot_inf` (the code does it
    to the end of turn alone, and takes that out of the row first); `eoser` lets it rise to 1. `Without`
    rules symbols out before they are drawn.

    Raises:
        InvalidInputError: as `RandomSubset` and `Reveal`; a `choice_temperature` or `discount` that is no
            finite number of at least 0, or of another number of steps; branches of more than 512 MiB, or
            with noise more than $2^{20}$ words times sets.

    >>> from mdmjax import Joint, Oracle
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75]))))
    >>> step = LowConfidence(Schedule([1, 1])).branches(coins, jnp.array([2, 2]), jnp.array(0))
    >>> step.weights.tolist()
    [0.125, 0.375, 0.125, 0.375]
    >>> jnp.argmax(step.rows, -1).tolist()  # a 0 of the second coin is less likely than the first coin
    [[0, 2], [2, 1], [1, 2], [2, 1]]
    """

    ends: Int[Array, " n"]
    choice_temperatures: Float[Array, " n"] | None
    discounts: Float[Array, " n"] | None
    discounted: tuple[int, ...] = eqx.field(static=True)
    widest: int = eqx.field(static=True)
    revises = False

    def __init__(
        self,
        schedule: Schedule,
        *,
        choice_temperature: Numbers = 0.0,
        discounted: Sequence[int] = (),
        discount: Numbers = 0.0,
        temperature: float | int = 1.0,
        judge: AbstractDenoiser | None = None,
    ):
        self.ends, self.temperature, self.judge = ends_of(schedule), temperature, judge
        self.choice_temperatures = choice_temperatures(schedule, choice_temperature)
        self.discounted = tuple(check_integer("discounted", symbol, 0) for symbol in discounted)
        discounts = by_revealed("discount", schedule, discount)
        self.discounts = discounts if self.discounted else None
        self.widest = 1 << int(schedule.counts.max() - 1).bit_length()  # of few values: few programs

    @classmethod
    def maskgit(
        cls, schedule: Schedule, choice_temperature: float = 4.5, *, temperature: float | int = 1.0
    ) -> "LowConfidence":
        r"""MaskGIT's decoder: the noise is annealed by `linear_annealing`; 4.5 is that of their images.

        >>> LowConfidence.maskgit(Schedule([1, 1, 2]), 3.0).choice_temperatures.tolist()
        [2.0, 1.0, 0.0, 0.0]
        """
        annealed = linear_annealing(schedule.steps, choice_temperature)
        return cls(schedule, choice_temperature=annealed, temperature=temperature)

    @classmethod
    def eoser(
        cls,
        schedule: Schedule,
        eos: int,
        *,
        least: float | None = None,
        most: float = 1.0,
        ascending: bool = False,
        temperature: float | int = 1.0,
    ) -> "LowConfidence":
        r"""EOSER (arXiv 2509.23924): the discount of `eos` rises from `least` to `most`, so it comes late.

        In step $t$ of $T$ it is $\text{least} + (\text{most} - \text{least})\, t / (T - 1)$, with `least`
        0.4 unless given. With `ascending` the steps are those of ASS, $1, 2, 4, \dots$ tokens, in the
        place of the schedule's, the last factor is $(2^{t+1} - 1) / 2^T$ and `least` is 0.01. The source
        writes the argmax (`temperature` 0); a discount of drawn tokens is our choice.

        >>> LowConfidence.eoser(Schedule([2, 1, 1]), 1, least=0.5).discounts.tolist()
        [0.5, 0.5, 0.75, 1.0]
        >>> LowConfidence.eoser(Schedule([4]), 1, least=0.0, ascending=True).discounts.round(4).tolist()
        [0.25, 0.75, 0.75, 0.75]
        """
        least = (0.01 if ascending else 0.4) if least is None else least
        if ascending:
            schedule = ascending_steps(schedule.n)
            share = (2.0 ** np.arange(1, schedule.steps + 1) - 1) / 2.0**schedule.steps
        else:
            share = np.arange(schedule.steps) / max(1, schedule.steps - 1)
        discount = least + (most - least) * share
        return cls(schedule, discounted=[eos], discount=discount, temperature=temperature)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch a word, weighed by the product of the rows: what is kept of it; or one a state."""
        n, q, noisy = denoiser.n, denoiser.q, self.choice_temperatures is not None
        check_branches("n, q", f"{n}, {q}", (q + noisy) ** n, n, q, MAX_TABLE_BYTES // 4)
        if noisy and (2 * q) ** n > MAX_CHOICES:
            wanted = f"at most {MAX_CHOICES} pairs of a word and a set that is kept"
            refuse("n, q", f"{n}, {q}", wanted, "use fewer positions, or sample instead")
        masked = tokens == q
        judged, written = self.rows(denoiser, tokens)
        # Revealed positions are certain of their token, whatever the denoiser says of them.
        probs = jnp.where(masked[:, None], jnp.exp(written), kept_rows(tokens, q, written.dtype)[:, :q])
        words = jnp.asarray(np.indices((q,) * n).reshape(n, -1).T, tokens.dtype)
        weights = jnp.prod(probs[jnp.arange(n), words], axis=1)
        if not noisy:
            keep = lambda word: self._kept(jax.random.key(0), judged, masked, word)  # the key is not used
            kept = jax.vmap(lambda word: jnp.where(keep(word), word, tokens))(words)
            return word_branches(weights, kept, q)
        size, sets = step_size(self.ends, masked), jnp.asarray(subsets(n), tokens.dtype)
        law_of = lambda word: noisy_first_law(*self._scored(judged, masked, word), masked, size)
        laws = weights[:, None] * jax.lax.map(law_of, words)
        place = jnp.asarray(place_values(n, q), tokens.dtype)
        codes = jnp.sum(tokens * place) + ((words - tokens[None, :]) * place[None, :]) @ sets.T
        mass = jnp.zeros(((q + 1) ** n,), laws.dtype).at[codes].add(laws)
        return word_branches(mass, jnp.asarray(tokens_of(np.arange((q + 1) ** n), n, q)), q)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One word drawn, and what is kept of it."""
        drawing, choosing = jax.random.split(key)
        judged, written = self.rows(denoiser, tokens)
        drawn = drawn_from(drawing, jnp.exp(written)).astype(tokens.dtype)
        return jnp.where(self._kept(choosing, judged, tokens == denoiser.q, drawn), drawn, tokens)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        """Positions in proportion to the probability that they are kept with the tokens of `target`."""
        n, q = denoiser.n, denoiser.q
        judged, written = self.rows(denoiser, tokens)
        masked, (choosing, shaking) = tokens == q, jax.random.split(key)
        every = jnp.broadcast_to(jnp.arange(q, dtype=tokens.dtype)[:, None], (q, n))
        score, temperature = jax.vmap(lambda word: self._scored(judged, masked, word))(every)
        if self.choice_temperatures is not None:  # the noise of a position is that of all its draws
            noise = jax.random.gumbel(shaking, (n,), score.dtype, mode="high")
            score = score + (temperature[0] * noise)[None, :]
        size = step_size(self.ends, masked)
        return kept_on_the_way(choosing, score.T, written, masked, target, size, self.widest)

    def _kept(self, key: Key[Array, ""], judged: LogProbs, masked: Positions, word: Tokens) -> Positions:
        """The masked positions whose drawn tokens are the most probable, but for the noise."""
        score, temperature = self._scored(judged, masked, word)
        size = step_size(self.ends, masked)
        if self.choice_temperatures is None:
            return first(-score, masked, size)
        return noisy_first(key, score, temperature, masked, size)

    def _scored(self, judged: LogProbs, masked: Positions, word: Tokens) -> tuple[Array, Array]:
        """How much each draw wants to stay, and the choice temperature."""
        log_sure = judged[jnp.arange(word.shape[0]), word]
        last = jnp.zeros_like(masked)
        if self.discounts is not None:
            factor = at_revealed(self.discounts, masked, log_sure.dtype)
            late = jnp.isin(word, jnp.asarray(self.discounted, word.dtype))
            log_sure, last = log_sure + jnp.where(late, safe_log(factor), 0.0), late & (factor == 0)
        score = jnp.where(last, -jnp.inf, comparable(jnp.exp(log_sure)))
        if self.choice_temperatures is None:
            return score, jnp.zeros((), score.dtype)
        temperature = at_revealed(self.choice_temperatures, masked, score.dtype)
        return jnp.where(temperature > 0, comparable(log_sure), score), temperature
