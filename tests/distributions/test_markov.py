import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from _distribution_checks import assert_matches_table, assert_samples, conditionals, marginals
from _oracles import chain_table

from mdmjax import InvalidInputError, symmetric_chain
from mdmjax.distributions.markov import MarkovChain


def random_chain(q, n, dtype=np.float64):
    rng = np.random.default_rng(q)
    transition = rng.dirichlet(np.ones(q) * 0.5, size=q)
    return MarkovChain(rng.dirichlet(np.ones(q)).astype(dtype), transition.astype(dtype), n)


@pytest.mark.parametrize(("n", "q"), [(1, 3), (4, 2), (3, 3), (5, 2)])
def test_every_context_against_the_table(n, q):
    chain = random_chain(q, n)
    assert_matches_table(chain, chain_table(np.array(chain.initial), np.array(chain.transition), n))


def test_zeros_in_the_transition():
    initial, transition = [0.0, 0.5, 0.5], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]
    table = chain_table(initial, transition, 4)
    assert_matches_table(MarkovChain(initial, transition, 4), table)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 3e-5)])
def test_long_chain_against_the_smoother_of_dynamax(dtype, rtol):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dynamax.hidden_markov_model.inference import hmm_smoother

    n, q = 300, 5
    exact, chain = random_chain(q, n), random_chain(q, n, dtype)
    rng = np.random.default_rng(0)
    context = np.where(rng.random(n) < 0.7, q, rng.integers(0, q, n))
    possible = (context[:, None] == q) | (context[:, None] == np.arange(q))
    seen = np.where(possible, 0.0, -np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = hmm_smoother(exact.initial, exact.transition, jnp.asarray(seen))
    found = conditionals(chain, jnp.asarray(context[None]))[0]
    assert found.dtype == dtype
    np.testing.assert_allclose(np.exp(found), result.smoothed_probs, rtol=rtol, atol=1e-300)
    log_evidence = marginals(chain, jnp.asarray(context[None]))[0]
    np.testing.assert_allclose(log_evidence, result.marginal_loglik, rtol=rtol)


def test_samples(key):
    chain = random_chain(3, 3)
    table = chain_table(np.array(chain.initial), np.array(chain.transition), 3)
    assert_samples(chain, table, key)


def test_symmetric_chain():
    chain = symmetric_chain(3, 4, 0.3)
    kept = np.where(np.eye(4) == 1, 0.7, 0.1)
    np.testing.assert_allclose(chain.transition, kept, rtol=1e-15)
    assert chain.initial.tolist() == [0.25] * 4
    assert_matches_table(chain, chain_table([0.25] * 4, kept, 3))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_symmetric_chain_without_chance(flip):
    chain = symmetric_chain(4, 2, flip)
    found = jnp.exp(conditionals(chain, jnp.array([[2, 2, 1, 2], [0, 0, 1, 0]])))
    assert found[0, :, 1].tolist() == ([1.0] * 4 if flip == 0 else [1.0, 0.0, 1.0, 0.0])
    assert jnp.all(jnp.isnan(found[1]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: symmetric_chain(0, 2, 0.1), "n is 0: want an integer >= 1"),
        (lambda: symmetric_chain(3, 1, 0.1), "q is 1: want an integer >= 2"),
        (lambda: symmetric_chain(3, 2, -0.1), "flip is -0.1: want a probability"),
        (lambda: symmetric_chain(3, 2, [0.1]), "flip is of shape"),
        (lambda: MarkovChain([0.5, 0.5], [[1.0, 0.0]], 3), "transition is of shape"),
        (lambda: MarkovChain(1.0, [[1.0]], 3), "initial is of shape"),
        (lambda: MarkovChain([0.5, np.nan], np.eye(2), 3), "initial is nan"),
        (lambda: MarkovChain([0.5, 0.5], np.eye(2) * 0.5, 3), "transition is of sum 0.5"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()
