r"""Losses along random orders: the path NLL of every schedule by look-ups, and the best for its own law."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import check_bytes, refuse
from .._types import Array, Float, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import MAX_TABLE_BYTES
from ..schedules.assigned import Assigned
from ..schedules.schedule import Schedule, check_total
from .sampled import BATCH, check_sequences, token_losses

SWEEPS = 64  # of the search for the best bound, at most (our choice; it ends at the first without a gain)


class PrefixLosses(eqx.Module):
    r"""What every later token costs at each of `starts` along random orders, summed along the order.

    `sums[s, k, g, b]` is $\sum_{m \le i < b} -\log \hat p(x_{o_i} \mid x_{o_0 .. o_{m-1}})$ of sequence `s`
    and its order `k`, with $m$ = `starts[g]` tokens revealed, in nats. So the path NLL of any schedule that
    starts its steps there is a sum of look-ups.
    """

    starts: Int[np.ndarray, " starts"]
    sums: Float[np.ndarray, "samples orders starts points"]
    n = property(lambda self: self.sums.shape[3] - 1)

    def path_nll(self, schedule: Schedule) -> Float[np.ndarray, "samples orders"]:
        r"""$-\log q(x \mid \text{order})$ of the sampler that takes the order in steps of `schedule`.

        The mean over orders and $x \sim p$ is the `nll` of the loss curve (arXiv 2511.04647, App. G).
        Refuses a schedule with a step that starts elsewhere.
        """
        return self.step_nll(schedule).sum(axis=2)

    def step_nll(self, schedule: Schedule) -> Float[np.ndarray, "samples orders steps"]:
        """What each step adds to `path_nll`."""
        check_total(schedule, self.n)
        bounds = schedule.boundaries
        place = np.searchsorted(self.starts, bounds[:-1])
        missing = self.starts[np.minimum(place, self.starts.size - 1)] != bounds[:-1]
        if missing.any():
            found = f"starting a step at {bounds[:-1][missing][0]} revealed tokens"
            refuse("schedule", found, f"starts among the {self.starts.size} that were measured")
        return self.sums[:, :, place, bounds[1:]]

    def importance_nll(self, schedule: Schedule) -> Float[np.ndarray, " samples"]:
        r"""$-\log \frac1K \sum_k q(x \mid \text{order}_k)$: a bound in the mean; it tightens with $K$."""
        return minus_log_mean(self.path_nll(schedule))

    def best_mean(self, steps: int) -> Schedule:
        """The schedule of least mean `path_nll` of `steps` steps with these starts; `O(steps starts^2)`."""
        ends, count = np.append(self.starts, self.n), self.starts.size
        if not 1 <= steps <= count:
            refuse("steps", steps, f"an integer in 1..{count}, the starts that were measured")
        cost = np.full((count, count + 1), np.inf)
        cost[:, 1:] = self.sums.mean(axis=(0, 1))[:, ends[1:]]
        cost[np.tril_indices(count, 0, count + 1)] = np.inf  # a step reveals at least one token
        least, choices = np.full(count + 1, np.inf), []
        least[0] = 0.0
        for _ in range(steps):
            through = least[:-1, None] + cost
            choices.append(through.argmin(axis=0))
            least = through.min(axis=0)
        nodes = [count]
        for choice in reversed(choices):
            nodes.append(int(choice[nodes[-1]]))
        return Schedule(np.diff(ends[nodes[::-1]]))

    def best_bound(self, steps: int) -> Schedule:
        """A schedule that no move of one boundary improves in the mean `importance_nll`, from `best_mean`.

        What the sampler of these orders pays, if `K` is large; on few sequences it fits their noise.
        """
        ends = np.append(self.starts, self.n)
        nodes = np.searchsorted(ends, self.best_mean(steps).boundaries)
        step = lambda a, b: self.sums[:, :, a, ends[b]]
        for _ in range(SWEEPS):
            before = nodes.copy()
            for t in range(1, steps):
                a, c = nodes[t - 1], nodes[t + 1]
                others = sum(step(nodes[i], nodes[i + 1]) for i in range(steps) if i not in (t - 1, t))
                inner = np.arange(a + 1, c)
                either = self.sums[:, :, a, ends[inner]] + self.sums[:, :, inner, ends[c]]
                total = either + np.asarray(others)[..., None] if steps > 2 else either
                nodes[t] = inner[minus_log_mean(total).mean(axis=0).argmin()]
            if (nodes == before).all():
                break
        return Schedule(np.diff(ends[nodes]))


def assigned_path_nll(
    losses: Sequence[PrefixLosses], plan: Assigned
) -> Float[np.ndarray, "samples orders"]:
    r"""$-\log q(x \mid \text{order})$ of the sampler whose steps are by the models of `plan`.

    `losses` are those of each model on the same sequences and orders: made with the same key.

    >>> from fractions import Fraction
    >>> table = np.zeros((1, 1, 2, 3))
    >>> table[0, 0] = [[0.0, 2.0, 4.0], [0.0, 0.0, 1.0]]
    >>> models = [PrefixLosses(np.arange(2), table), PrefixLosses(np.arange(2), 3 * table)]
    >>> plan = Assigned(Schedule([1, 1]), np.array([1, 0]), Fraction(2), nll=7.0)
    >>> assigned_path_nll(models, plan).tolist()
    [[7.0]]
    """
    each = [one.step_nll(plan.schedule) for one in losses]
    own = [steps[:, :, plan.models == model].sum(axis=2) for model, steps in enumerate(each)]
    return np.sum(own, axis=0)


def prefix_losses(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    *,
    starts: Int[np.ndarray, " starts"] | None = None,
    orders: int = 1,
    batch: int = BATCH,
) -> PrefixLosses:
    """The losses of all later tokens at each of `starts` (all `n` if not given), along random orders.

    One call for each start of each of `orders` orders of each sequence, `batch` at once. All schedules
    share the orders: their differences are paired.

    Raises:
        InvalidInputError: sequences of another length or with other symbols; `orders` or `batch` below 1;
            starts outside `0..n-1` or without 0; sums of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> losses = prefix_losses(jax.random.key(0), pair, jnp.array([[1, 1], [0, 0]]), orders=1)
    >>> losses.path_nll(Schedule([2])).round(4).tolist(), losses.best_mean(2).counts.tolist()
    ([[1.3863], [1.3863]], [1, 1])
    """
    size, n = check_sequences(sequences, denoiser, orders=orders, batch=batch)
    places = np.arange(n) if starts is None else np.unique(np.asarray(starts))
    if not np.issubdtype(places.dtype, np.integer):
        refuse("starts", f"of type {places.dtype}", "integers")
    if places.size == 0 or places[0] != 0 or places[-1] >= n:
        refuse("starts", f"{places[:3].tolist()}...", f"numbers in 0..{n - 1}, 0 among them")
    need = 8 * size * orders * places.size * (n + 1)
    check_bytes(need, MAX_TABLE_BYTES, "the losses", "take fewer sequences at a time or a grid of starts")
    keys = jax.random.split(key, size * orders)
    rows = jnp.repeat(jnp.arange(size), orders)
    sums = _sums(
        keys, denoiser, sequences, rows, jnp.asarray(places), min(batch, size * orders * places.size)
    )
    return PrefixLosses(places, np.asarray(sums, np.float64).reshape(size, orders, places.size, n + 1))


@eqx.filter_jit
def _sums(keys, denoiser: AbstractDenoiser, sequences, rows, starts, batch: int) -> Array:
    """Sums along one order a row: as many calls of one, or as many rows, as make up a batch."""
    inner = min(batch, starts.size)

    def along(pair):
        key, row = pair
        tokens, order = sequences[row], jax.random.permutation(key, denoiser.n)  # position by reveal
        place = jnp.argsort(order)

        def later(start):
            losses = token_losses(denoiser, jnp.where(place < start, tokens, denoiser.q), tokens)[order]
            own = jnp.where(jnp.arange(denoiser.n) >= start, losses, 0.0)
            return jnp.pad(jnp.cumsum(own), (1, 0))

        return jax.lax.map(later, starts, batch_size=inner)

    return jax.lax.map(along, (keys, rows), batch_size=batch // inner)


def minus_log_mean(nats: Float[np.ndarray, "samples orders ..."]) -> Float[np.ndarray, "samples ..."]:
    r"""$-\log$ of the mean of $e^{-\text{nats}}$ over orders."""
    least = np.minimum(nats.min(axis=1, keepdims=True), np.finfo(float).max)
    with np.errstate(divide="ignore"):
        return (least - np.log(np.exp(least - nats).mean(axis=1, keepdims=True)))[:, 0]
