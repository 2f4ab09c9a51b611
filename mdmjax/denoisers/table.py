"""A denoiser that is a table: its rows at every partial assignment."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._contexts import place_values, tokens_of
from .._errors import check_bytes, refuse
from .._types import Array, Float, Tokens
from ..distributions.joint import MAX_TABLE_BYTES
from .base import AbstractDenoiser


class TableDenoiser(AbstractDenoiser):
    r"""Log-probabilities of every context: `log_probs[c]` are the rows `[n, q]` of the context `c`.

    A context is a base-`(q+1)` number of `n` digits, position 0 the most significant, the digit `q` the
    mask; there are $(q+1)^n$. Whole rows may be NaN.

    Raises:
        InvalidInputError: another shape; and, when the values are known, a masked row that does not sum to
            one (within `1e-9`, or `1e-4` in float32), and a revealed row not certain of its token.

    >>> biased = TableDenoiser(jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.25, 0.75]]])))
    >>> jnp.exp(biased(jnp.array([2])))[0].round(3).tolist()
    [0.25, 0.75]
    """

    log_probs: Float[Array, "contexts n q"]
    n = property(lambda self: self.log_probs.shape[1])
    q = property(lambda self: self.log_probs.shape[2])

    def __check_init__(self):
        contexts, n, q = self.log_probs.shape
        if n < 1 or q < 1 or contexts != (q + 1) ** n:
            refuse("log_probs", f"of shape {self.log_probs.shape}", "shape ((q+1)^n, n, q), n >= 1, q >= 1")
        if isinstance(self.log_probs, Tracer):
            return
        values = np.asarray(self.log_probs)
        block = max(1, 2**22 // (n * q))
        for start in range(0, contexts, block):  # in blocks: the check needs less than the table
            _check_rows(values[start : start + block], start)

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""
        return self.log_probs[jnp.sum(tokens * place_values(self.n, self.q).astype(tokens.dtype))]


def tabulate_denoiser(
    denoiser: AbstractDenoiser, *, batch: int = 2**12, dtype: jnp.dtype | None = None
) -> TableDenoiser:
    """The `TableDenoiser` of any denoiser, from all `(q+1)^n` contexts in batches.

    With `dtype` the rows are cast and normalised again: the laws of a float32 network in float64 sum to one
    as exactly as any.

    Raises:
        InvalidInputError: if the table would be larger than `MAX_TABLE_BYTES`, or is no denoiser's.

    >>> from mdmjax import Joint, Oracle
    >>> tabulate_denoiser(Oracle(Joint(jnp.full((2, 2), 0.25)))).log_probs.shape
    (9, 2, 2)
    """
    n, q = denoiser.n, denoiser.q
    if isinstance(denoiser, TableDenoiser) and dtype is None:
        return denoiser
    own = jax.eval_shape(denoiser, jax.ShapeDtypeStruct((n,), jnp.arange(1).dtype)).dtype
    itemsize = (own if dtype is None else jnp.dtype(dtype)).itemsize
    need = (q + 1) ** n * n * q * itemsize
    what = f"a table of {q + 1}^{n} contexts of {n} x {q} numbers"
    check_bytes(need, MAX_TABLE_BYTES, what, "use fewer positions or the denoiser itself", n=n, q=q)
    return TableDenoiser(_tabulate(denoiser, whole_batch(batch, n, q), dtype))


def whole_batch(most: int, n: int, q: int) -> int:
    """The largest power of `q + 1` up to `most`: it divides the contexts, and no rest is compiled for."""
    return max((q + 1) ** k for k in range(n + 1) if (q + 1) ** k <= max(1, most))


@eqx.filter_jit
def _tabulate(denoiser: AbstractDenoiser, batch: int, dtype: Any) -> Float[Array, "contexts n q"]:
    n, q = denoiser.n, denoiser.q

    def rows(code):
        log_probs = denoiser(jnp.asarray(tokens_of(code, n, q)))
        unknown = jnp.isnan(log_probs).any(-1, keepdims=True)
        log_probs = jnp.where(unknown, jnp.nan, log_probs)  # a row is known or it is not
        return log_probs if dtype is None else jax.nn.log_softmax(log_probs.astype(dtype), axis=-1)

    return jax.lax.map(rows, jnp.arange((q + 1) ** n), batch_size=batch)


def _check_rows(values: np.ndarray, start: int) -> None:
    """Refuse rows of the contexts `start, start + 1, ...` that are no denoiser's."""
    count, n, q = values.shape
    code = start + np.arange(count)[:, None]
    tokens = (code // (q + 1) ** np.arange(n - 1, -1, -1)) % (q + 1)
    missing = np.isnan(values)
    with np.errstate(over="ignore"):
        probs = np.exp(values.astype(np.float64))
    wanted = np.where((tokens == q)[:, :, None], probs, tokens[:, :, None] == np.arange(q))
    tolerance = 1e-9 if values.dtype == np.float64 else 1e-4
    with np.errstate(invalid="ignore"):
        one = np.abs(probs.sum(-1) - 1) <= tolerance
        right = one & np.all(np.abs(probs - wanted) <= tolerance, axis=-1)
    wrong = np.argwhere(~(right | missing.all(-1)))
    if wrong.size:
        context, position = wrong[0]
        found = f"{values[context, position].tolist()} at position {position} of context {start + context}"
        wanted = "logarithms of a row of sum 1, certain of the token where it is revealed"
        refuse("log_probs", found, wanted, "NaN only in whole rows")
