"""The exact law of decoding in uniformly random order: the true mixture over ordered partitions."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._partial import place_values, states_with
from .._types import Array, Float, Int
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, check_table_size
from ..schedules.schedule import Schedule, check_total
from ._rows import check_bytes, checked_probs, with_tables
from .law import Law

MAX_TERMS = 2**34
"""The most products that are summed without being asked for: some minutes on one core."""


def random_order_law(
    denoiser: AbstractDenoiser,
    schedule: Schedule,
    *,
    max_terms: int = MAX_TERMS,
    max_bytes: int = MAX_TABLE_BYTES,
) -> Law:
    r"""The law of the sampler that reveals `counts[t]` uniformly random masked positions in step `t`.

    It is the mixture over all ordered partitions with these counts, each equally likely, by levels:

    $$m'(x') = \binom{n-N}{s}^{-1} \sum_{B \subseteq S',\, |B| = s} m(x'_{S' \setminus B})
    \prod_{i \in B} \hat p(x'_i \mid x'_{S' \setminus B})$$

    for every state $x'$ with $N + s$ revealed positions $S'$. Single tokens take $n q (q+1)^{n-1}$
    terms, and no schedule more than $(2q+1)^n$. Its KL is at most `expected_kl`, which is the mean over
    the partitions (Jensen).

    Raises:
        InvalidInputError: counts that do not sum to `n`; a denoiser that is NaN, or whose rows do not
            sum to one, at a state that is reached; more than `max_terms` terms or `max_bytes` bytes.

    >>> from mdmjax import Joint, Oracle
    >>> joint = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> random_order_law(Oracle(joint), Schedule([2])).probs.tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    n, q = denoiser.n, denoiser.q
    check_total(schedule, n)
    check_table_size(n, q)
    _check_cost(n, q, schedule, max_terms, max_bytes)
    denoiser = with_tables(denoiser)
    mass = jnp.ones((1,), jnp.result_type(float))
    for start, count in zip(schedule.boundaries[:-1].tolist(), schedule.counts.tolist(), strict=True):
        mass = level_after(denoiser, mass, start, count)
    # The states of the last level are all sequences, in the order of the table.
    dtype = mass.dtype
    share = jnp.asarray(schedule.counts / n, dtype)
    return Law(
        probs=mass.reshape((q,) * n),
        calls=jnp.zeros((schedule.steps + 1,), dtype).at[-1].set(1.0),
        finalised=jnp.broadcast_to(share[None, :], (n, schedule.steps)),
        unfinished=jnp.zeros((), dtype),
    )


def level_after(
    denoiser: AbstractDenoiser, mass: Float[Array, " sources"], start: int, count: int
) -> Float[Array, " targets"]:
    """The masses of the states with `start + count` revealed positions, in the order of `states_with`."""
    n, q = denoiser.n, denoiser.q
    sources, targets = states_with(start, n, q), states_with(start + count, n, q)
    reached = np.asarray(mass) > 0
    probs = np.zeros((sources.shape[0], n, q))
    log_probs = np.asarray(_log_probs(denoiser, jnp.asarray(sources)))
    probs[reached] = checked_probs(log_probs[reached], sources[reached])
    place = place_values(n, q)
    rank = np.zeros((q + 1) ** n, np.int32)
    rank[sources @ place] = np.arange(sources.shape[0])
    subsets = np.array(list(itertools.combinations(range(start + count), count)))
    shared = mass / math.comb(n - start, count)
    return _gather(
        jnp.asarray(probs, mass.dtype),
        shared,
        jnp.asarray(rank),
        jnp.asarray(targets),
        jnp.asarray(subsets),
        jnp.asarray(place),
    )


def _check_cost(n: int, q: int, schedule: Schedule, max_terms: int, max_bytes: int) -> None:
    """Refuse what takes too many terms, or too many bytes for the widest step."""
    terms, need = 0, 0
    for start, count in zip(schedule.boundaries[:-1].tolist(), schedule.counts.tolist(), strict=True):
        sources = math.comb(n, start) * q**start
        targets = math.comb(n, start + count) * q ** (start + count)
        terms += targets * math.comb(start + count, count)
        # Rows as log-probabilities and as probabilities, in two copies each; tokens; ranks.
        need = max(need, sources * n * (q * 32 + 16) + targets * (16 * n + 8) + (q + 1) ** n * 12)
    check_bytes(need, max_bytes, "the random-order law", "use fewer positions, or raise max_bytes")
    if terms > max_terms:
        refuse(
            "max_terms",
            max_terms,
            f"at least {terms}",
            f"the mixture of {schedule.steps} steps at n = {n} has that many terms; use fewer positions",
        )


@eqx.filter_jit
def _log_probs(denoiser: AbstractDenoiser, tokens: Int[Array, "m n"]) -> Float[Array, "m n q"]:
    return jax.lax.map(denoiser, tokens, batch_size=min(2**12, tokens.shape[0]))


@jax.jit
def _gather(
    probs: Float[Array, "sources n q"],
    mass: Float[Array, " sources"],
    rank: Int[Array, " codes"],
    targets: Int[Array, "m n"],
    subsets: Int[Array, "subsets s"],
    place: Int[Array, " n"],
) -> Float[Array, " m"]:
    """The sum over the subsets that the step may have revealed, for each target."""
    q = probs.shape[2]

    def one(tokens: Int[Array, " n"]) -> Float[Array, ""]:
        # A stable sort by "is masked" puts the revealed positions first, in order.
        revealed = jnp.argsort(tokens == q, stable=True)
        code = jnp.sum(tokens * place, dtype=tokens.dtype)

        def term(subset: Int[Array, " s"]) -> Float[Array, ""]:
            positions = revealed[subset]
            symbols = tokens[positions]
            source = rank[code + jnp.sum((q - symbols) * place[positions], dtype=code.dtype)]
            return mass[source] * jnp.prod(probs[source, positions, symbols])

        return jnp.sum(jax.vmap(term)(subsets))

    block = max(1, 2**20 // subsets.size)
    return jax.lax.map(one, targets, batch_size=min(block, targets.shape[0]))
