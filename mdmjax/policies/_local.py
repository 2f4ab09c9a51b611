"""The error of a denoiser at one position, in every context that the data have."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import marginal_table, place_values, tokens_of
from .._errors import check_bytes, refuse
from .._numerics import kl_terms
from .._types import Array, Float, Int
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, Joint
from ..laws._rows import checked_probs, with_tables

BATCH = 2**14
"""Contexts that are denoised at a time."""


def context_rows(
    joint: Joint, denoiser: AbstractDenoiser
) -> tuple[Float[Array, "contexts n q"], Float[Array, "contexts n q"], Float[Array, " contexts"]]:
    r"""$p(x_i \mid x_C)$, $\hat p(x_i \mid x_C)$ and $p(x_C)$ of every context, in the order of its code.

    Rows of revealed positions, and of contexts that the data never have, are zero in both.

    Raises:
        InvalidInputError: a denoiser of another size, or whose rows are NaN or do not sum to one in a
            context that occurs; tables of more than 2 GiB.
    """
    n, q = joint.n, joint.q
    if (denoiser.n, denoiser.q) != (n, q):
        refuse("denoiser", f"of n, q = {denoiser.n}, {denoiser.q}", f"n, q = {n}, {q} of the joint")
    contexts = (q + 1) ** n
    need = 6 * contexts * n * q * joint.probs.dtype.itemsize
    remedy = f"at n = {n}, q = {q} there are {q + 1}^{n} contexts; use fewer positions"
    check_bytes(need, MAX_TABLE_BYTES, "the table of the denoiser", remedy)
    mass, exact = _exact(joint.probs)
    occurs = np.flatnonzero(np.asarray(mass) > 0)
    denoiser, made = with_tables(denoiser), np.zeros((contexts, n, q))
    for start in range(0, occurs.size, BATCH):
        codes = occurs[start : start + BATCH]
        # Padded, so that one shape is compiled.
        padded = np.resize(codes, min(BATCH, 1 << (occurs.size - 1).bit_length()))
        rows = _log_probs(denoiser, jnp.asarray(tokens_of(padded, n, q)))
        made[codes] = checked_probs(np.asarray(rows)[: codes.size], tokens_of(codes, n, q))
    return exact, jnp.asarray(made, exact.dtype), mass


@jax.jit
def forward_errors(
    exact: Float[Array, "contexts n q"], made: Float[Array, "contexts n q"], mass: Float[Array, " contexts"]
) -> Float[Array, "n contexts"]:
    r"""$p(x_C)\,\mathrm{KL}(p(x_i \mid x_C) \| \hat p(x_i \mid x_C))$ in nats, from `context_rows`."""
    return (jnp.sum(kl_terms(exact, made), axis=2) * mass[:, None]).T


@eqx.filter_jit
def _log_probs(denoiser: AbstractDenoiser, tokens: Int[Array, "m n"]) -> Float[Array, "m n q"]:
    return jax.vmap(denoiser)(tokens)


@jax.jit
def _exact(probs: Float[Array, "..."]) -> tuple[Float[Array, " contexts"], Float[Array, "contexts n q"]]:
    """The mass of every context, and its conditionals."""
    n, q = probs.ndim, probs.shape[0]
    mass = marginal_table(probs).reshape(-1)
    codes, place = jnp.arange(mass.shape[0]), jnp.asarray(place_values(n, q))
    masked = (jax.vmap(lambda code: tokens_of(code, n, q))(codes) == q)[:, :, None]
    grid = codes[:, None, None] + (jnp.arange(q) - q)[None, None, :] * place[None, :, None]
    rows = jnp.where(masked, mass[jnp.where(masked, grid, 0)], 0.0)
    sums = jnp.sum(rows, axis=2, keepdims=True)
    return mass, rows / jnp.where(sums > 0, sums, 1.0)
