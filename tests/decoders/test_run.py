"""The driver with states of other kinds: canvases of tokens without masks, and cells that remember."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import table_conditionals

from mdmjax import (
    AbstractDecoder,
    AnySubsetSpeculative,
    AtTemperature,
    Branches,
    Edited,
    Joint,
    Oracle,
    Sweeps,
    decode,
    decode_many,
    exact_law,
    tabulate_denoiser,
)
from mdmjax.decoders.base import kept_rows

N, Q, STEPS = 3, 3, 2
TABLE = np.random.default_rng(0).dirichlet(np.full(Q**N, 0.5)).reshape((Q,) * N)
MODEL = tabulate_denoiser(Oracle(Joint(jnp.asarray(TABLE))))


class Redraw(AbstractDecoder):
    """A canvas of uniform tokens, of which each step masks and redraws one: any, or not the last one again.

    A cell after the `n` tokens remembers which that was.
    """

    steps: int = eqx.field(static=True)
    remembers: bool = eqx.field(static=True)
    revises = True

    def start(self, n, q):
        rows = jnp.full((n, q + 1), 1 / q).at[:, q].set(0)
        if self.remembers:
            rows = jnp.concatenate([rows, jax.nn.one_hot(jnp.array([q]), q + 1)])
        return Branches(jnp.ones(1), rows[None])

    def branches(self, denoiser, tokens, step):
        n, q = denoiser.n, denoiser.q
        here = jnp.eye(n, dtype=bool)
        rows = jax.vmap(denoiser)(jnp.where(here, q, tokens[None, :n]))
        drawn = jnp.pad(jnp.exp(rows), ((0, 0), (0, 0), (0, 1)))
        kept = kept_rows(tokens, q, rows.dtype)
        rows = jnp.where(here[:, :, None], drawn, kept[None, :n])
        weights = jnp.ones(n)
        if self.remembers:
            memory = kept_rows(jnp.arange(n), q, rows.dtype)[:, None]
            rows, weights = (
                jnp.concatenate([rows, memory], axis=1),
                jnp.where(jnp.arange(n) == tokens[n], 0.0, 1.0),
            )
        return Branches(weights / weights.sum(), rows)

    def finished(self, tokens, step, q):
        return step >= self.steps


def law_by_hand(remembers):
    """Mass of every state, from the definition: a dict of states, step by step."""
    memory = (Q,) if remembers else ()
    law = {(*word, *memory): 1 / Q**N for word in np.ndindex(*TABLE.shape)}
    for _ in range(STEPS):
        after = {}
        for state, mass in law.items():
            free = [i for i in range(N) if not remembers or i != state[N]]
            for i in free:
                hidden = [Q if j == i else state[j] for j in range(N)]
                for symbol, p in enumerate(table_conditionals(TABLE, hidden)[i]):
                    new = (*state[:i], symbol, *state[i + 1 : N], *((i,) if remembers else ()))
                    after[new] = after.get(new, 0.0) + mass * p / len(free)
        law = after
    return law


@pytest.mark.parametrize("remembers", [False, True])
def test_a_canvas_without_masks(remembers, key):
    """Draws of the states after two steps, each within 5 standard errors, and a start that is no step's."""
    decoder, draws, law = Redraw(STEPS, remembers), 20000, law_by_hand(remembers)
    assert abs(sum(law.values()) - 1) < 1e-12
    found = decode_many(key, MODEL, decoder, draws, batch=2000)
    words, counts = np.unique(found.tokens, axis=0, return_counts=True)
    counts = dict(zip(map(tuple, words.tolist()), counts.tolist(), strict=True))
    assert set(counts) <= set(law)
    for state, p in law.items():
        assert abs(counts.get(state, 0) / draws - p) <= 5 * np.sqrt(p * (1 - p) / draws)
    assert np.all(np.asarray(found.calls) == STEPS)
    never = np.asarray(found.finalised)[:, :N] == decoder.most_steps(N)
    assert np.all(never.sum(1) >= N - STEPS)
    one = decode(key, MODEL, decoder)
    more = decode(key, MODEL, decoder, max_steps=7)
    assert one.tokens.tolist() == more.tokens.tolist()


def test_a_temperature_keeps_the_start(key):
    """The canvas is as before, the redrawn token sharper."""
    greedy = AtTemperature(Redraw(1, False), 0)
    found = np.asarray(decode_many(key, MODEL, greedy, 5000, batch=1000).tokens)
    law = {}
    for word in np.ndindex(*TABLE.shape):
        for i in range(N):
            row = table_conditionals(TABLE, [Q if j == i else word[j] for j in range(N)])[i]
            new = (*word[:i], int(np.argmax(row)), *word[i + 1 :])
            law[new] = law.get(new, 0.0) + 1 / Q**N / N
    counts = np.zeros((Q,) * N)
    np.add.at(counts, tuple(found.T), 1)
    for word in np.ndindex(*TABLE.shape):
        p = law.get(word, 0.0)
        assert abs(counts[word] / 5000 - p) <= 5 * np.sqrt(p * (1 - p) / 5000)


def test_an_edited_canvas_starts_as_its_decoder_does():
    editor = Sweeps([[0], [1], [2]], passes=1)
    rows = Edited(Redraw(1, False), editor).start(N, Q).rows
    assert rows.tolist() == Redraw(1, False).start(N, Q).rows.tolist()


def test_edits_after_speculation_count_both_calls_of_a_step():
    writing = AnySubsetSpeculative([0, 1, 2], 2)
    editor = Sweeps([[0], [1], [2]], passes=2)
    alone, edited = exact_law(MODEL, writing), exact_law(MODEL, Edited(writing, editor))
    assert float(alone.expected_calls) == pytest.approx(3)
    assert float(edited.expected_calls) == pytest.approx(float(alone.expected_calls) + 6)
