"""The law of a deterministic decoder against a walk through its decision tree."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import decision_tree_law
from _rules import Idle, Lookup, Random, Surest
from _strategies import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    AnySubsetSpeculative,
    Edited,
    EntropySum,
    InvalidInputError,
    Joint,
    LowConfidence,
    Mixed,
    Oracle,
    ReMDM,
    Reveal,
    Schedule,
    Sweeps,
    Wino,
    decode,
    exact_law,
    symmetric_chain,
)
from mdmjax._contexts import states_with
from mdmjax.denoisers.base import AbstractDenoiser
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.laws._rows import with_tables

SHAPES = st.sampled_from([(1, 3), (2, 3), (3, 2), (4, 2)])


FLOAT32 = {
    "low-confidence": lambda: LowConfidence(Schedule([1, 2])),
    "remdm-conf": lambda: ReMDM.conf([0.0, 0.4, 0.4, 0.75, 1.0]),
    "wino": lambda: Wino(0.5, 0.7),
    "edited": lambda: Edited(Reveal(EntropySum(0.6)), Sweeps([[1], [0, 2]], 1)),
    "speculative": lambda: AnySubsetSpeculative([2, 0, 1], 2),
}


class Slow(AbstractDenoiser):
    """The oracle of a joint that `with_tables` does not see."""

    joint: Joint

    @property
    def n(self):
        return self.joint.n

    @property
    def q(self):
        return self.joint.q

    def __call__(self, tokens):
        return self.joint.log_conditionals(tokens)


def joints(data, zeros=True):
    n, q = data.draw(SHAPES)
    table = data.draw(probabilities(q**n, zeros=zeros)).reshape((q,) * n)
    return Joint(jnp.asarray(table))


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_any_rule_against_its_decision_tree(data):
    joint = joints(data)
    n, q = joint.n, joint.q
    seed = data.draw(st.integers(0, 2**16))
    wishes = np.random.default_rng(seed).random((n, (q + 1) ** n, n)) < data.draw(
        st.sampled_from([0.2, 0.5, 0.9])
    )
    probs, calls, finalised = decision_tree_law(np.asarray(joint.probs), wishes)
    if probs is None:
        with pytest.raises(InvalidInputError, match="is NaN: want probabilities"):
            exact_law(Oracle(joint), Reveal(Lookup(jnp.asarray(wishes))))
        return
    law = exact_law(Oracle(joint), Reveal(Lookup(jnp.asarray(wishes))))
    steps = law.finalised.shape[1]
    np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.calls, calls[: steps + 1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.finalised, finalised[:, :steps], rtol=0, atol=1e-14)
    assert calls[steps + 1 :].sum() == 0
    assert float(law.unfinished) == 0


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_table_of_an_oracle_changes_nothing(width):
    table = np.random.default_rng(width).dirichlet(np.full(64, 0.3)).reshape((2,) * 6)
    joint = Joint(jnp.asarray(table))
    fast = exact_law(Oracle(joint), Reveal(Surest(width)))
    slow = exact_law(Slow(joint), Reveal(Surest(width)), batch=3)
    np.testing.assert_allclose(fast.probs, slow.probs, rtol=1e-12)
    np.testing.assert_allclose(float(fast.probs.sum()), 1, atol=1e-14)
    if width == 1:
        np.testing.assert_allclose(fast.probs, table, rtol=1e-12)


def test_tabulated_oracle_at_every_state():
    table = np.random.default_rng(0).dirichlet(np.ones(27)).reshape(3, 3, 3)
    table[0] = 0
    joint = Joint(jnp.asarray(table / table.sum()))
    fast, slow = with_tables(Oracle(joint)), Oracle(joint)
    assert type(fast.distribution) is not type(slow.distribution)
    for revealed in range(4):
        for tokens in jnp.asarray(states_with(revealed, 3, 3)):
            expected = np.asarray(slow(tokens))
            if np.isnan(expected).any():
                assert np.isnan(np.asarray(fast(tokens))[np.asarray(tokens) == 3]).all()
            else:
                np.testing.assert_allclose(fast(tokens), expected, rtol=1e-12, atol=1e-15)


def test_a_chain_bisected_is_exact():
    """The middle, the quarters, the rest: no error on a Markov chain (arXiv 2608.25505, Thm 2)."""
    chain = symmetric_chain(7, 2, 0.2)
    wishes = np.zeros((7, 3**7, 7), bool)
    wishes[0, :, 3], wishes[1, :, [1, 5]], wishes[2:] = True, True, True
    law = exact_law(Oracle(chain), Reveal(Lookup(jnp.asarray(wishes))))
    words = jnp.asarray(states_with(7, 7, 2))
    np.testing.assert_allclose(law.probs.reshape(-1), jnp.exp(jax.vmap(chain.log_prob)(words)), rtol=1e-12)
    assert law.calls.tolist() == pytest.approx([0, 0, 0, 1])


def test_float32_rows_are_normalised():
    rows = jnp.log(jnp.asarray([[[1.0, 0.0]], [[0.0, 1.0]], [[0.3, 0.7]]], jnp.float32))
    law = exact_law(TableDenoiser(rows), Reveal(Surest()))
    np.testing.assert_allclose(law.probs, [0.3, 0.7], rtol=1e-6)
    np.testing.assert_allclose(float(law.probs.sum()), 1, atol=1e-15)


@pytest.mark.parametrize("name", FLOAT32)
def test_kernels_without_64_bit_types(name):
    """Probabilities and calls are right to 1e-6, and draws are of the same types."""
    table = np.random.default_rng(1).dirichlet(np.ones(8), 1).reshape(2, 2, 2)
    wanted = exact_law(Mixed(Oracle(Joint(jnp.asarray(table))), 0.1), FLOAT32[name]())
    with jax.enable_x64(False):
        denoiser, kernel = Mixed(Oracle(Joint(jnp.asarray(table, jnp.float32))), 0.1), FLOAT32[name]()
        law = exact_law(denoiser, kernel)
        word = decode(jax.random.key(0), denoiser, kernel).tokens
    assert law.probs.dtype == law.calls.dtype == jnp.float32
    assert word.dtype == jnp.int32
    assert float(law.probs[tuple(word.tolist())]) > 0
    np.testing.assert_allclose(law.probs, wanted.probs, rtol=1e-6)
    np.testing.assert_allclose(law.calls, wanted.calls, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(law.finalised, wanted.finalised, rtol=1e-6, atol=1e-7)


def test_refusals():
    joint = Joint(jnp.asarray([[0.5, 0.0], [0.25, 0.25]]))
    with pytest.raises(InvalidInputError, match=r"Idle at \[_ _\] is empty"):
        exact_law(Oracle(joint), Reveal(Idle()))
    with pytest.raises(InvalidInputError, match="define Random.choice_law"):
        exact_law(Oracle(joint), Reveal(Random()))
    with pytest.raises(InvalidInputError, match="is of at least 4 states: want at most 3; use fewer"):
        exact_law(Oracle(joint), Reveal(Surest(2)), max_states=3)
    with pytest.raises(InvalidInputError, match="2.0 GiB"):
        exact_law(Oracle(symmetric_chain(40, 2, 0.2)), Reveal(Surest()))

    first = Reveal(Lookup(jnp.tile(jnp.array([True, False]), (2, 9, 1))))

    class Bad(Slow):
        row: float = eqx.field()

        def __call__(self, tokens):
            rows = self.joint.log_conditionals(tokens)
            return jnp.where(tokens[0] == 1, jnp.full_like(rows, self.row), rows)

    with pytest.raises(InvalidInputError, match=r"position 1 at the state \[1 _\] is NaN"):
        exact_law(Bad(joint, float("nan")), first)
    with pytest.raises(InvalidInputError, match=r"\[1 _\] is of sum 2: want a sum of 1"):
        exact_law(Bad(joint, 0.0), first)
