r"""The expected KL of a schedule for a hidden Markov model of any length, without its curve."""

from collections.abc import Callable, Iterable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._numerics import kl_terms
from .._types import Array, Float, Int, Key
from ..distributions.hmm import HMM
from ..schedules.schedule import Schedule, check_total
from .entropies import bounded_batch
from .sampled import BATCH


def partition_kls(
    key: Key[Array, ""],
    model: HMM,
    schedule: Schedule,
    draws: int,
    *,
    batch: int = BATCH,
    track: Callable[[Sequence[int], str], Iterable[int]] = lambda items, label: items,
) -> Float[np.ndarray, " draws"]:
    r"""Independent estimates, each unbiased and none below 0, of the `expected_kl` of a schedule in nats.

    With $x$ a draw of the model and $A_1, .., A_k$ a random ordered partition, $S_t$ what is revealed
    before step $t$ and $A_t^{<i}$ the positions of $A_t$ to the left of $i$, one draw gives

    $$\sum_t \sum_{i \in A_t} \mathrm{KL}\left(p(X_i \mid x_{S_t}, x_{A_t^{<i}}) \,\|\,
    p(X_i \mid x_{S_t})\right),$$

    whose mean is $\sum_t \mathbb{E}\,[\sum_i H(X_i \mid X_{S_t}) - H(X_{A_t} \mid X_{S_t})]$ by the chain
    rule: the mean over partitions of $\mathrm{KL}(p \| \text{law given the partition})$. All conditionals
    of a step are two passes of the model: one knows $A_t$ to the left and $S_t$ to the right.

    Raises:
        InvalidInputError: counts of another sum than `n`; `draws` or `batch` below 1; too large.

    >>> pair = HMM([0.5, 0.5], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], 2)
    >>> partition_kls(jax.random.key(0), pair, Schedule([2]), 3).round(4).tolist()
    [0.6931, 0.6931, 0.6931]
    """
    check_total(schedule, model.n)
    draws = check_integer("draws", draws, 1)
    batch = bounded_batch(model, check_integer("batch", batch, 1), draws)
    boundaries, found = jnp.asarray(schedule.boundaries), np.zeros(draws)
    for start in track(range(0, draws, batch), "judging"):
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(start, start + batch))
        found[start : start + batch] = np.asarray(_kls(keys, model, boundaries))[: draws - start]
    return found


@eqx.filter_jit
def _kls(keys: Key[Array, " batch"], model: HMM, boundaries: Int[Array, " steps_and_one"]) -> Array:
    """One draw a key; the steps one after another."""

    def one(key):
        drawing, ordering = jax.random.split(key)
        tokens = model.sample(drawing)
        rank = jax.random.permutation(ordering, model.n)

        def step(ends):
            known, shown = (jnp.where(rank < end, tokens, model.q) for end in ends)
            here, before = (model.log_conditionals_between(left, known) for left in (shown, known))
            each = jnp.sum(kl_terms(jnp.exp(here), jnp.exp(before)), axis=1)
            return jnp.sum(jnp.where((rank >= ends[0]) & (rank < ends[1]), each, 0.0))

        return jnp.sum(jax.lax.map(step, (boundaries[:-1], boundaries[1:])))

    return jax.vmap(one)(keys)
