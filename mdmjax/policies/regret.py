"""How far a decoder is from the best policies with as many calls."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._checks import check_kind
from .._contexts import states_with
from .._errors import refuse
from .._numerics import dot, safe_log
from .._types import Array, Float, Int
from ..decoders.base import AbstractDecoder
from ..decoders.reveal import Reveal
from ..decoders.run import step_limit
from ..decoders.verification import check_fits
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import Joint
from ..laws._rows import denoised, with_tables
from ..laws.exact import MAX_STATES, exact_law
from ..laws.frontier import Stepper
from ..laws.law import AbstractLaw
from ._local import normalised
from .bellman import Policies, any_policy
from .hull import CallsHull, calls_hull

WORDS = 2**16  # followed at a time


class TeacherForced(NamedTuple):
    r"""`calls[c]` is the probability of `c` calls when the data are $x \sim p$; `kl` is the forward KL."""

    calls: Float[Array, " counts"]
    kl: Float[Array, ""]

    @property
    def expected_calls(self) -> Float[Array, ""]:
        r"""$\mathbb{E}_p[R]$."""
        return dot(self.calls, jnp.arange(self.calls.shape[0], dtype=self.calls.dtype))


class Regret(NamedTuple):
    """`value` in nats, against as many expected `calls`, which are `over` "the data" or "the output"."""

    value: Float[Array, ""]
    calls: Float[Array, ""]
    over: str


def teacher_forced_calls(
    joint: Joint, denoiser: AbstractDenoiser, decoder: AbstractDecoder
) -> TeacherForced:
    r"""The calls of a decoder whose tokens are given by the data: $x \sim p$ is revealed as it chooses.

    A decoder that is not random and never masks again makes each word $x$ in one way, and
    $\mathrm{KL} = \mathbb{E}_p[\log p(x) - \sum_t \sum_{i \in B_t} \log \hat p(x_i \mid x_{C_t})]$ is its
    forward KL, with $\hat p$ the denoiser that it writes with. At most $n q^n$ calls of the denoiser. Any
    other decoder is refused.
    """
    _check_joint(joint)
    n, q = joint.n, joint.q
    check_fits(denoiser, joint)
    if not _reveals(decoder):
        name = type(getattr(decoder, "rule", decoder)).__name__
        refuse("decoder", name, "one that only reveals and is not random")
    probs = np.asarray(joint.probs).reshape(-1)
    words = states_with(n, n, q)[probs > 0]
    parts = np.array_split(words, -(-words.shape[0] // WORDS))
    calls, log_law = np.concatenate([_followed(denoiser, decoder, part) for part in parts], axis=1)
    occurs = jnp.asarray(probs[probs > 0])
    loss = jnp.sum(occurs * (safe_log(occurs) - jnp.asarray(log_law, occurs.dtype)))
    shares = jnp.asarray(np.bincount(calls.astype(int), np.asarray(occurs), n + 1), occurs.dtype)
    return TeacherForced(shares, jnp.maximum(loss, 0.0))


def regret(
    joint: Joint,
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    *,
    among: Policies = any_policy,
    law: AbstractLaw | None = None,
    hull: CallsHull | None = None,
    max_states: int = MAX_STATES,
) -> Regret:
    """The forward KL of a decoder less the least for as many expected calls, in nats.

    The best policies, of the class `among`, are given the denoiser that the decoder writes with. For the
    decoders of `teacher_forced_calls` the calls are those over the data, and among all policies the regret
    is at least 0; among fewer it may be negative, by what adapting gains. For any other decoder both
    numbers are those of its law, calls over its own output; a mixture, or a law that is revised, may beat
    every policy.

    An infinite KL against a finite one is `inf`; where every policy of as many calls has an infinite KL
    the regret is undefined, NaN. `law` (of this denoiser and decoder) and `hull` (of `joint`, the writer
    and `among`) are made if they are not passed; `max_states` is that of `exact_law`.

    Raises:
        InvalidInputError: as `teacher_forced_calls`, `exact_law` and `optimal_policy`.

    >>> from mdmjax import LowConfidence, Oracle, Reveal, Schedule, left_to_right
    >>> pair = Joint(jnp.array([[0.4, 0.1], [0.3, 0.2]]))
    >>> found = regret(pair, Oracle(pair), Reveal(left_to_right(Schedule([1, 1]))))
    >>> round(abs(float(found.value)), 4), float(found.calls), found.over
    (0.0, 2.0, 'the data')
    >>> round(float(regret(pair, Oracle(pair), LowConfidence(Schedule([1, 1]))).value), 4)
    0.1775
    """
    _check_joint(joint)
    step_limit(denoiser, decoder, None)  # refuses what is no such pair
    if _reveals(decoder):
        made = teacher_forced_calls(joint, denoiser, decoder)
        loss, calls, over = made.kl, made.expected_calls, "the data"
    else:
        check_fits(denoiser, joint)
        law = exact_law(denoiser, decoder, max_states=max_states) if law is None else law
        loss, calls, over = law.kl(joint), law.expected_calls, "the output"
    if hull is None:
        hull = calls_hull(joint, decoder.writer(denoiser), among=among, calls=float(calls))
    least = hull.kl_at(calls)
    return Regret(jnp.where(jnp.isinf(least), jnp.nan, loss - least.astype(loss.dtype)), calls, over)


def _check_joint(joint: Joint) -> None:
    check_kind("joint", joint, Joint, "the truth as a table", "tabulate(p) makes one")


def _reveals(decoder: AbstractDecoder) -> bool:
    """Whether it is made of a rule that is not random: each word is then written in one way."""
    return isinstance(decoder, Reveal) and not decoder.rule.is_random and not decoder.remembers


def _followed(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, words: Int[np.ndarray, "m n"]
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Calls and log-probability of every word, all words at once; states that they share are met once."""
    n, q = denoiser.n, denoiser.q
    writer = decoder.writer(denoiser)
    as_it_is = writer is denoiser
    denoiser, decoder, writer = with_tables((denoiser, decoder, writer))
    stepper = Stepper(denoiser, decoder, words.shape[0], 2**12)
    tokens, calls, log_law = np.full_like(words, q), np.zeros(len(words), int), np.zeros(len(words))
    for step in range(n):
        open_ = np.flatnonzero(np.any(tokens == q, axis=1))
        if not open_.size:
            break
        codes, which = np.unique(tokens[open_] @ stepper.place, return_inverse=True)
        parts, _, _, drawn, _, seen = zip(*stepper.branches(codes, step), strict=True)
        hidden, states = np.concatenate([rows[:, :, q] for rows in drawn]), np.concatenate(parts)
        rows = np.concatenate(seen) if as_it_is else denoised(writer, states)
        log_probs = normalised(rows, states)[which]
        chosen = (tokens[open_] == q) & (hidden == 0)[which]
        own = np.take_along_axis(log_probs, words[open_][:, :, None], 2)[:, :, 0]
        log_law[open_] += np.sum(own, axis=1, where=chosen)
        tokens[open_] = np.where(chosen, words[open_], tokens[open_])
        calls[open_] += 1
    return calls, log_law
