"""The exact law of any decoder: mass propagated over the states that it reaches, in NumPy."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from .._contexts import place_values, readable_state, tokens_of
from .._errors import check_bytes, refuse
from .._types import Array, Bool, Float
from ..decoders.base import AbstractDecoder
from ..decoders.reveal import Reveal
from ..decoders.run import remembered, step_limit
from ..decoders.verification import WORDS_AT_ONCE, AbstractBlocks
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint, check_table_size
from ._rows import States, check_calls, has_table, in_batches, masked_probs, with_tables
from ._states import Frontier, Mass, Numbers, alike, last_changes, merged, taken
from .law import Law, Plan

SIZES = (512, 4096)  # states that a step is compiled for: it takes longer to compile than a denoiser
CHUNK_BYTES = 2**26  # rows of branches that are alive at once
COPIES = 4  # of the branches of a state, alive at once


def plan(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None, max_states: int, batch: int
) -> Plan:
    """`frontier_law`: of any decoder."""
    n, q = denoiser.n, denoiser.q
    check_table_size(n, q)
    limit = step_limit(denoiser, decoder, max_steps)
    if (q + 1) ** n * 2 * (max(limit, batch) if decoder.remembers else limit) >= 2**63:
        refuse("n, q", f"{n}, {q}", "states and calls that fit 63 bits", "use fewer positions")
    _check_branches(decoder, n, q)
    return partial(frontier_law, denoiser, decoder, limit, max_states, batch)


def frontier_law(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, limit: int, max_states: int, batch: int
) -> Law:
    """The law by the sum of `exact_law`: outcomes of probability zero are dropped, equal states merged."""
    n, q = denoiser.n, denoiser.q
    denoiser, decoder = with_tables((denoiser, decoder))
    stepper = Stepper(denoiser, decoder, max_states, batch)
    words, probs = place_values(n, q - 1), np.zeros(q**n)
    calls, finalised, unfinished, step = np.zeros(1), np.zeros((n, 0)), 0.0, 0
    frontier = stepper.start()
    while True:
        ends = stepper.finished(frontier, step)
        done, frontier = taken(frontier, ends), taken(frontier, ~ends)
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
    as_float = partial(jnp.asarray, dtype=jnp.result_type(float))
    table, unfinished = as_float(probs.reshape((q,) * n)), as_float(unfinished + frontier.mass.sum())
    return Law(table, as_float(calls), as_float(finalised), unfinished, calls_of=decoder.calls_of)


def _added(total: Float[np.ndarray, "..."], more: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The sum, where `more` may be longer in its last axis; it is written over."""
    more[..., : total.shape[-1]] += total
    return more


def _check_branches(decoder: AbstractDecoder, n: int, q: int) -> None:
    """Refuse the branches of one state that do not fit: sets of a random rule, words of a block."""
    while (wrapped := getattr(decoder, "decoder", None)) is not None:
        decoder = wrapped
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


class Stepper:
    """A denoiser and a decoder that take frontiers a step further, `batch` states at a time."""

    def __init__(self, denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_states: int, batch: int):
        self.denoiser, self.decoder, self.max_states = denoiser, decoder, max_states
        self.n, self.q, self.place = denoiser.n, denoiser.q, place_values(denoiser.n, denoiser.q)
        self.batch, self.calls = batch, 0
        self.reveals = isinstance(decoder, Reveal) and not decoder.remembers
        self.kept = remembered(denoiser, decoder)
        self.memory, self.fixed = eqx.partition(decoder, self.kept)
        self.width = sum(leaf.nbytes for leaf in jax.tree.leaves(self.memory))
        if not (isinstance(decoder, Reveal) and not decoder.rule.is_random):  # of one branch
            step = jax.ShapeDtypeStruct((), jnp.arange(1).dtype)
            state = jax.ShapeDtypeStruct((1, self.n), step.dtype)
            memory = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), self.memory)
            shapes = eqx.filter_eval_shape(_stepped, denoiser, self.fixed, step, (state, memory))
            rows = shapes[0].rows
            self.batch = max(1, min(batch, CHUNK_BYTES // (rows.size * rows.dtype.itemsize)))
        if decoder.revises:  # a state may lead to all of them
            self.batch = max(1, min(self.batch, max_states // (self.q + 1) ** self.n))

    def start(self) -> Frontier:
        """The states before the first step."""
        weights, rows = (np.asarray(x, np.float64)[None] for x in self.decoder.start(self.n, self.q))
        masked = np.full((1, self.n), self.q)
        owner, weights, rows = self._mixed(weights, rows, masked, "start")
        codes = np.full(owner.size, masked[0] @ self.place)
        _, codes, mass = self._outcomes(codes, weights, rows)
        calls, last = np.zeros(codes.size, int), np.zeros((codes.size, self.n, 0))
        memory = jax.tree.map(lambda x: np.repeat(np.asarray(x)[None], codes.size, axis=0), self.memory)
        return merged([Frontier(codes, calls, mass, last, memory)], (self.q + 1) ** self.n)[0]

    def finished(self, frontier: Frontier, step: int) -> Bool[np.ndarray, " m"]:
        """Which states the decoder leaves before step `step`."""
        tokens = self._tokens(frontier.codes)
        if self.reveals:
            return np.all(tokens != self.q, axis=1)
        finished = partial(_finished, self.fixed, jnp.asarray(step), self.q)
        states = tokens, frontier.memory
        return np.concatenate([done for _, done in in_batches(finished, states, self.batch, SIZES)])

    def step(self, frontier: Frontier, step: int) -> tuple[Frontier, Float[np.ndarray, " n"]]:
        """The frontier after a step; and the mass revealed at each position, if none is ever revised."""
        n, size, start, parts = self.n, (self.q + 1) ** self.n, 0, []
        changed = np.zeros(n)
        for block, owner, weights, rows, calls, _ in self.branches(frontier.codes, step, frontier.memory):
            chunk = slice(start, start + block.shape[0])
            start += block.shape[0]
            mass = frontier.mass[chunk][owner] * weights
            source, codes, mass = self._outcomes(frontier.codes[chunk][owner], mass, rows)
            owner = owner[source]
            memory = taken(frontier.memory, chunk)
            if self.decoder.remembers:  # of each transition once
                first, which = alike(owner * size + codes, ())
                owner, codes, mass = owner[first], codes[first], np.bincount(which, mass)
                memory = self._then(block[owner], taken(memory, owner), codes, step)
            after = (frontier.calls[chunk] + calls)[owner]
            part, which = merged([Frontier(codes, after, mass, np.zeros((0, n, step + 1)), memory)], size)
            if self.decoder.revises:
                shares, shape = mass / frontier.mass[chunk][owner], (part.codes.size, block.shape[0])
                flow = csr_array((shares, (which, owner)), shape)
                tokens = self._tokens(part.codes)
                last = last_changes(frontier.last[chunk], frontier.mass[chunk], flow, block, tokens)
                part = part._replace(last=last)
            else:
                changed += mass @ (self._tokens(codes) != block[owner])
            parts.append(part)
            self._check(sum(part.codes.size for part in parts))
        return (merged(parts, size)[0] if len(parts) > 1 else parts[0]), changed

    def branches(self, codes: Numbers, step: int, memory: Any = ()) -> Iterator[tuple]:
        """By batch: states; owner, weights and rows of the branches; calls; what `Reveal` has seen."""
        self.calls += codes.size
        check_calls((self.denoiser, self.decoder), self.calls, "the law")
        stepped = partial(_stepped, self.denoiser, self.fixed, jnp.asarray(step))
        states = self._tokens(codes), memory if self.decoder.remembers else self.memory
        for (block, _), found in in_batches(stepped, states, self.batch, SIZES):
            (weights, rows), calls, log_probs = found
            if log_probs is not None:
                masked_probs(log_probs, block)  # refuses what is no probability
            owner, weights, rows = self._mixed(weights, rows, block, "step")
            if self.reveals:
                kept = np.take_along_axis(rows, block[owner][:, :, None], axis=2)[:, :, 0]
                # A state whose rows are certain of its mask in every position goes on for ever.
                idle = np.bincount(owner[np.any(kept != 1, axis=1)], minlength=len(block)) == 0
                if idle.any():
                    state = readable_state(block[np.argmax(idle)], self.q)
                    name = type(getattr(self.decoder, "rule", self.decoder)).__name__
                    refuse(f"the choice of {name} at {state}", "empty", "at least one masked position")
            yield block, owner, weights, rows, calls, log_probs

    def _then(self, tokens: States, memory: Any, codes: Numbers, step: int) -> Any:
        """What is remembered after each transition."""
        then = partial(_then, self.denoiser, self.fixed, self.kept, jnp.asarray(step))
        transitions = tokens, memory, self._tokens(codes)
        parts = [found for _, found in in_batches(then, transitions, self.batch, SIZES)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    def _tokens(self, codes: Numbers) -> States:
        return np.asarray(tokens_of(codes, self.n, self.q))

    def _mixed(
        self, weights: np.ndarray, rows: np.ndarray, tokens: States, what: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The branches in use, with rows of sum one in float64; refused if they never were."""
        tolerance = 1e-9 if rows.dtype == np.float64 else 1e-4
        weights = weights.astype(np.float64)
        owner, branch = np.nonzero(weights)
        rows = rows[owner, branch].astype(np.float64)
        sums = rows @ np.ones(rows.shape[2])
        wrong = ~(np.abs(weights.sum(1) - 1) <= tolerance)
        wrong[owner[~np.all(np.abs(sums - 1) <= tolerance, axis=1)]] = True
        if wrong.any():
            state = readable_state(tokens[np.argmax(wrong)], self.q)
            remedy = "the denoiser may be NaN there: wrap it in Fallback"
            name = type(self.decoder).__name__
            refuse(f"the {what} of {name} at {state}", "no law", "weights and rows of sum 1", remedy)
        return owner, weights[owner, branch], rows / sums[..., None]

    def _check(self, count: int) -> None:
        """Refuse more states than were allowed, before they are made."""
        if count > self.max_states:
            remedy = "use fewer positions, or a decoder that reaches fewer states"
            found = f"of at least {count} states"
            refuse("the frontier of the law", found, f"at most {self.max_states}", remedy)
        need, remedy = count * self.width * COPIES, "use fewer positions or symbols"
        check_bytes(need, MAX_TABLE_BYTES, "what the states remember", remedy)

    def _outcomes(
        self, codes: Numbers, mass: Mass, rows: Float[np.ndarray, "m n symbols"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owners, codes and mass of what follows: one position at a time, impossible outcomes dropped."""
        owner = np.arange(codes.size)
        before = self._tokens(codes)
        # Certain is no other symbol at all: a row of 1 may have others of 1e-300.
        possible = (rows != 0) @ np.ones(rows.shape[2]) == 1  # an inner sum over q is slow
        certain = possible & (np.take_along_axis(rows, before[:, :, None], axis=2)[:, :, 0] > 0)
        for position in np.flatnonzero(~certain.all(axis=0)):
            splits = ~certain[owner, position]
            split = np.flatnonzero(splits)
            weights = mass[split, None] * rows[owner[split], position]
            source, symbol = np.nonzero(weights)
            self._check(codes.size - split.size + source.size)
            kept, of = ~splits, split[source]
            moved = (symbol - before[owner[of], position]) * self.place[position]
            codes = np.concatenate([codes[kept], codes[of] + moved])
            mass = np.concatenate([mass[kept], weights[source, symbol]])
            owner = np.concatenate([owner[kept], owner[of]])
        return owner, codes, mass


@eqx.filter_jit
def _stepped(denoiser: AbstractDenoiser, fixed: AbstractDecoder, step: Array, states: tuple):
    """The branches and calls; and the rows that a decoder has seen, to be checked: all, not the chosen."""

    def one(state, memory):
        decoder = eqx.combine(memory, fixed)
        seen = denoiser(state) if isinstance(decoder, Reveal) else None
        return decoder.branches(denoiser, state, step), decoder.calls(state, step, denoiser.q), seen

    return jax.vmap(one)(*states)


@eqx.filter_jit
def _finished(fixed: AbstractDecoder, step: Array, q: int, states: tuple):
    return jax.vmap(lambda state, memory: eqx.combine(memory, fixed).finished(state, step, q))(*states)


@eqx.filter_jit
def _then(denoiser: AbstractDenoiser, fixed: AbstractDecoder, kept: Any, step: Array, transitions: tuple):
    def one(tokens, memory, after):
        return eqx.filter(eqx.combine(memory, fixed).then(denoiser, tokens, after, step), kept)

    return jax.vmap(one)(*transitions)
