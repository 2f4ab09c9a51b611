"""The general way: states without masks, from any start, and probabilities near the smallest float."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import incoherent_rows, partial_assignments

from mdmjax import (
    FixedPartition,
    InvalidInputError,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    Sweeps,
    confidence,
    decode,
    exact_law,
)
from mdmjax.decoders.base import AbstractDecoder, Branches, kept_rows, revealed_rows
from mdmjax.denoisers.table import TableDenoiser

STARTS = np.array([[[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]]])
STEPS = 4


def denoiser_of(rows):
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


class Canvas(AbstractDecoder):
    """Random tokens at first, never a mask: a step redraws one of two positions, or none."""

    starts: jax.Array
    revises = True

    def start(self, n, q):
        rows = jnp.pad(self.starts, ((0, 0), (0, 0), (0, 1)))
        return Branches(jnp.array([0.25, 0.75], rows.dtype), rows)

    def branches(self, denoiser, tokens, step):
        def redrawn(position):
            chosen = jnp.arange(denoiser.n) == position
            hidden = jnp.where(chosen, denoiser.q, tokens)
            return revealed_rows(denoiser(hidden), hidden, chosen)

        first, second = step % denoiser.n, (step + 1) % denoiser.n
        kept = kept_rows(tokens, denoiser.q, jnp.result_type(float))
        weights = jnp.array([0.5, 0.3, 0.2], kept.dtype)
        return Branches(weights, jnp.stack([redrawn(first), redrawn(second), kept]))

    def finished(self, tokens, step, q):
        return step >= STEPS

    def calls(self, tokens, step, q):
        return 1 + (tokens[0] == 1).astype(int)


def brute_force(rows):
    """Every path of the chain: words with their calls, and when each position last changed."""
    index = {tuple(x): row for x, row in zip(partial_assignments(3, 2).tolist(), rows, strict=True)}
    mass = {}
    for weight, start in zip((0.25, 0.75), STARTS, strict=True):
        for word in itertools.product(range(2), repeat=3):
            key = (word, 0, (None,) * 3)
            share = weight * np.prod([start[i][a] for i, a in enumerate(word)])
            mass[key] = mass.get(key, 0.0) + share
    for step in range(STEPS):
        after = {}
        for (word, calls, last), share in mass.items():
            outcomes = [(0.2, word)]
            for weight, i in ((0.5, step % 3), (0.3, (step + 1) % 3)):
                hidden = (*word[:i], 2, *word[i + 1 :])
                here = index[hidden][i]
                outcomes += [(weight * here[a], (*word[:i], a, *word[i + 1 :])) for a in range(2)]
            for weight, new in outcomes:
                changed = tuple(step if a != b else t for a, b, t in zip(new, word, last, strict=True))
                key = (new, calls + 1 + (word[0] == 1), changed)
                after[key] = after.get(key, 0.0) + share * weight
        mass = after
    return mass


def test_a_canvas_without_masks_is_its_markov_chain():
    rows = incoherent_rows(3, 2, 4)
    law = exact_law(denoiser_of(rows), Canvas(jnp.asarray(STARTS)))
    probs, calls, finalised = np.zeros((2,) * 3), np.zeros(2 * STEPS + 1), np.zeros((3, STEPS))
    for (word, count, last), share in brute_force(rows).items():
        probs[word] += share
        calls[count] += share
        for i, step in enumerate(last):
            if step is not None:
                finalised[i, step] += share
    np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-15)
    np.testing.assert_allclose(law.calls, calls[: law.calls.size], rtol=0, atol=1e-15)
    np.testing.assert_allclose(law.finalised, finalised, rtol=0, atol=1e-15)
    assert float(law.unfinished) == 0
    assert finalised.sum(1).max() < 0.999  # some positions never change


def test_draws_of_a_canvas_follow_its_law(key):
    draws, decoder = 20000, Canvas(jnp.asarray(STARTS))
    denoiser = denoiser_of(incoherent_rows(3, 2, 4))
    law = exact_law(denoiser, decoder)
    run = jax.jit(jax.vmap(lambda k: decode(k, denoiser, decoder)))
    found = run(jax.random.split(key, draws))
    counts = np.bincount(np.asarray(found.tokens) @ [4, 2, 1], minlength=8)
    p = np.asarray(law.probs).reshape(-1)
    assert np.all(np.abs(counts - draws * p) <= 5 * np.sqrt(draws * p * (1 - p)) + 1)


def test_a_start_that_is_no_law_is_refused():
    denoiser = denoiser_of(incoherent_rows(3, 2, 4))
    with pytest.raises(InvalidInputError, match="the start of Canvas"):
        exact_law(denoiser, Canvas(jnp.asarray(STARTS) * 0.5))


DECODERS = {
    "fixed order": lambda: Reveal(FixedPartition([[1], [0]])),
    "at once": lambda: Reveal(FixedPartition([[1, 0]])),
    "random order": lambda: Reveal(RandomSubset(Schedule([1, 1]))),
    "surest first": lambda: Reveal(Ranked(confidence, Schedule([1, 1]))),
    "redrawn": lambda: Sweeps([[0], [1]], 3),
}


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("least", [1e-20, 1e-300, 1e-307])
def test_a_tiny_row_is_not_lost(name, least):
    """Symbol 0 of position 0 has probability `least` in every context: the KL is finite, and right."""
    rows = incoherent_rows(2, 2, 0)
    masked = partial_assignments(2, 2) == 2
    rows[masked[:, 0], 0] = [least, 1.0]
    rows[masked[:, 1], 1] = [0.25, 0.75]
    law = exact_law(denoiser_of(rows), DECODERS[name]())
    p = np.array([[0.04, 0.06], [0.4, 0.5]])
    wanted = np.sum(p * (np.log(p) - np.log([[least], [1.0]]) - np.log([0.25, 0.75])))
    np.testing.assert_allclose(float(law.kl(jnp.asarray(p))), wanted, rtol=1e-13)
