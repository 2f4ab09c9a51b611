r"""The law of a decoder at one sequence, at any length: along the ways on which it writes it.

A rule that goes by the revealed tokens alone writes a given $x$ by one path $S_1, S_2, \dots$, so that
$q(x) = \prod_t \prod_{i \in S_t} \hat p(x_i \mid x_{S_1 \cup \dots \cup S_{t-1}})$ takes as many calls as
the decoder makes. With a random rule $q(x) = \mathbb{E}_U\, q(x \mid U)$: the mean of
$-\log q(x \mid U)$ is a bound, and so is $-\log$ of a mean over $K$ draws of $U$, which tightens with $K$
(after arXiv 2603.01367, of which the abstract was seen; the derivation is ours).

All paths of all sequences share one batch: one that has ended makes room for the next, so that a call is
made for each step of a path and no other.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_kind
from .._errors import check_bytes, refuse
from .._types import Array, Float, Int, Key
from ..decoders.base import AbstractDecoder
from ..decoders.run import remembered
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import MAX_TABLE_BYTES
from ..losses.prefix import minus_log_mean
from ..losses.sampled import BATCH, check_sequences


class Paths(NamedTuple):
    r"""Paths of a decoder to given sequences: `log_weight[s, k]` of order `k` of sequence `s`, in nats.

    The mean of $e^{\text{log weight}}$ over orders has the mean $q(x)$; with `exact` one path has all of
    it. `calls` are those of each path, `cost` what they cost.

    >>> paths = Paths(np.log([[0.5, 0.25]]), np.array([[1, 1]]), np.array([[1.0, 1.0]]), exact=False)
    >>> paths.path_nll.round(4).tolist(), paths.importance_nll.round(4).tolist()
    ([1.0397], [0.9808])
    """

    log_weight: Float[np.ndarray, "samples orders"]
    calls: Int[np.ndarray, "samples orders"]
    cost: Float[np.ndarray, "samples orders"]
    exact: bool

    @property
    def path_nll(self) -> Float[np.ndarray, " samples"]:
        r"""The mean of $-\log w$ over orders: $-\log q(x)$ if `exact`, else above it in the mean."""
        return -self.log_weight.mean(axis=1)

    @property
    def importance_nll(self) -> Float[np.ndarray, " samples"]:
        r"""$-\log \frac1K \sum_k w_k$: no larger than `path_nll`, and still above in the mean."""
        return minus_log_mean(-self.log_weight)


def exact_nll(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    sequences: Int[Array, "samples n"],
    *,
    batch: int = BATCH,
) -> Float[np.ndarray, " samples"]:
    r"""$-\log q(x)$ in nats of each sequence, $q$ the law of `decoder` with `denoiser`; infinite if never.

    As many calls as the decoder makes to write it, `batch` of them at once.

    Raises:
        InvalidInputError: a decoder with more than one path to a sequence, and as `decoder_paths`.

    >>> import mdmjax as mj
    >>> pair = mj.Oracle(mj.Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> decoder = mj.Reveal(mj.left_to_right(mj.Schedule([1, 1])))
    >>> exact_nll(pair, decoder, jnp.array([[1, 1], [0, 1]])).round(4).tolist()
    [0.6931, inf]
    """
    if not getattr(decoder, "one_path", True):
        remedy = "decoder_paths has a bound and an estimate"
        refuse("decoder", f"a random {type(decoder).__name__}", "one with one path to a sequence", remedy)
    return decoder_paths(jax.random.key(0), denoiser, [decoder], sequences, batch=batch)[0].path_nll


def decoder_paths(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser | Sequence[AbstractDenoiser],
    decoders: Sequence[AbstractDecoder],
    sequences: Int[Array, "samples n"],
    *,
    orders: int = 1,
    cost: Float[Array, " revealed"] | None = None,
    batch: int = BATCH,
) -> list[Paths]:
    """The `Paths` of each decoder to each sequence: one where it is exact, else `orders`.

    The denoiser is one for all sequences, or one for each, as with different prompts (`Conditioned`).
    Decoders that differ in numbers only, as the thresholds of one rule or schedules of one length, are
    compiled once and share their calls. `cost[m]` is that of a call with `m` tokens revealed (1 if not
    given). Order `k` of sequence `s` has the same key for all decoders: their differences are paired.

    Raises:
        InvalidInputError: sequences of another length or with other symbols; `orders` or `batch` below 1; a
            decoder that revises its tokens; no decoder; too many paths for 2 GiB.

    >>> import mdmjax as mj
    >>> pair = mj.Oracle(mj.Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> both = [mj.Reveal(mj.RandomSubset(mj.Schedule(counts))) for counts in ([2], [1, 1])]
    >>> found = decoder_paths(jax.random.key(0), pair, both, jnp.array([[1, 1]]), orders=2)
    >>> [paths.log_weight.round(4).tolist() for paths in found]
    [[[-1.3863, -1.3863]], [[-0.6931, -0.6931]]]
    """
    each: list[Any] = list(denoiser) if isinstance(denoiser, list | tuple) else [denoiser]
    for one in each:
        remedy = "Oracle(p) is that of a distribution p"
        check_kind("denoiser", one, AbstractDenoiser, "a denoiser", remedy)
    size, n = check_sequences(sequences, each[0], orders=orders, batch=batch)
    if len(each) not in (1, size) or len({jax.tree.structure(one) for one in each}) > 1:
        refuse("denoiser", f"{len(each)} of them", f"one, or {size} of one kind, one for each sequence")
    models = _Stack.of(each)
    if isinstance(decoders, AbstractDecoder):
        refuse("decoders", f"one {type(decoders).__name__}", "a list of them", "[decoder] is one")
    if not decoders:
        refuse("decoders", "none", "at least one")
    for one in decoders:
        check_kind("decoder", one, AbstractDecoder, "a decoder", "Reveal(rule) makes one of a rule")
    need = 64 * size * orders * len(decoders)
    check_bytes(need, MAX_TABLE_BYTES, "the paths", "take fewer at a time", orders=orders)
    price = jnp.ones(n) if cost is None else jnp.asarray(cost)
    if price.shape != (n,):
        refuse("cost", f"of shape {price.shape}", f"one number for each of 0..{n - 1} revealed tokens")
    if not (np.isfinite(price) & (price >= 0)).all():
        refuse("cost", "not finite or below 0 somewhere", "finite numbers >= 0")
    found: list[Paths | None] = [None] * len(decoders)
    for places in _families(decoders):
        stacked, exact = _Stack.of([decoders[i] for i in places]), decoders[places[0]].one_path
        shape = len(places), size, 1 if exact else orders
        jobs = np.indices(shape).reshape(3, -1)
        count = jobs.shape[1]
        padded = np.pad(jobs, ((0, 0), (0, (1 << count.bit_length()) - count)))  # few lengths: few programs
        width, ours = min(batch, count), (models, stacked, sequences, price)
        kept = remembered(each[0], decoders[places[0]])
        results = _follow(key, *ours, jnp.asarray(padded), jnp.asarray(count), width, kept)
        log_weight, calls, paid = (np.asarray(x)[:count].reshape(shape) for x in results)
        for place, *own in zip(places, log_weight, calls, paid, strict=True):
            found[place] = Paths(own[0].astype(np.float64), own[1], own[2], exact)
    return [paths for paths in found if paths is not None]


class _Stack(eqx.Module):
    """Objects of one structure: the arrays in which they differ are stacked, the others are shared."""

    differing: Any
    shared: Any

    @classmethod
    def of(cls, objects: Sequence[Any]) -> "_Stack":
        """All of them; `stack[i]` is one."""
        differs = lambda *leaves: eqx.is_array(leaves[0]) and any(x is not leaves[0] for x in leaves)
        apart = jax.tree.map(differs, *objects)
        stack = lambda own, *leaves: jnp.stack(leaves) if own else None
        shared = jax.tree.map(lambda own, leaf: None if own else leaf, apart, objects[0])
        return cls(jax.tree.map(stack, apart, *objects), shared)

    def __getitem__(self, index: Int[Array, ""]) -> Any:
        return eqx.combine(jax.tree.map(lambda leaf: leaf[index], self.differing), self.shared)


def _families(decoders: Sequence[AbstractDecoder]) -> list[list[int]]:
    """The places of decoders of one structure."""
    kinds: dict[Any, list[int]] = {}
    for place, decoder in enumerate(decoders):
        leaves, structure = jax.tree.flatten(decoder)
        shapes = tuple((jnp.shape(x), jnp.result_type(x)) if eqx.is_array(x) else x for x in leaves)
        kinds.setdefault((structure, shapes), []).append(place)
    return list(kinds.values())


class _Slots(NamedTuple):
    """What the batch works on: a job each, the tokens of its path, and what it has added up.

    `memory` is what the decoder of a job remembers of its path.
    """

    job: Int[Array, " batch"]
    tokens: Int[Array, "batch n"]
    step: Int[Array, " batch"]
    log_weight: Float[Array, " batch"]
    cost: Float[Array, " batch"]
    memory: Any


@eqx.filter_jit
def _follow(key, models, decoders, sequences, price, jobs, count, batch: int, kept) -> tuple[Array, ...]:
    """Log-weight, calls and cost of the first `count` jobs: a decoder, a sequence and an order each.

    There are more: number `count` is nobody's, and idle slots work on it.
    """
    n, q, room = sequences.shape[1], models[jnp.array(0)].q, jobs.shape[1]
    blank = jnp.full((batch, n), q, sequences.dtype)
    memories = jax.vmap(lambda job: eqx.filter(decoders[jobs[0, job]], kept))

    def started_at(job: Int[Array, " batch"]) -> _Slots:
        zeros = jnp.zeros(batch)
        return _Slots(job, blank, jnp.zeros(batch, int), zeros, zeros, memories(job))

    def advance(slot: _Slots) -> tuple[_Slots, Array]:
        """One step of one path, and whether it ends."""
        which, sample, order = jobs[:, slot.job]
        decoder = eqx.combine(slot.memory, decoders[which])
        denoiser, target = models[sample], sequences[sample]
        own = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, sample), order), slot.step)
        chosen, log_weight = decoder.follow(own, denoiser, slot.tokens, target, slot.step)
        paid = price[jnp.minimum(jnp.sum(slot.tokens != q), n - 1)]
        tokens, step = jnp.where(chosen, target, slot.tokens), slot.step + 1
        ended = decoder.finished(tokens, step, q) | (step >= n)
        # A path that cannot be stays so, whatever the rows say after it; so does one that ends too early.
        dead = (slot.log_weight == -jnp.inf) | (ended & jnp.any(tokens == q))
        total = jnp.where(dead, -jnp.inf, slot.log_weight + log_weight.astype(slot.log_weight.dtype))
        memory = slot.memory
        if decoder.remembers:
            memory = eqx.filter(decoder.then(denoiser, slot.tokens, tokens, slot.step), kept)
        return _Slots(slot.job, tokens, step, total, slot.cost + paid, memory), ended

    def body(carry: tuple) -> tuple:
        slots, out, started = carry
        slots, ended = jax.vmap(advance)(slots)
        ended = ended & (slots.job < count)
        place = jnp.where(ended, slots.job, count)
        out = tuple(
            old.at[place].set(new)
            for old, new in zip(out, (slots.log_weight, slots.step, slots.cost), strict=True)
        )
        following = jnp.minimum(started + jnp.cumsum(ended) - 1, count)
        fresh = started_at(following)
        pick = lambda new, old: jnp.where(ended.reshape(-1, *[1] * (new.ndim - 1)), new, old)
        return jax.tree.map(pick, fresh, slots), out, started + jnp.sum(ended)

    first = started_at(jnp.arange(batch))
    out = jnp.zeros(room), jnp.zeros(room, int), jnp.zeros(room, price.dtype)
    unfinished = lambda carry: jnp.any(carry[0].job < count)
    return jax.lax.while_loop(unfinished, body, (first, out, jnp.array(batch)))[1]
