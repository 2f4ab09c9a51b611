"""Block-by-block decoding of Block-HMMs: exact tables, the published numbers, sampled contexts."""

import _oracles
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import BlockHMM, InvalidInputError
from mdmjax.laws.block_decoding import block_decoding, block_decoding_estimate

EPS = np.finfo(float).eps
FIELDS = (
    "forward_kl_by_block",
    "reverse_kl_by_block",
    "incoherence_by_block",
    "violation_rate_by_block",
    "verified_incoherence_by_block",
)
TOTALS = ("forward_kl", "reverse_kl", "incoherence", "violation_rate", "verified_incoherence")


def by_block(result):
    return np.stack([np.asarray(getattr(result, field)) for field in FIELDS], axis=1)


def totals(result):
    return np.array([float(getattr(result, name)) for name in TOTALS])


SKEWED = {
    "initial": [0.3, 0.7],
    "transition": [[0.8, 0.2], [0.35, 0.65]],
    "emission": [0.97, 0.3],
}
MODELS = {
    "symmetric": (BlockHMM(3, 3, eta=1e-3), 1e-3),
    "two blocks of four": (BlockHMM(2, 4, eta=1e-2), 2e-3),
    "skewed": (BlockHMM(3, 3, eta=0.02, **SKEWED), 4e-3),
    "no parity": (BlockHMM(2, 4, eta=0.5, **SKEWED), 1e-2),
    "always violated": (BlockHMM(2, 3, eta=0.999, **SKEWED), 1e-3),
    "states that move to the other": (BlockHMM(3, 3, eta=0.1, transition=[[0.1, 0.9], [0.7, 0.3]]), 0.02),
    "frozen": (BlockHMM(3, 3, eta=0.1, transition=[[1.0, 0.0], [0.0, 1.0]]), 0.02),
    "certain start": (BlockHMM(3, 3, eta=0.1, initial=[0.0, 1.0]), 0.02),
    "three states": (
        BlockHMM(
            3,
            3,
            initial=[0.2, 0.8, 0.0],
            transition=[[0.5, 0.2, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]],
            emission=[0.9, 0.4, 0.2],
            eta=0.01,
        ),
        5e-3,
    ),
    "one state": (BlockHMM(2, 4, emission=[0.3], eta=0.01), 5e-3),
    "one bit": (BlockHMM(4, 1, eta=0.3), 0.4),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_block_is_that_of_the_enumerated_tables(name):
    model, threshold = MODELS[name]
    hmm = [np.asarray(x) for x in (model.initial, model.transition, model.emission, model.eta)]
    table = _oracles.block_hmm_table(*hmm, model.blocks, model.block_size)
    expected = _oracles.block_decoding_tables(table, model.block_size, threshold)
    result = block_decoding(model, incoherence_threshold=threshold)
    # Sums over 2^n words of logarithms of 2^n sums; the rest is merging, at most merge^2.
    np.testing.assert_allclose(by_block(result), expected, rtol=0, atol=64 * EPS * 2**model.n)
    sums, means = expected.sum(0), expected.mean(0)
    wanted = [sums[0], sums[1], means[2], means[3], means[4]]
    np.testing.assert_allclose(totals(result), wanted, rtol=0, atol=256 * EPS * 2**model.n)
    assert float(result.verified_violation_rate) == float(model.eta)


PUBLISHED = {
    1e-8: (72.07, 0.497, 12.33),
    1e-7: (62.92, 0.411, 12.33),
    1e-6: (53.76, 0.215, 12.33),
    1e-5: (44.61, 0.098, 12.33),
    1e-4: (35.45, 0.000, 12.32),
    1e-2: (17.17, 0.0, 11.89),
    0.5: (4.26, 0.0, 6.88),
}


@pytest.mark.parametrize(
    "eta", [pytest.param(eta, marks=[pytest.mark.slow] * (1e-8 < eta < 0.5)) for eta in PUBLISHED]
)
def test_the_model_of_the_paper(eta):
    """A sampled reproduction with standard errors up to 0.005, rounded to two digits (0.1 %).

    Ten digits do not depend on how contexts are merged, by default in cells of 5e-7.
    """
    reverse, incoherence, forward = PUBLISHED[eta]
    result, coarse = block_decoding(BlockHMM(eta=eta)), block_decoding(BlockHMM(eta=eta), merge=3e-6)
    np.testing.assert_allclose(totals(coarse), totals(result), rtol=1e-11)
    assert abs(float(result.reverse_kl) - reverse) <= 0.02
    assert abs(float(result.forward_kl) - forward) <= 0.02
    assert abs(float(result.incoherence) - incoherence) <= 0.002
    assert float(result.verified_incoherence) <= eta * (1 + 64 * EPS)
    # The first block has uniform marginals up to the parity's: half of what is drawn is violated.
    np.testing.assert_allclose(float(result.violation_rate_by_block[0]), 0.5, atol=4 * EPS)


@pytest.mark.slow
def test_merging_is_of_second_order():
    """Against all 7^5 contexts apart: an error of `merge**2`, where one of first order would be `merge`."""
    model = BlockHMM(6, 7, eta=1e-3, **SKEWED)
    exact = totals(block_decoding(model, merge=1e-13))[:2]
    errors = np.array([np.abs(totals(block_decoding(model, merge=m))[:2] - exact) for m in (1e-3, 1e-2)])
    assert np.all(errors[0] <= 1e-6)
    assert np.all(errors[1] <= 1e-4)


@pytest.mark.parametrize("name", ["paper", "skewed", "three states"])
def test_sampled_contexts_agree(name, key):
    model = {
        "paper": BlockHMM(eta=1e-6),
        "skewed": BlockHMM(5, 6, eta=1e-4, **SKEWED),
        "three states": BlockHMM(6, 5, emission=[0.9, 0.5, 0.1], eta=1e-4),
    }[name]
    exact = block_decoding(model, incoherence_threshold=1e-6)
    guess = block_decoding_estimate(key, model, 4000, incoherence_threshold=1e-6)
    for total in TOTALS:
        error = float(guess.stderr[total])
        difference = float(getattr(guess.estimate, total) - getattr(exact, total))
        assert error < 0.03 * max(1.0, float(getattr(exact, total)))
        assert abs(difference) <= 5 * error + 64 * EPS * float(getattr(exact, total)), total


def test_no_noise_has_infinite_reverse_kl_and_finite_forward_kl(key):
    none, little = (block_decoding(BlockHMM(3, 4, eta=eta)) for eta in (0.0, 1e-12))
    assert np.all(np.asarray(none.reverse_kl_by_block) == np.inf)
    np.testing.assert_allclose(totals(none)[[0, 3]], totals(little)[[0, 3]], atol=1e-10)
    np.testing.assert_allclose(float(none.incoherence), float(none.violation_rate), rtol=16 * EPS)
    guess = block_decoding_estimate(key, BlockHMM(3, 4, eta=0.0), 10)
    assert float(guess.estimate.reverse_kl) == np.inf
    assert float(guess.stderr["reverse_kl"]) == 0


def test_independent_bits_are_decoded_exactly():
    result = block_decoding(BlockHMM(5, 6, emission=[0.3, 0.3], eta=0.5))
    np.testing.assert_allclose(totals(result)[:2], 0.0, atol=64 * EPS)


def test_certain_content_is_decoded_exactly_in_each_state():
    """Emission of zeros or ones: after one block the state is known, and it is that of the bits."""
    result = block_decoding(BlockHMM(2, 3, emission=[1.0, 0.0], transition=np.eye(2).tolist(), eta=0.5))
    # Two equal fair content bits: one bit of total correlation, in the first block only.
    np.testing.assert_allclose(result.forward_kl_by_block, [np.log(2), 0.0], atol=64 * EPS)
    assert float(result.reverse_kl) == np.inf


def test_probabilities_below_the_smallest_float_are_no_zeros():
    # Words of 200 zeros and 200 ones have probability 1e-1200 in either state.
    result = block_decoding(BlockHMM(1, 401, emission=[1 - 1e-6, 1e-6], eta=0.5))
    assert np.isfinite(float(result.reverse_kl))
    # 400 fair bits against bits that agree: log of 1e-6 for the half that differ.
    np.testing.assert_allclose(float(result.reverse_kl), 200 * np.log(1e6), rtol=0.25)


def test_float32():
    arrays = {"emission": jnp.array([0.9, 0.1], jnp.float32), "eta": jnp.array(1e-8, jnp.float32)}
    result = block_decoding(BlockHMM(4, 8, **arrays))
    assert result.forward_kl.dtype == jnp.float32
    exact = block_decoding(BlockHMM(4, 8, eta=1e-8))
    np.testing.assert_allclose(totals(result)[[0, 1, 3]], totals(exact)[[0, 1, 3]], rtol=2e-5)
    np.testing.assert_allclose(float(result.incoherence), float(exact.incoherence), atol=1e-4)


@pytest.mark.slow
def test_many_blocks_settle():
    """The law of the belief forgets its start: late blocks cost the same."""
    result = block_decoding(BlockHMM(24, 4, eta=1e-4), merge=1e-2)
    np.testing.assert_allclose(result.forward_kl_by_block[-1], result.forward_kl_by_block[-2], rtol=1e-8)
    np.testing.assert_allclose(result.reverse_kl_by_block[-1], result.reverse_kl_by_block[-2], rtol=1e-8)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_probability(threshold, key):
    with pytest.raises(InvalidInputError, match="incoherence_threshold"):
        block_decoding(BlockHMM(2, 3), incoherence_threshold=threshold)
    with pytest.raises(InvalidInputError, match="incoherence_threshold"):
        block_decoding_estimate(key, BlockHMM(2, 3), 10, incoherence_threshold=threshold)


def test_what_cannot_be_done_is_one_line(key):
    model = BlockHMM(4, 4, **SKEWED)
    with pytest.raises(InvalidInputError, match="estimate from samples"):
        block_decoding(model, contexts=10)
    with pytest.raises(InvalidInputError, match="GiB"):
        block_decoding(BlockHMM(12), contexts=2**24)
    for merge in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidInputError, match="merge"):
            block_decoding(model, merge=merge)
    with pytest.raises(InvalidInputError, match="samples"):
        block_decoding_estimate(key, model, 1)
