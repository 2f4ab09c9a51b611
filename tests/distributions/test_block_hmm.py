import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import (
    assert_matches_table,
    assert_samples,
    conditionals,
    marginals,
    samples,
)
from _oracles import (
    block_hmm_conditionals,
    block_hmm_fraction_conditionals,
    block_hmm_table,
    partial_assignments,
)

from mdmjax import BlockHMM, InvalidInputError, tabulate
from mdmjax.distributions.block_hmm import symmetric_block_hmm

THREE_STATES = {
    "initial": np.array([0.2, 0.5, 0.3]),
    "transition": np.array([[0.7, 0.3, 0.0], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]),
    "emission": np.array([0.9, 0.35, 0.0]),
}


def parameters(model):
    arrays = (model.initial, model.transition, model.emission, model.eta)
    return [np.asarray(a, np.float64) for a in arrays]


def masked_samples(model, key, count, share):
    """Draws of which a share is masked; always 1000 of them, to compile once."""
    words = np.asarray(samples(model, key, 1000)[:count])
    hidden = np.random.default_rng(0).random(words.shape) < share
    return jnp.asarray(np.where(hidden, 2, words))


@pytest.mark.parametrize(("blocks", "block_size"), [(1, 4), (2, 3), (3, 2), (4, 1)])
@pytest.mark.parametrize("eta", [0.0, 1e-8, 0.3, 0.5, 1.0])
def test_every_context_against_the_table(blocks, block_size, eta):
    model = BlockHMM(blocks, block_size, eta=eta, **THREE_STATES)
    table = block_hmm_table(*parameters(model), blocks, block_size)
    assert_matches_table(model, table)


def test_two_symmetric_states_by_two_numbers():
    model = symmetric_block_hmm(2, 3, 0.1, kept=0.8, bias=0.7)
    np.testing.assert_allclose(model.transition, [[0.8, 0.2], [0.2, 0.8]])
    np.testing.assert_allclose(model.emission, [0.7, 0.3])
    assert (model.blocks, model.block_size, float(model.eta)) == (2, 3, 0.1)


def test_defaults_are_the_model_of_the_paper():
    model = BlockHMM()
    assert (model.n, model.q, model.blocks, model.block_size) == (64, 2, 8, 8)
    assert model.initial.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(model.transition, [[0.9, 0.1], [0.1, 0.9]])
    assert model.emission.tolist() == [0.9, 0.1]
    assert float(model.eta) == 1e-8
    assert BlockHMM(emission=[0.1, 0.2, 0.3]).transition[0].tolist() == [0.9, 0.05, 0.05]


def test_long_context_against_the_smoother_of_dynamax():
    """Blocks seen whole, and blocks whose parity and some content are hidden."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dynamax.hidden_markov_model.inference import hmm_smoother

    blocks, size, rng = 100, 5, np.random.default_rng(0)
    model = BlockHMM(blocks, size, eta=1e-6, **THREE_STATES | {"emission": np.array([0.9, 0.35, 0.02])})
    initial, transition, emission, eta = parameters(model)
    words = rng.integers(0, 2, (blocks, size))
    whole = rng.random(blocks) < 0.3
    hidden = ~whole[:, None] & ((np.arange(size) == 0) | (rng.random(words.shape) < 0.5))
    chances = np.where(words[:, 1:, None] == 1, emission, 1 - emission)
    evidence = np.where(hidden[:, 1:, None], 1.0, chances).prod(1)
    evidence *= np.where(whole, np.where(words.sum(1) % 2 == 0, 1 - eta, eta), 1.0)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = hmm_smoother(*map(jnp.asarray, (initial, transition, np.log(evidence))))
    context = jnp.asarray(np.where(hidden, 2, words).reshape(1, -1))
    found = np.exp(conditionals(model, context)[0, :, 1]).reshape(blocks, size)
    wanted = np.broadcast_to((np.asarray(seen.smoothed_probs) @ emission)[:, None], words.shape)
    content = hidden & (np.arange(size) > 0)
    np.testing.assert_allclose(found[content], wanted[content], rtol=1e-12)
    np.testing.assert_allclose(marginals(model, context)[0], seen.marginal_loglik, rtol=1e-12)


def test_tabulate_gives_the_table():
    model = BlockHMM(2, 4, eta=1e-3)
    table = block_hmm_table(*parameters(model), 2, 4)
    np.testing.assert_allclose(tabulate(model).probs, table, rtol=1e-13)


@pytest.mark.parametrize("eta", [1e-8, 1e-4, 0.5])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_conditionals_of_64_bits_by_an_independent_forward_backward(key, eta, share):
    model = BlockHMM(eta=eta)
    contexts = masked_samples(model, key, 8, share)
    found = conditionals(model, contexts)
    wanted = [block_hmm_conditionals(x, *parameters(model), 8, 8) for x in np.asarray(contexts)]
    np.testing.assert_allclose(np.exp(found), wanted, rtol=1e-12, atol=0)


def test_tiny_parity_noise_keeps_its_digits():
    """Against rational arithmetic: probabilities of order 1e-8 and 1e-16 to 1e-13 relative."""
    model = BlockHMM(2, 3)
    contexts = partial_assignments(6, 2)
    found = np.exp(conditionals(model, jnp.asarray(contexts)))
    wanted = [block_hmm_fraction_conditionals(x, *parameters(model), 3) for x in contexts]
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=0)
    assert np.sum((found > 0) & (found < 2e-8)) > 100


def test_float32_keeps_five_digits(key):
    exact, short = BlockHMM(), BlockHMM(emission=np.array([0.9, 0.1], np.float32))
    contexts = masked_samples(exact, key, 32, 0.4)
    found, wanted = conditionals(short, contexts), conditionals(exact, contexts)
    assert found.dtype == jnp.float32
    assert marginals(short, contexts).dtype == jnp.float32
    np.testing.assert_allclose(np.exp(found), np.exp(wanted), rtol=2e-5, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_state_that_long_looks_impossible_comes_back(dtype):
    """Chain that never moves: 700 ones, then 700 zeros, leave both states equally likely."""
    model = BlockHMM(
        1401, 2, transition=np.eye(2, dtype=dtype), emission=np.array([0.9, 0.1], dtype), eta=0.5
    )
    content = jnp.concatenate([jnp.ones(700, int), jnp.zeros(700, int), jnp.array([2])])
    context = jnp.stack([jnp.full(1401, 2), content], axis=1).reshape(-1)
    found = jnp.exp(conditionals(model, context[None]))[0, -1]
    # 1400 equal terms are added and taken away again on each state's logarithm.
    np.testing.assert_allclose(found, [0.5, 0.5], rtol=1400 * 7 * np.finfo(dtype).eps)


def test_thousands_of_bits():
    model, short = BlockHMM(512, 16), BlockHMM(4, 16)
    context = jnp.asarray(np.random.default_rng(0).integers(0, 3, model.n))
    prefix = jnp.where(jnp.arange(model.n) < short.n, context, 2)
    found, of_prefix = conditionals(model, jnp.stack([context, prefix]))
    assert not jnp.any(jnp.isnan(found))
    masked = jnp.flatnonzero(context == 2)[::400]
    extended = jax.vmap(lambda i: context.at[i].set(1))(masked)
    log_evidence = marginals(model, jnp.concatenate([context[None], extended]))
    # Differences of evidences of some thousands of nats.
    np.testing.assert_allclose(found[masked, 1], log_evidence[1:] - log_evidence[0], rtol=0, atol=1e-10)
    (shorter,) = conditionals(short, context[None, : short.n])
    np.testing.assert_allclose(np.exp(of_prefix[: short.n]), np.exp(shorter), rtol=1e-12)


def test_impossible_contexts():
    model = BlockHMM(2, 3, eta=0.0)
    odd = jnp.array([1, 0, 0, 2, 2, 2])
    assert marginals(model, odd[None]).tolist() == [-jnp.inf]
    assert jnp.all(jnp.isnan(conditionals(model, odd[None])))
    gradient = jax.jit(lambda w: jax.grad(model.log_evidence)(w))(jnp.zeros((6, 2)))
    assert gradient.tolist() == [[0.0, 0.0]] * 6


def test_samples(key):
    model = BlockHMM(2, 3, eta=0.05, emission=[0.8, 0.3])
    assert_samples(model, block_hmm_table(*parameters(model), 2, 3), key)


@pytest.mark.slow
def test_rare_bits_in_float32_are_as_rare_as_they_should_be(key):
    """2^24 bits at 1e-9: 0.02 ones expected. Noise of 23 bits would give 2 (and 4 for this key)."""
    model = BlockHMM(1, 2**24, emission=np.array([1e-9, 1e-9], np.float32))
    assert int(jnp.sum(samples(model, key, 1)[0, 1:])) == 0


@eqx.filter_jit
def block_parallel_gaps(model, words):
    """For each word, log p(word) less the log-probability of drawing each block's bits alone."""
    position = jnp.arange(model.n)

    def of_block(word, b):
        context = jnp.where(position < model.block_size * b, word, 2)
        together = jnp.where(position < model.block_size * (b + 1), word, 2)
        rows = jnp.take_along_axis(model.log_conditionals(context), word[:, None], axis=1)
        alone = jnp.sum(jnp.where(position // model.block_size == b, rows[:, 0], 0.0))
        return model.log_marginal(together) - model.log_marginal(context) - alone

    blocks = jnp.arange(model.blocks)
    return jax.vmap(lambda word: jnp.sum(jax.vmap(lambda b: of_block(word, b))(blocks)))(words)


@pytest.mark.parametrize(("eta", "forward_kl"), [(1e-8, 12.33), (1e-2, 11.89), (0.5, 6.88)])
def test_block_parallel_kl_of_the_paper(key, eta, forward_kl):
    """The forward KL of decoding blocks in parallel (arXiv 2602.00286, Fig. 3, recomputed)."""
    model = BlockHMM(eta=eta)
    gaps = np.asarray(block_parallel_gaps(model, samples(model, key, 1000)))
    error = gaps.std() / np.sqrt(len(gaps))
    assert abs(gaps.mean() - forward_kl) < 5 * error + 0.005


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"blocks": 0}, "blocks is 0: want an integer >= 1"),
        ({"block_size": -3}, "block_size is -3: want an integer >= 1"),
        ({"eta": 1.5}, "eta is 1.5: want a probability"),
        ({"eta": np.nan}, "eta is nan"),
        ({"eta": [0.1, 0.2]}, "eta is of shape"),
        ({"emission": (0.9, -0.1)}, "emission is -0.1"),
        ({"emission": 0.9}, "emission is of shape"),
        ({"initial": (0.5, 0.6)}, "initial is of sum 1.1"),
        ({"initial": (0.5, 0.3, 0.2)}, "initial is of shape"),
        ({"transition": ((0.5, 0.5), (0.5, 0.4))}, "transition is of sum 0.9"),
        ({"transition": (0.5, 0.5)}, "transition is of shape"),
    ],
)
def test_refusals(wrong, words):
    with pytest.raises(InvalidInputError, match=words):
        BlockHMM(**wrong)


def test_parameters_may_be_traced():
    word = jnp.array([1, 1, 0, 0, 0, 0])
    log_prob = lambda eta: BlockHMM(2, 3, eta=eta).log_prob(word)
    etas = jnp.array([0.1, 0.2])
    found, slope = jax.jit(jax.vmap(jax.value_and_grad(log_prob)))(etas)
    np.testing.assert_allclose(found[1] - found[0], 2 * np.log(0.8 / 0.9), rtol=1e-13)
    np.testing.assert_allclose(slope, -2 / (1 - etas), rtol=1e-13)
