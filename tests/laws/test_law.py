"""What a law says of itself, whichever way it was found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import (
    AtTemperature,
    BlockHMM,
    BlockRejection,
    BlockVerification,
    DraftAndVerify,
    Fallback,
    FixedPartition,
    InvalidInputError,
    Joint,
    Mixed,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    Wino,
    confidence,
    exact_law,
    kl,
    left_to_right,
    reverse_kl,
    symmetric_chain,
    tabulate,
)
from mdmjax.laws import frontier
from mdmjax.laws.block_decoding import block_decoding
from mdmjax.laws.exact import MAX_STATES, planned_law
from mdmjax.laws.rejection import rejection_law

JOINT = Joint(jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(16)).reshape((2,) * 4)))
WRONG = Mixed(Oracle(JOINT), 0.2)
HALVES = [[0, 1], [2, 3]]
CALL, WORDS = "a call of the denoiser", "a block, all of whose words are enumerated"
WAYS = {
    "subsets": (Reveal(RandomSubset(Schedule([2, 1, 1])), judge=Oracle(JOINT)), "random order", CALL),
    "tempered subsets": (Reveal(RandomSubset(Schedule([4])), temperature=0.5), "random order", CALL),
    "partition": (Reveal(FixedPartition(HALVES), temperature=2.0), "fixed order", CALL),
    "tempered twice": (
        AtTemperature(Reveal(FixedPartition(HALVES), temperature=2.0), 0.3),
        "fixed order",
        CALL,
    ),
    "ranked": (Reveal(Ranked(confidence, Schedule([2, 2]))), "frontier", CALL),
    "revised": (Wino(0.5, 0.7), "frontier", CALL),
    "drafts": (DraftAndVerify(2), "frontier", CALL),
    "verified": (BlockVerification(JOINT, HALVES), "frontier", WORDS),
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_gives_the_law_of_the_general_one(name):
    decoder, way, calls_of = WAYS[name]
    law = exact_law(WRONG, decoder)
    slow = frontier.plan(WRONG, decoder, None, MAX_STATES, 2**12)()
    assert (law.way, law.calls_of) == (way, calls_of)
    for field in ("probs", "calls", "finalised", "unfinished"):
        np.testing.assert_allclose(getattr(law, field), getattr(slow, field), rtol=0, atol=1e-14)
    assert float(law.kl(JOINT)) == float(kl(JOINT, law.probs))
    assert float(law.reverse_kl(JOINT)) == float(reverse_kl(JOINT, law.probs))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_rejection_has_the_law_of_its_steps_and_no_bound_on_them(temperature):
    decoder = AtTemperature(BlockRejection(JOINT, HALVES), temperature)
    law, stepped = exact_law(WRONG, decoder), exact_law(WRONG, decoder, max_steps=300)
    assert (law.way, stepped.way) == ("rejection", "frontier")
    assert law.calls_of == stepped.calls_of == "a proposal"
    assert law.calls is None
    assert law.finalised is None
    assert float(law.unfinished) == 0
    np.testing.assert_allclose(law.probs, stepped.probs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(law.expected_calls, stepped.expected_calls, rtol=1e-11)
    writer = decoder.writer(WRONG)
    np.testing.assert_array_equal(law.probs, rejection_law(JOINT, writer, HALVES).probs)
    assert float(law.kl(JOINT)) < 1e-13


@pytest.mark.parametrize("name", ["ranked", "unfinished", "rejection"])
def test_samples_follow_the_table(name, key):
    """Given that they finish."""
    law = {
        "ranked": lambda: exact_law(WRONG, WAYS["ranked"][0]),
        "unfinished": lambda: exact_law(WRONG, BlockRejection(JOINT, HALVES), max_steps=2),
        "rejection": lambda: exact_law(WRONG, BlockRejection(JOINT, HALVES)),
    }[name]()
    draws, p = 20000, np.asarray(law.probs).reshape(-1)
    found = np.asarray(jax.vmap(law.sample)(jax.random.split(key, draws)))
    counts, p = np.bincount(found @ [8, 4, 2, 1], minlength=16), p / p.sum()
    assert np.all(np.abs(counts - draws * p) <= 5 * np.sqrt(draws * p * (1 - p)) + 1)


LONG = BlockHMM(6, 3, eta=0.01)
LONG_BLOCKS = np.arange(18).reshape(6, 3).tolist()


@pytest.mark.parametrize("verified", [False, True])
def test_a_long_block_hmm_is_a_chain_of_blocks(verified, key):
    """A table of 2^18 is one too many; a call is a block. Draws have the rate of violations."""
    decoder = BlockVerification(LONG, LONG_BLOCKS) if verified else Reveal(FixedPartition(LONG_BLOCKS))
    law, known = (
        exact_law(Fallback(Oracle(LONG)), decoder),
        block_decoding(LONG, incoherence_threshold=0.05),
    )
    assert law.way == "block chain"
    assert law.calls_of == (WORDS if verified else CALL)
    wanted = (0.0, 0.0) if verified else (float(known.forward_kl), float(known.reverse_kl))
    assert (float(law.kl(BlockHMM(6, 3, eta=0.01))), float(law.reverse_kl(LONG))) == wanted
    part = known.verified_incoherence if verified else known.incoherence
    np.testing.assert_allclose(law.incoherence(0.05), part, rtol=1e-14)
    default = block_decoding(LONG)
    assert law.incoherence(1e-8) == (default.verified_incoherence if verified else default.incoherence)
    assert float(law.expected_calls) == 6
    assert law.finalised.sum(0).tolist() == [3.0] * 6
    draws = 4000
    found = np.asarray(jax.jit(jax.vmap(law.sample))(jax.random.split(key, draws))).reshape(draws, 6, 3)
    violated, rate = np.mean(found.sum(2) % 2 == 1), float(law.violation_rate)
    assert abs(violated - rate) <= 5 * np.sqrt(rate * (1 - rate) / (6 * draws)) * 2


def test_a_chain_of_blocks_and_its_table_agree():
    """The same decoder at 2^12: the table's KL is that of the beliefs."""
    short, blocks = BlockHMM(4, 3, eta=0.01), np.arange(12).reshape(4, 3).tolist()
    law, known = exact_law(Oracle(short), Reveal(FixedPartition(blocks))), block_decoding(short)
    assert law.way == "fixed order"
    np.testing.assert_allclose(law.kl(tabulate(short)), known.forward_kl, rtol=1e-11)
    np.testing.assert_allclose(law.reverse_kl(tabulate(short)), known.reverse_kl, rtol=1e-11)


def test_a_chain_of_blocks_has_a_kl_to_its_model_alone():
    law = exact_law(Oracle(LONG), Reveal(left_to_right(Schedule([3] * 6))))
    for other in (BlockHMM(6, 3, eta=0.02), symmetric_chain(18, 2, 0.1)):
        for divergence in (law.kl, law.reverse_kl):
            with pytest.raises(InvalidInputError, match="want the BlockHMM that this is the law of"):
                divergence(other)


def test_no_noise_is_drawn_from_as_its_content_says(key):
    law = exact_law(Oracle(BlockHMM(6, 3, eta=0.0)), Reveal(FixedPartition(LONG_BLOCKS)))
    assert float(law.reverse_kl(law.model)) == np.inf
    found = np.asarray(jax.vmap(law.sample)(jax.random.split(key, 1000))).reshape(1000, 6, 3)
    rate = float(law.violation_rate)
    assert abs(np.mean(found.sum(2) % 2 == 1) - rate) <= 10 * np.sqrt(rate * (1 - rate) / 6000)


@pytest.mark.parametrize(
    "decoder",
    [
        Reveal(FixedPartition(LONG_BLOCKS[::-1])),
        Reveal(FixedPartition(LONG_BLOCKS), temperature=0.5),
        Reveal(left_to_right(Schedule([9, 9]))),
    ],
    ids=["right to left", "tempered", "longer blocks"],
)
def test_other_orders_of_a_long_block_hmm_are_tables(decoder):
    assert exact_law(Oracle(LONG), decoder).way == "fixed order"


REFUSED = {
    "random order": (
        Oracle(symmetric_chain(17, 2, 0.1)),
        Reveal(RandomSubset(Schedule([1] * 17))),
        "products",
    ),
    "table": (
        Oracle(symmetric_chain(40, 2, 0.1)),
        Reveal(Ranked(confidence, Schedule([1] * 40))),
        "2.0 GiB",
    ),
    "fixed table": (
        Oracle(symmetric_chain(40, 2, 0.1)),
        Reveal(left_to_right(Schedule([1] * 40))),
        "2.0 GiB",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_large_is_refused_before_it_is_tried(name):
    denoiser, decoder, match = REFUSED[name]
    for verb in (planned_law, exact_law):
        with pytest.raises(InvalidInputError, match=match):
            verb(denoiser, decoder)


def test_what_fits_is_not_refused_and_not_computed():
    planned_law(Oracle(symmetric_chain(14, 2, 0.1)), Reveal(RandomSubset(Schedule([1] * 14))))
    planned_law(Oracle(BlockHMM()), Reveal(left_to_right(Schedule([8] * 8))))
    planned_law(Oracle(symmetric_chain(20, 2, 0.1)), Reveal(Ranked(confidence, Schedule([1] * 20))))
    for steps in (0, -1):
        with pytest.raises(InvalidInputError, match="max_steps"):
            exact_law(WRONG, Wino(0.5, 0.7), max_steps=steps)


@pytest.mark.slow
def test_a_joint_without_marginals_is_read_so_often_and_no_more():
    """At 2^18 its marginals are not tabulated: the general way stops before it reads for minutes."""
    large = Joint(jnp.full((2,) * 18, 2.0**-18))
    with pytest.raises(InvalidInputError, match=r"the law is of \d+ calls on a table of 2\^18"):
        exact_law(Oracle(large), Reveal(Ranked(confidence, Schedule([15, 3])), judge=Oracle(large)))
