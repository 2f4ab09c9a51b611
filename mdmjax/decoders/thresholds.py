r"""Rules that choose how many positions to reveal from how certain the denoiser is.

Each reveals at least the best masked position. Ties and comparisons are those of `ranked`.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._checks import Numbers, positive, probability, scalar
from .._numerics import comparable
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from .base import AbstractRule
from .orders import check_positions, places_of, rank, subsets
from .ranked import confidence, row_entropy


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
        risk = comparable((place + 2).astype(sure.dtype) * (1 - sure))
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
    is_random = property(lambda self: self.place is None)

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
        total = sets.astype(nats.dtype) @ nats
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
