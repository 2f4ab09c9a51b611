"""The driver: canvases of tokens without masks, decoders that remember, given tokens, kept canvases."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import table_conditionals
from jax import Array

from mdmjax import (
    AbstractDecoder,
    AnySubsetSpeculative,
    AtTemperature,
    Branches,
    Edited,
    Joint,
    Oracle,
    Reveal,
    Schedule,
    Sweeps,
    decode,
    decode_many,
    exact_law,
    left_to_right,
    tabulate_denoiser,
)
from mdmjax._errors import InvalidInputError
from mdmjax.decoders.base import kept_rows
from mdmjax.decoders.run import GIVEN

N, Q, STEPS = 3, 3, 2
TABLE = np.random.default_rng(0).dirichlet(np.full(Q**N, 0.5)).reshape((Q,) * N)
MODEL = tabulate_denoiser(Oracle(Joint(jnp.asarray(TABLE))))


class Redraw(AbstractDecoder):
    """A canvas of uniform tokens, of which each step masks and redraws one: any, or not the last changed.

    `last` remembers which that was, `N` for none.
    """

    steps: int = eqx.field(static=True)
    remembers: bool = eqx.field(static=True)
    last: Array = eqx.field(default_factory=lambda: jnp.array(N))
    revises = True

    def start(self, n, q):
        return Branches(jnp.ones(1), jnp.full((n, q + 1), 1 / q).at[:, q].set(0)[None])

    def branches(self, denoiser, tokens, step):
        n, q = denoiser.n, denoiser.q
        here = jnp.eye(n, dtype=bool)
        rows = jax.vmap(denoiser)(jnp.where(here, q, tokens[None]))
        drawn = jnp.pad(jnp.exp(rows), ((0, 0), (0, 0), (0, 1)))
        rows = jnp.where(here[:, :, None], drawn, kept_rows(tokens, q, rows.dtype)[None])
        weights = jnp.where(jnp.arange(n) == self.last, 0.0, 1.0) if self.remembers else jnp.ones(n)
        return Branches(weights / weights.sum(), rows)

    def then(self, denoiser, tokens, after, step):
        changed = after != tokens
        last = jnp.where(changed.any(), jnp.argmax(changed), N)
        return eqx.tree_at(lambda decoder: decoder.last, self, last)

    def finished(self, tokens, step, q):
        return step >= self.steps


def law_by_hand(remembers):
    """Mass of every word, from the definition: a dict of states, step by step."""
    law = {(word, N): 1 / Q**N for word in np.ndindex(*TABLE.shape)}
    for _ in range(STEPS):
        after = {}
        for (word, last), mass in law.items():
            free = [i for i in range(N) if not remembers or i != last]
            for i in free:
                hidden = [Q if j == i else word[j] for j in range(N)]
                for symbol, p in enumerate(table_conditionals(TABLE, hidden)[i]):
                    new = (*word[:i], symbol, *word[i + 1 :]), N if word[i] == symbol else i
                    after[new] = after.get(new, 0.0) + mass * p / len(free)
        law = after
    words = {}
    for (word, _), mass in law.items():
        words[word] = words.get(word, 0.0) + mass
    return words


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
    never = np.asarray(found.finalised) == decoder.most_steps(N)
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
    apart = [exact_law(MODEL, Edited(writing, editor, counted=whose)) for whose in ("writer", "editor")]
    np.testing.assert_allclose(apart[0].calls[: alone.calls.size], alone.calls, atol=1e-14)
    np.testing.assert_allclose(apart[1].calls, np.eye(7)[6], atol=1e-14)
    assert [law.calls_of for law in apart] == [
        "a call of the denoiser by the writer",
        "a call of the denoiser by the editor",
    ]


def test_an_editor_has_its_own_denoiser(key):
    """Where the editor redraws everything at once, only its denoiser counts; draws follow the law."""
    coins = Oracle(Joint(jnp.full((Q,) * N, 1 / Q**N)))
    edited = Edited(Reveal(left_to_right(Schedule([N]))), Sweeps([list(range(N))], 1), coins)
    np.testing.assert_allclose(exact_law(MODEL, edited).probs, 1 / Q**N, atol=1e-15)
    drawn = np.asarray(decode_many(key, MODEL, edited, 4000, batch=1000).tokens)
    seen = np.bincount(drawn @ Q ** np.arange(N)[::-1], minlength=Q**N) / 4000
    assert np.all(np.abs(seen - 1 / Q**N) <= 5 * np.sqrt(1 / Q**N / 4000))


def test_refused_editors():
    writing, editor = Reveal(left_to_right(Schedule([N]))), Sweeps([[0]], 1)
    with pytest.raises(InvalidInputError, match="counted is all: want one of both, writer, editor"):
        Edited(writing, editor, counted="all")
    other = Oracle(Joint(jnp.full((Q,) * (N + 1), 1 / Q ** (N + 1))))
    with pytest.raises(InvalidInputError, match="denoiser is the editor's, of n, q = "):
        exact_law(MODEL, Edited(writing, editor, other))


@pytest.mark.parametrize("remembers", [False, True])
def test_what_a_trace_keeps(remembers, key):
    """Canvases from the start to the end, and the edits and last changes that can be seen in them."""
    found = decode_many(key, MODEL, Redraw(5, remembers), 50, batch=50, max_steps=7, keep=True)
    canvases, changed = np.asarray(found.canvases), np.diff(found.canvases, axis=1) != 0
    assert canvases.shape == (50, 8, N)
    assert np.all(canvases[:, 5:] == np.asarray(found.tokens)[:, None])
    assert np.all(changed.sum(1) == found.edits)  # no position was ever masked
    last = np.where(changed.any(1), 6 - np.argmax(changed[:, ::-1], axis=1), 7)
    assert np.all(last == found.finalised)
    assert np.all(changed.sum(2) <= 1)
    if remembers:
        assert not np.any(changed[:, 1:] & changed[:, :-1])


def test_given_tokens_stay(key):
    """The others are drawn from what the given ones leave, in the order of the rule."""
    decoder = Reveal(left_to_right(Schedule([1, 1, 1])))
    given = jnp.array([[Q, 1, Q], [2, Q, 0], [0, 1, 2]])
    found = decode_many(key, MODEL, decoder, 3, batch=2, given=given, keep=True)
    assert found.finalised.tolist() == [[0, GIVEN, 2 - 1], [GIVEN, 0, GIVEN], [GIVEN] * 3]
    assert found.calls.tolist() == [2, 1, 0]
    assert np.all(np.asarray(found.tokens)[given != Q] == np.asarray(given)[given != Q])
    assert found.canvases[:, 0].tolist() == given.tolist()
    many = decode_many(key, MODEL, decoder, 4000, batch=1000, given=jnp.array([Q, 1, Q])).tokens
    law = TABLE[:, 1] / TABLE[:, 1].sum()
    counts = np.zeros((Q, Q))
    np.add.at(counts, (np.asarray(many)[:, 0], np.asarray(many)[:, 2]), 1)
    assert np.all(np.abs(counts / 4000 - law) <= 5 * np.sqrt(law * (1 - law) / 4000))
    for wrong, what in ((jnp.array([Q]), "want n = 3"), (jnp.full((2, N), Q), r"want \[n\] or")):
        with pytest.raises(InvalidInputError, match=what):
            decode_many(key, MODEL, decoder, 4, given=wrong)
    with pytest.raises(InvalidInputError, match="Conditioned"):
        decode(key, MODEL, Sweeps([[0], [1], [2]], passes=1), given=jnp.array([Q, 1, Q]))
