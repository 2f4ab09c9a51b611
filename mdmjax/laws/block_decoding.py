"""Block-by-block decoding of a long Block-HMM, by the law of its belief (arXiv 2602.00286, 6.1)."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key
from ..distributions.block_hmm import BlockHMM
from ..distributions.joint import MAX_TABLE_BYTES
from ._beliefs import context, log_threshold_of, odds_of

# What there is room for at first: time grows with the room, and few are needed.
INCOHERENT = 1e-8  # the threshold of the paper
FEW_BLOCKS, FEW_CONTEXTS, FEW_CHILDREN = 16, 2**14, 2**20
MAX_CHILDREN = 2**25  # of contexts that are followed, in all blocks (our choice)
MAX_CONTEXTS = 2**17  # of a block, without being asked for
BATCH = 4096  # sequences of an estimate that are followed at a time
# Of an estimate: five numbers a block, and as many on the way to their means; what each state needs for a
# count of ones in a block at hand; and a position, for the decoder.
BLOCK_BYTES, COUNT_BYTES, POSITION_BYTES = 2 * 5 * 8, 4 * 8, 64


class BlockDecoding(eqx.Module):
    r"""How far block-by-block mean-field decoding is from its Block-HMM; KL in nats.

    `*_by_block[m]` is the term of block `m`, which the totals sum (KL) or average (rates). Verified
    decoding draws each block from its exact conditional: both its KLs are 0, its violation rate is `eta`.
    At `eta = 0` a violation has probability zero; the belief after it is as its content bits say.
    """

    forward_kl_by_block: Float[Array, " blocks"]
    verified_incoherence_by_block: Float[Array, " blocks"]
    reverse_kl_by_block: Float[Array, " blocks"]
    incoherence_by_block: Float[Array, " blocks"]
    violation_rate_by_block: Float[Array, " blocks"]
    verified_violation_rate: Float[Array, ""]

    @property
    def forward_kl(self) -> Float[Array, ""]:
        r"""$\mathrm{KL}(p \| p_B)$, the mean under $p$ of every block's total correlation (Eq. 16)."""
        return jnp.sum(self.forward_kl_by_block)

    @property
    def reverse_kl(self) -> Float[Array, ""]:
        r"""$\mathrm{KL}(p_B \| p)$, contexts drawn from the decoder (Eq. 18); `inf` at `eta = 0`."""
        return jnp.sum(self.reverse_kl_by_block)

    @property
    def incoherence(self) -> Float[Array, ""]:
        r"""The mean fraction of decoded blocks with $p(x^{(m)} \mid x^{<m}) \le$ the threshold."""
        return jnp.mean(self.incoherence_by_block)

    @property
    def violation_rate(self) -> Float[Array, ""]:
        """The mean fraction of decoded blocks whose first bit is not their parity."""
        return jnp.mean(self.violation_rate_by_block)

    @property
    def verified_incoherence(self) -> Float[Array, ""]:
        """The `incoherence` of verified blocks."""
        return jnp.mean(self.verified_incoherence_by_block)


def block_decoding(
    model: BlockHMM,
    *,
    incoherence_threshold: float = INCOHERENT,
    merge: float | None = None,
    contexts: int | None = None,
) -> BlockDecoding:
    r"""Forward and reverse KL, incoherence and violations of mean-field decoding, with no sampling.

    Contexts whose log-odds $\log b_z/b_K$ fall in one cell of side `merge` (by default
    $\texttt{eps}^{2/5}$) become one at their mean, separately under the model and under the decoder: the
    first-order error of a KL vanishes, and what is left is of order `merge**2` (the paper's model: 1e-15 of
    the value). A rate moves only if the threshold falls within a cell. More than `contexts` cells (by
    default `2**17`, or as many as 2 GiB hold), or what would take minutes, are refused; the paper's model
    needs 11000. Not for use under `jit`.

    >>> paper = block_decoding(BlockHMM(eta=1e-8))
    >>> [round(float(x), 2) for x in (paper.forward_kl, paper.reverse_kl, paper.incoherence)]
    [12.33, 72.08, 0.5]
    """
    dtype = model.emission.dtype
    threshold = log_threshold_of(incoherence_threshold, dtype)
    cell = float(jnp.finfo(dtype).eps) ** 0.4 if merge is None else merge
    if not cell > 0:
        refuse("merge", cell, "a positive width of log-odds")
    most, contexts = 1, check_contexts(model, contexts)
    # A few blocks tell cheaply how much room all of them need at least.
    for blocks in sorted({min(FEW_BLOCKS, model.blocks), model.blocks}):
        found, most = _with_room(model, threshold, jnp.asarray(cell, dtype), blocks, most, contexts)
    return found


def _with_room(
    model: BlockHMM, threshold: Array, cell: Array, blocks: int, least: int, contexts: int
) -> tuple[BlockDecoding, int]:
    """The result of the first blocks, and the contexts it takes: `least` or more, at most `contexts`."""
    size = blocks * model.block_size
    room = max(least, min(FEW_CONTEXTS, contexts, FEW_CHILDREN // size, MAX_CHILDREN // model.n))
    while True:
        found, most = _decoding(model, threshold, cell, blocks, room)
        most = int(most)
        if most > contexts:
            wanted = f"at most {contexts}"
            remedy = "use fewer blocks or bits, a larger merge, or an estimate from samples"
            refuse("the beliefs of the Block-HMM", f"{most} or more in number", wanted, remedy)
        _check_children(model, most)
        if most <= room:
            return found, most
        room = min(max(4 * room, most), contexts, MAX_CHILDREN // size)


def check_contexts(model: BlockHMM, contexts: int | None = None) -> int:
    """The most contexts that are kept; a model is refused for which few would take minutes or gigabytes."""
    a_context = 4 * (model.emission.shape[0] + 2) * model.block_size * model.emission.dtype.itemsize
    if contexts is None:
        contexts = max(1, min(MAX_CONTEXTS, MAX_TABLE_BYTES // a_context))
    most = model.block_size ** min(model.blocks - 1, 64)  # a power that takes no time
    contexts = min(check_integer("contexts", contexts, 1), most)
    check_bytes(contexts * a_context, MAX_TABLE_BYTES, f"the memory of {contexts} contexts", "allow fewer")
    _check_children(model, min(16, most))
    return contexts


def _check_children(model: BlockHMM, contexts: int) -> None:
    """Refuse a walk through the blocks, with so many contexts of each, which would take minutes."""
    children = contexts * model.n
    if children > MAX_CHILDREN:
        wanted = f"blocks whose {contexts} contexts have at most {MAX_CHILDREN:.3g} children in all"
        remedy = f"these have {children:.3g}; use fewer blocks or bits, or an estimate from samples"
        refuse("blocks, block_size", f"{model.blocks}, {model.block_size}", wanted, remedy)


def _merge(
    odds: Float[Array, "children odds"], mass: Float[Array, " children"], cell: Array, contexts: int
):
    """Children in one cell become one at their mean; how many cells there are."""
    cells = jnp.round(odds / cell)
    # Children without mass come last.
    order = jnp.lexsort((*cells.T, mass == 0))
    odds, mass, cells = odds[order], mass[order], cells[order]
    is_new = jnp.any(cells[1:] != cells[:-1], axis=1) & (mass[1:] > 0)
    index = jnp.cumsum(jnp.concatenate([jnp.zeros((1,), bool), is_new]))
    total = lambda values: jax.ops.segment_sum(values, index, contexts, indices_are_sorted=True)
    merged = total(mass)
    mean = total(mass[:, None] * odds) / jnp.where(merged > 0, merged, 1.0)[:, None]
    return mean, merged, index[-1] + 1


@eqx.filter_jit
def _decoding(
    model: BlockHMM, log_threshold: Array, cell: Array, blocks: int, contexts: int
) -> tuple[BlockDecoding, Int[Array, ""]]:
    """The first blocks; of use if the second number, the most cells of any block, is at most `contexts`."""
    start = odds_of(safe_log(model.initial))

    def propagate(side: int) -> tuple[tuple[Float[Array, " blocks"], ...], Int[Array, ""]]:
        """The means in each block, with contexts drawn from the model (0) or by the decoder (1)."""

        def block(law, _):
            odds, mass = law
            here = jax.vmap(lambda one: context(model, log_threshold, one))(odds)
            means = tuple(jnp.sum(mass * value, where=mass > 0) for value in here.means[side])
            children = mass[:, None] * jnp.exp(here.log_counts[side])
            following = here.following.reshape(children.size, odds.shape[1])
            odds, mass, cells = _merge(following, children.reshape(-1), cell, contexts)
            return (odds, mass), (means, cells)

        odds = jnp.zeros((contexts, start.shape[0]), start.dtype).at[0].set(start)
        mass = jnp.zeros((contexts,), start.dtype).at[0].set(1.0)
        _, (means, cells) = jax.lax.scan(block, (odds, mass), None, length=blocks)
        # The children of the last block are not used.
        return means, jnp.max(cells[:-1], initial=1)

    (from_model, most_p), (from_decoder, most_q) = propagate(0), propagate(1)
    terms = *from_model, *from_decoder, model.eta
    return BlockDecoding(*terms), jnp.maximum(most_p, most_q)


class BlockDecodingEstimate(NamedTuple):
    """A Monte Carlo estimate of `BlockDecoding`, with the standard errors of its totals by name."""

    estimate: BlockDecoding
    stderr: dict[str, Float[Array, ""]]


def block_decoding_estimate(
    key: Key[Array, ""], model: BlockHMM, samples: int, *, incoherence_threshold: float = INCOHERENT
) -> BlockDecodingEstimate:
    r"""An estimate of `block_decoding` for chains whose beliefs do not merge, with its standard errors.

    Contexts are drawn, `samples` from the model and as many from the decoder; in each context the sums
    are exact (Rao-Blackwell). Standard errors are those of the mean of independent sequences.
    """
    samples = check_samples(model, samples)
    threshold = log_threshold_of(incoherence_threshold, model.emission.dtype)
    return _estimate(key, model, threshold, samples)


def check_samples(model: BlockHMM, samples: int) -> int:
    """A number of samples, at least two; refused if they and what is left of them take over 2 GiB."""
    samples = check_integer("samples", samples, 2)
    of_block = min(samples, BATCH) * model.block_size * (model.emission.shape[0] + 2) * COUNT_BYTES
    need = samples * model.blocks * BLOCK_BYTES + of_block + model.n * POSITION_BYTES
    remedy = f"draw fewer sequences, or of a smaller model than {model.blocks} blocks of {model.block_size}"
    check_bytes(need, MAX_TABLE_BYTES, "an estimate", remedy, samples=samples)
    return samples


@eqx.filter_jit
def _estimate(
    key: Key[Array, ""], model: BlockHMM, log_threshold: Array, samples: int
) -> BlockDecodingEstimate:
    """Means over sampled contexts; the totals' standard errors over sequences."""
    start = odds_of(safe_log(model.initial))

    def sequence(key: Key[Array, ""], side: int) -> tuple[Float[Array, " blocks"], ...]:
        def block(odds, key):
            here = context(model, log_threshold, odds)
            count = jax.random.categorical(key, here.log_counts[side], mode="high")
            return here.following[count], here.means[side]

        return jax.lax.scan(block, start, jax.random.split(key, model.blocks))[1]

    def both(key: Key[Array, ""]) -> BlockDecoding:
        for_model, for_decoder = jax.random.split(key)
        terms = *sequence(for_model, 0), *sequence(for_decoder, 1), model.eta
        return BlockDecoding(*terms)

    draws = jax.lax.map(both, jax.random.split(key, samples), batch_size=min(samples, BATCH))

    def stderr(name: str) -> Float[Array, ""]:
        values = jax.vmap(lambda draw: getattr(draw, name))(draws)
        finite = jnp.all(jnp.isfinite(values))
        return jnp.where(finite, jnp.std(jnp.where(finite, values, 0.0), ddof=1) / samples**0.5, 0.0)

    names = ("forward_kl", "reverse_kl", "incoherence", "violation_rate", "verified_incoherence")
    means = jax.tree.map(lambda values: jnp.mean(values, axis=0), draws)
    return BlockDecodingEstimate(means, {name: stderr(name) for name in names})
