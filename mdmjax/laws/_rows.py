"""What the laws share: oracles as tables, and rows that are fit to draw from."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import marginal_table, place_values, readable_state
from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import AbstractDistribution
from ..distributions.joint import MAX_TABLE_BYTES, Joint, tabulate

Model = TypeVar("Model")
States = Int[np.ndarray, "m n"]
Rows = Float[np.ndarray, "m n q"]

MAX_READ = 2**32  # numbers of a table that a law reads without being refused: about a minute (our choice)
SIZES = (2**6, 2**9, 2**12, 2**14)  # states that a compiled denoiser takes: few, so that compilations are


class _MarginalTable(AbstractDistribution):
    """A `Joint` by look-up of its marginals: `n q` gathers for all conditionals instead of `O(q^n)`."""

    log_marginals: Float[Array, " codes"]
    n: int = eqx.field(static=True)
    q: int = eqx.field(static=True)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        raise NotImplementedError  # laws draw nothing

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        return self.log_marginals[code_of(tokens, self.q)]

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        place = jnp.asarray(place_values(self.n, self.q), tokens.dtype)
        symbols = jnp.arange(self.q, dtype=tokens.dtype)
        code, masked = code_of(tokens, self.q), (tokens == self.q)[:, None]
        grid = code + jnp.where(masked, (symbols - self.q)[None, :] * place[:, None], 0)
        log_probs = self.log_marginals[grid] - self.log_marginals[code]
        return jnp.where(masked | (symbols[None, :] == tokens[:, None]), log_probs, -jnp.inf)


def code_of(tokens: Tokens, q: int) -> Int[Array, ""]:
    """The number of a state, of the type of its tokens."""
    place = jnp.asarray(place_values(tokens.shape[0], q), tokens.dtype)
    return jnp.sum(tokens * place, dtype=tokens.dtype)


def with_tables(model: Model, *, whole: bool = False) -> Model:
    """The same denoiser, decoder or both, with every `Joint` (`whole`: all distributions) as a table."""
    made: dict[int, _MarginalTable] = {}
    kind = AbstractDistribution if whole else Joint

    def tabulated(leaf):
        if not isinstance(leaf, kind) or isinstance(leaf, _MarginalTable) or not has_table(leaf):
            return leaf
        if id(leaf) not in made:
            made[id(leaf)] = _MarginalTable(_log_marginals(tabulate(leaf).probs), leaf.n, leaf.q)
        return made[id(leaf)]

    return jax.tree.map(tabulated, model, is_leaf=lambda leaf: isinstance(leaf, kind))


def has_table(distribution: AbstractDistribution) -> bool:
    """Whether the marginals fit twice, for building concatenates; codes must fit 32 bits."""
    size = (distribution.q + 1) ** distribution.n
    return size < 2**31 and 2 * size * 8 <= MAX_TABLE_BYTES


def check_calls(model: object, calls: int, what: str) -> None:
    """Refuse `calls` of a denoiser of a `Joint` with too many marginals: each reads all of its table."""
    for joint in jax.tree.leaves(model, is_leaf=lambda leaf: isinstance(leaf, Joint)):
        if isinstance(joint, Joint) and not has_table(joint) and calls * joint.q**joint.n > MAX_READ:
            made_of = f"of {calls} calls on a table of {joint.q}^{joint.n}"
            wanted = f"at most {MAX_READ:.3g} numbers read, not {calls * joint.q**joint.n:.3g}"
            refuse(what, made_of, wanted, "use fewer positions")


@jax.jit
def _log_marginals(probs: Float[Array, "..."]) -> Float[Array, " codes"]:
    return safe_log(marginal_table(probs)).reshape(-1)


def masked_probs(log_probs: Rows, tokens: States) -> Float[np.ndarray, "rows q"]:
    """The rows of masked positions, state by state, as float64 of sum one; refused if they are none."""
    n, q = log_probs.shape[1:]
    masked = np.flatnonzero(tokens == q)
    with np.errstate(over="ignore"):
        probs = np.exp(log_probs.reshape(-1, q).take(masked, 0), dtype=np.float64)
    sums = probs @ np.ones(q)
    tolerance = 1e-9 if log_probs.dtype == np.float64 else 1e-4
    wrong = ~(np.abs(sums - 1) <= tolerance)
    if wrong.any():
        first = np.argmax(wrong)
        state, position = divmod(int(masked[first]), n)
        where = f"the denoiser's row of position {position} at the state {readable_state(tokens[state], q)}"
        if np.isnan(sums[first]):
            remedy = "the decoder draws a context that the data never have; give every sequence some mass"
            refuse(where, "NaN", "probabilities", remedy)
        refuse(where, f"of sum {sums[first]:.9g}", "a sum of 1", "normalise its log-probabilities")
    return probs / np.repeat(sums, q).reshape(-1, q)  # repeated: an inner loop of q is slow


def in_batches(
    compiled: Callable[[Any], Any], states: Any, batch: int, sizes: tuple[int, ...] = SIZES
) -> Iterator[tuple[Any, Any]]:
    """At most `batch` states, and what is found of them in NumPy: they are padded to one of few sizes.

    `states` are one array or a tree of arrays, each with a leading axis of states.
    """
    total = len(jax.tree.leaves(states)[0])
    for start in range(0, total, batch):
        count = min(batch, total - start)
        short = min(batch, next((size for size in sizes if size >= count), batch)) - count
        block = jax.tree.map(lambda x, start=start: x[start : start + batch], states)
        padded = jax.tree.map(lambda x, short=short: _padded(x, short), block)
        yield block, jax.tree.map(lambda x, count=count: np.asarray(x)[:count], compiled(padded))


def _padded(rows: np.ndarray, short: int) -> Array:
    """The rows, with `short` more of the last."""
    return jnp.asarray(np.pad(rows, [(0, short)] + [(0, 0)] * (rows.ndim - 1), "edge") if short else rows)


def denoised(denoiser: AbstractDenoiser, tokens: States) -> Rows:
    """What the denoiser says of every state: the one place where laws and policies call it."""
    if not tokens.shape[0]:
        return np.zeros((0, denoiser.n, denoiser.q))
    parts = [rows for _, rows in in_batches(partial(_denoised, denoiser), tokens, SIZES[-1])]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


@eqx.filter_jit
def _denoised(denoiser: AbstractDenoiser, tokens: Int[Array, "m n"]) -> Float[Array, "m n q"]:
    return jax.vmap(denoiser)(tokens)
