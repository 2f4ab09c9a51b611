"""A small hidden Markov model with zeros, whose curve can be enumerated."""

import equinox as eqx
import jax
import numpy as np

from mdmjax.distributions.hmm import HMM

INITIAL = np.array([0.2, 0.5, 0.3])
TRANSITION = np.array([[0.9, 0.1, 0.0], [0.05, 0.8, 0.15], [0.3, 0.0, 0.7]])
EMISSION = np.array([[0.7, 0.3, 0.0], [0.1, 0.1, 0.8], [0.0, 0.5, 0.5]])


def small(n=6):
    return HMM(INITIAL, TRANSITION, EMISSION, n)


def draws(model, count, seed=0):
    return np.asarray(_drawn(model, jax.random.split(jax.random.key(seed), count)))


@eqx.filter_jit
def _drawn(model, keys):
    return jax.vmap(model.sample)(keys)
