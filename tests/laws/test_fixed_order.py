"""Ordered partitions by products over blocks: the definition, and the law of the general way."""

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import block_decoder_law, incoherent_rows, lookup_rows, partial_assignments
from _strategies import partitions
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import FixedPartition, InvalidInputError, Joint, Oracle, Reveal, exact_law, right_to_left
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.laws import frontier
from mdmjax.laws.exact import MAX_STATES, planned_law
from mdmjax.laws.fixed_order import blocks_of
from mdmjax.schedules.schedule import Schedule


def denoiser_of(rows):
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


def by_the_general_way(denoiser, decoder, max_steps=None):
    return frontier.plan(denoiser, decoder, max_steps, MAX_STATES, 2**12)()


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@given(st.data())
@settings(deadline=None, max_examples=8)
def test_the_definition_and_the_general_way(temperature, data):
    """Rows of no distribution, some 0; blocks in any order."""
    n, q = data.draw(st.sampled_from([(2, 3), (3, 2)]))
    rows = incoherent_rows(n, q, data.draw(st.integers(0, 999)))
    partition = partitions(data, n)
    decoder = Reveal(FixedPartition(partition), temperature=temperature)
    law = exact_law(denoiser_of(rows), decoder)
    assert law.way == "fixed order"
    written = np.exp(np.asarray(decoder.writer(denoiser_of(rows))(jnp.full(n, q))))
    if temperature == 1:
        wanted = block_decoder_law(n, q, lookup_rows(rows), partition)
    else:
        power = rows ** (1 / temperature) if temperature else rows == rows.max(-1, keepdims=True)
        power = power / power.sum(-1, keepdims=True)
        if temperature == 0:  # the first of equals
            power = np.eye(q)[rows.argmax(-1)]
        wanted = block_decoder_law(n, q, lookup_rows(power), partition)
        np.testing.assert_allclose(written, power[-1], atol=1e-14)
    np.testing.assert_allclose(law.probs, wanted, rtol=0, atol=1e-14)
    slow = by_the_general_way(denoiser_of(rows), decoder)
    assert slow.way == "frontier"
    for name in ("probs", "calls", "finalised", "unfinished"):
        np.testing.assert_allclose(getattr(law, name), getattr(slow, name), rtol=0, atol=1e-14)


def test_nan_is_refused_where_there_is_mass():
    rows = incoherent_rows(3, 2, 1, zeros=False)
    states = partial_assignments(3, 2)
    rows[np.all(states == [2, 2, 2], axis=1), 0] = [1.0, 0.0]
    decoder = Reveal(FixedPartition([[0], [2, 1]]))
    whole = exact_law(denoiser_of(rows), decoder)
    rows[np.all(states == [1, 2, 2], axis=1)] = np.nan
    np.testing.assert_array_equal(exact_law(denoiser_of(rows), decoder).probs, whole.probs)
    rows[np.all(states == [0, 2, 2], axis=1)] = np.nan
    for law in (exact_law, by_the_general_way):
        with pytest.raises(InvalidInputError, match=r"\[0 _ _\] is NaN"):
            law(denoiser_of(rows), decoder)


def test_fewer_steps_than_blocks_do_not_finish():
    joint = Joint(jnp.full((2, 2, 2), 0.125))
    decoder = Reveal(FixedPartition([[0], [2, 1]]))
    law = exact_law(Oracle(joint), decoder, max_steps=1)
    assert (law.way, float(law.unfinished), float(law.probs.sum())) == ("frontier", 1.0, 0.0)
    assert exact_law(Oracle(joint), decoder, max_steps=2).way == "fixed order"


def test_blocks_are_read_off_the_levels():
    assert blocks_of(right_to_left(Schedule([1, 2]))) == [[2], [0, 1]]


def test_sizes_are_refused_first():
    large = Joint(jnp.full((2,) * 18, 2.0**-18))
    decoder = Reveal(right_to_left(Schedule([1] * 18)))
    with pytest.raises(InvalidInputError, match=r"calls on a table of 2\^18: .*fewer positions"):
        planned_law(Oracle(large), decoder)
    planned_law(Oracle(large), Reveal(FixedPartition([list(range(18))])))
    with pytest.raises(InvalidInputError, match="blocks is for 18 positions"):
        exact_law(Oracle(Joint(jnp.full((2, 2), 0.25))), decoder)
