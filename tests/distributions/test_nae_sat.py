"""L&O-NAE-SAT against loops, and the order that its paper calls easy."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import assert_matches_table
from _oracles import nae_sat_table

from mdmjax import (
    FixedPartition,
    InvalidInputError,
    Oracle,
    Ranked,
    Reveal,
    Schedule,
    confidence,
    exact_law,
    row_entropy,
    tabulate,
)
from mdmjax.distributions.nae_sat import nae_sat, nae_triples


@pytest.mark.parametrize(("latents", "observations", "flip"), [(3, 1, 0.0), (4, 2, 0.1)])
def test_every_context_against_the_table(latents, observations, flip):
    triples = nae_triples(latents, observations, draw=3)
    table = nae_sat_table(latents, triples.tolist(), flip)
    found = nae_sat(latents, observations, draw=3, flip=flip)
    assert_matches_table(found, table)


def test_triples_are_different_and_draws_are_too():
    every = {tuple(t) for t in nae_triples(5, 10, draw=1).tolist()}
    assert every == set(itertools.combinations(range(5), 3))
    assert nae_triples(6, 5, 0).tolist() == nae_triples(6, 5, 0).tolist()
    assert any(nae_triples(6, 5, 0).tolist() != nae_triples(6, 5, draw).tolist() for draw in range(1, 4))


@pytest.mark.slow
def test_latents_first_is_exact_in_two_steps_and_the_entropy_finds_it_backwards():
    """At the start an observation is the surer one: easy-first begins at the wrong end."""
    joint = tabulate(nae_sat(4, 3, draw=0))
    steps = Schedule([4, 3])
    order = Reveal(FixedPartition([list(range(4)), [4, 5, 6]]))
    assert float(exact_law(Oracle(joint), order).kl(joint)) == pytest.approx(0, abs=1e-12)
    hard = exact_law(Oracle(joint), Reveal(Ranked(row_entropy, steps)))
    assert float(hard.kl(joint)) == pytest.approx(0, abs=1e-12)
    first = exact_law(Oracle(joint), Reveal(Ranked(confidence, Schedule([1] * 7)))).finalised[:, 0]
    np.testing.assert_array_equal(first[:4], 0)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((2, 1), "latents is 2"),
        ((4, 0), "observations is 0"),
        ((4, 5), "observations is 5: want at most the 4 triples of 4 latents"),
        ((40, 9), "latents is 40: want a mixture of at most 2.0 GiB"),
    ],
)
def test_refusals(sizes, words):
    with pytest.raises(InvalidInputError, match=words):
        nae_sat(*sizes, draw=0)
    with pytest.raises(InvalidInputError, match="flip is 2"):
        nae_sat(4, 1, draw=0, flip=jnp.array(2.0))
