"""Conditionals of hidden Markov models with half of the positions missing, against dynamax."""

import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax.distributions.hmm import HMM

from ._timing import Row, once

GOAL = 3.0
SHAPES = ((1024, 256, 2, 2), (64, 1024, 2, 2), (1024, 256, 8, 8), (256, 512, 8, 16), (256, 512, 32, 32))
"""Sequences, positions, states, symbols."""


def by_dynamax(smoother: Callable, initial, transition, emission, tokens) -> jax.Array:
    """As its users do with data missing: log-likelihoods of 0, and the emissions of smoothed states."""
    q = emission.shape[1]

    def one(tokens):
        seen = jnp.concatenate([jnp.log(emission.T), jnp.zeros((1, initial.size))])[tokens]
        rows = smoother(initial, transition, seen).smoothed_probs @ emission
        return jnp.log(jnp.where((tokens == q)[:, None], rows, jax.nn.one_hot(tokens, q)))

    return jax.vmap(one)(tokens)


def conditionals(size: int, n: int, states: int, q: int, runs: int = 9) -> Row:
    """Tokens to log-probabilities of every position and symbol, both jitted, in turns; their faster one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dynamax.hidden_markov_model import inference
    rng = np.random.default_rng(0)
    arrays = [rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), states)]
    arrays = [jnp.asarray(one) for one in (*arrays, rng.dirichlet(np.ones(q), states))]
    tokens = jnp.asarray(np.where(rng.random((size, n)) < 0.5, q, rng.integers(0, q, (size, n))))
    model = HMM(*arrays, n)
    ours = jax.jit(lambda model, tokens: jax.vmap(model.log_conditionals)(tokens))
    smoothers = (inference.hmm_smoother, inference.hmm_two_filter_smoother)
    theirs = [jax.jit(lambda *a, smoother=one: by_dynamax(smoother, *a)) for one in smoothers]
    works = [lambda: ours(model, tokens), *(lambda f=f: f(*arrays, tokens) for f in theirs)]
    first = [once(work) for work in works]
    times = np.median([[once(work) for work in works] for _ in range(runs)], axis=0)
    error = float(np.max(np.abs(np.exp(works[0]()) - np.exp(works[1]()))))
    what = f"HMM conditionals, {size} x {n}, {states} states, {q} symbols"
    note = f"{size / times[0]:.3g} sequences/s against {size / min(times[1:]):.3g}; differ by {error:.0e}"
    return Row(what, times[0], first[0] - times[0], "dynamax", min(times[1:]), GOAL, note)


def run() -> list[Row]:
    return [conditionals(*shape) for shape in SHAPES]
