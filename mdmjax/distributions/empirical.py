"""The empirical distribution of weighted sequences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import as_floats, check_integer, check_shape
from .._errors import refuse
from .._numerics import dot, safe_log
from .._types import Array, Float, Int, Key, Tokens
from .base import AbstractDistribution, check_sequence
from .joint import Joint, check_table_size


class Empirical(AbstractDistribution):
    r"""Sequence `samples[m]` with probability `counts[m]` over the sum of the counts.

    A sequence may be listed more than once. Oracles match the context against every sample, in
    $O(\mathrm{parts} \cdot n q)$ time; nothing of size $q^n$ is made. Refuses wrong shapes, symbols not in
    `0..q-1`, and counts that are negative, not finite, or all zero.

    >>> seen = Empirical(np.array([[0, 1], [0, 0], [1, 1]]), np.array([2, 1, 1]), q=2)
    >>> [round(p, 4) for p in jnp.exp(seen.log_conditionals(jnp.array([0, 2]))[1]).tolist()]
    [0.3333, 0.6667]
    """

    samples: Int[Array, "parts n"]
    counts: Float[Array, " parts"]
    q: int = eqx.field(static=True)
    n = property(lambda self: self.samples.shape[1])

    def __init__(self, samples: Array | np.ndarray, counts: Array | np.ndarray, q: int):
        self.q = check_integer("q", q, 1)
        _check_samples(samples, counts, self.q)
        check_sequence(samples.shape[1], self.q)
        self.samples = jnp.asarray(samples, jnp.int32)
        (self.counts,) = as_floats(counts)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw of a row."""
        row = jax.random.categorical(key, safe_log(self.counts), mode="high")
        return self.samples[row].astype(int)

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log$ of the share of the counts that agrees with $x_S$, in nats."""
        return safe_log(jnp.sum(self._matches(tokens)) / jnp.sum(self.counts))

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log$ of the share of each symbol among the samples that agree with $x_S$; or NaN."""
        matches = self._matches(tokens)
        total = jnp.sum(matches)
        share = lambda symbol: dot(matches, (self.samples == symbol).astype(matches.dtype))
        table = jax.lax.map(share, jnp.arange(self.q, dtype=self.samples.dtype)).T
        return jnp.where(total > 0, safe_log(table / jnp.where(total > 0, total, 1.0)), jnp.nan)

    def _matches(self, tokens: Tokens) -> Float[Array, " parts"]:
        """The count of each sample that agrees with the revealed tokens, 0 for the others."""
        context = tokens.astype(self.samples.dtype)[None, :]
        agrees = (self.samples == context) | (context == self.q)
        return jnp.where(jnp.all(agrees, axis=1), self.counts, 0.0)


def empirical_joint(samples: np.ndarray, counts: np.ndarray, q: int) -> Joint:
    """The dense table of `Empirical(samples, counts, q)`, counted on the host in float64; errors as there.

    >>> empirical_joint(np.array([[0, 1], [1, 1]]), np.array([3, 1]), 2).probs.tolist()
    [[0.0, 0.75], [0.0, 0.25]]
    """
    q = check_integer("q", q, 1)
    _check_samples(samples, counts, q)
    n = samples.shape[1]
    check_table_size(n, q)
    codes = samples.astype(np.int64) @ q ** np.arange(n - 1, -1, -1)
    table = np.bincount(codes, counts.astype(np.float64), q**n).reshape((q,) * n)
    return Joint(jnp.asarray(table / table.sum(), jnp.result_type(float)))


def _check_samples(samples: np.ndarray | Array, counts: np.ndarray | Array, q: int) -> None:
    """Refuse what is not a weighted list of sequences; traced values pass."""
    if samples.ndim != 2 or 0 in samples.shape:
        refuse("samples", f"of shape {samples.shape}", "shape (parts, n), both >= 1")
    check_shape("counts", counts, samples.shape[:1], "(parts,)")
    if isinstance(samples, Tracer) or isinstance(counts, Tracer):
        return
    rows, weights = np.asarray(samples), np.asarray(counts)
    if not np.issubdtype(rows.dtype, np.integer):
        refuse("samples", f"of type {rows.dtype}", "integers")
    extreme = rows.min() if rows.min() < 0 else rows.max()
    if not 0 <= extreme < q:
        refuse("samples", f"{extreme} at an entry", f"symbols 0..{q - 1}", "choose a larger q")
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if wrong.size:
        refuse("counts", f"{wrong[0]:.6g} at an entry", "finite numbers >= 0")
    if not weights.sum() > 0:
        refuse("counts", "0 at every entry", "at least one positive count")
