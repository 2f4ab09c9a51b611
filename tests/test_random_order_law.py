"""The mixture over ordered partitions against the law of every one of them."""

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import kl_by_sum, ordered_partitions, partition_law
from _strategies import counts_of, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InvalidInputError,
    Joint,
    Oracle,
    Schedule,
    expected_kl,
    information_curve,
    random_order_law,
    symmetric_chain,
)
from mdmjax._partial import states_with

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


def test_states_of_a_level_are_in_the_order_of_the_table():
    assert states_with(0, 3, 2).tolist() == [[2, 2, 2]]
    assert states_with(2, 2, 2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    for revealed, count in enumerate([1, 9, 27, 27]):
        states = states_with(revealed, 3, 3)
        assert len({tuple(s) for s in states.tolist()}) == count
        assert np.all((states != 3).sum(1) == revealed)


def test_refusals():
    joint = Joint(jnp.asarray([[0.5, 0.0], [0.0, 0.5]]))
    with pytest.raises(InvalidInputError, match="sum of n = 2"):
        random_order_law(Oracle(joint), Schedule([1, 2]))
    with pytest.raises(InvalidInputError, match="max_terms is 11: want at least 12"):
        random_order_law(Oracle(joint), Schedule([1, 1]), max_terms=11)
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
