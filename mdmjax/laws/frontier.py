"""The exact law of any decoder: mass propagated over the states that it reaches."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from .._contexts import tokens_of
from .._errors import check_bytes, refuse
from .._types import Float
from ..decoders.base import AbstractDecoder
from ..decoders.reveal import Reveal
from ..decoders.run import step_limit
from ..decoders.verification import WORDS_AT_ONCE, AbstractBlocks
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint, check_table_size
from ._frontier import COPIES, SIZES, Stepper
from ._rows import has_table, with_tables
from .law import Law, Plan


def plan(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None, max_states: int, batch: int
) -> Plan:
    """`frontier_law`: of any decoder."""
    n, q = denoiser.n, denoiser.q
    check_table_size(n, q)
    limit = step_limit(decoder, n, max_steps)
    if (q + 1) ** n * 2 * limit >= 2**63:
        refuse("n, q", f"{n}, {q}", "states and calls that fit 63 bits", "use fewer positions")
    _check_branches(decoder, n, q)
    return partial(frontier_law, denoiser, decoder, limit, max_states, batch)


def frontier_law(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, limit: int, max_states: int, batch: int
) -> Law:
    """The law by the sum of `exact_law`, for at most `limit` steps.

    Outcomes of probability zero are dropped, equal states merged. A decoder that masks again, or writes
    over tokens, is a Markov chain on the same states.
    """
    n, q = denoiser.n, denoiser.q
    denoiser, decoder = with_tables((denoiser, decoder))
    stepper = Stepper(denoiser, decoder, max_states, batch)
    words, probs = np.array([q ** (n - 1 - i) for i in range(n)]), np.zeros(q**n)
    calls, finalised, unfinished, step = np.zeros(1), np.zeros((n, 0)), 0.0, 0
    frontier = stepper.start()
    while True:
        done, frontier = frontier.split(stepper.finished(frontier, step))
        if done.codes.size:
            tokens = tokens_of(done.codes, n, q)
            complete = np.all(tokens != q, axis=1)
            probs += np.bincount(tokens[complete] @ words, done.mass[complete], q**n)
            unfinished += done.mass[~complete].sum()
            calls = _added(calls, np.bincount(done.calls, done.mass, calls.size))
            finalised = _added(finalised, done.last.sum(0))
        if step == limit or not frontier.codes.size:
            break
        if decoder.revises:
            need = frontier.codes.size * n * (step + 1) * 8 * 4
            remedy = "bound max_steps, or use fewer tokens"
            check_bytes(need, MAX_TABLE_BYTES, "the law of the steps", remedy)
        frontier, changed = stepper.step(frontier, step)
        if not decoder.revises:
            finalised = np.concatenate([finalised, changed[:, None]], axis=1)
        step += 1
    unfinished += frontier.mass.sum()
    found = probs.reshape((q,) * n), calls, finalised, np.array(unfinished)
    return Law(*(jnp.asarray(x, jnp.result_type(float)) for x in found), calls_of=decoder.calls_of)


def _added(total: Float[np.ndarray, "..."], more: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The sum, where `more` may be longer in its last axis; it is written over."""
    more[..., : total.shape[-1]] += total
    return more


def _check_branches(decoder: AbstractDecoder, n: int, q: int) -> None:
    """Refuse the branches of one state that do not fit: sets of a random rule, words of a block."""
    if isinstance(decoder, Reveal) and decoder.rule.is_random:
        count, what = 2**n, f"{type(decoder.rule).__name__}'s 2^{n} sets of positions"
    elif isinstance(decoder, AbstractBlocks):
        count, what = q**decoder.width, f"the {q}^{decoder.width} words of a block"
    else:
        return
    check_bytes(count * n * (q + 1) * 8 * COPIES, MAX_TABLE_BYTES, what, "use fewer positions")
    truth = decoder.distribution if isinstance(decoder, AbstractBlocks) else None
    if isinstance(truth, Joint) and not has_table(truth):
        need = SIZES[0] * min(WORDS_AT_ONCE, count) * q**n * 8
        remedy = f"at n = {n}, q = {q} every word of a block is a sum over {q}^{n}; use fewer positions"
        check_bytes(need, MAX_TABLE_BYTES, "the weighing of the blocks' words", remedy)
