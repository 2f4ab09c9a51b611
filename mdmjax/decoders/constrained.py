r"""Decoders whose words an automaton accepts: DINGO, and two that draw where it takes the best.

A step reveals the positions $S$ that its rule chooses, all at once. What it leaves masked can always be
completed, so that the last word is accepted whatever the rule does.
"""

import abc

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._contexts import place_values, tokens_of
from .._types import Array, Bool, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import known_rows
from .automaton import (
    Automaton,
    best_word,
    check_accepted_size,
    check_alphabet,
    check_satisfiable,
    drawn_word,
    log_total,
    with_masks,
)
from .base import AbstractRule, Branches, check_branches, word_branches
from .orders import subsets
from .reveal import AbstractJudged, check_temperature

RULED_OUT = -1e5
"""The log-weight of a symbol whose row has probability 0 (our choice)."""
Outcomes = tuple[Float[Array, " outcomes"], Int[Array, "outcomes n"]]


class AbstractConstrained(AbstractJudged):
    r"""A decoder of `n` positions whose every word `automaton` accepts; `rule` chooses what a step reveals.

    A symbol of probability 0 is written only where nothing else can be accepted: it has the weight
    $e^{-10^5}$, which adds nothing to any other sum (our choice).

    Raises:
        InvalidInputError: an automaton that no word of length `n` satisfies, or none with the tokens that
            `decode` is given; `temperature` as `Reveal`; at the first use, one of another alphabet.
    """

    rule: AbstractRule
    automaton: Automaton
    revises = False
    one_path = property(lambda self: not self.rule.is_random)  # type: ignore[assignment]

    def __init__(
        self,
        rule: AbstractRule,
        automaton: Automaton,
        n: int,
        *,
        temperature: float | int = 1.0,
        judge: AbstractDenoiser | None = None,
    ):
        if _known(automaton):
            check_satisfiable(automaton, [automaton.q] * n)
        self.rule, self.automaton = rule, automaton
        self.temperature, self.judge = check_temperature(temperature), judge

    @abc.abstractmethod
    def outcomes(self, written: LogProbs, tokens: Tokens, chosen: Positions) -> Outcomes:
        """The probability of each outcome when these positions are revealed, and the tokens after it."""

    @abc.abstractmethod
    def write(self, key: Key[Array, ""], written: LogProbs, tokens: Tokens, chosen: Positions) -> Tokens:
        """One of the outcomes."""

    @abc.abstractmethod
    def log_chance(
        self, written: LogProbs, tokens: Tokens, chosen: Positions, target: Tokens
    ) -> Float[Array, ""]:
        """The log-probability of the outcome that has the tokens of `target` there."""

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch an outcome; for a random rule one a state of which there is any."""
        n, q, masked = denoiser.n, denoiser.q, tokens == denoiser.q
        check_alphabet(self.automaton, q)
        judged, written = self.rows(denoiser, tokens)
        if not self.rule.is_random:
            chosen = self.rule.choose(jax.random.key(0), judged, tokens, step)  # the key is not used
            return word_branches(*self.outcomes(written, tokens, chosen & masked), q)
        check_branches("n, q", f"{n}, {q}", (q + 1) ** n + 2**n * q**n, n, q)
        shares = self.rule.choice_law(judged, tokens, step)
        sets = jnp.asarray(subsets(n)) & masked[None, :]
        probs, words = jax.vmap(lambda chosen: self.outcomes(written, tokens, chosen))(sets)
        probs = jnp.where(shares[:, None] > 0, probs * shares[:, None], 0.0)
        codes = words @ jnp.asarray(place_values(n, q), words.dtype)
        mass = jnp.zeros(((q + 1) ** n,), probs.dtype).at[codes].add(probs)
        return word_branches(mass, jnp.asarray(tokens_of(np.arange((q + 1) ** n), n, q)), q)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """The chosen positions, written together."""
        check_alphabet(self.automaton, denoiser.q)
        choosing, drawing = jax.random.split(key)
        judged, written = self.rows(denoiser, tokens)
        chosen = self.rule.choose(choosing, judged, tokens, step) & (tokens == denoiser.q)
        return self.write(drawing, written, tokens, chosen).astype(tokens.dtype)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        """What the rule chooses, and the probability of what `target` has there."""
        check_alphabet(self.automaton, denoiser.q)
        judged, written = self.rows(denoiser, tokens)
        chosen = self.rule.choose(key, judged, tokens, step) & (tokens == denoiser.q)
        return chosen, self.log_chance(written, tokens, chosen, target)

    def check_given(self, given: Int[Array, "*samples n"]) -> None:
        """Refuse known tokens that no accepted word has."""
        if _known((given, self.automaton)):
            for tokens in np.unique(np.asarray(given).reshape(-1, given.shape[-1]), axis=0):
                check_satisfiable(self.automaton, tokens)

    def most_steps(self, n: int) -> int:
        """A step reveals at least one position."""
        return n


class Dingo(AbstractConstrained):
    r"""The most probable way to write the chosen positions that can be completed (DINGO, arXiv 2505.23061).

    The argmax of $\prod_{i \in S} \hat p_i(x_i)$ over the words of $S$ for which some word at the positions
    that stay masked makes an accepted whole. It is exact for one step, as the paper says, and greedy over
    several; nothing is drawn. A masked position leads to the union of the successors: in a maximum that is
    a weight of 1 for all its symbols. $O(n |Q| q)$, the paper's block by block; the rule chooses any
    positions, and what is left is completed at length `n` (our choice). Among equals the lowest symbol from
    the left (our choice). A temperature above 0 changes nothing but what the rule sees.

    >>> from mdmjax import Joint, Oracle, Schedule, exact_law, left_to_right
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.4, 0.6]), jnp.array([0.3, 0.7]))))
    >>> odd = Automaton([[0, 1], [1, 0]], 0, [False, True])  # an odd number of ones
    >>> exact_law(coins, Dingo(left_to_right(Schedule([2])), odd, 2)).probs.tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """

    def _best(self, written: LogProbs, tokens: Tokens, chosen: Positions) -> Tokens:
        weights = _weights(written, tokens, jnp.zeros_like(written), chosen)
        return jnp.where(chosen, best_word(self.automaton, weights).astype(tokens.dtype), tokens)

    def outcomes(self, written: LogProbs, tokens: Tokens, chosen: Positions) -> Outcomes:
        """One, certain; NaN where a row is."""
        unknown = jnp.any(jnp.isnan(written) & chosen[:, None])
        sure = jnp.where(unknown, jnp.nan, 1.0).astype(written.dtype)
        return sure[None], self._best(written, tokens, chosen)[None, :]

    def write(self, key: Key[Array, ""], written: LogProbs, tokens: Tokens, chosen: Positions) -> Tokens:
        """The best, whatever the key."""
        return self._best(written, tokens, chosen)

    def log_chance(
        self, written: LogProbs, tokens: Tokens, chosen: Positions, target: Tokens
    ) -> Float[Array, ""]:
        """0 for the best, else minus infinity."""
        same = jnp.all((self._best(written, tokens, chosen) == target) | ~chosen)
        return jnp.where(same, 0.0, -jnp.inf).astype(written.dtype)


class Constrained(AbstractConstrained):
    r"""The chosen positions of a word drawn from the product of all rows, given that it is accepted.

    $$\Pr(x_S) \propto \sum_{x_{M \setminus S}} \prod_{i \in M} \hat p_i(x_i)\, [x \text{ is accepted}],$$

    $M$ all masked positions: exact, by filtering and sampling in $O(n |Q| q)$, where DINGO takes a maximum
    (our extension). It looks ahead by the rows of what stays masked. If the rows do not depend on what is
    revealed, its law is $p(x \mid \text{accepted})$ in any order and any number of steps.

    >>> from mdmjax import Joint, Oracle, Schedule, exact_law, left_to_right
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.4, 0.6]), jnp.array([0.3, 0.7]))))
    >>> odd = Automaton([[0, 1], [1, 0]], 0, [False, True])  # an odd number of ones
    >>> law = exact_law(coins, Constrained(left_to_right(Schedule([1, 1])), odd, 2))
    >>> print(law.probs.round(3)[0], law.probs.round(3)[1])  # 0.28 to 0.18
    [0.    0.609] [0.391 0.   ]
    """

    def outcomes(self, written: LogProbs, tokens: Tokens, chosen: Positions) -> Outcomes:
        """One a word of all positions, of which the chosen stay."""
        words = _words(written, tokens)
        weights = _weights(written, tokens, written, chosen)
        fit = jax.vmap(self.automaton.accepts)(words)
        return _shares(weights, words, fit), jnp.where(chosen[None, :], words, tokens[None, :])

    def write(self, key: Key[Array, ""], written: LogProbs, tokens: Tokens, chosen: Positions) -> Tokens:
        """A word drawn, of which the chosen positions stay."""
        weights = _weights(written, tokens, written, chosen)
        return jnp.where(chosen, drawn_word(key, self.automaton, weights).astype(tokens.dtype), tokens)

    def log_chance(
        self, written: LogProbs, tokens: Tokens, chosen: Positions, target: Tokens
    ) -> Float[Array, ""]:
        """What of the weight of all words is that of those which agree."""
        weights = _weights(written, tokens, written, chosen)
        return _share_of(self.automaton, weights, chosen, target)


class Completable(AbstractConstrained):
    r"""The chosen positions drawn from the product of their rows, given that the rest can be completed.

    $\Pr(x_S) \propto \prod_{i \in S} \hat p_i(x_i)$ over the words DINGO chooses from: its product, drawn
    (our extension). With one position a step it is the usual masking of logits. It looks ahead by
    what is possible only, not by what is likely. Its automaton runs over sets of states (`with_masks`).

    >>> from mdmjax import Joint, Oracle, Schedule, exact_law, left_to_right
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.4, 0.6]), jnp.array([0.3, 0.7]))))
    >>> odd = Automaton([[0, 1], [1, 0]], 0, [False, True])  # an odd number of ones
    >>> law = exact_law(coins, Completable(left_to_right(Schedule([1, 1])), odd, 2))
    >>> print(law.probs.round(3)[0], law.probs.round(3)[1])
    [0.  0.4] [0.6 0. ]
    """

    masked: Automaton

    def __init__(
        self,
        rule: AbstractRule,
        automaton: Automaton,
        n: int,
        *,
        temperature: float | int = 1.0,
        judge: AbstractDenoiser | None = None,
    ):
        AbstractConstrained.__init__(self, rule, automaton, n, temperature=temperature, judge=judge)
        self.masked = with_masks(automaton)

    def _rows(self, written: LogProbs, tokens: Tokens, chosen: Positions) -> Float[Array, "n symbols"]:
        """Weights with the mask as a symbol, of which a position that is not chosen is certain."""
        known = known_rows(tokens, written.shape[1] + 1).astype(written.dtype)
        rows = jnp.pad(_possible(written), ((0, 0), (0, 1)), constant_values=-jnp.inf)
        return jnp.where(chosen[:, None], rows, known)

    def outcomes(self, written: LogProbs, tokens: Tokens, chosen: Positions) -> Outcomes:
        """One a word of the chosen positions."""
        words = _words(written, tokens)
        fresh = jnp.all(chosen[None, :] | (words == 0), axis=1)  # once, whatever the others hold
        after = jnp.where(chosen[None, :], words, tokens[None, :])
        fit = fresh & jax.vmap(self.masked.accepts)(after)
        return _shares(self._rows(written, tokens, chosen), after, fit), after

    def write(self, key: Key[Array, ""], written: LogProbs, tokens: Tokens, chosen: Positions) -> Tokens:
        """A word of the positions and of masks, drawn."""
        return drawn_word(key, self.masked, self._rows(written, tokens, chosen))

    def log_chance(
        self, written: LogProbs, tokens: Tokens, chosen: Positions, target: Tokens
    ) -> Float[Array, ""]:
        """What of the weight of all words is that of the one."""
        return _share_of(self.masked, self._rows(written, tokens, chosen), chosen, target)


def _known(values: object) -> bool:
    """Whether no number of them is traced."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def _possible(written: LogProbs) -> LogProbs:
    """The rows with a weight for what they rule out; NaN stays."""
    return jnp.where(jnp.isneginf(written), RULED_OUT, written)


def _weights(written: LogProbs, tokens: Tokens, others: LogProbs, chosen: Positions) -> LogProbs:
    """Log-weights: rows where chosen, certain where revealed, `others` where masked and to stay so."""
    known = known_rows(tokens, written.shape[1]).astype(written.dtype)
    masked = (tokens == written.shape[1])[:, None]
    return jnp.where(masked, _possible(jnp.where(chosen[:, None], written, others)), known)


def _words(written: LogProbs, tokens: Tokens) -> Int[Array, "words n"]:
    """All words of all positions."""
    n, q = written.shape
    check_accepted_size(n, q)
    return jnp.asarray(np.indices((q,) * n).reshape(n, -1).T, tokens.dtype)


def _shares(
    weights: Float[Array, "n symbols"], words: Int[Array, "words n"], fit: Bool[Array, " words"]
) -> Float[Array, " words"]:
    """The probability of each word in proportion to its weight, of those that fit."""
    n = words.shape[1]
    totals = jnp.sum(weights[jnp.arange(n)[None, :], words], axis=1)
    return jax.nn.softmax(jnp.where(fit, totals, -jnp.inf))


def _share_of(
    automaton: Automaton, weights: Float[Array, "n symbols"], chosen: Positions, target: Tokens
) -> Float[Array, ""]:
    """The log-share of the words that have the tokens of `target` where chosen."""
    symbols = jnp.arange(weights.shape[1], dtype=target.dtype)
    other = chosen[:, None] & (symbols[None, :] != target[:, None])
    agreeing = log_total(automaton, jnp.where(other, -jnp.inf, weights))
    return agreeing - log_total(automaton, weights)
