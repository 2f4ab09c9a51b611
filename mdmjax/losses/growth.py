r"""Draws of what the unmasking-growth mass is estimated by, from sequences and conditionals.

The forced-mask coupling of arXiv 2608.13520, section 4: token $l$ of a sequence is known from its uniform
time $U_l$ on, and token $i$, whose law is asked for, never.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Float, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..information.growth import dyadic_logits

BATCH = 256  # calls of the conditionals at once (our choice)
MAX_BYTES = 2**31  # of the draws


class GrowthDraws(NamedTuple):
    r"""$\sum_i \mathrm{KL}(\pi_{i,v_{j+1}} \| \pi_{i,v_j})$ in nats, by sequence and interval of `times`.

    `entropies` are $\sum_i \mathrm{H}(\pi_{i,v_j})$ by sequence and time. `block[j]` is the block in which
    interval `j` lies; `calls` were made in all.
    """

    times: Float[np.ndarray, " intervals_and_one"]
    block: Int[np.ndarray, " intervals"]
    divergences: Float[np.ndarray, "samples intervals"]
    entropies: Float[np.ndarray, "samples intervals_and_one"]
    calls: int

    @property
    def weights(self) -> Float[np.ndarray, " intervals"]:
        """$v_j (1 - v_{j+1})$."""
        return self.times[:-1] * (1 - self.times[1:])

    def totals(self) -> Float[np.ndarray, "samples blocks"]:
        """$Q$ of each sequence and block (see `information.growth`)."""
        weighted = self.divergences * self.weights
        return np.stack([weighted[:, self.block == k].sum(1) for k in np.unique(self.block)], axis=1)

    def of_block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """The `entropies` of a block, and its times."""
        inside = np.flatnonzero(self.block == block)
        at = slice(inside[0], inside[-1] + 2)
        return self.entropies[:, at], self.times[at]

    def parts(self, count: int) -> "list[GrowthDraws]":
        """The draws of as many equal parts of the sequences."""
        pairs = zip(*(np.split(one, count) for one in (self.divergences, self.entropies)), strict=True)
        return [
            self._replace(divergences=one, entropies=two, calls=self.calls // count) for one, two in pairs
        ]

    def block_weights(self) -> Float[np.ndarray, " blocks"]:
        """The sum of the weights of each block: $q - p$ where its odds double."""
        return np.bincount(self.block, self.weights)


def growth_draws(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser | Sequence[AbstractDenoiser],
    sequences: Int[Array, "samples n"],
    edges: Sequence[float],
    *,
    positions: int | None = None,
    batch: int = BATCH,
) -> GrowthDraws:
    r"""What the growth masses of the blocks between the logits `edges` are estimated by (Eq. 32).

    The conditionals are the denoiser's; where there are several, each sequence has its own, as behind a
    prompt of its own. With `positions` $c < n$, each sequence has $c$ random ones in place of all $n$,
    times $n/c$: means and `moment_bound` are the same, calls fewer (ours). A sequence takes $c$ calls for
    each time, all at once; about `batch` calls are made at once.

    Raises:
        InvalidInputError: sequences that are none, not one denoiser for each, `positions` outside `1..n`,
            `batch` below 1; a divergence that is not finite, as of conditionals that rule out what they
            later allow.

    >>> from mdmjax import Oracle, noisy_repeated_bit
    >>> bit = noisy_repeated_bit(4, 0.1)
    >>> sequences = jax.vmap(bit.sample)(jax.random.split(jax.random.key(0), 3))
    >>> growth_draws(jax.random.key(1), Oracle(bit), sequences, [-1.0, 0.0, 1.0]).totals().shape
    (3, 2)
    """
    if sequences.ndim != 2 or 0 in sequences.shape:
        refuse("sequences", f"of shape {sequences.shape}", "shape (samples, n)")
    size, n = sequences.shape
    positions = check_integer("positions", n if positions is None else positions, 1)
    if positions > n:
        refuse("positions", positions, f"an integer in 1..{n}")
    grids = [dyadic_logits(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    logits = np.concatenate([grids[0][:1], *(grid[1:] for grid in grids)])
    times = 1 / (1 + np.exp(-logits))
    need = 8 * size * times.size
    check_bytes(need, MAX_BYTES, f"draws of {size} sequences", "use fewer samples or blocks")
    together = check_integer("batch", batch, 1) // (positions * times.size)
    one = isinstance(denoiser, AbstractDenoiser)
    if not one and len(denoiser) != size:
        refuse("denoisers", len(denoiser), f"one for all sequences, or {size}")
    parts = (
        [(denoiser, slice(None))] if one else [(each, slice(k, k + 1)) for k, each in enumerate(denoiser)]
    )
    keys, how = jax.random.split(key, size), (positions, max(1, min(size if one else 1, together)))
    drawn = [_divergences(keys[at], each, sequences[at], jnp.asarray(times), *how) for each, at in parts]
    found, entropies = (np.concatenate(part).astype(np.float64) for part in zip(*drawn, strict=True))
    if not np.all(np.isfinite(found)):
        refuse("conditionals", "of an infinite divergence", "ones that allow what more tokens allow")
    block = np.repeat(np.arange(len(grids)), [grid.size - 1 for grid in grids])
    calls = size * positions * times.size
    return GrowthDraws(times, block, np.maximum(found, 0.0), np.maximum(entropies, 0.0), calls)


@eqx.filter_jit
def _divergences(keys, denoiser, sequences, times, positions: int, batch: int):
    n, q = denoiser.n, denoiser.q
    times = times.astype(jnp.result_type(float))

    def of(row):
        one, tokens = row
        for_times, for_positions = jax.random.split(one)
        revealed = jax.random.uniform(for_times, (n,), times.dtype)[None, :] <= times[:, None]
        chosen = jax.random.permutation(for_positions, n)[:positions] if positions < n else jnp.arange(n)

        def of_position(i):
            known = revealed & (jnp.arange(n) != i)[None, :]
            states = jnp.where(known, tokens[None, :], jnp.asarray(q, tokens.dtype))
            rows = jax.vmap(denoiser.log_probs_at, (0, None))(states, i).astype(times.dtype)
            p = jnp.exp(rows)
            entropies = -jnp.sum(jnp.where(p > 0, p * rows, 0.0), axis=-1)
            terms = jnp.where(p[1:] > 0, p[1:] * (rows[1:] - rows[:-1]), 0.0)
            return jnp.sum(terms, axis=-1), entropies

        return [jnp.sum(each, axis=0) * (n / positions) for each in jax.vmap(of_position)(chosen)]

    return jax.lax.map(of, (keys, sequences), batch_size=batch)
