"""Rules that go by how certain the denoiser is: as many positions as a schedule says, or all that pass.

All decoders compare scores on the grid of `comparable`, and the lowest position comes first among equals:
samples and exact laws break ties alike. Each rule reveals at least the best masked position.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._checks import Numbers, positive, probability, scalar
from .._numerics import comparable, dot, entropy
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..schedules.schedule import Schedule
from .base import AbstractRule
from .gumbel import at_revealed, choice_temperatures, noisy_first, noisy_first_law
from .orders import check_positions, ends_of, first, places_of, rank, step_size, subsets

Score = Callable[[LogProbs], Float[Array, " n"]]
"""How much a rule wants every position, from its row."""


class Ranked(AbstractRule):
    r"""The masked positions of highest `score`, as many as the schedule says.

    `score` is `negative_entropy`, `confidence` or `margin` for easy-first, `row_entropy` for hard-first, or
    any other function of the rows. `Ranked(confidence, ascending_steps(n))` is ASS.

    With a `choice_temperature` $\tau$, one number or one a step, they are drawn without replacement with
    weights $e^{s_i / \tau}$: Dream's `alg_temp`, where `score` is one of the three. Dream scores the rows
    at the temperature of the writing (`AtTemperature`), and with `confidence` the token that it drew.

    Raises:
        InvalidInputError: as `RandomSubset`; a `choice_temperature` that is not a finite number of at least
            0, or of another number of steps.

    >>> rows = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.9, 0.1]]))
    >>> rule, masked = Ranked(confidence, Schedule([1, 2])), jnp.array([2, 2, 2])
    >>> rule.choose(jax.random.key(0), rows, masked, jnp.array(0)).tolist()
    [False, True, False]
    """

    score: Score = eqx.field(static=True)
    ends: Int[Array, " n"]
    choice_temperatures: Float[Array, " n"] | None
    is_random = property(lambda self: self.choice_temperatures is not None)  # type: ignore[assignment]

    def __init__(self, score: Score, schedule: Schedule, *, choice_temperature: Numbers = 0.0):
        self.score, self.ends = score, ends_of(schedule)
        self.choice_temperatures = choice_temperatures(schedule, choice_temperature)

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The best of the masked positions."""
        score, masked, size = self._scored(log_probs, tokens)
        if self.choice_temperatures is None:
            return first(-score, masked, size)
        temperature = at_revealed(self.choice_temperatures, masked, score.dtype)
        return noisy_first(key, score, temperature, masked, size)

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """With a choice temperature, the Plackett-Luce law of the sets (`noisy_first_law`)."""
        if self.choice_temperatures is None:
            return super().choice_law(log_probs, tokens, step)
        score, masked, size = self._scored(log_probs, tokens)
        temperature = at_revealed(self.choice_temperatures, masked, score.dtype)
        return noisy_first_law(score, temperature, masked, size)

    def _scored(self, log_probs: LogProbs, tokens: Tokens) -> tuple[Array, Positions, Int[Array, ""]]:
        """The scores on their grid, the masked positions, and how many to choose."""
        masked = tokens == log_probs.shape[1]
        return comparable(self.score(log_probs)), masked, step_size(self.ends, masked)


def row_entropy(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$H(\hat p_i)$ in nats: the score of hard-first.

    >>> row_entropy(jnp.log(jnp.array([[0.5, 0.5]]))).round(4).tolist()
    [0.6931]
    """
    return entropy(jnp.exp(log_probs))


def negative_entropy(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$-H(\hat p_i)$ in nats: easy-first.

    >>> negative_entropy(jnp.log(jnp.array([[0.5, 0.5]]))).round(4).tolist()
    [-0.6931]
    """
    return -row_entropy(log_probs)


def confidence(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$\max_a \hat p_i(a)$.

    >>> confidence(jnp.log(jnp.array([[0.25, 0.75]]))).round(4).tolist()
    [0.75]
    """
    return jnp.exp(jnp.max(log_probs, axis=-1))


def log_confidence(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""$\max_a \log \hat p_i(a)$ in nats: what MaskGIT adds noise to.

    >>> log_confidence(jnp.log(jnp.array([[0.25, 0.75]]))).round(4).tolist()
    [-0.2877]
    """
    return jnp.max(log_probs, axis=-1)


def margin(log_probs: LogProbs) -> Float[Array, " n"]:
    r"""The most probable symbol's probability less that of the second, which is 0 if there is none.

    >>> margin(jnp.log(jnp.array([[0.25, 0.75]]))).round(4).tolist()
    [0.5]
    """
    best, second = top_two(log_probs)
    return jnp.exp(best) - jnp.exp(second)


def top_two(log_probs: LogProbs) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    r"""The two largest logarithms of each row; the second is $-\infty$ for an alphabet of one."""
    q = log_probs.shape[1]
    others = jnp.arange(q)[None, :] != jnp.argmax(log_probs, axis=-1)[:, None]
    second = jnp.max(log_probs, axis=-1, where=others, initial=-jnp.inf)
    return jnp.max(log_probs, axis=-1), second


class ConfidenceThreshold(AbstractRule):
    r"""Every masked position with $\max_a \hat p_i(a) \ge$ `threshold`, and the best one (Fast-dLLM).

    Raises:
        InvalidInputError: `threshold` not in `[0, 1]`.

    >>> rows, masked = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]])), jnp.array([2, 2, 2])
    >>> ConfidenceThreshold(0.8).choose(jax.random.key(0), rows, masked, jnp.array(0)).tolist()
    [False, True, True]
    """

    threshold: Float[Array, ""] = eqx.field(converter=lambda x: probability("threshold", x))
    is_random = False

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The confident positions."""
        masked, sure = tokens == log_probs.shape[1], comparable(confidence(log_probs))
        enough = sure >= comparable(self.threshold.astype(sure.dtype))
        return masked & (enough | (rank(-sure, masked) == 0))


class ConfidenceFactor(AbstractRule):
    r"""The $k$ most confident masked positions, $k$ the largest with $(k+1)(1 - c_{(k)}) <$ `factor`.

    $c_{(1)} \ge c_{(2)} \ge \dots$ are the sorted $\max_a \hat p_i(a)$; at least one position (the factor
    rule of Fast-dLLM, arXiv 2505.22618). The left side grows with $k$.

    Raises:
        InvalidInputError: `factor` not a finite number above 0.

    >>> rows, masked = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]])), jnp.array([2, 2, 2])
    >>> ConfidenceFactor(0.61).choose(jax.random.key(0), rows, masked, jnp.array(0)).tolist()
    [False, True, True]
    """

    factor: Float[Array, ""] = eqx.field(converter=lambda x: positive("factor", x))
    is_random = False

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The positions before the first that fails."""
        masked, sure = tokens == log_probs.shape[1], comparable(confidence(log_probs))
        place = rank(-sure, masked)
        risk = comparable((place + 2).astype(sure.dtype) * (1 - confidence(log_probs)))  # rounded once
        return masked & ((risk < comparable(self.factor.astype(sure.dtype))) | (place == 0))


class EntropyBounded(AbstractRule):
    r"""The $k$ masked positions of lowest entropy, $k$ the largest with $\sum_{i < k} H_i \le$ `bound`.

    Nats. This is EB-Sampler (arXiv 2505.24857) as in diffusers, $\sum_{i \le k} H_i - \max_{i \le k} H_i$;
    with the right conditionals that is no less than the total correlation of what is revealed.

    Raises:
        InvalidInputError: `bound` not a finite number of at least 0.

    >>> rows, masked = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]])), jnp.array([2, 2, 2])
    >>> EntropyBounded(0.4).choose(jax.random.key(0), rows, masked, jnp.array(0)).tolist()
    [False, True, True]
    """

    bound: Float[Array, ""] = eqx.field(converter=lambda x: _nats("bound", x))
    is_random = False

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The positions before which the others sum to at most `bound`."""
        masked, nats = tokens == log_probs.shape[1], comparable(row_entropy(log_probs))
        return masked & _sum_before(nats, rank(nats, masked), self.bound)


class EntropySum(AbstractRule):
    """Masked positions in turn until their entropies sum to more than `threshold`, in nats.

    The position that takes the sum above it is revealed too. The source (arXiv 2603.22248) was seen as an
    abstract only; the order is our choice: uniformly random in each step, or the fixed `order`.

    Raises:
        InvalidInputError: `threshold` not a finite number of at least 0; an `order` that is not a
            permutation, or, at the first use, not of the positions.

    >>> rows, masked = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]])), jnp.array([2, 2, 2])
    >>> EntropySum(0.6, [2, 0, 1]).choose(jax.random.key(0), rows, masked, jnp.array(0)).tolist()
    [True, False, True]
    """

    threshold: Float[Array, ""]
    place: Int[Array, " n"] | None
    is_random = property(lambda self: self.place is None)  # type: ignore[assignment]

    def __init__(self, threshold: Numbers, order: Numbers | None = None):
        self.threshold = _nats("threshold", threshold)
        self.place = None if order is None else places_of(order)

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The positions before which the others sum to at most `threshold`."""
        n, q = log_probs.shape
        place = jax.random.permutation(key, n) if self.place is None else self.place
        check_positions("order", place, tokens)
        masked = tokens == q
        return masked & _sum_before(comparable(row_entropy(log_probs)), rank(place, masked), self.threshold)

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        r"""With a random order, the probability that each set $B$ of the $m$ masked positions is revealed.

        $$\binom{m}{|B|}^{-1} |B|^{-1}\, \#\{i \in B : H(B \setminus i) \le \text{threshold}\}$$

        for $B$ of all masked positions, or with a sum $H(B)$ above the threshold; 0 for others. With none
        masked the empty set is certain.
        """
        if not self.is_random:
            return super().choice_law(log_probs, tokens, step)
        masked, sets = tokens == log_probs.shape[1], jnp.asarray(subsets(tokens.shape[0]))
        nats = comparable(row_entropy(log_probs))
        sizes, m = jnp.sum(sets, axis=1).astype(nats.dtype), jnp.sum(masked).astype(nats.dtype)
        threshold = comparable(self.threshold.astype(nats.dtype))
        total = dot(sets.astype(nats.dtype), nats)
        others = comparable(jnp.where(sets, total[:, None] - nats[None, :], jnp.inf))
        last = jnp.sum(others <= threshold, axis=1).astype(nats.dtype) / jnp.maximum(sizes, 1)
        last = jnp.where(sizes > 0, last, 1.0)
        stops = (comparable(total) > threshold) | jnp.all(sets == masked[None, :], axis=1)
        possible = stops & jnp.all(masked[None, :] | ~sets, axis=1)
        log_ways = gammaln(m + 1) - gammaln(sizes + 1) - gammaln(jnp.maximum(m - sizes, 0) + 1)
        law = jnp.where(possible, last * jnp.exp(-log_ways), 0.0)
        return law / jnp.sum(law)


def _sum_before(nats: Float[Array, " n"], place: Int[Array, " n"], bound: Float[Array, ""]) -> Positions:
    """Whether the entropies of the positions at earlier places sum to at most `bound`."""
    sums = jnp.cumsum(nats[jnp.argsort(place)])
    before = jnp.concatenate([jnp.zeros_like(sums[:1]), sums[:-1]])
    return (comparable(before) <= comparable(bound.astype(nats.dtype)))[place]


def _nats(argument: str, value: Numbers) -> Float[Array, ""]:
    return scalar(argument, value, "a finite number of nats >= 0", lambda x: 0 <= x < math.inf)
