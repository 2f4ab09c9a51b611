r"""How far a decoder is from the best one with as many calls: the hull of (expected calls, forward KL).

At a price of $\lambda$ nats a call `optimal_policy_calls` minimises
$\mathrm{KL} + \lambda\,\mathbb{E}_p[R]$, so that the lower convex hull at $c$ calls is
$\max_\lambda \min_\pi (\mathrm{KL}_\pi + \lambda\,\mathbb{E}_p[R_\pi]) - \lambda c$. Its vertices are
deterministic policies, and between two of them the price is the slope of their chord: either nothing lies
below the chord, and it is an edge, or the policy found is another vertex. There are finitely many, so that
this ends with the hull itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._contexts import place_values, states_with
from .._errors import refuse
from .._numerics import comparable, kl_terms, safe_log
from .._types import Array, Float, Int
from ..decoders.base import AbstractDecoder
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import Joint
from ..laws._frontier import Stepper
from ..laws._rows import with_tables
from ..laws.exact import exact_law
from .optimal import Priced, any_policy, check_size, errors_of

BATCH = 2**12
"""States that are denoised at a time."""

WORDS = 2**16
"""Words that are followed at a time."""

Policies = Callable[[Float[Array, "..."], Float[Array, "n contexts"] | None, float], Priced]
"""A class of policies: `any_policy`, `fixed_partition` or `random_order`."""

HIGHEST_PRICE = 1e12
"""Nats a call above which fewer calls are better than any finite KL, up to rounding."""


class CallsHull(eqx.Module):
    """The vertices of the lower convex hull: `calls` increases, `kl` in nats decreases.

    With fewer calls than the first vertex every KL is infinite; more than the last one needs do not help.
    """

    calls: Float[Array, " vertices"]
    kl: Float[Array, " vertices"]

    def kl_at(self, calls: Float[Array, "..."] | float) -> Float[Array, "..."]:
        """The least KL for these expected calls: linear between vertices, a mixture of two policies."""
        calls = jnp.asarray(calls, self.calls.dtype)
        below = comparable(calls) < comparable(self.calls[0])
        return jnp.where(below, jnp.inf, jnp.interp(calls, self.calls, self.kl))


class TeacherForced(NamedTuple):
    r"""`calls[c]` is the probability of `c` calls when the data are $x \sim p$; `kl` is the forward KL."""

    calls: Float[Array, " counts"]
    kl: Float[Array, ""]

    @property
    def expected_calls(self) -> Float[Array, ""]:
        r"""$\mathbb{E}_p[R]$."""
        return self.calls @ jnp.arange(self.calls.shape[0], dtype=self.calls.dtype)


def calls_hull(
    joint: Joint, denoiser: AbstractDenoiser | None = None, *, among: Policies = any_policy
) -> CallsHull:
    r"""The lower convex hull of $(\mathbb{E}_p[\text{calls}], \mathrm{KL}(p \| q_\pi))$ over all policies.

    Every deterministic decoder that reveals and never masks again, with the conditionals of `joint` or
    of `denoiser`, lies on it or above it, and so does the mean KL of a random choice among them (the KL
    of their mixture may lie below). Expected calls are those over the data (`teacher_forced_calls`).
    `among` restricts the policies: with `fixed_partition` they do not look at the tokens; with
    `random_order` they choose how many tokens to reveal, not which, and their KL is a mean over the
    choices. Vertices that gain less than `1e-12` nats are left out. Costs $2v - 1$ solves and a few, for
    $v$ vertices.

    Raises:
        InvalidInputError: as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> hull = calls_hull(same)
    >>> hull.calls.tolist(), [round(x, 4) for x in hull.kl.tolist()], round(float(hull.kl_at(1.5)), 4)
    ([1.0, 2.0], [0.6931, 0.0], 0.3466)
    """
    solve = _solver(joint, denoiser, among)
    first, last = _ends(solve)
    vertices, pending = [first], [last]
    while pending:
        between = _below(solve, vertices[-1], pending[-1])
        if between is None:
            vertices.append(pending.pop())
        else:
            pending.append(between)
    # What gains nothing more than rounding is no vertex.
    kept = [first, *(b for a, b in zip(vertices, vertices[1:], strict=False) if a[1] - b[1] > 1e-12)]
    calls, kl = np.array(kept).T
    return CallsHull(jnp.asarray(calls, joint.probs.dtype), jnp.asarray(kl, joint.probs.dtype))


def least_kl(
    joint: Joint, calls: float, denoiser: AbstractDenoiser | None = None, *, among: Policies = any_policy
) -> Float[Array, ""]:
    """The least forward KL in nats for an expected number of calls: one point of `calls_hull`.

    Only the vertices towards `calls` are solved for.

    Raises:
        InvalidInputError: `calls` below 1, or NaN; and as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> round(float(least_kl(same, 1.5)), 4)
    0.3466
    """
    if not comparable(jnp.asarray(calls, joint.probs.dtype)) >= 1:
        refuse("calls", calls, "a number >= 1", "each sequence takes at least one call")
    solve = _solver(joint, denoiser, among)
    left, right = _ends(solve)
    while left[0] < calls < right[0] and (between := _below(solve, left, right)):
        left, right = (between, right) if between[0] <= calls else (left, between)
    pair = np.array([left, right] if left[0] < right[0] else [left])
    return CallsHull(*(jnp.asarray(x, joint.probs.dtype) for x in pair.T)).kl_at(calls)


def teacher_forced_calls(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, joint: Joint
) -> TeacherForced:
    r"""The calls of a decoder whose tokens are given by the data: $x \sim p$ is revealed as it chooses.

    A decoder that is not random and never masks again makes each word $x$ in one way, and
    $\mathrm{KL} = \mathbb{E}_p[\log p(x) - \sum_t \sum_{i \in B_t} \log \hat p(x_i \mid x_{C_t})]$ is its
    forward KL. The calls are those to which a price and `calls_hull` refer; `exact_law(...).calls` are
    over the decoder's own words. Costs at most $n q^n$ calls of the denoiser.

    Raises:
        InvalidInputError: a decoder that is random, or chooses nothing; a denoiser of another size, or
            whose rows are NaN or do not sum to one in a context that is visited.

    >>> from mdmjax import Oracle, Reveal, Schedule, left_to_right
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> teacher_forced_calls(Oracle(same), Reveal(left_to_right(Schedule([1, 1]))), same).calls.tolist()
    [0.0, 0.0, 1.0]
    """
    n, q = joint.n, joint.q
    if (denoiser.n, denoiser.q) != (n, q):
        refuse("denoiser", f"of n, q = {denoiser.n}, {denoiser.q}", f"n, q = {n}, {q} of the joint")
    if not _reveals(decoder):
        refuse("decoder", type(decoder).__name__, "one that is not random")
    probs = np.asarray(joint.probs).reshape(-1)
    words = states_with(n, n, q)[probs > 0]
    parts = np.array_split(words, -(-words.shape[0] // WORDS))
    calls, log_law = np.concatenate([_followed(denoiser, decoder, part) for part in parts], axis=1)
    occurs = jnp.asarray(probs[probs > 0])
    kl = jnp.sum(occurs * (safe_log(occurs) - jnp.asarray(log_law, occurs.dtype)))
    shares = jnp.asarray(np.bincount(calls.astype(int), np.asarray(occurs), n + 1), occurs.dtype)
    return TeacherForced(shares, jnp.maximum(kl, 0.0))


def regret(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    joint: Joint,
    *,
    among: Policies = any_policy,
) -> Float[Array, ""]:
    r"""The forward KL of a decoder less the least for as many expected calls, in nats; 0 for `inf - inf`.

    The best policies are given the same denoiser; `among` is their class, as in `calls_hull`. For the
    decoders of `teacher_forced_calls` the calls are those over the data, and among all policies the regret
    is at least 0; among fewer it may be negative, by what adapting gains. For a random decoder or a kernel
    both numbers are those of `exact_law`, calls over its own output; a mixture, or a law that is revised,
    may be better than every policy.

    Raises:
        InvalidInputError: as `teacher_forced_calls`, `exact_law` and `optimal_policy`.

    >>> from mdmjax import LowConfidence, Oracle, Reveal, Schedule, left_to_right
    >>> pair = Joint(jnp.array([[0.4, 0.1], [0.3, 0.2]]))
    >>> round(abs(float(regret(Oracle(pair), Reveal(left_to_right(Schedule([1, 1]))), pair))), 4)
    0.0
    >>> round(float(regret(Oracle(pair), LowConfidence(Schedule([1, 1])), pair)), 4)
    0.1775
    """
    if _reveals(decoder):
        made = teacher_forced_calls(denoiser, decoder, joint)
        kl, calls = made.kl, float(made.expected_calls)
    else:
        law = exact_law(denoiser, decoder)
        truth = joint.probs.astype(law.probs.dtype)
        kl, calls = jnp.sum(kl_terms(truth, law.probs)) + law.unfinished, float(law.expected_calls)
    least = least_kl(joint, calls, denoiser, among=among)
    return jnp.where(jnp.isinf(least), 0.0, kl - least.astype(kl.dtype))


def _reveals(decoder: AbstractDecoder) -> bool:
    """Whether it is made of a rule that is not random: each word is then written in one way."""
    return isinstance(decoder, Reveal) and not decoder.rule.is_random


def _solver(joint: Joint, denoiser: AbstractDenoiser | None, among: Policies):
    """Prices to (expected calls, KL) of the policy of the class that is best at this price."""
    check_size(joint, 1)
    errors = errors_of(joint, denoiser)

    def solve(price: float) -> tuple[float, float]:
        best = among(joint.probs, errors, price)
        return float(best.calls), float(best.kl)

    return solve


def _ends(solve) -> tuple[tuple[float, float], tuple[float, float]]:
    """The fewest calls of any policy of finite KL, with the least KL; and the least KL of all."""
    last = solve(0.0)
    if np.isinf(last[1]):
        return (1.0, np.inf), (1.0, np.inf)
    # A price may be too low for the fewest calls, and one that is too high has no digits of the KL.
    fewest, price = solve(HIGHEST_PRICE)[0], 1.0
    while (first := solve(price))[0] > fewest + 1e-12 and price < HIGHEST_PRICE:
        price *= 4
    return first, last


def _below(solve, left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float] | None:
    """The policy that lies farthest below the chord of two, if any does by more than rounding."""
    (fewer, high), (more, low) = left, right
    if more - fewer < 1e-12 or high - low < 1e-12:
        return None
    price = (high - low) / (more - fewer)
    calls, kl = solve(price)
    gain = high + price * fewer - (kl + price * calls)
    return (calls, kl) if gain > 1e-12 * (1 + price) and fewer < calls < more else None


def _followed(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, words: Int[np.ndarray, "m n"]
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Calls and log-probability of every word, all words at once; states that they share are met once."""
    n, q = denoiser.n, denoiser.q
    place = place_values(n, q)
    stepper = Stepper(with_tables(denoiser), decoder, place, words.shape[0], BATCH)
    tokens, calls, log_law = np.full_like(words, q), np.zeros(len(words), int), np.zeros(len(words))
    for step in range(n):
        open_ = np.flatnonzero(np.any(tokens == q, axis=1))
        if not open_.size:
            break
        codes, which = np.unique(tokens[open_] @ place, return_inverse=True)
        steps = list(stepper.branches(codes, step))
        rows = np.concatenate([one.log_probs for one in steps])
        hidden = np.concatenate([one.rows[:, :, q] for one in steps])
        log_probs = (rows - np.logaddexp.reduce(rows, axis=2, keepdims=True))[which]
        chosen = (tokens[open_] == q) & (hidden == 0)[which]
        own = np.take_along_axis(log_probs, words[open_][:, :, None], 2)[:, :, 0]
        log_law[open_] += np.sum(own, axis=1, where=chosen)
        tokens[open_] = np.where(chosen, words[open_], tokens[open_])
        calls[open_] += 1
    return calls, log_law
