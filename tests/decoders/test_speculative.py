"""Drafts that are verified: what greedy decoding writes, and the law of one token at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    block_decoder_law,
    certain_of_tokens,
    draft_and_verify_by_loop,
    entropy_by_loop,
    greedy_path,
    incoherent_rows,
    lookup_rows,
    partial_assignments,
    sampler_law,
    speculative_step,
    table_conditionals,
)
from _strategies import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    AnySubsetSpeculative,
    DraftAndVerify,
    InvalidInputError,
    Joint,
    Oracle,
    Ranked,
    Reveal,
    Schedule,
    confidence,
    decode,
    exact_law,
    negative_entropy,
    symmetric_chain,
)
from mdmjax.denoisers.table import TableDenoiser

SHAPES = [(3, 2, 1), (3, 2, 2), (3, 2, 3), (2, 3, 2), (4, 2, 3), (3, 2, 5)]
"""Positions, symbols, drafts."""


def denoiser_of(rows):
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


def oracle_rows(table):
    return np.array([table_conditionals(table, x) for x in partial_assignments(table.ndim, len(table))])


def rows_for(data, n, q):
    """Rows of no distribution, or of one with zeros, which are NaN where nothing is.

    And NaN where nothing is masked: what a step ends in is not asked for its rows.
    """
    if data.draw(st.booleans()):
        rows = incoherent_rows(n, q, data.draw(st.integers(0, 9999)))
    else:
        rows = oracle_rows(data.draw(probabilities(q**n)).reshape((q,) * n))
    rows[np.all(partial_assignments(n, q) < q, axis=1)] = np.nan
    return rows


def assert_draws(found, law, n, q):
    """Words and calls within 5 standard errors, and nothing impossible."""
    draws = found.tokens.shape[0]
    words = np.asarray(found.tokens) @ q ** np.arange(n - 1, -1, -1)
    for values, p in [(words, law.probs), (found.calls, law.calls)]:
        p = np.asarray(p).reshape(-1)
        p = np.where(p < 1e-12, 0, p)
        counts = np.bincount(np.asarray(values), minlength=p.size)
        assert np.all(
            np.abs(counts - draws * p) <= 5 * np.sqrt(draws * p * np.maximum(1 - p, 0)) + draws * 1e-12
        )


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=20)
def test_drafts_write_what_greedy_decoding_writes(data):
    n, q, drafts = data.draw(st.sampled_from(SHAPES))
    rows = rows_for(data, n, q)
    score, by_loop = data.draw(
        st.sampled_from([(confidence, max), (negative_entropy, lambda row: -entropy_by_loop(row))])
    )
    denoiser, rows_of = denoiser_of(rows), lookup_rows(np.nan_to_num(rows, nan=0.3))
    law = exact_law(denoiser, DraftAndVerify(drafts, score))
    word, calls = draft_and_verify_by_loop(n, q, rows_of, by_loop, drafts)
    path = greedy_path(n, q, rows_of, by_loop)
    assert word == path[-1]
    assert float(law.probs[word]) == 1
    assert float(law.calls[calls]) == 1
    assert calls <= n
    if drafts == 1:
        assert calls == n
    assert float(law.unfinished) == 0
    # Each step ends in a state of greedy decoding.
    revealed = np.cumsum(np.asarray(law.finalised), axis=1)
    for state in revealed.T:
        assert any(state.tolist() == [t != q for t in x] for x in path)


@pytest.mark.parametrize("drafts", [1, 2, 4])
def test_greedy_decoding_of_the_library(drafts, key):
    denoiser = denoiser_of(incoherent_rows(4, 2, 7))
    greedy = Reveal(Ranked(confidence, Schedule([1] * 4)), temperature=0)
    wanted = exact_law(denoiser, greedy)
    found = exact_law(denoiser, DraftAndVerify(drafts))
    assert np.array_equal(found.probs, wanted.probs)
    assert float(found.expected_calls) <= float(wanted.expected_calls) == 4
    drawn = jax.jit(lambda k: decode(k, denoiser, DraftAndVerify(drafts)))(key)
    assert float(found.probs[tuple(drawn.tokens.tolist())]) == 1
    assert float(found.calls[int(drawn.calls)]) == 1


def test_drafts_of_a_product_are_all_right():
    """One call for the first state, and one for each K tokens but where a single token is left."""
    rows = np.tile([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]], (81, 1, 1))
    denoiser = denoiser_of(certain_of_tokens(rows))
    calls = [float(exact_law(denoiser, DraftAndVerify(k)).expected_calls) for k in (1, 2, 3, 4, 9)]
    assert calls == [4, 3, 2, 2, 2]


def test_drafts_at_contexts_without_rows():
    """A wrong draft may be a context that cannot occur; a NaN that is used is refused."""
    same = Joint(jnp.asarray([[0.0, 0.4, 0.0], [0.0, 0.0, 0.3], [0.3, 0.0, 0.0]]))
    law = exact_law(Oracle(same), DraftAndVerify(2))
    assert float(law.probs[0, 1]) == 1
    rows = incoherent_rows(2, 2, 0)
    rows[8] = [[0.9, 0.1], [0.6, 0.4]]
    rows[2, 1] = np.nan  # [0 _]
    with pytest.raises(InvalidInputError, match=r"DraftAndVerify at \[0 _\] is no law"):
        exact_law(denoiser_of(rows), DraftAndVerify(2))
    with pytest.raises(InvalidInputError, match="drafts is 0: want an integer >= 1"):
        DraftAndVerify(0)


def parts_of(found, n, q):
    probs, calls = np.zeros((q,) * n), np.zeros(2 * n + 1)
    for (word, count), mass in found.items():
        probs[word] += mass
        calls[count] += mass
    return probs, calls


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_speculation_is_sequential_in_law(data):
    """Words, and the calls, which are never more than tokens."""
    n, q, drafts = data.draw(st.sampled_from(SHAPES))
    rows, order = rows_for(data, n, q), data.draw(st.permutations(range(n)))
    law = exact_law(denoiser_of(rows), AnySubsetSpeculative(order, drafts))
    rows_of = lookup_rows(rows)
    sequential = block_decoder_law(n, q, rows_of, [[i] for i in order])
    np.testing.assert_allclose(law.probs, sequential, rtol=0, atol=1e-13)
    found = sampler_law(n, q, speculative_step(n, q, rows_of, order, drafts), n)
    probs, calls = parts_of(found, n, q)
    np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(law.calls, calls[: law.calls.size], rtol=0, atol=1e-13)
    assert calls[law.calls.size :].sum() == 0
    assert np.all(np.asarray(law.calls)[n + 1 :] == 0)
    if drafts == 1:
        np.testing.assert_allclose(law.calls[n], 1, rtol=1e-13)


@pytest.mark.parametrize("drafts", [2, 4])
def test_speculation_with_an_oracle_has_the_target(drafts):
    table = np.random.default_rng(drafts).dirichlet(np.full(16, 0.2)).reshape((2,) * 4)
    table[0, :, 1] = 0
    table /= table.sum()
    law = exact_law(Oracle(Joint(jnp.asarray(table))), AnySubsetSpeculative([2, 0, 3, 1], drafts))
    np.testing.assert_allclose(law.probs, table, rtol=1e-12, atol=1e-16)
    assert float(law.expected_calls) <= 4


@pytest.mark.slow
def test_drafts_of_a_product_are_all_accepted():
    chain = symmetric_chain(5, 2, 0.5)
    calls = [
        float(exact_law(Oracle(chain), AnySubsetSpeculative(range(5), k)).expected_calls) for k in (2, 5)
    ]
    np.testing.assert_allclose(calls, [2 + 2 + 1, 2], rtol=1e-13)


@pytest.mark.parametrize("drafts", [1, 2, 3, 4])
def test_draws_of_a_step_follow_its_branches(drafts, key):
    """From a state with a token in the middle of the order."""
    denoiser = denoiser_of(incoherent_rows(4, 3, 5))
    decoder, tokens, draws = AnySubsetSpeculative([3, 1, 0, 2], drafts), jnp.array([3, 1, 3, 3]), 20000
    branches = decoder.branches(denoiser, tokens, jnp.array(0))
    np.testing.assert_allclose(branches.weights.sum(), 1, rtol=1e-13)
    law = {}
    for weight, rows in zip(branches.weights.tolist(), np.asarray(branches.rows), strict=True):
        assert np.array_equal(np.sort(rows, axis=1), np.tile([0, 0, 0, 1], (4, 1)))
        word = tuple(rows.argmax(1).tolist())
        law[word] = law.get(word, 0.0) + weight
    step = jax.jit(jax.vmap(lambda k: decoder.draw(k, denoiser, tokens, jnp.array(0))))
    words, counts = np.unique(step(jax.random.split(key, draws)), axis=0, return_counts=True)
    counts = dict(zip(map(tuple, words.tolist()), counts.tolist(), strict=True))
    assert set(counts) <= {word for word, p in law.items() if p > 0}
    for word, p in law.items():
        assert abs(counts.get(word, 0) - draws * p) <= 5 * np.sqrt(draws * p * max(1 - p, 0))


@pytest.mark.parametrize("drafts", [2, 3])
def test_draws_follow_the_law(drafts, key):
    denoiser = denoiser_of(incoherent_rows(3, 3, 11))
    decoder = AnySubsetSpeculative([2, 0, 1], drafts)
    run = jax.jit(jax.vmap(lambda k: decode(k, denoiser, decoder)))
    law = exact_law(denoiser, decoder)
    assert np.count_nonzero(np.asarray(law.calls) > 0.01) == (1 if drafts == 2 else 2)
    assert_draws(run(jax.random.split(key, 20000)), law, 3, 3)


def test_draws_at_contexts_without_rows(key):
    """Drafts of the uniform permutation of two that cannot occur are never written."""
    pair = Oracle(Joint(jnp.asarray([[0.0, 0.5], [0.5, 0.0]])))
    run = jax.jit(jax.vmap(lambda k: decode(k, pair, AnySubsetSpeculative([0, 1], 2))))
    found = np.asarray(run(jax.random.split(key, 1000)).tokens)
    assert np.all(found.sum(1) == 1)


def test_refusals():
    for order in ([0, 0], [1, 2], [[0, 1]]):
        with pytest.raises(InvalidInputError, match="want a permutation of 0"):
            AnySubsetSpeculative(order, 1)
    with pytest.raises(InvalidInputError, match="drafts is 0: want an integer >= 1"):
        AnySubsetSpeculative([0, 1], 0)
    chain = symmetric_chain(3, 2, 0.2)
    with pytest.raises(InvalidInputError, match="order is for 2 positions: want n = 3"):
        exact_law(Oracle(chain), AnySubsetSpeculative([0, 1], 2))
    decoder, large = AnySubsetSpeculative(range(12), 9), Oracle(symmetric_chain(12, 12, 0.2))
    with pytest.raises(InvalidInputError, match=r"drafts is 9: want branches of at most 2.0 GiB"):
        decoder.branches(large, jnp.full((12,), 12), jnp.array(0))
    rows = incoherent_rows(2, 2, 0)
    rows[8] = [[0.9, 0.1], [0.6, 0.4]]
    rows[2, 1] = np.nan  # [0 _]
    with pytest.raises(InvalidInputError, match=r"AnySubsetSpeculative at \[_ _\] is no law"):
        exact_law(denoiser_of(rows), AnySubsetSpeculative([0, 1], 2))
