r"""A model of a vocabulary as a denoiser: the positions of a template that it fills in."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Tokens
from ..distributions.base import known_rows
from .base import AbstractDenoiser
from .conditioned import check_places
from .external import External


def _callable(logits_fn: Callable[..., Any]) -> Any:
    """A network as it is; any other function is the host's."""
    return logits_fn if isinstance(logits_fn, eqx.Module) else External(logits_fn)


class Infilling(AbstractDenoiser):
    r"""A denoiser of `n` positions of one sequence, from a model of ids to logits.

    `template` are the ids of the whole sequence, a prompt and special symbols among them; `positions` are
    those that are written. The symbols `0..q-1` are the ids `0..vocabulary-1` but `forbidden` ones and the
    mask, in this order (`symbols`); the rows are their softmax, the output at $i - 1$ for position $i$ if
    `shift` is 1.

    `logits_fn` is a network of JAX, an Equinox module such as `network.logits` of a `Transformer`, which
    takes `[length]` ids within programs; or any function of the host, which takes `int64[batch, length]`
    of NumPy (`External`).

    Raises:
        InvalidInputError: an id outside the vocabulary, positions outside the template or twice, a shift
            that is neither 0 nor 1, logits of another shape (a function of the host is called once to see).

    >>> def uniform(ids):
    ...     return np.zeros((*ids.shape, 6))
    >>> model = Infilling(uniform, [0, 2, 2, 1], [1, 2], vocabulary=6, mask_id=5, forbidden=(0, 1))
    >>> model.n, model.q, model.symbols.tolist()
    (2, 3, [2, 3, 4])
    >>> [[round(x, 2) for x in row] for row in jnp.exp(model(jnp.array([3, 0]))).tolist()]
    [[0.33, 0.33, 0.33], [1.0, 0.0, 0.0]]
    """

    logits_fn: Callable[..., Any] = eqx.field(converter=_callable)
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
        if isinstance(self.logits_fn, External):
            # Programs call the function where no error of ours can be told: it is tried here once.
            logits = self.logits_fn(np.array(self.template, np.int64)[None])
            wanted, words = (1, self.template.size, self.vocabulary), "(batch, length, vocabulary)"
        else:
            logits = eqx.filter_eval_shape(self.logits_fn, self.template)
            wanted, words = (self.template.size, self.vocabulary), "(length, vocabulary)"
        found = getattr(logits, "shape", None)
        if found is None or tuple(found) != wanted:
            refuse("logits", f"of shape {found}", f"shape {words} = {wanted}")

    @property
    def symbols(self) -> Int[np.ndarray, " q"]:
        """The id of every symbol; `numpy.searchsorted(symbols, ids)` are the symbols of ids."""
        return np.setdiff1d(np.arange(self.vocabulary), [self.mask_id, *self.forbidden])

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""
        return self._rows(tokens, jnp.arange(self.n))

    def log_probs_at(self, tokens: Tokens, position: Int[Array, ""]) -> Float[Array, " q"]:
        """Those of one position: no other rows are made of the logits."""
        return self._rows(tokens, position[None])[0]

    def _rows(self, tokens: Tokens, at: Int[Array, " rows"]) -> Float[Array, "rows q"]:
        symbols = self.symbols
        ids = jnp.asarray(np.append(symbols, self.mask_id), self.template.dtype)[tokens]
        whole = self.template.at[self.positions].set(ids)
        places, asked = jnp.maximum(self.positions[at] - self.shift, 0), tokens[at]
        if isinstance(self.logits_fn, External):
            rows = self.logits_fn.rows(whole, places, symbols)
        else:
            rows = jax.nn.log_softmax(self.logits_fn(whole)[places][:, symbols])
            rows = rows.astype(jnp.result_type(float))  # as the host's are: draws depend on the type
        return jnp.where((asked == self.q)[:, None], rows, known_rows(asked, self.q).astype(rows.dtype))
