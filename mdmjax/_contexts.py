r"""Partial assignments as numbers: base `q+1`, position 0 the most significant digit, `q` the mask."""

import itertools

import jax.numpy as jnp
import numpy as np

from ._errors import refuse
from ._types import Array, Float, Int


def place_values(n: int, q: int) -> Int[np.ndarray, " n"]:
    """$(q+1)^{n-1-i}$: a state's code is the dot product of its tokens with these; refused over 63 bits."""
    if (q + 1) ** n >= 2**63:
        refuse("n, q", f"{n}, {q}", "(q+1)^n < 2^63 partial assignments", "use fewer positions")
    return np.array([(q + 1) ** (n - 1 - i) for i in range(n)], dtype=np.int64)


def tokens_of(codes: Int[Array | np.ndarray, "..."], n: int, q: int) -> Int[Array | np.ndarray, "... n"]:
    """The tokens of every code: NumPy for NumPy, JAX for JAX."""
    return (codes[..., None] // place_values(n, q).astype(codes.dtype)) % (q + 1)


def states_with(revealed: int, n: int, q: int) -> Int[np.ndarray, "m n"]:
    r"""All $\binom{n}{k} q^k$ states with $k$ positions revealed, as tokens."""
    sets = np.array(list(itertools.combinations(range(n), revealed)), dtype=np.int64)
    words = np.indices((q,) * revealed).reshape(revealed, q**revealed)
    states = np.full((sets.shape[0], q**revealed, n), q)
    rows = np.arange(sets.shape[0])[:, None, None]
    states[rows, np.arange(q**revealed)[:, None], sets[:, None, :]] = words.T
    return states.reshape(-1, n)


def marginal_table(probs: Float[Array, "..."]) -> Float[Array, "..."]:
    """$p(x_S)$ of every partial assignment, shape `[q+1]*n`: along each axis, the sum at index `q`."""
    for axis in range(probs.ndim):
        probs = jnp.concatenate([probs, probs.sum(axis, keepdims=True)], axis)
    return probs


def readable_state(tokens: Int[np.ndarray, " n"], q: int) -> str:
    """A state as one word, `_` where masked: `[0 _ 1]`."""
    return "[" + " ".join("_" if token == q else str(token) for token in tokens) + "]"
