"""The mixture over ordered partitions against the law of every one of them."""

import functools
import itertools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    all_compositions,
    block_decoder_law,
    kl_by_sum,
    ordered_partitions,
    partial_assignments,
    partition_law,
    partitions_of_sizes,
)
from _strategies import counts_of, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    DirichletNoise,
    InvalidInputError,
    Joint,
    Mixed,
    Oracle,
    Schedule,
    expected_kl,
    information_curve,
    symmetric_chain,
    tabulate_denoiser,
)
from mdmjax._contexts import states_with
from mdmjax.denoisers.base import AbstractDenoiser
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.laws import random_order
from mdmjax.laws.random_order import level_after, random_order_law

SHAPES = st.sampled_from([(1, 3), (2, 3), (3, 2), (4, 2)])


def draw_case(data, zeros=False):
    n, q = data.draw(SHAPES)
    table = data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)
    return table, data.draw(counts_of(n))


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_mixture_of_all_partitions(data):
    table, counts = draw_case(data)
    partitions = ordered_partitions(range(table.ndim), len(counts))
    laws = [partition_law(table, p) for p in partitions if [len(part) for part in p] == counts]
    law = random_order_law(Oracle(Joint(jnp.asarray(table))), Schedule(counts))
    np.testing.assert_allclose(law.probs, np.mean(laws, axis=0), rtol=0, atol=1e-14)
    assert law.calls.tolist() == [0.0] * len(counts) + [1.0]
    np.testing.assert_allclose(law.finalised, np.tile(np.array(counts) / table.ndim, (table.ndim, 1)))


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_the_mixture_is_no_worse_than_the_mean(data):
    """Jensen: KL to the mixture is at most the mean over the partitions, which is Theorem 4's."""
    table, counts = draw_case(data)
    joint = Joint(jnp.asarray(table))
    law = random_order_law(Oracle(joint), Schedule(counts))
    mean = float(expected_kl(information_curve(joint), Schedule(counts)))
    assert kl_by_sum(table, np.asarray(law.probs)) <= mean + 1e-13
    if counts == [table.ndim]:  # one partition: equality
        assert kl_by_sum(table, np.asarray(law.probs)) == pytest.approx(mean, abs=1e-13)


@given(st.data())
@settings(deadline=None, max_examples=20)
def test_single_tokens_give_the_joint(data):
    """Also with zeros: contexts of probability zero are then never drawn."""
    table, _ = draw_case(data, zeros=True)
    law = random_order_law(Oracle(Joint(jnp.asarray(table))), Schedule([1] * table.ndim))
    np.testing.assert_allclose(law.probs, table, rtol=0, atol=1e-14)


def test_strictly_better_than_the_mean_somewhere():
    table = np.random.default_rng(0).dirichlet(np.ones(16)).reshape((2,) * 4)
    joint, schedule = Joint(jnp.asarray(table)), Schedule([2, 2])
    law = random_order_law(Oracle(joint), schedule)
    mean = float(expected_kl(information_curve(joint), schedule))
    assert kl_by_sum(table, np.asarray(law.probs)) < 0.9 * mean


@functools.cache
def wrong_denoiser(n, q):
    """A denoiser with errors in every context, and its rows by context."""
    table = np.random.default_rng(n).dirichlet(np.ones(q**n)).reshape((q,) * n)
    noisy = DirichletNoise(Mixed(Oracle(Joint(jnp.asarray(table))), 0.2), 5.0, key=jax.random.key(q))
    tabulated = tabulate_denoiser(noisy)
    states = map(tuple, partial_assignments(n, q).tolist())
    return tabulated, dict(zip(states, np.exp(np.asarray(tabulated.log_probs)), strict=True))


@pytest.mark.parametrize(
    "counts", [c for steps in range(1, 5) for c in all_compositions(4, steps)], ids=str
)
def test_every_schedule_of_a_wrong_denoiser(counts, monkeypatch):
    """Also with the words in blocks."""
    noisy, rows = wrong_denoiser(4, 3)
    laws = [block_decoder_law(4, 3, rows.__getitem__, p) for p in partitions_of_sizes(range(4), counts)]
    for block in (random_order.BLOCK, 1, 40):
        monkeypatch.setattr(random_order, "BLOCK", block)
        law = random_order_law(noisy, Schedule(counts))
        np.testing.assert_allclose(law.probs, np.mean(laws, axis=0), rtol=1e-12)


def test_blocks_of_words_that_are_not_reached(monkeypatch):
    """A certain sequence: all the mass is in one block."""
    monkeypatch.setattr(random_order, "BLOCK", 1)
    table = np.zeros((3, 3, 3))
    table[2, 0, 1] = 1
    law = random_order_law(Oracle(Joint(jnp.asarray(table))), Schedule([1, 1, 1]))
    np.testing.assert_array_equal(law.probs, table)


@pytest.mark.parametrize(("start", "count"), [(0, 3), (1, 1), (1, 2), (2, 2), (3, 1)])
def test_a_level_from_any_masses(start, count):
    """State by state from the definition, with masses that no schedule gives, some of them 0."""
    n, q = 4, 3
    noisy, rows = wrong_denoiser(n, q)
    sources, targets = (states_with(m, n, q).tolist() for m in (start, start + count))
    mass = np.random.default_rng(start).random(len(sources)) * (np.arange(len(sources)) % 5 != 3)
    wanted = dict.fromkeys(map(tuple, targets), 0.0)
    for tokens, share in zip(sources, mass, strict=True):
        sets = list(itertools.combinations([i for i in range(n) if tokens[i] == q], count))
        for chosen, word in itertools.product(sets, itertools.product(range(q), repeat=count)):
            after, weight = list(tokens), share / len(sets)
            for i, symbol in zip(chosen, word, strict=True):
                after[i], weight = symbol, weight * rows[tuple(tokens)][i][symbol]
            wanted[tuple(after)] += weight
    words = mass.reshape(-1, q**start).T
    found = level_after(noisy, words, start, count).T.reshape(-1)
    np.testing.assert_allclose(found, list(wanted.values()), rtol=1e-12)


@pytest.mark.parametrize("block", [random_order.BLOCK, 1])
def test_contexts_that_are_not_reached(block, monkeypatch):
    """NaN is refused where there is mass, and only there."""
    monkeypatch.setattr(random_order, "BLOCK", block)
    noisy, _ = wrong_denoiser(3, 2)
    rows = np.array(noisy.log_probs)
    states = partial_assignments(3, 2)
    never = states[:, 0] == 1
    rows[states[:, 0] == 2, 0] = [0.0, -np.inf]
    whole = random_order_law(TableDenoiser(jnp.asarray(rows)), Schedule([1, 1, 1]))
    rows[never] = np.where(states[never][:, :, None] == 2, np.nan, rows[never])
    law = random_order_law(TableDenoiser(jnp.asarray(rows)), Schedule([1, 1, 1]))
    np.testing.assert_array_equal(law.probs, whole.probs)
    assert float(law.probs[1].sum()) == 0
    rows[(states == [0, 2, 1]).all(1), 1] = np.nan
    with pytest.raises(InvalidInputError, match=r"position 1 at the state \[0 _ 1\] is NaN"):
        random_order_law(TableDenoiser(jnp.asarray(rows)), Schedule([1, 1, 1]))


class Counted(AbstractDenoiser):
    """Fair coins; counts how often it is traced."""

    traces: list
    n: int = 6
    q: int = 3

    def __call__(self, tokens):
        self.traces.append(tokens.shape)
        certain = jnp.log(jax.nn.one_hot(tokens, 3))
        return jnp.where(tokens[:, None] == 3, -jnp.log(3.0), certain)


def test_few_compilations():
    """At most one for each of three sizes of a block, not one a level."""
    traces = []
    law = random_order_law(Counted(traces), Schedule([1] * 6))
    np.testing.assert_allclose(law.probs, 3.0**-6, rtol=1e-12)
    assert len(traces) <= 3


@pytest.mark.parametrize("counts", [[1] * 9, [3] * 3, [4, 5], [9]])
def test_memory_is_no_more_than_stated(counts, monkeypatch):
    """What NumPy takes; refused a byte below what is stated."""
    joint = symmetric_chain(9, 2, 0.2)
    random_order_law(Oracle(joint), Schedule(counts))
    tracemalloc.start()
    random_order_law(Oracle(joint), Schedule(counts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    stated = max(random_order._bytes(9, 2, m, s) for m, s in zip(starts, counts, strict=True))
    assert peak <= stated + 2**18  # Python's own objects
    monkeypatch.setattr(random_order, "MAX_TABLE_BYTES", stated - 1)
    with pytest.raises(InvalidInputError, match="random-order law is of"):
        random_order_law(Oracle(joint), Schedule(counts))


def test_states_of_a_level_are_in_the_order_of_the_table():
    assert states_with(0, 3, 2).tolist() == [[2, 2, 2]]
    assert states_with(2, 2, 2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    for revealed, count in enumerate([1, 9, 27, 27]):
        states = states_with(revealed, 3, 3)
        assert len({tuple(s) for s in states.tolist()}) == count
        assert np.all((states != 3).sum(1) == revealed)


def test_refusals(monkeypatch):
    joint = Joint(jnp.asarray([[0.5, 0.0], [0.0, 0.5]]))
    with pytest.raises(InvalidInputError, match="sum of n = 2"):
        random_order_law(Oracle(joint), Schedule([1, 2]))
    with monkeypatch.context() as patch:
        patch.setattr(random_order, "MAX_TERMS", 91)
        with pytest.raises(InvalidInputError, match=r"of 12 products and 5 calls .*: want at most 91 "):
            random_order_law(Oracle(joint), Schedule([1, 1]))
    with pytest.raises(InvalidInputError, match=r"random-order law is of .*B: want at most 2\.0 GiB"):
        random_order_law(Oracle(symmetric_chain(22, 2, 0.1)), Schedule([11, 11]))
    parity = np.zeros((2, 2, 2))
    parity[0, 0, 0] = parity[0, 1, 1] = parity[1, 0, 1] = parity[1, 1, 0] = 0.25
    np.testing.assert_allclose(
        random_order_law(Oracle(Joint(jnp.asarray(parity))), Schedule([2, 1])).probs, parity, atol=1e-15
    )
    repeated = np.zeros((2, 2, 2))
    repeated[0, 0, 0] = repeated[1, 1, 1] = 0.5
    with pytest.raises(InvalidInputError, match=r"position 2 at the state \[0 1 _\] is NaN"):
        random_order_law(Oracle(Joint(jnp.asarray(repeated))), Schedule([2, 1]))
