"""Blocks drawn by enumeration: the law is the target, one call a block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import incoherent_rows, sampler_law, verified_step
from _strategies import partitions, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    BlockHMM,
    BlockRejection,
    BlockVerification,
    InvalidInputError,
    Joint,
    Oracle,
    decode,
    exact_law,
    symmetric_chain,
    tabulate,
)
from mdmjax.decoders.verification import block_words
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.laws._rows import with_tables

SHAPES = [(2, 3), (3, 2)]


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_the_law_is_the_target_and_calls_count_blocks(data):
    n, q = data.draw(st.sampled_from(SHAPES))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    partition = partitions(data, n)
    rows = incoherent_rows(n, q, data.draw(st.integers(0, 99)), zeros=False)
    decoder = BlockVerification(Joint(jnp.asarray(table)), partition)
    law = exact_law(TableDenoiser(jnp.log(jnp.asarray(rows))), decoder)  # it is not looked at
    np.testing.assert_allclose(law.probs, table, rtol=0, atol=1e-14)
    assert np.all(np.asarray(law.probs)[table == 0] == 0)
    found = sampler_law(n, q, verified_step(table, partition), n)
    calls = np.zeros(len(partition) + 1)
    for (word, count), mass in found.items():
        assert abs(float(law.probs[word]) - mass) < 1e-14
        calls[count] += mass
    np.testing.assert_allclose(law.calls, calls, rtol=0, atol=1e-14)
    assert float(law.unfinished) == 0


@pytest.mark.parametrize("eta", [0.0, 1e-8])
def test_block_hmm(eta):
    """Nothing is violated at eta = 0, where the product of the rows violates half of the parities."""
    model = BlockHMM(blocks=2, block_size=3, eta=eta)
    law = exact_law(Oracle(model), BlockVerification(model, [[0, 1, 2], [3, 4, 5]]))
    table = np.asarray(tabulate(model).probs)
    np.testing.assert_allclose(law.probs, table, rtol=1e-12, atol=0)
    words = np.indices((2,) * 6)
    violated = (words[:3].sum(0) % 2 == 1) | (words[3:].sum(0) % 2 == 1)
    np.testing.assert_allclose(np.asarray(law.probs)[violated].sum(), eta * (2 - eta), rtol=1e-9, atol=0)


def test_words_of_a_block_that_is_partly_revealed():
    """Revealed tokens stay, and the words of the free ones have the conditional of both."""
    table = np.random.default_rng(0).dirichlet(np.ones(27)).reshape(3, 3, 3)
    decoder = BlockVerification(Joint(jnp.asarray(table)), [[2, 0], [1]])
    tokens = jnp.array([3, 3, 1])
    branches = decoder.branches(Oracle(Joint(jnp.asarray(table))), tokens, jnp.array(0))
    assert branches.rows.shape == (9, 3, 4)
    np.testing.assert_allclose(branches.weights.sum(), 1, rtol=1e-14)
    row = jnp.tensordot(branches.weights, branches.rows, axes=1)
    np.testing.assert_allclose(row[0, :3], table[:, :, 1].sum(1) / table[:, :, 1].sum(), rtol=1e-13)
    assert row[1:].tolist() == [[0, 0, 0, pytest.approx(1)], [0, pytest.approx(1), 0, 0]]


@pytest.mark.slow
def test_words_in_several_batches():
    chain = symmetric_chain(7, 3, 0.4)
    block = jnp.arange(7) != 3
    words = block_words(chain, jnp.array([3, 3, 3, 1, 3, 3, 3]), block, 6)
    assert words.tokens.shape == (729, 7)
    assert np.unique(words.tokens, axis=0).shape == (729, 7)
    table = np.asarray(tabulate(chain).probs)
    wanted = table[tuple(np.asarray(words.tokens).T)] / table[:, :, :, 1].sum()
    np.testing.assert_allclose(jnp.exp(words.log_target), wanted, rtol=1e-12)


def test_draws_follow_the_law(key):
    table = np.random.default_rng(3).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
    table[0, 1, 0] = 0
    table /= table.sum()
    joint, draws = Joint(jnp.asarray(table)), 20000
    decoder = BlockVerification(joint, [[2, 0], [1]])
    found = jax.jit(jax.vmap(lambda k: decode(k, Oracle(joint), decoder)))(jax.random.split(key, draws))
    counts = np.bincount(np.asarray(found.tokens) @ [4, 2, 1], minlength=8)
    p = table.reshape(-1)
    assert np.all(np.abs(counts - draws * p) <= 5 * np.sqrt(draws * p * (1 - p)))
    assert np.all(np.asarray(found.calls) == 2)
    assert np.all(np.asarray(found.finalised) == [0, 1, 0])


@pytest.mark.parametrize("decoder", [BlockVerification, BlockRejection])
def test_refusals(decoder):
    chain = symmetric_chain(3, 2, 0.2)
    for partition in ([[0, 1]], [[0], [1], [2], [3]]):
        with pytest.raises(InvalidInputError, match=r"want n = 3 positions"):
            decoder(chain, partition)
    for partition in ([], [[0, 1], [1, 2]], [[0, 1, 2], []]):
        with pytest.raises(InvalidInputError, match=r"each of 0\.\.n-1 once, and no empty block"):
            decoder(chain, partition)
    with pytest.raises(InvalidInputError, match=r"up to 30: want .* 2.0 GiB"):
        decoder(symmetric_chain(30, 2, 0.2), [list(range(30))])
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 3, 3: want n, q = 3, 2"):
        exact_law(Oracle(symmetric_chain(3, 3, 0.2)), decoder(chain, [[0, 1, 2]]))


def test_words_that_do_not_fit_are_refused_and_a_joint_of_the_decoder_is_a_table():
    large = Joint(jnp.full((2,) * 18, 2.0**-18))
    halves = [list(range(9)), list(range(9, 18))]
    with pytest.raises(InvalidInputError, match="weighing of the blocks' words is of 256.0 GiB"):
        exact_law(Oracle(large), BlockVerification(large, halves))
    small = Joint(jnp.full((2,) * 2, 0.25))
    denoiser, decoder = with_tables((Oracle(small), BlockVerification(small, [[0, 1]])))
    assert decoder.distribution is denoiser.distribution
    assert float(decoder.distribution.log_marginal(jnp.array([0, 2]))) == pytest.approx(np.log(0.5))
