r"""Assumption 4.2 of arXiv 2602.00286, as its App. B tests it: are errors in proportion to entropies?

Along an order, with $\epsilon_t$ the error at the position that step $t$ reveals and $H_t$ its entropy,
$\epsilon_t = \alpha H_t + \lambda \bar\epsilon_{<t} + b$ by least squares, where the mean is of the errors
before. Errors are $KL(p \,\|\, \hat p)$ of rows, as in App. B; contexts are those of the data, where the
paper has what the student writes (ours).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import AbstractDenoiser
from mdmjax.decoders.base import AbstractRule
from mdmjax.denoisers.conditioned import Conditioned


class Fit(NamedTuple):
    """The coefficients, and the share of the variance of the errors that they explain."""

    alpha: float
    lambda_: float
    b: float
    r_squared: float


class Path(NamedTuple):
    """Of each step of each sequence: the error in nats, the entropy of the truth and of the model."""

    error: np.ndarray
    entropy: np.ndarray
    model_entropy: np.ndarray


def path_of(
    denoiser: AbstractDenoiser,
    truth: AbstractDenoiser | None,
    rule: AbstractRule,
    sequences: jax.Array,
    positions: np.ndarray,
) -> Path:
    """What `rule`, of the `positions` and of one a step, meets on sequences whose other tokens are given.

    `truth` has the true rows; `None` is certain of the tokens of the sequence.
    """
    return Path(*map(np.asarray, _paths(denoiser, truth, rule, sequences, jnp.asarray(positions))))


@eqx.filter_jit
def _paths(denoiser, truth, rule, sequences, positions):
    q = denoiser.q

    def one(sequence):
        answer = sequence[positions]
        model = Conditioned(denoiser, sequence, positions)

        def step(tokens, t):
            said = model(tokens)
            chosen = rule.choose(jax.random.key(0), said, tokens, t) & (tokens == q)
            place = jnp.argmax(chosen)
            row = said[place].astype(float)
            if truth is None:
                right = jnp.where(jnp.arange(q) == answer[place], 0.0, -jnp.inf)
            else:
                right = Conditioned(truth, sequence, positions)(tokens)[place].astype(float)
            probs, own = jnp.exp(right), jnp.exp(row)
            error = jnp.sum(jnp.where(probs > 0, probs * (right - row), 0.0))
            entropies = [-jnp.sum(jnp.where(x > 0, x * y, 0.0)) for x, y in ((probs, right), (own, row))]
            return tokens.at[place].set(answer[place]), (error, *entropies)

        return jax.lax.scan(step, jnp.full_like(answer, q), jnp.arange(answer.shape[0]))[1]

    return jax.lax.map(one, sequences, batch_size=64)


def regression(error: np.ndarray, entropy: np.ndarray) -> Fit:
    """Least squares over all steps but the first, which has none before; NaN where nothing varies."""
    before = np.cumsum(error, axis=1)[:, :-1] / np.arange(1, error.shape[1])
    y, columns = error[:, 1:].ravel(), [entropy[:, 1:].ravel(), before.ravel()]
    design = np.stack([*columns, np.ones(y.size)], axis=1)
    if y.std() == 0 or columns[0].std() == 0:
        return Fit(np.nan, np.nan, np.nan, np.nan)
    found = np.linalg.lstsq(design, y, rcond=None)[0]
    return Fit(*found, 1 - np.mean((y - design @ found) ** 2) / y.var())
