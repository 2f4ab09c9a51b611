"""The error of a denoiser at one position, in every context that the data have."""

import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import marginal_table, place_values, tokens_of
from .._errors import check_bytes
from .._numerics import safe_log
from .._types import Array, Bool, Float, Int
from ..decoders.verification import check_fits
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ..laws._rows import Rows as Said
from ..laws._rows import States, denoised, masked_probs, with_tables

Rows = Float[Array, "contexts n q"]


def context_rows(joint: Joint, denoiser: AbstractDenoiser) -> tuple[Rows, Rows, Float[Array, " contexts"]]:
    r"""$p(x_i \mid x_C)$, $\log \hat p(x_i \mid x_C)$ and $p(x_C)$ of every context, by its code.

    Rows of revealed positions, and of contexts that the data never have, are 0 and $-\infty$.
    """
    check_fits(denoiser, joint)
    n, q, contexts = joint.n, joint.q, (joint.q + 1) ** joint.n
    need = 6 * contexts * n * q * joint.probs.dtype.itemsize
    remedy = f"at n = {n}, q = {q} there are {q + 1}^{n} contexts; use fewer positions"
    check_bytes(need, MAX_TABLE_BYTES, "the table of the denoiser", remedy)
    mass, exact = _exact(joint.probs)
    occurs = np.flatnonzero(np.asarray(mass) > 0)
    tokens, made = np.asarray(tokens_of(occurs, n, q)), np.full((contexts, n, q), -np.inf)
    made[occurs] = normalised(denoised(with_tables(denoiser), tokens), tokens)
    return exact, jnp.asarray(made, exact.dtype), mass


def normalised(log_probs: Said, tokens: States) -> Said:
    r"""Checked rows of sum one, as logarithms, which hold what is too small; $-\infty$ where revealed."""
    masked_probs(log_probs, tokens)  # refuses what is no probability
    rows = log_probs.astype(np.float64)
    rows = rows - np.logaddexp.reduce(rows, axis=2, keepdims=True)
    return np.where((tokens == log_probs.shape[2])[:, :, None], rows, -np.inf)


@jax.jit
def forward_errors(
    exact: Rows, log_made: Rows, mass: Float[Array, " contexts"]
) -> Float[Array, "n contexts"]:
    r"""$p(x_C)\,\mathrm{KL}(p(x_i \mid x_C) \| \hat p(x_i \mid x_C))$ in nats, from `context_rows`.

    The terms are those of `kl_terms`, with $\log \hat p$ as it is given.
    """
    occurs, made = exact > 0, jnp.exp(log_made)
    filled = jnp.where(occurs, exact, 1.0)
    u = jnp.where(occurs, (made - exact) / filled, 0.0)
    near = u > -0.5
    log_ratio = jnp.where(near, jnp.log1p(jnp.where(near, u, 0.0)), log_made - safe_log(filled))
    terms = jnp.where(occurs, exact * (u - log_ratio), made)
    return (jnp.sum(terms, axis=2) * mass[:, None]).T


@jax.jit
def _exact(probs: Float[Array, "..."]) -> tuple[Float[Array, " contexts"], Rows]:
    """The mass of every context, and its conditionals."""
    mass = marginal_table(probs).reshape(-1)
    masked, after = one_more(probs.ndim, probs.shape[0])
    rows = jnp.where(masked[:, :, None], mass[after], 0.0)
    sums = jnp.sum(rows, axis=2, keepdims=True)
    return mass, rows / jnp.where(sums > 0, sums, 1.0)


def one_more(n: int, q: int) -> tuple[Bool[Array, "contexts n"], Int[Array, "contexts n q"]]:
    """What every context masks, and its code once a symbol is known there (0 where it is not masked)."""
    codes, place = jnp.arange((q + 1) ** n), jnp.asarray(place_values(n, q))
    masked = jax.vmap(lambda code: tokens_of(code, n, q))(codes) == q
    after = codes[:, None, None] + (jnp.arange(q) - q)[None, None, :] * place[None, :, None]
    return masked, jnp.where(masked[:, :, None], after, 0)
