r"""How much one token sways another, and how fast sweeps forget where they began.

Dobrushin's coefficients $c_{ij}$ of an editor that redraws one position at a time, and what follows from
them: a coupling of two runs that differ at position $j$ with probability $\delta_j$ differs, once position
$i$ is redrawn, at $i$ with probability at most $\sum_j c_{ij} \delta_j$.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer, probability
from .._contexts import readable_state
from .._errors import refuse
from .._types import Array, Float
from ..denoisers.base import AbstractDenoiser
from ..divergences.tables import Table, Tabulated
from .fixed_order import block_products, check_size, contexts_of


def full_conditionals(p: Table) -> Float[Array, "..."]:
    r"""$p(x_i \mid x_{-i})$ as `[i, x_1, ..., x_n]`, shape `[n] + [q]*n`: a pure function of the table.

    Where $x_{-i}$ has probability zero $p$ says nothing, and the row is uniform, as `Fallback` makes it:
    these are the rows of the editor `Fallback(Oracle(p))`, which leaves $p$ as it is.

    >>> full_conditionals(jnp.array([[0.5, 0.0], [0.0, 0.5]]))[0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _full_conditionals(p.probs if isinstance(p, Tabulated) else p)


@jax.jit
def _full_conditionals(table: Float[Array, "..."]) -> Float[Array, "..."]:
    sums = [jnp.broadcast_to(table.sum(i, keepdims=True), table.shape) for i in range(table.ndim)]
    contexts = jnp.stack(sums)
    occurs = contexts > 0
    return jnp.where(occurs, table[None] / jnp.where(occurs, contexts, 1.0), 1 / table.shape[0])


def editor_conditionals(denoiser: AbstractDenoiser) -> Float[Array, "..."]:
    r"""$\hat p(x_i \mid x_{-i})$ of any denoiser in the form of `full_conditionals`.

    Raises:
        InvalidInputError: a denoiser that is NaN in a context (`Fallback` has rows there); too large ones.

    >>> from mdmjax import Joint, Mixed, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> editor_conditionals(Mixed(pair, 0.2))[1].round(4).tolist()
    [[0.9, 0.1], [0.1, 0.9]]
    """
    n, q, rows = denoiser.n, denoiser.q, []
    for i in range(n):
        rest = [j for j in range(n) if j != i]
        check_size(denoiser, [rest, [i]], "the conditionals of an editor")
        row, missing = block_products(denoiser, rest, [i])
        if missing.any():
            state = contexts_of(rest, n, q, np.flatnonzero(missing)[:1])[0]
            where = f"the denoiser's row at the state {readable_state(state, q)}"
            refuse(where, "NaN", "probabilities", "wrap the denoiser in Fallback")
        rows.append(np.moveaxis(row.reshape((q,) * n), -1, i))
    return jnp.asarray(np.stack(rows), jnp.result_type(float))


@jax.jit
def influence_matrix(conditionals: Float[Array, "..."]) -> Float[Array, "n n"]:
    r"""$c_{ij} = \max_{x, y} \mathrm{TV}(\hat p(x_i \mid x_{-i}), \hat p(x_i \mid y_{-i}))$, 0 for $i = j$.

    Over contexts $x$, $y$ that differ at $j$ alone; `conditionals` as `full_conditionals` gives them. All
    contexts count, also those that $p$ never has: an editor may find itself in one, and two that occur may
    have none between them that does (of three equal bits all pairs that occur differ twice: without the
    others the influence would be 0, and 000 still never leads to 111). Cost $O(n^2 q^{n+1})$.

    >>> influence_matrix(full_conditionals(jnp.array([[0.4, 0.1], [0.2, 0.3]]))).round(4).tolist()
    [[0.0, 0.4167], [0.4, 0.0]]
    """
    n, q = conditionals.shape[0], conditionals.shape[1]
    rows = jnp.stack([jnp.moveaxis(conditionals[i], i, -1).reshape(-1, q) for i in range(n)])
    codes = jnp.arange(q ** (n - 1))  # of the contexts, a digit for each other position

    def sway(place: Array) -> Float[Array, " n"]:
        digit = codes // place % q
        moved = lambda symbol: rows[:, codes + (symbol - digit) * place]
        apart = lambda symbol: jnp.max(jnp.sum(jnp.abs(rows - moved(symbol)), axis=2), axis=1) / 2
        return jnp.max(jax.lax.map(apart, jnp.arange(q)), axis=0)

    places = jnp.asarray([q ** (n - 2 - k) for k in range(n - 1)], codes.dtype)
    of_others = jax.lax.map(sway, places)  # [k, i]: of the k-th position that is not i
    row, column = jnp.indices((n, n))
    others = jnp.concatenate([of_others, jnp.zeros((1, n), rows.dtype)])  # the last is not read
    return jnp.where(row == column, 0.0, others[jnp.where(column > row, column - 1, column), row])


@jax.jit
def sweep_matrix(
    influence: Float[Array, "n n"], redrawn: Float[Array, ""] | float = 1.0
) -> Float[Array, "n n"]:
    r"""$M = (I - \gamma L)^{-1} ((1 - \gamma) I + \gamma U)$, with $L + U$ the influence below and above.

    A sweep redraws positions $0..n-1$ in turn, each with probability $\gamma$ = `redrawn` (1: always).
    A coupling that differs with probabilities $\delta$ before it differs with at most $M \delta$ after.
    Another order of positions is a transposed table.

    >>> sweep_matrix(jnp.array([[0.0, 0.5], [0.5, 0.0]])).tolist()
    [[0.0, 0.5], [0.0, 0.25]]
    """
    one = jnp.eye(influence.shape[0], dtype=influence.dtype)
    below, above = jnp.tril(influence), jnp.triu(influence)
    stays = (1 - redrawn) * one + redrawn * above
    return jax.scipy.linalg.solve_triangular(one - redrawn * below, stays, lower=True)


class SweepBounds(NamedTuple):
    r"""Bounds after `0..sweeps` sweeps on two runs, whatever they began with; each array is `[sweeps + 1]`.

    `alpha` and `beta` are the largest row and column sums of the influence. `total_variation` is
    $n (1 - \gamma (1 - \alpha))^k$, at most 1. `wasserstein` is on the transport cost of the Hamming
    distance (how many positions must differ): $n (1 - \gamma (1 - \beta))^k / (1 - \gamma \beta)$, at most
    $n$. `swept` is $1^\top M^k 1$, on that cost, and so on total variation: the sharpest of them.
    """

    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    total_variation: Float[Array, " sweeps"]
    wasserstein: Float[Array, " sweeps"]
    swept: Float[Array, " sweeps"]


def sweep_bounds(influence: Float[Array, "n n"], sweeps: int, *, redrawn: float = 1.0) -> SweepBounds:
    r"""How far apart two runs of an editor are after sweeps over *all* positions, one at a time.

    - Rows: if $\alpha = \max_i \sum_j c_{ij} < 1$, the largest probability $\max_i \Pr(X_i \ne Y_i)$ of a
      coupling falls by $1 - \gamma (1 - \alpha)$ a sweep (Dobrushin), and total variation is at most $n$
      times it. Total variation itself need not fall by that: of a star of seven spins and a centre with
      $\alpha = 0.3$ the first sweep leaves 0.60 of it.
    - Columns: if $\beta = \max_j \sum_i c_{ij} < 1$, the transport cost falls to at most $(1 - \gamma (1 -
      \beta))^k / (1 - \gamma \beta)$ of what it was. One sweep may leave more than $\beta$ of it: of two
      bits with $c_{12} = c_{21} = 1/2$ the first leaves 3/4 of the cost. (Only one update of a random
      position falls by $1 - (1 - \beta) / n$ each time.)
    - $1^\top M^k 1$ needs neither. It goes to 0 if the spectral radius of the influence is below 1.

    A bound whose condition fails is 1, or $n$. One of the runs may be the law that sweeps leave as it is:
    $p$ for `full_conditionals(p)`. Positions that are never redrawn ($\gamma = 0$) never forget. An editor
    whose choice of positions depends on the tokens is none of these.

    Raises:
        InvalidInputError: `sweeps` below 0; `redrawn` not in `[0, 1]`.

    >>> found = sweep_bounds(jnp.array([[0.0, 0.5], [0.5, 0.0]]), 2)
    >>> found.total_variation.tolist(), found.wasserstein.tolist(), found.swept.tolist()
    ([1.0, 1.0, 0.5], [2.0, 2.0, 1.0], [2.0, 0.75, 0.1875])
    """
    check_integer("sweeps", sweeps, 0)
    return _sweep_bounds(influence, sweeps, probability("redrawn", redrawn).astype(influence.dtype))


@partial(jax.jit, static_argnums=1)
def _sweep_bounds(influence: Float[Array, "n n"], sweeps: int, redrawn: Float[Array, ""]) -> SweepBounds:
    n, powers = influence.shape[0], jnp.arange(sweeps + 1, dtype=influence.dtype)
    alpha, beta = (jnp.max(jnp.sum(influence, axis=axis)) for axis in (1, 0))
    rows, columns = (n * (1 - redrawn * (1 - rate)) ** powers for rate in (alpha, beta))
    columns = columns / jnp.where(beta < 1, 1 - redrawn * beta, 1.0)
    matrix, begun = sweep_matrix(influence, redrawn), jnp.ones(n, influence.dtype)
    _, swept = jax.lax.scan(lambda d, _: (matrix @ d, jnp.sum(d)), begun, length=sweeps + 1)
    return SweepBounds(
        alpha,
        beta,
        jnp.where(alpha < 1, jnp.minimum(rows, 1.0), 1.0),
        jnp.where(beta < 1, jnp.minimum(columns, n), n),
        jnp.minimum(swept, n),
    )
