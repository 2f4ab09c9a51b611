r"""Local circulation: how much a denoiser disagrees with itself about the order of two tokens.

With $S$ revealed and $i, j$ masked, a denoiser has two joint laws of $x_i, x_j$, one for each order:

$$r = \left[\log \hat p(x_i \mid x_S) + \log \hat p(x_j \mid x_S, x_i)\right]
    - \left[\log \hat p(x_j \mid x_S) + \log \hat p(x_i \mid x_S, x_j)\right]$$

The conditionals of a distribution have $r = 0$ everywhere, and $r = 0$ everywhere makes all orders one law
(after arXiv 2605.09303, of which we saw the abstract; the means below are our choice).
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import marginal_table, place_values, tokens_of
from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..denoisers.table import TableDenoiser, tabulate_denoiser
from ..distributions.joint import Joint
from .exact import check_sizes, mean_by_size
from .sampled import BATCH, check_sequences


class Circulation(NamedTuple):
    """Mean `|r|` and root mean square of `r` in nats, with `m = 0..n-2` tokens revealed."""

    mean_abs: Float[Array, " sizes"]
    root_mean_square: Float[Array, " sizes"]


class CirculationEstimate(NamedTuple):
    """As `Circulation`, at each of some numbers of revealed tokens, with standard errors."""

    revealed: Int[np.ndarray, " levels"]
    mean_abs: Float[np.ndarray, " levels"]
    mean_abs_stderr: Float[np.ndarray, " levels"]
    root_mean_square: Float[np.ndarray, " levels"]
    root_mean_square_stderr: Float[np.ndarray, " levels"]


def local_circulation(joint: Joint, denoiser: AbstractDenoiser) -> Circulation:
    r"""The circulation of `denoiser` exactly, by the number $m = |S|$ of revealed tokens.

    The mean is over uniformly random $S$ with $|S| = m$, uniformly random pairs $i, j \notin S$, and
    $x \sim p$. It is `inf` where a symbol that occurs has probability 0. Cost: $(q+1)^n$ calls of the
    denoiser, and $(nq)^2$ terms for each.

    >>> from mdmjax import Mixed, Oracle
    >>> skew = Joint(jnp.array([[0.6, 0.2], [0.1, 0.1]]))
    >>> local_circulation(skew, Mixed(Oracle(skew), 0.5)).mean_abs.round(3).tolist()
    [0.025]
    """
    check_sizes(joint, denoiser)
    return Circulation(*_exact(joint, tabulate_denoiser(denoiser)))


def sampled_circulation(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    revealed: Sequence[int],
    *,
    batch: int = BATCH,
) -> CirculationEstimate:
    r"""The circulation on sequences, one random $S, i, j$ for each sequence and number of revealed tokens.

    Standard errors are over sequences (of the root mean square by the delta method, 0 if it is 0). Every
    number takes three calls of the denoiser; `batch` of them run at once.
    """
    size, n = check_sequences(sequences, denoiser, batch=batch)
    levels = np.asarray(revealed)
    if size < 2:
        refuse("sequences", size, "at least two", "a standard error needs them")
    if levels.size == 0 or levels.min() < 0 or levels.max() > n - 2:
        refuse("revealed", list(revealed), f"numbers in 0..{n - 2}", "two tokens must be masked")
    ratios = np.asarray(_ratios(key, denoiser, sequences, jnp.asarray(levels), max(1, batch // 3)))
    sizes, squares, root = np.abs(ratios), ratios**2, np.sqrt(size)
    rms = np.sqrt(squares.mean(0))
    error = squares.std(0, ddof=1) / root / np.where(rms > 0, 2 * rms, 1.0)
    return CirculationEstimate(levels, sizes.mean(0), sizes.std(0, ddof=1) / root, rms, error)


@eqx.filter_jit
def _exact(joint: Joint, table: TableDenoiser) -> tuple[Float[Array, " sizes"], Float[Array, " sizes"]]:
    """Both means by the number of revealed tokens."""
    n, q = joint.n, joint.q
    marginals = marginal_table(joint.probs).reshape(-1)
    log_probs = table.log_probs.astype(marginals.dtype)
    places, pairs = jnp.asarray(place_values(n, q)), jnp.triu(jnp.ones((n, n), bool), 1)

    def sums(code):
        masked = tokens_of(code, n, q) == q
        # With the digit q at i replaced by a, the context's number is that of (x_S, x_i = a).
        moves = jnp.where(masked, places, 0)[:, None] * (jnp.arange(q) - q)[None, :]
        both = masked[:, None] & masked[None, :] & pairs
        mass = marginals[code + moves[:, :, None, None] + moves[None, None, :, :]]
        mass = jnp.where(both[:, None, :, None], mass, 0.0)
        forth = log_probs[code][:, :, None, None] + log_probs[code + moves]  # x_i = a, then x_j = b
        ratio = jnp.abs(forth - jnp.transpose(forth, (2, 3, 0, 1)))
        ratio = jnp.where(mass > 0, jnp.where(jnp.isnan(ratio), jnp.inf, ratio), 0.0)
        return jnp.sum(~masked), jnp.sum(mass * ratio), jnp.sum(mass * ratio**2)

    codes = jnp.arange((q + 1) ** n)
    batch = max(1, 2**20 // (n * q) ** 2)
    sizes, absolute, squares = jax.lax.map(sums, codes, batch_size=min(batch, codes.size))
    return mean_by_size(absolute, sizes, n, 2), jnp.sqrt(mean_by_size(squares, sizes, n, 2))


@eqx.filter_jit
def _ratios(
    key, denoiser: AbstractDenoiser, sequences, levels, batch: int
) -> Float[Array, "samples levels"]:
    """The log-ratio of a random pair of every sequence at every level."""
    n, q = denoiser.n, denoiser.q

    def ratio(row):
        number, tokens, m = row
        order = jax.random.permutation(jax.random.fold_in(key, number), n)
        place, i, j = jnp.argsort(order), order[m], order[m + 1]
        shown = jnp.stack([place < m, place <= m, (place < m) | (place == m + 1)])
        states = jnp.where(shown, tokens[None, :], q)
        base, with_i, with_j = jax.vmap(denoiser)(states).astype(jnp.result_type(float))
        a, b = tokens[i], tokens[j]
        return (base[i, a] + with_i[j, b]) - (base[j, b] + with_j[i, a])

    size, count = sequences.shape[0], levels.shape[0]
    rows = (jnp.arange(size * count), jnp.repeat(sequences, count, axis=0), jnp.tile(levels, size))
    return jax.lax.map(ratio, rows, batch_size=min(batch, size * count)).reshape(size, count)
