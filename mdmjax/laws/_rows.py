"""What the laws share: oracles as tables, and rows that are fit to draw from."""

from collections.abc import Iterator
from typing import TypeVar

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

MAX_READ = 2**32
"""Numbers of a table of sequences that a law reads without being refused: about a minute (our choice)."""


class _MarginalTable(AbstractDistribution):
    """A `Joint` by look-up of its marginals: `n q` gathers for all conditionals instead of `O(q^n)`."""

    log_marginals: Float[Array, " codes"]
    n: int = eqx.field(static=True)
    q: int = eqx.field(static=True)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        raise NotImplementedError  # laws draw nothing

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        place = jnp.asarray(place_values(self.n, self.q), tokens.dtype)
        return self.log_marginals[jnp.sum(tokens * place, dtype=tokens.dtype)]

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        place = jnp.asarray(place_values(self.n, self.q), tokens.dtype)
        symbols = jnp.arange(self.q, dtype=tokens.dtype)
        code = jnp.sum(tokens * place, dtype=tokens.dtype)
        masked = (tokens == self.q)[:, None]
        grid = code + jnp.where(masked, (symbols - self.q)[None, :] * place[:, None], 0)
        log_probs = self.log_marginals[grid] - self.log_marginals[code]
        return jnp.where(masked | (symbols[None, :] == tokens[:, None]), log_probs, -jnp.inf)


def with_tables(model: Model, *, limit: int = MAX_TABLE_BYTES, whole: bool = False) -> Model:
    """The same denoiser, decoder or both, with every `Joint` in it as a table of its marginals.

    Where that fits in `limit` bytes; a `Joint` that occurs twice is tabulated once. `whole` is for laws
    that look at every context: then all distributions are tabulated.
    """
    made: dict[int, _MarginalTable] = {}
    kind = AbstractDistribution if whole else Joint

    def tabulated(leaf):
        if not isinstance(leaf, kind) or isinstance(leaf, _MarginalTable) or not has_table(leaf, limit):
            return leaf
        if id(leaf) not in made:
            made[id(leaf)] = _MarginalTable(
                log_marginals=_log_marginals(tabulate(leaf).probs), n=leaf.n, q=leaf.q
            )
        return made[id(leaf)]

    return jax.tree.map(tabulated, model, is_leaf=lambda leaf: isinstance(leaf, kind))


def has_table(distribution: AbstractDistribution, limit: int = MAX_TABLE_BYTES) -> bool:
    """Whether the marginals fit twice, for building concatenates; codes must fit 32 bits."""
    size = (distribution.q + 1) ** distribution.n
    return size < 2**31 and 2 * size * 8 <= limit


def check_calls(model: object, calls: int, what: str) -> None:
    """Refuse `calls` of a denoiser of a `Joint` with too many marginals: each reads all of its table."""
    leaves = jax.tree.leaves(model, is_leaf=lambda leaf: isinstance(leaf, Joint))
    joints = [leaf for leaf in leaves if isinstance(leaf, Joint) and not has_table(leaf)]
    for joint in joints:
        numbers = joint.q**joint.n
        if calls * numbers > MAX_READ:
            made_of = f"{calls} calls on a table of {joint.q}^{joint.n}"
            wanted = f"at most {MAX_READ:.3g} numbers read, not {calls * numbers:.3g}"
            refuse(what, f"of {made_of}", wanted, "use fewer positions")


@jax.jit
def _log_marginals(probs: Float[Array, "..."]) -> Float[Array, " codes"]:
    return safe_log(marginal_table(probs)).reshape(-1)


def checked_probs(log_probs: Rows, tokens: States) -> Rows:
    """The rows as float64 probabilities that sum to one, as a sampler draws from them; 0 where revealed.

    Raises:
        InvalidInputError: a masked row that is NaN or sums to one no better than `1e-9` (`1e-4` when
            the denoiser computes in less than float64).
    """
    m, n, q = log_probs.shape
    probs = np.zeros((m * n, q))
    probs[np.flatnonzero(tokens == q)] = masked_probs(log_probs, tokens)
    return probs.reshape(m, n, q)


def masked_probs(log_probs: Rows, tokens: States) -> Float[np.ndarray, "rows q"]:
    """`checked_probs` of the masked positions alone, state by state in order."""
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
        total = f"of sum {sums[first]:.9g}"
        refuse(where, total, "a sum of 1", "normalise its log-probabilities")
    return probs / np.repeat(sums, q).reshape(-1, q)  # repeated: an inner loop of q is slow


SIZES = (2**6, 2**9, 2**12, 2**14)
"""The numbers of states that a compiled denoiser takes: few, so that compilations are."""


def batches(
    tokens: States, batch: int, sizes: tuple[int, ...] = SIZES
) -> Iterator[tuple[States, Int[Array, "padded n"]]]:
    """The states, at most `batch` at a time, and padded to one of few sizes."""
    for start in range(0, tokens.shape[0], batch):
        block = tokens[start : start + batch]
        size = min(batch, next((size for size in sizes if size >= block.shape[0]), batch))
        short = size - block.shape[0]
        yield block, jnp.asarray(np.pad(block, ((0, short), (0, 0)), "edge") if short else block)


def denoised(denoiser: AbstractDenoiser, tokens: States, *, batch: int = SIZES[-1]) -> Rows:
    """What the denoiser says of every state: at most `batch` at a time, padded to one of `SIZES`.

    The one place where laws and policies call a denoiser; the rows are as it gives them (`checked_probs`).
    """
    parts = [np.zeros((0, denoiser.n, denoiser.q))] if not tokens.shape[0] else []
    for block, padded in batches(tokens, batch):
        parts.append(np.asarray(_denoised(denoiser, padded))[: block.shape[0]])
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


@eqx.filter_jit
def _denoised(denoiser: AbstractDenoiser, tokens: Int[Array, "m n"]) -> Float[Array, "m n q"]:
    return jax.vmap(denoiser)(tokens)
