"""A random table, a denoiser that is no distribution's, and data, to test losses and likelihoods on."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax.denoisers.table import TableDenoiser
from mdmjax.distributions.joint import Joint


def table_of(n, q, seed=0):
    probs = np.random.default_rng(seed).dirichlet(np.full(q**n, 0.3)).reshape((q,) * n)
    return Joint(jnp.asarray(probs))


def wrong(joint):
    """A denoiser that is no distribution's: random rows, NumPy's."""
    n, q = joint.n, joint.q
    states = np.array(list(itertools.product(range(q + 1), repeat=n)))
    rows = np.random.default_rng(7).dirichlet(np.full(q, 2.0), states.shape)
    rows = np.where((states == q)[:, :, None], rows, states[:, :, None] == np.arange(q))
    with np.errstate(divide="ignore"):
        return TableDenoiser(jnp.asarray(np.log(rows)))


def draws(joint, count, seed=0):
    flat = np.asarray(joint.probs).reshape(-1)
    chosen = np.random.default_rng(seed).choice(flat.size, count, p=flat)
    return jnp.asarray(np.stack(np.unravel_index(chosen, joint.probs.shape), axis=1))


def rows_of(denoiser):
    """Log-probabilities by a tuple of tokens."""
    states = np.array(list(itertools.product(range(denoiser.q + 1), repeat=denoiser.n)))
    rows = np.asarray(jax.vmap(denoiser)(jnp.asarray(states)))
    return dict(zip(map(tuple, states.tolist()), rows, strict=True))


def masked(x, revealed, q):
    return tuple(a if i in revealed else q for i, a in enumerate(x))
