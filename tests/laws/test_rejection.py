"""Blocks drawn by rejection: the law is the target, and the proposals cost what the ratio says."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    incoherent_rows,
    lookup_rows,
    partial_assignments,
    proposals_of,
    rejection_costs,
    rejection_step,
    sampler_law,
    table_conditionals,
    table_marginal,
)
from _strategies import partitions, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    BlockHMM,
    BlockRejection,
    InvalidInputError,
    Joint,
    Oracle,
    decode,
    exact_law,
    symmetric_chain,
    tabulate,
)
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.divergences.total_correlation import conditional_total_correlation
from mdmjax.laws.rejection import rejection_constant, rejection_law


def denoiser_of(rows):
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


def problem(data):
    """A target with zeros; and the rows of its oracle, or rows of no distribution with full support."""
    n, q = data.draw(st.sampled_from(SHAPES))
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    if data.draw(st.booleans()):
        rows = np.array([table_conditionals(table, x) for x in partial_assignments(n, q)])
    else:
        rows = incoherent_rows(n, q, data.draw(st.integers(0, 999)), zeros=False)
    return table, rows, denoiser_of(rows)


SHAPES = [(2, 3), (3, 2)]


@given(st.data())
@settings(deadline=None, max_examples=15)
def test_the_closed_form(data):
    """The law is the target; proposals and bound are those of a loop over contexts."""
    table, rows, denoiser = problem(data)
    partition = partitions(data, table.ndim)
    law = rejection_law(Joint(jnp.asarray(table)), denoiser, partition)
    np.testing.assert_allclose(law.probs, table, rtol=0, atol=1e-14)
    proposals, bound = rejection_costs(table, lookup_rows(rows), partition)
    np.testing.assert_allclose(law.proposals_by_block, proposals, rtol=1e-12)
    np.testing.assert_allclose(law.bound_by_block, bound, rtol=1e-12)
    assert np.all(np.asarray(law.bound_by_block) <= np.asarray(law.proposals_by_block) * (1 + 1e-12))


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=8)
def test_the_kernel_step_by_step(data):
    """Some steps of the kernel against a dict of states: words, what is unfinished, calls."""
    table, rows, denoiser = problem(data)
    partition, steps = partitions(data, table.ndim), 4
    law = exact_law(denoiser, BlockRejection(Joint(jnp.asarray(table)), partition), max_steps=steps)
    q = table.shape[0]
    found = sampler_law(table.ndim, q, rejection_step(table, lookup_rows(rows), partition), steps)
    probs, calls, unfinished = np.zeros(table.shape), np.zeros(steps + 1), 0.0
    for (word, count), mass in found.items():
        if q in word:
            unfinished += mass
        else:
            probs[word] += mass
            calls[count] += mass
    np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.calls, calls[: law.calls.shape[0]], rtol=0, atol=1e-14)
    assert calls[law.calls.shape[0] :].sum() == 0
    np.testing.assert_allclose(law.unfinished, unfinished, rtol=0, atol=1e-14)


BLOCKS = [[0], [2, 0], [0, 1, 2]]
CONTEXTS = jnp.asarray(partial_assignments(3, 2))


@eqx.filter_jit
def costs_of(joint, block):
    """M and the forward CTC of the block in all contexts."""
    constants = jax.vmap(lambda x: rejection_constant(joint, Oracle(joint), x, block))(CONTEXTS)
    return constants, jax.vmap(lambda x: conditional_total_correlation(joint, x, block).forward)(CONTEXTS)


@given(st.data())
@settings(deadline=None, max_examples=15)
def test_prop_5_1_in_every_context(data):
    """E[N] = M >= exp CTC(x_P), whatever the context and the block."""
    table = data.draw(probabilities(8)).reshape(2, 2, 2)
    block = data.draw(st.sampled_from(BLOCKS))
    constants, correlations = map(np.asarray, costs_of(Joint(jnp.asarray(table)), block))
    states = [[2 if i in block else t for i, t in enumerate(x)] for x in CONTEXTS.tolist()]
    occurs = np.array([table_marginal(table, x) > 0 for x in states])
    assert np.all(np.isnan(constants) == ~occurs)
    assert np.all(constants[occurs] >= np.exp(correlations[occurs]) * (1 - 1e-12))
    assert np.all(constants[occurs] < np.inf)
    if len(block) == 1:
        np.testing.assert_allclose(constants[occurs], 1, rtol=1e-13)
    rows_of = partial(table_conditionals, table)
    wanted = [proposals_of(table, rows_of, x, block)[1] for x in np.array(states)[occurs].tolist()]
    np.testing.assert_allclose(constants[occurs], wanted, rtol=1e-12)


def test_expected_calls_are_those_of_the_steps():
    """The sum of the mean constants, once nothing is left; a product is accepted at once."""
    table = np.random.default_rng(1).dirichlet(np.ones(8)).reshape(2, 2, 2)
    joint, partition = Joint(jnp.asarray(table)), [[1, 2], [0]]
    closed = rejection_law(joint, Oracle(joint), partition)
    stepped = exact_law(Oracle(joint), BlockRejection(joint, partition), max_steps=200)
    assert float(stepped.unfinished) < 1e-13
    np.testing.assert_allclose(stepped.expected_calls, closed.expected_calls, rtol=1e-11)
    np.testing.assert_allclose(stepped.probs, closed.probs, rtol=0, atol=1e-13)
    assert float(closed.proposals_by_block[0]) > 1.1
    rows = np.random.default_rng(2).dirichlet(np.ones(2), 3)
    product = Joint(jnp.asarray(np.einsum("a,b,c->abc", *rows)))
    closed = rejection_law(product, Oracle(product), [[0, 1, 2]])
    np.testing.assert_allclose([closed.expected_calls, closed.bound], 1, rtol=1e-13)


def test_two_even_bits_by_hand():
    """p = (1/2 + c, 1/2 - c) on equal and unequal pairs: M = 1 + 2c, and log of the bound is a KL."""
    c = 0.3
    table = np.array([[0.5 + c, 0.5 - c], [0.5 - c, 0.5 + c]]) / 2
    joint = Joint(jnp.asarray(table))
    law = rejection_law(joint, Oracle(joint), [[1, 0]])
    np.testing.assert_allclose(law.expected_calls, 1 + 2 * c, rtol=1e-14)
    divergence = (0.5 + c) * np.log(1 + 2 * c) + (0.5 - c) * np.log(1 - 2 * c)
    np.testing.assert_allclose(law.bound, np.exp(divergence), rtol=1e-14)


def test_a_product_that_misses_a_word():
    """M is infinite, never NaN: nothing is accepted for ever, and there is no law."""
    joint = Joint(jnp.asarray([[0.5, 0.0], [0.25, 0.25]]))
    rows = incoherent_rows(2, 2, 0, zeros=False)
    rows[8, 0] = [1.0, 0.0]  # at [_ _]
    denoiser = denoiser_of(rows)
    assert float(rejection_constant(joint, denoiser, jnp.array([2, 2]), [0, 1])) == np.inf
    assert float(rejection_constant(joint, denoiser, jnp.array([2, 0]), [1, 0])) == np.inf
    law = exact_law(denoiser, BlockRejection(joint, [[0, 1]]), max_steps=5)
    assert float(law.unfinished) == 1
    assert not np.any(law.probs)
    with pytest.raises(InvalidInputError, match=r"at \[_ _\] is inf: want a finite number"):
        rejection_law(joint, denoiser, [[0, 1]])


def test_contexts_that_cannot_occur():
    joint = Joint(jnp.asarray([[[0.5, 0.0], [0.0, 0.0]], [[0.25, 0.25], [0.0, 0.0]]]))
    assert np.isnan(rejection_constant(joint, Oracle(joint), jnp.array([2, 1, 2]), [0, 2]))
    law = rejection_law(joint, Oracle(joint), [[1], [2, 0]])  # [_ 1 _] is one
    np.testing.assert_allclose(law.probs, joint.probs, rtol=0, atol=1e-15)
    rows = incoherent_rows(3, 2, 1, zeros=False)
    rows[np.all(partial_assignments(3, 2) == [2, 0, 2], axis=1)] = np.nan
    broken = denoiser_of(rows)
    with pytest.raises(InvalidInputError, match=r"\[_ 0 _\] is NaN"):
        rejection_law(joint, broken, [[1], [2, 0]])
    with pytest.raises(InvalidInputError, match=r"BlockRejection at \[_ 0 _\] is no law"):
        exact_law(broken, BlockRejection(joint, [[1], [2, 0]]), max_steps=9)


@pytest.mark.slow
def test_the_block_hmm_of_the_paper():
    """The first block of 8: about 13 proposals by the bound, 61 in truth, and none violates at eta = 0."""
    model = BlockHMM()
    start = jnp.full((64,), 2)
    first = float(rejection_constant(model, Oracle(model), start, range(8)))
    assert first == pytest.approx(61, abs=0.5)
    small = BlockHMM(blocks=1)
    law = rejection_law(small, Oracle(small), [list(range(8))])
    np.testing.assert_allclose(law.expected_calls, first, rtol=1e-12)
    np.testing.assert_allclose(np.log(law.bound), 2.59, atol=0.005)
    exact = BlockHMM(blocks=1, eta=0.0)
    law = rejection_law(exact, Oracle(exact), [list(range(8))])
    np.testing.assert_allclose(law.probs, tabulate(exact).probs, rtol=1e-12, atol=0)


def test_draws_follow_the_law(key):
    table = np.random.default_rng(3).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
    joint, draws = Joint(jnp.asarray(table)), 20000
    kernel = BlockRejection(joint, [[2, 0], [1]])
    law = exact_law(Oracle(joint), kernel, max_steps=100)
    assert float(law.unfinished) < 1e-9
    run = jax.jit(jax.vmap(lambda k: decode(k, Oracle(joint), kernel, max_steps=100)))
    found = run(jax.random.split(key, draws))
    for counts, p in [
        (np.bincount(np.asarray(found.tokens) @ [4, 2, 1], minlength=8), np.asarray(law.probs).reshape(-1)),
        (np.bincount(np.asarray(found.calls), minlength=law.calls.size), np.asarray(law.calls)),
    ]:
        assert np.all(np.abs(counts - draws * p) <= 5 * np.sqrt(draws * p * (1 - p)) + 1)


def test_refusals():
    chain = symmetric_chain(3, 2, 0.2)
    for block in ([], [0, 0], [3]):
        with pytest.raises(InvalidInputError, match=r"want different positions in 0\.\.2"):
            rejection_constant(chain, Oracle(chain), jnp.array([2, 2, 2]), block)
    with pytest.raises(InvalidInputError, match="want n = 3 positions"):
        rejection_law(chain, Oracle(chain), [[0, 1]])
    with pytest.raises(InvalidInputError, match="each of"):
        rejection_law(chain, Oracle(chain), [[0, 1], [1, 2]])
    with pytest.raises(InvalidInputError, match="4, 2: want n, q = 3, 2"):
        rejection_law(chain, Oracle(symmetric_chain(4, 2, 0.2)), [[0, 1, 2]])
    long = symmetric_chain(30, 2, 0.2)
    with pytest.raises(InvalidInputError, match="GiB"):
        rejection_law(long, Oracle(long), [[i] for i in range(30)])
    with pytest.raises(InvalidInputError, match="block is of 30 positions"):
        rejection_constant(long, Oracle(long), jnp.full((30,), 2), range(30))
