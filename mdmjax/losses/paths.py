r"""What a schedule costs on a sequence, measured along the path of a sampler that would have written it."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser
from ..schedules.schedule import Schedule, check_total
from .sampled import BATCH, check_sequences, token_losses


def path_nll(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    tokens: Tokens,
    schedule: Schedule,
    *,
    batch: int = BATCH,
) -> Float[Array, ""]:
    r"""$-\sum_t \sum_{i \in S_t} \log \hat p(x_i \mid x_{S_1 \cup \dots \cup S_{t-1}})$ in nats.

    The steps $S_1, S_2, \dots$ have the sizes of the schedule and are consecutive pieces of a uniformly
    random order, which is a function of `key` alone: schedules with the same key go the same way, so that
    differences between them are paired. The mean over orders and $x \sim p$ is the `nll` of the
    `denoiser_loss_curve` (arXiv 2511.04647, App. G). For one sequence, the mean of $e^{-\text{path nll}}$
    over orders is the probability that the sampler writes it.

    The steps do not wait for each other, since $x$ is known: `batch` of the `steps` calls run at once.

    Raises:
        InvalidInputError: counts that do not sum to `n`.

    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> twice = path_nll(jax.random.key(0), pair, jnp.array([1, 1]), Schedule([2]))
    >>> round(float(twice), 4)
    1.3863
    """
    calls, starts = _starts([schedule], denoiser.n)
    return _paths(key, denoiser, tokens, calls, starts, min(batch, calls.size))[0]


def path_nlls(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    schedules: Sequence[Schedule],
    *,
    batch: int = BATCH,
) -> Float[np.ndarray, "samples schedules"]:
    r"""The `path_nll` of every sequence under every schedule, along one random order a sequence.

    Row `s` has the key `jax.random.split(key, samples)[s]`. A state of a path is shared by all schedules
    that start a step there: a sequence takes one call for each different start. `estimate` of a column is
    the measured NLL of a schedule, `estimate` of a difference of columns is their difference, paired.
    `batch` calls run at once, all of them compiled as one.

    Raises:
        InvalidInputError: sequences of another length or with other symbols; no schedule; counts that do
            not sum to `n`; `batch` below 1.

    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> both = [Schedule([2]), Schedule([1, 1])]
    >>> path_nlls(jax.random.key(0), pair, jnp.array([[1, 1], [0, 0]]), both).round(4).tolist()
    [[1.3863, 0.6931], [1.3863, 0.6931]]
    """
    size, n = check_sequences(sequences, denoiser, batch=batch)
    if not schedules:
        refuse("schedules", "none", "at least one")
    calls, starts = _starts(schedules, n)
    keys = jax.random.split(key, size)
    return np.asarray(_all_paths(keys, denoiser, sequences, calls, starts, min(batch, size * calls.size)))


def _starts(
    schedules: Sequence[Schedule], n: int
) -> tuple[Int[Array, " calls"], Int[Array, "schedules n"]]:
    """The different starts of steps, and the start of every reveal of every schedule."""
    for schedule in schedules:
        check_total(schedule, n)
    starts = np.stack([schedule.starts for schedule in schedules])
    return jnp.asarray(np.unique(starts)), jnp.asarray(starts)


def _paths(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    tokens: Tokens,
    calls: Int[Array, " calls"],
    starts: Int[Array, "schedules n"],
    batch: int,
) -> Float[Array, " schedules"]:
    """The losses of one sequence along one order."""
    order = jax.random.permutation(key, denoiser.n)  # position by reveal
    place = jnp.argsort(order)

    def spent(start: Int[Array, ""]) -> Float[Array, " schedules"]:
        losses = token_losses(denoiser, jnp.where(place < start, tokens, denoiser.q), tokens)
        return jnp.sum(jnp.where(starts == start, losses[order][None, :], 0.0), axis=1)

    return jnp.sum(jax.lax.map(spent, calls, batch_size=batch), axis=0)


@eqx.filter_jit
def _all_paths(
    keys: Key[Array, " samples"],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    calls: Int[Array, " calls"],
    starts: Int[Array, "schedules n"],
    batch: int,
) -> Float[Array, "samples schedules"]:
    """All sequences: as many calls of one, or as many sequences, as make up a batch."""
    inner = min(batch, calls.size)
    path = lambda pair: _paths(pair[0], denoiser, pair[1], calls, starts, inner)
    return jax.lax.map(path, (keys, sequences), batch_size=batch // inner)
