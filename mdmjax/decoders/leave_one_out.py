"""What a denoiser says of the tokens that are there: each masked in turn, the others left."""

import jax
import jax.numpy as jnp

from .._types import Array, Float, Tokens
from ..denoisers.base import AbstractDenoiser


def leave_one_out(denoiser: AbstractDenoiser, tokens: Tokens) -> Float[Array, " n"]:
    r"""$\hat p(x_i \mid x_{S \setminus i})$ of every revealed token, and 1 of a masked position.

    `n` drafts in one batched call. For the oracle it is the conditional of a Gibbs sampler.

    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.4, 0.1], [0.1, 0.4]])))
    >>> leave_one_out(pair, jnp.array([0, 1])).round(4).tolist()
    [0.2, 0.2]
    """
    n, q = denoiser.n, denoiser.q
    drafts = jnp.where(jnp.eye(n, dtype=bool), q, tokens[None, :])
    rows = jax.vmap(lambda i, draft: denoiser(draft)[i])(jnp.arange(n), drafts)
    found = jnp.exp(jnp.take_along_axis(rows, jnp.minimum(tokens, q - 1)[:, None], axis=1)[:, 0])
    return jnp.where(tokens == q, 1.0, found)
