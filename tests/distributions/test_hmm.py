import pathlib
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import assert_matches_table, assert_samples, conditionals, marginals, samples
from _oracles import hmm_table

from mdmjax import BlockHMM, InvalidInputError, tabulate
from mdmjax.distributions._forward_backward import BLOCK
from mdmjax.distributions.hmm import HMM, hmm_of_blocks
from mdmjax.distributions.markov import MarkovChain

SLOW = pytest.mark.slow
DYNAMAX = pathlib.Path(__file__).parent / "dynamax_hmm.npz"


def random_arrays(states, q, n, seed=0, steps=False, zeros=0.0):
    """Rows of probabilities, of which a share is 0; transitions and emissions of every place if `steps`."""
    rng = np.random.default_rng(seed)

    def rows(*shape):
        values = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        values = np.where(rng.random(values.shape) < zeros, 0.0, values)
        values[..., 0] += values.sum(-1) == 0
        return values / values.sum(-1, keepdims=True)

    steps_of, places = ((n - 1,), (n,)) if steps else ((), ())
    return rows(states), rows(*steps_of, states, states), rows(*places, states, q)


def masked(rng, shape, q, share=0.5):
    return jnp.asarray(np.where(rng.random(shape) < share, q, rng.integers(0, q, shape)))


@pytest.mark.parametrize(
    ("states", "q", "n", "steps", "zeros"),
    [
        pytest.param(3, 2, 4, False, 0.0, marks=SLOW),
        (2, 3, 4, True, 0.4),
        pytest.param(3, 3, 3, False, 0.5, marks=SLOW),
        (5, 2, 3, False, 0.3),
        (1, 2, 2, False, 0.0),
    ],
)
def test_every_context_against_the_sum_over_paths(states, q, n, steps, zeros):
    arrays = random_arrays(states, q, n, seed=1, steps=steps, zeros=zeros)
    assert_matches_table(HMM(*arrays, n), hmm_table(*arrays, n))


def test_one_position():
    arrays = random_arrays(3, 2, 1)
    model = HMM(*arrays, 1)
    np.testing.assert_allclose(jnp.exp(model.log_conditionals(jnp.array([2])))[0], arrays[0] @ arrays[2])
    assert float(model.log_marginal(jnp.array([2]))) == pytest.approx(0.0, abs=1e-15)


def test_an_identity_emission_is_a_markov_chain():
    initial, transition, _ = random_arrays(4, 4, 50)
    chain, hidden = MarkovChain(initial, transition, 50), HMM(initial, transition, np.eye(4), 50)
    contexts = masked(np.random.default_rng(0), (20, 50), 4, 0.7)
    np.testing.assert_allclose(
        np.exp(conditionals(hidden, contexts)), np.exp(conditionals(chain, contexts)), rtol=1e-12
    )


def test_what_dynamax_stored():
    """By its `hmm_smoother`, with log-likelihoods of 0 where nothing is seen."""
    stored = np.load(DYNAMAX)
    model = HMM(stored["initial"], stored["transition"], stored["emission"], stored["tokens"].shape[1])
    contexts = jnp.asarray(stored["tokens"])
    hidden = np.asarray(contexts) == model.q
    found = np.exp(conditionals(model, contexts))[hidden]
    np.testing.assert_allclose(found, stored["conditionals"][hidden], rtol=1e-11)
    np.testing.assert_allclose(marginals(model, contexts), stored["log_evidence"], rtol=1e-12, atol=1e-13)


def by_dynamax(initial, transition, emission, tokens):
    """As its users do with data missing: `hmm_smoother`, then the emissions of the smoothed states."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inference = pytest.importorskip("dynamax.hidden_markov_model.inference")
        seen = np.vstack([np.log(emission.T), np.zeros(len(initial))])[tokens]
        one = lambda x: inference.hmm_smoother(jnp.asarray(initial), jnp.asarray(transition), x)
        found = jax.vmap(one)(jnp.asarray(seen))
    return np.asarray(found.smoothed_probs) @ emission, np.asarray(found.marginal_loglik)


@pytest.mark.slow
def test_long_chains_against_the_smoother_of_dynamax():
    arrays, rng = random_arrays(6, 5, 300), np.random.default_rng(0)
    contexts = masked(rng, (4, 300), 5)
    rows, log_evidence = by_dynamax(*arrays, np.asarray(contexts))
    model, hidden = HMM(*arrays, 300), np.asarray(contexts) == 5
    found = np.exp(conditionals(model, contexts))
    np.testing.assert_allclose(found[hidden], rows[hidden], rtol=1e-12)
    np.testing.assert_allclose(marginals(model, contexts), log_evidence, rtol=1e-13)


@pytest.mark.parametrize("eta", [1e-8, pytest.param(0.0, marks=SLOW), pytest.param(0.3, marks=SLOW)])
def test_blocks_with_a_hard_constraint_are_a_case(key, eta):
    """The BlockHMM of 64 bits by its own sum over parities, and as states that carry the parity."""
    model = BlockHMM(eta=eta, emission=np.array([0.9, 0.35]))
    hidden = hmm_of_blocks(model)
    assert (hidden.n, hidden.initial.size) == (64, 8)
    words = np.asarray(samples(model, key, 1000))[:16]
    for share in (0.3, 0.8):
        contexts = jnp.asarray(np.where(np.random.default_rng(1).random(words.shape) < share, 2, words))
        np.testing.assert_allclose(
            np.exp(conditionals(hidden, contexts)), np.exp(conditionals(model, contexts)), rtol=1e-12
        )
        np.testing.assert_allclose(
            marginals(hidden, contexts), marginals(model, contexts), rtol=1e-12, atol=1e-12
        )


def test_blocks_that_rule_out_states():
    """No noise, and bits that are certain: rows of states that are never reached are rows all the same."""
    model = BlockHMM(2, 3, eta=0.0, emission=np.array([1.0, 0.0]))
    np.testing.assert_allclose(
        tabulate(hmm_of_blocks(model)).probs, tabulate(model).probs, rtol=1e-13, atol=0
    )


def two_worlds(n):
    """States that never meet; symbol 2 is of the second alone, which after many 0s is as good as none."""
    return HMM([0.5, 0.5], np.eye(2), [[0.9, 0.1, 0.0], [1e-5, 0.5 - 1e-5, 0.5]], n)


def test_nothing_is_lost_to_underflow():
    """After 400 zeros the second state has 10^-1982 of the mass, and then it is the only one possible."""
    model = two_worlds(402)
    seen = jnp.zeros(402, int).at[400].set(2).at[401].set(3)
    sure = seen.at[400].set(3)
    rows = np.exp(conditionals(model, jnp.stack([seen, sure])))
    np.testing.assert_allclose(rows[0, 401], [1e-5, 0.5 - 1e-5, 0.5], rtol=1e-13)
    np.testing.assert_allclose(rows[1, 400], [0.9, 0.1, 0.0], rtol=1e-13)
    wanted = np.log(0.5) + 400 * np.log(1e-5) + np.log(0.5)
    np.testing.assert_allclose(marginals(model, seen[None])[0], wanted, rtol=1e-13)


def test_sequences_of_a_batch_do_not_touch_each_other():
    """Those that are done again in the log domain, and those that are not: as one at a time, to 1e-13."""
    model = two_worlds(60)
    contexts = np.random.default_rng(0).choice(4, (12, 60), p=[0.4, 0.3, 0.0, 0.3])
    contexts[::2] = 0
    contexts[::2, 30], contexts[::4, 29] = 2, 3
    one = eqx.filter_jit(lambda model, x: (model.log_marginal(x), model.log_conditionals(x)))
    looped = [one(model, x) for x in jnp.asarray(contexts)]
    many = jax.vmap(one, (None, 0))(model, jnp.asarray(contexts))
    np.testing.assert_allclose(many[0], [x[0] for x in looped], rtol=1e-13)
    np.testing.assert_allclose(many[1], [x[1] for x in looped], rtol=1e-13, atol=1e-15)


def test_batched_over_models():
    """Many models of one shape at once: each as alone."""
    models = [HMM(*random_arrays(3, 4, 20, seed), 20) for seed in range(5)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    contexts = masked(np.random.default_rng(1), (5, 20), 4)
    found = eqx.filter_vmap(lambda model, x: model.log_conditionals(x))(stacked, contexts)
    wanted = [conditionals(model, x[None])[0] for model, x in zip(models, contexts, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-15)


def test_a_context_that_cannot_occur():
    """As of every distribution: no evidence, and NaN; others of the batch are not touched."""
    model = HMM([0.5, 0.5], np.eye(2), [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], 4)
    contexts = jnp.array([[1, 0, 3, 3], [1, 3, 3, 3]])
    np.testing.assert_allclose(marginals(model, contexts), [-np.inf, np.log(0.5)])
    found = np.asarray(conditionals(model, contexts))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(np.exp(found[1]), [[0.0, 1.0, 0.0]] * 4)


def of_logits(logits, n):
    """A model whose every number may change, but for a zero of the emission."""
    initial, transition, emission = (jax.nn.softmax(one, axis=-1) for one in logits)
    emission = emission.at[1, 2].set(0.0)
    return HMM(initial, transition, emission / jnp.sum(emission, axis=1, keepdims=True), n)


def test_gradients_are_those_of_finite_differences():
    """Of the evidence and of a conditional, in every parameter; a state never has one of the symbols."""
    rng = np.random.default_rng(0)
    logits = [jnp.asarray(rng.normal(size=shape)) for shape in ((2,), (2, 2), (2, 3))]
    seen = jnp.array([0, 3, 2, 3, 3, 1])

    def value(logits):
        model = of_logits(logits, 6)
        return model.log_marginal(seen) + 2 * model.log_conditionals(seen)[3, 1]

    gradient, value = jax.jit(jax.grad(value)), jax.jit(value)
    found, step = gradient(logits), 1e-5
    for place, values in enumerate(logits):
        for index in np.ndindex(values.shape):
            ends = [
                value([*logits[:place], values.at[index].add(sign * step), *logits[place + 1 :]])
                for sign in (1, -1)
            ]
            wanted = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(found[place][index], wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_gradients_where_there_are_zeros():
    """Finite in every entry, zeros of the transition and of the emission included."""
    arrays = random_arrays(3, 3, 5, seed=3, zeros=0.5)
    model = HMM(*arrays, 5)
    found = eqx.filter_grad(lambda m: m.log_marginal(jnp.array([0, 3, 3, 3, 3])))(model)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_samples(key):
    arrays = random_arrays(2, 3, 3, seed=2, steps=True, zeros=0.3)
    assert_samples(HMM(*arrays, 3), hmm_table(*arrays, 3), key)


@pytest.mark.slow
def test_float32_stays():
    arrays = [one.astype(np.float32) for one in random_arrays(4, 3, 200)]
    model, exact = HMM(*arrays, 200), HMM(*(one.astype(np.float64) for one in arrays_of64(arrays)), 200)
    contexts = masked(np.random.default_rng(0), (3, 200), 3)
    found = conditionals(model, contexts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found), np.exp(conditionals(exact, contexts)), rtol=2e-5)


def arrays_of64(arrays):
    wide = [one.astype(np.float64) for one in arrays]
    return [one / one.sum(-1, keepdims=True) for one in wide]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0}, "n is 0: want an integer >= 1"),
        ({"initial": [0.5, 0.6]}, "initial is of sum 1.1: want a sum of 1"),
        ({"initial": []}, "initial is of shape (0,): want shape (states,), states >= 1"),
        (
            {"transition": [[0.5, 0.5]]},
            "transition is of shape (1, 2): want shape (states, states) = (2, 2)",
        ),
        ({"transition": np.full((2, 2, 2), 0.5)}, "want shape (n-1, states, states) = (3, 2, 2)"),
        ({"transition": [[1.5, -0.5], [0.5, 0.5]]}, "transition is 1.5: want a probability in [0, 1]"),
        ({"emission": [[0.5, 0.5]]}, "emission is of shape (1, 2): want shape (states, q) = (2, 2)"),
        ({"emission": np.zeros((2, 0))}, "emission is of shape (2, 0): want shape (states, q), q >= 1"),
        ({"emission": [[np.nan, 0.5], [0.5, 0.5]]}, "emission is nan: want a probability in [0, 1]"),
        ({"emission": 0.5}, "emission is of shape (): want shape (states, q)"),
        ({"n": 2**40}, "are needed; use fewer positions"),
    ],
)
def test_what_is_no_hmm_is_refused(change, words):
    whole = {"initial": [0.5, 0.5], "transition": np.eye(2), "emission": np.eye(2), "n": 4} | change
    with pytest.raises(InvalidInputError) as error:
        HMM(**whole)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_many_sequences_are_those_of_a_few():
    """In blocks on a CPU, of which the last is filled up; one of them is done in the log domain."""
    model, rng = (
        HMM([0.5, 0.5], np.eye(2), [[0.9, 0.1, 0.0], [1e-17, 0.5, 0.5]], 26),
        np.random.default_rng(0),
    )
    contexts = rng.choice(4, (1031, 26), p=[0.05, 0.25, 0.2, 0.5])
    contexts[700] = [0] * 24 + [2, 3]  # the second state has 10^-406 of the mass, and then all of it
    assert len(contexts) * 2 > BLOCK
    found = conditionals(model, jnp.asarray(contexts))
    starts = (0, 508, 696, 1023)
    few = np.concatenate([conditionals(model, jnp.asarray(contexts[at : at + 8])) for at in starts])
    places = np.concatenate([np.arange(at, at + 8) for at in starts])
    np.testing.assert_allclose(np.exp(found)[places], np.exp(few), rtol=1e-13)
    np.testing.assert_allclose(np.exp(found)[700, 25], [1e-17, 0.5, 0.5], rtol=1e-13)
    assert not np.isnan(found).any()
