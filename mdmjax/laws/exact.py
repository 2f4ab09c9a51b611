"""The exact law of any decoder: mass propagated over the partial assignments that it reaches."""

import jax.numpy as jnp
import numpy as np

from .._contexts import place_values, tokens_of
from .._errors import check_bytes, readable_bytes, refuse
from .._types import Float
from ..decoders.base import AbstractDecoder
from ..decoders.run import step_limit
from ..decoders.verification import WORDS_AT_ONCE, BlockRejection, BlockVerification
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint, check_table_size
from ._frontier import SIZES, Frontier, Stepper
from ._rows import with_tables
from .law import Law

MAX_STATES = 2**22
"""The largest frontier that is made without being asked for."""


def exact_law(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    *,
    max_steps: int | None = None,
    max_states: int = MAX_STATES,
    batch: int = 2**12,
) -> Law:
    r"""The law of the output of `decoder` when its tokens are drawn from `denoiser`, with no sampling.

    The mass of the partial assignments is propagated from all masked,

    $$m_{t+1}(x') = \sum_x m_t(x) \sum_b w_b(x) \prod_i r_{b,i}(x'_i \mid x),$$

    through the branches of the step (one for a deterministic rule, one a set for a random one, which
    must have a `choice_law`), over the states that are reached: outcomes of probability zero are
    dropped, equal states merged. A decoder that masks again is a Markov chain on the same states. What
    has not finished after `max_steps` steps (`n` if the decoder only reveals, else `MAX_STEPS`) is
    `Law.unfinished`. A `Joint` of the denoiser or the decoder is tabulated first where that fits. `batch`
    states are denoised at a time. Sums are float64; the result has the default float type. Rows of a
    float32 denoiser leave a relative error of about `1e-6`.

    Cost: the sum over the steps of states times branches times outcomes of a branch. Uniformly random
    subsets have the faster `random_order_law`.

    Raises:
        InvalidInputError: a random decoder without `choice_law`; one that chooses nothing while positions
            are masked; a denoiser that is NaN, or whose rows do not sum to one, at a state that is
            reached; more than `max_states` states at once, before they are made; a result of more than
            2 GiB; `max_steps` below 1.

    >>> from mdmjax import Joint, Oracle, optimal_policy
    >>> joint = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = exact_law(Oracle(joint), optimal_policy(joint, 2).decoder)
    >>> law.probs.tolist(), float(law.expected_calls)
    ([[0.5, 0.0], [0.0, 0.5]], 2.0)
    """
    n, q = denoiser.n, denoiser.q
    check_table_size(n, q)
    limit = step_limit(decoder, n, max_steps)
    place = place_values(n, q)
    _check_branches(decoder, n, q)
    if (q + 1) ** n * 2 * limit >= 2**63:
        refuse("n, q", f"{n}, {q}", "states and calls that fit 63 bits", "use fewer positions")
    denoiser, decoder = with_tables((denoiser, decoder))
    _check_words(decoder, n, q)
    stepper = Stepper(denoiser, decoder, place, max_states, batch)
    words, probs = np.array([q ** (n - 1 - i) for i in range(n)]), np.zeros(q**n)
    calls, finalised, unfinished, step = np.zeros(1), np.zeros((n, 0)), 0.0, 0
    frontier = Frontier(np.array([q * place.sum()]), np.zeros(1, int), np.ones(1), np.zeros((1, n, 0)))
    while True:
        done, frontier = frontier.split(stepper.finished(frontier, step))
        if done.codes.size:
            tokens = tokens_of(done.codes, n, q)
            complete = np.all(tokens != q, axis=1)
            probs += np.bincount(tokens[complete] @ words, done.mass[complete], q**n)
            unfinished += done.mass[~complete].sum()
            calls = _added(calls, np.bincount(done.calls, done.mass))
            finalised = _added(finalised, done.last.sum(0))
        if step == limit or not frontier.codes.size:
            break
        if decoder.revises:
            need = frontier.codes.size * n * (step + 1) * 8 * 4
            check_bytes(
                need, MAX_TABLE_BYTES, "the law of the steps", "bound max_steps, or use fewer tokens"
            )
        frontier, changed = stepper.step(frontier, step)
        if not decoder.revises:
            finalised = np.concatenate([finalised, changed[:, None]], axis=1)
        step += 1
    dtype = jnp.result_type(float)
    return Law(
        probs=jnp.asarray(probs.reshape((q,) * n), dtype),
        calls=jnp.asarray(calls, dtype),
        finalised=jnp.asarray(finalised, dtype),
        unfinished=jnp.asarray(unfinished + frontier.mass.sum(), dtype),
    )


def _added(total: Float[np.ndarray, "..."], more: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The sum of two arrays whose last axis may differ in length."""
    size = max(total.shape[-1], more.shape[-1])
    pad = [(0, 0)] * (total.ndim - 1)
    return sum(np.pad(x, [*pad, (0, size - x.shape[-1])]) for x in (total, more))


def _check_branches(decoder: AbstractDecoder, n: int, q: int) -> None:
    """Refuse a decoder of random sets whose `2^n` branches do not fit."""
    rule = getattr(decoder, "rule", None)
    if rule is not None and rule.is_random:
        need = 2**n * n * (q + 1) * 8 * 3
        if need > MAX_TABLE_BYTES // 4:
            refuse(
                "n",
                n,
                f"branches of at most {readable_bytes(MAX_TABLE_BYTES // 4)}",
                f"2^{n} sets a state need {readable_bytes(need)}; use random_order_law or fewer positions",
            )


def _check_words(decoder: AbstractDecoder, n: int, q: int) -> None:
    """Refuse to weigh the words of blocks by a `Joint` whose marginals were too many to tabulate."""
    if isinstance(decoder, BlockVerification | BlockRejection) and isinstance(decoder.distribution, Joint):
        need = SIZES[0] * min(WORDS_AT_ONCE, q**decoder.width) * q**n * 8
        remedy = f"at n = {n}, q = {q} every word of a block is a sum over {q}^{n}; use fewer positions"
        check_bytes(need, MAX_TABLE_BYTES, "the weighing of the blocks' words", remedy)
