r"""Anybody's model as a denoiser: a function of the host from ids to logits, called by programs."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from .._errors import refuse
from .._types import Array, Float, Int, Tokens
from ..distributions.base import known_rows
from .base import AbstractDenoiser
from .conditioned import check_places


def is_torch(value: Any) -> bool:
    """Whether it is a torch tensor; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


class External(AbstractDenoiser):
    r"""A denoiser of `n` positions of one sequence, from `logits_fn`: `int64[batch, length]` to logits.

    `template` are the ids of the whole sequence, a prompt and special symbols among them; `positions` are
    those that are written. The symbols `0..q-1` are the ids `0..vocabulary-1` but `forbidden` ones and the
    mask, in this order (`symbols`); the rows are their softmax, the output at $i - 1$ for position $i$ if
    `shift` is 1. The function is called on the host, once for all sequences of a `jax.vmap`.

    Raises:
        InvalidInputError: an id outside the vocabulary, positions outside the template or twice, a shift
            that is neither 0 nor 1, logits of another shape (the function is called once to see).

    >>> def uniform(ids):
    ...     return np.zeros((*ids.shape, 6))
    >>> model = External(uniform, [0, 2, 2, 1], [1, 2], vocabulary=6, mask_id=5, forbidden=(0, 1))
    >>> model.n, model.q, model.symbols.tolist()
    (2, 3, [2, 3, 4])
    >>> [[round(x, 2) for x in row] for row in jnp.exp(model(jnp.array([3, 0]))).tolist()]
    [[0.33, 0.33, 0.33], [1.0, 0.0, 0.0]]
    """

    logits_fn: Callable[[np.ndarray], Any] = eqx.field(static=True)
    template: Int[Array, " length"] = eqx.field(converter=jnp.asarray)
    positions: Int[Array, " n"] = eqx.field(converter=jnp.asarray)
    vocabulary: int = eqx.field(static=True, kw_only=True)
    mask_id: int = eqx.field(static=True, kw_only=True)
    forbidden: tuple[int, ...] = eqx.field(static=True, kw_only=True, default=(), converter=tuple)
    shift: int = eqx.field(static=True, kw_only=True, default=0)
    n = property(lambda self: self.positions.size)
    q = property(lambda self: self.vocabulary - len({self.mask_id, *self.forbidden}))

    def __check_init__(self):
        if self.shift not in (0, 1):
            refuse("shift", self.shift, "0 or 1")
        if self.q < 1:
            refuse("forbidden", f"{len(self.forbidden)} ids", "some id that may be written")
        check_places("positions", self.positions, self.template)
        for one in (self.mask_id, *self.forbidden):
            if not 0 <= one < self.vocabulary:
                name = "mask_id" if one == self.mask_id else "forbidden"
                refuse(name, one, f"an id in 0..{self.vocabulary - 1}, the vocabulary of the logits")
        low, high = int(self.template.min()), int(self.template.max())
        if low < 0 or high >= self.vocabulary:
            refuse("template", f"with an id {low if low < 0 else high}", f"ids in 0..{self.vocabulary - 1}")
        # Programs call the function where no error of ours can be told: it is tried here once.
        found = getattr(self.logits_fn(np.array(self.template, np.int64)[None]), "shape", None)
        wanted = (1, self.template.size, self.vocabulary)
        if found is None or tuple(found) != wanted:
            refuse("logits", f"of shape {found}", f"shape (batch, length, vocabulary) = {wanted}")

    @property
    def symbols(self) -> Int[np.ndarray, " q"]:
        """The id of every symbol; `numpy.searchsorted(symbols, ids)` are the symbols of ids."""
        return np.setdiff1d(np.arange(self.vocabulary), [self.mask_id, *self.forbidden])

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""
        ids = jnp.asarray(np.append(self.symbols, self.mask_id), self.template.dtype)[tokens]
        whole = self.template.at[self.positions].set(ids)
        shape = jax.ShapeDtypeStruct((self.n, self.q), jnp.result_type(float))
        hidden = tuple(sorted({self.mask_id, *self.forbidden}))
        rows_of = _RowsOf(self.logits_fn, self.vocabulary, hidden, self.shift)
        rows = jax.pure_callback(rows_of, shape, whole, self.positions, vmap_method="broadcast_all")
        return jnp.where((tokens == self.q)[:, None], rows, known_rows(tokens, self.q).astype(rows.dtype))


@dataclasses.dataclass(frozen=True)
class _RowsOf:
    """What runs on the host, where nothing may call JAX: ids and positions of a batch to rows."""

    logits_fn: Callable[[np.ndarray], Any]
    vocabulary: int
    hidden: tuple[int, ...]
    shift: int

    def __call__(self, whole: Any, positions: Any) -> np.ndarray:
        whole, positions = np.asarray(whole), np.asarray(positions)
        ids, outputs = whole.reshape(-1, whole.shape[-1]), positions.reshape(-1, positions.shape[-1])
        outputs, row = np.maximum(outputs - self.shift, 0), np.arange(len(ids))[:, None]
        symbols = np.setdiff1d(np.arange(self.vocabulary), self.hidden)
        logits = self.logits_fn(ids.astype(np.int64))
        if is_torch(logits):
            torch = sys.modules["torch"]
            row, outputs, symbols = (
                torch.as_tensor(x, device=logits.device) for x in (row, outputs, symbols)
            )
            chosen = logits.detach()[row, outputs][..., symbols].float()
            rows = torch.log_softmax(chosen, dim=-1).cpu().numpy()
        else:
            rows = log_softmax(np.asarray(logits, np.float64)[row, outputs][..., symbols], axis=-1)
        rows = rows.astype(jax.dtypes.canonicalize_dtype(np.float64))
        return rows.reshape(*whole.shape[:-1], *rows.shape[1:])
