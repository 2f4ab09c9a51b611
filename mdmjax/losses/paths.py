r"""What a schedule costs on a sequence, measured along the path of a sampler that would have written it."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..schedules.schedule import Schedule, check_total
from .sampled import BATCH, check_sequences, token_losses


def path_nlls(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    schedules: Sequence[Schedule],
    *,
    batch: int = BATCH,
) -> Float[np.ndarray, "samples schedules"]:
    r"""$-\sum_t \sum_{i \in S_t} \log \hat p(x_i \mid x_{S_1 \cup \dots \cup S_{t-1}})$ of each, in nats.

    The steps $S_1, S_2, \dots$ have the sizes of the schedule and are consecutive pieces of one uniformly
    random order of the sequence, the same for all schedules: their differences are paired. `estimate` of a
    column, or of a difference of columns, is the measured NLL. The mean over orders and $x \sim p$ is the
    `nll` of the `denoiser_loss_curve` (arXiv 2511.04647, App. G); for one sequence, the mean of
    $e^{-\text{path nll}}$ over orders is the probability that the sampler writes it.

    As $x$ is known the steps do not wait for each other: `batch` calls run at once, compiled as one. A
    sequence takes one call for each different start of a step of any schedule.

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
    for schedule in schedules:
        check_total(schedule, n)
    starts = np.stack([schedule.starts for schedule in schedules])
    calls, keys = jnp.asarray(np.unique(starts)), jax.random.split(key, size)
    batch = min(batch, size * calls.size)
    return np.asarray(_paths(keys, denoiser, sequences, calls, jnp.asarray(starts), batch))


@eqx.filter_jit
def _paths(keys, denoiser: AbstractDenoiser, sequences, calls, starts, batch: int) -> Array:
    """Losses along one order a sequence: as many calls of one, or as many sequences, as make up a batch."""
    inner = min(batch, calls.size)

    def path(pair):
        key, tokens = pair
        order = jax.random.permutation(key, denoiser.n)  # position by reveal
        place = jnp.argsort(order)

        def spent(start):
            losses = token_losses(denoiser, jnp.where(place < start, tokens, denoiser.q), tokens)
            return jnp.sum(jnp.where(starts == start, losses[order][None, :], 0.0), axis=1)

        return jnp.sum(jax.lax.map(spent, calls, batch_size=inner), axis=0)

    return jax.lax.map(path, (keys, sequences), batch_size=batch // inner)
