"""Anybody's model: a function of the host from ids to logits, called by programs."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from .._types import Array, Float, Int


def without_gradients() -> contextlib.AbstractContextManager[None]:
    """What a model of torch runs under: nothing is kept for a backward pass. Others do not need it."""
    torch = sys.modules.get("torch")
    return contextlib.nullcontext() if torch is None else torch.inference_mode()


def is_torch(value: Any) -> bool:
    """Whether it is a torch tensor; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


class External(eqx.Module):
    """A function of the host from ids `int64[batch, length]` to logits, of NumPy or torch.

    Programs call it, once for all sequences of a `jax.vmap`; only the rows that are asked for come back.

    >>> uniform = External(lambda ids: np.zeros((*ids.shape, 6)))
    >>> rows = uniform.rows(jnp.array([0, 5, 5]), jnp.array([1, 2]), np.array([2, 3]))
    >>> [[round(x, 2) for x in row] for row in jnp.exp(rows).tolist()]
    [[0.5, 0.5], [0.5, 0.5]]
    """

    logits_fn: Callable[[np.ndarray], Any] = eqx.field(static=True)

    def __call__(self, ids: Int[np.ndarray, "batch length"]) -> Any:
        """What the function returns."""
        with without_gradients():
            return self.logits_fn(ids)

    def rows(
        self, ids: Int[Array, " length"], places: Int[Array, " n"], symbols: Int[np.ndarray, " q"]
    ) -> Float[Array, "n q"]:
        """Log-probabilities of the symbols by the outputs at the places."""
        shape = jax.ShapeDtypeStruct((places.size, symbols.size), jnp.result_type(float))
        rows_of = _RowsOf(self.logits_fn, symbols.astype(np.int64).tobytes())
        return jax.pure_callback(rows_of, shape, ids, places, vmap_method="broadcast_all")


@dataclasses.dataclass(frozen=True)
class _RowsOf:
    """What runs on the host, where nothing may call JAX: ids and places of a batch to rows."""

    logits_fn: Callable[[np.ndarray], Any]
    symbols: bytes  # of int64: two of the same symbols are one program

    def __call__(self, whole: Any, places: Any) -> np.ndarray:
        whole, places = np.asarray(whole), np.asarray(places)
        ids, outputs = whole.reshape(-1, whole.shape[-1]), places.reshape(-1, places.shape[-1])
        row, symbols = np.arange(len(ids))[:, None], np.frombuffer(self.symbols, np.int64)
        with without_gradients():
            logits = self.logits_fn(ids.astype(np.int64))
        if is_torch(logits):
            torch = sys.modules["torch"]
            row, outputs, symbols = (
                torch.as_tensor(np.array(x), device=logits.device) for x in (row, outputs, symbols)
            )
            chosen = logits.detach()[row, outputs][..., symbols].float()
            rows = torch.log_softmax(chosen, dim=-1).cpu().numpy()
        else:
            rows = log_softmax(np.asarray(logits, np.float64)[row, outputs][..., symbols], axis=-1)
        rows = rows.astype(jax.dtypes.canonicalize_dtype(np.float64))
        return rows.reshape(*whole.shape[:-1], *rows.shape[1:])
