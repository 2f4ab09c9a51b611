"""Growth masses from sequences and conditionals, with the intervals of Proposition 2 in every block."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._checks import check_integer, check_number
from .._errors import check_bytes
from .._types import Array, Float, Int, Key
from ..denoisers.base import AbstractDenoiser, Oracle
from ..distributions.base import AbstractDistribution
from ..information.growth import (
    EntropyInterval,
    GrowthInterval,
    best_alpha,
    dyadic_logits,
    entropy_interval,
    growth_interval,
    moment_bound,
    sample_moment,
)
from ..losses.growth import BATCH, GrowthDraws, growth_draws
from ..schedules.bernoulli import blocks_grid
from ..schedules.growth_blocks import Blocks, block_edges, prop1_steps
from ..schedules.promise import Kind, Promise

SAMPLES, BLOCKS, ETA = 1000, 1, 0.05  # unless others are asked for (our choices)
MAX_SAMPLE_WORK = 2**27  # calls times numbers in each, of samples that are not asked for
MAX_CALL_BYTES = 2**31  # of the calls of a sequence


@dataclasses.dataclass(frozen=True, eq=False)
class GrowthSample:
    r"""Growth masses of the blocks between logit `edges`, with two bounds $B$ of their moments.

    `known` are the intervals of Proposition 2 for a `moment` that was known before the draws, `alpha` its
    order; `entropy` those of `entropy_interval`, which need none; `plugged` those for the moments of the
    draws themselves, of order 4 (`sample_moment` is their largest), which are no theorem. All `known` hold
    with probability $1 - \eta$, and so do all of `entropy`.
    """

    samples: int
    calls: int
    eta: float
    edges: list[float]
    alpha: float
    moment: float
    sample_moment: float
    known: list[GrowthInterval]
    entropy: list[EntropyInterval]
    plugged: list[GrowthInterval]

    def promises(self, n: int, epsilon: float) -> list[Promise]:
        """Theorem 2 of arXiv 2608.13520 with the upper bounds of each kind."""
        rows: list[Promise] = []
        kinds: list[tuple[str, Kind, list[float]]] = [
            ("ugc_samples", "theorem", [one.upper for one in self.known]),
            ("ugc_samples_entropy", "ours", [one.upper for one in self.entropy]),
            ("ugc_samples_plugged", "estimate", [one.upper for one in self.plugged]),
        ]
        for name, kind, upper in kinds:
            found = prop1_steps(Blocks(self.edges, upper), epsilon)
            plan = blocks_grid(found.edges, found.each) if found.steps <= n else None
            steps = found.steps if plan is None else plan.steps
            rows.append(Promise(name, kind, "2608.13520, Thm 2", steps, found.promised, plan))
        return rows


def growth_sample(
    draws: GrowthDraws, edges: list[float], n: int, q: int, *, eta: float = ETA, moment: float | None = None
) -> GrowthSample:
    r"""The intervals of every block of the `edges`, each at $\eta/K$: all hold with probability $1 - \eta$.

    The `edges` must be chosen without the draws: then this is a union bound over the blocks.

    A `moment` is a bound of $B_4$ that is known of the data; without it, `moment_bound` of the best order.
    """
    size, blocks = draws.divergences.shape[0], len(edges) - 1
    alpha = best_alpha(n, q, size, eta / blocks) if moment is None else 4.0
    moment = moment_bound(n, q, alpha) if moment is None else moment
    totals, weights = draws.totals(), draws.block_weights()
    own = [sample_moment(draws.divergences[:, draws.block == k], 4.0) for k in range(blocks)]

    def interval(k: int, bound: float, order: float) -> GrowthInterval:
        return growth_interval(totals[:, k], float(weights[k]), bound, order, eta / blocks)

    known = [interval(k, moment, alpha) for k in range(blocks)]
    plugged = [interval(k, own[k], 4.0) for k in range(blocks)]
    entropy = [entropy_interval(*draws.of_block(k), n * math.log(q), eta / blocks) for k in range(blocks)]
    return GrowthSample(size, draws.calls, eta, edges, alpha, moment, max(own), known, entropy, plugged)


def growth_sample_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser | Sequence[AbstractDenoiser],
    sequences: Int[Array, "samples n"],
    *,
    blocks: int = BLOCKS,
    eta: float = ETA,
    moment: float | None = None,
    positions: int | None = 1,
    batch: int = BATCH,
) -> GrowthSample:
    r"""Draws of `growth_draws` in `blocks` equal blocks of the logit axis, and their `growth_sample`.

    The bounds are of the law that the sequences are of, if the conditionals are its own. Those of a network
    are near it at best: then they are what they would be if it were.

    Raises:
        InvalidInputError: fewer than 2 sequences or 3 positions, `blocks` below 1, `eta` not in (0, 1).

    >>> from mdmjax import Oracle, noisy_repeated_bit
    >>> bit = noisy_repeated_bit(8, 0.1)
    >>> sequences = jax.vmap(bit.sample)(jax.random.split(jax.random.key(0), 100))
    >>> found = growth_sample_study(jax.random.key(1), Oracle(bit), sequences, blocks=1)
    >>> found.calls, found.plugged[0].lower < 0.28 < found.plugged[0].upper
    (700, True)
    """
    check_integer("blocks", blocks, 1)
    check_number("eta", eta, "a probability in (0, 1)", lambda x: 0 < x < 1)
    edges = block_edges(check_integer("n", sequences.shape[1], 3), blocks)
    q = denoiser.q if isinstance(denoiser, AbstractDenoiser) else denoiser[0].q
    draws = growth_draws(key, denoiser, sequences, edges, positions=positions, batch=batch)
    return growth_sample(draws, edges, sequences.shape[1], q, eta=eta, moment=moment)


def distribution_sample(
    key: Key[Array, ""],
    distribution: AbstractDistribution,
    samples: int | None = None,
    *,
    blocks: int = BLOCKS,
    eta: float = ETA,
    moment: float | None = None,
) -> GrowthSample | None:
    """`growth_sample_study` of independent draws and the true conditionals of a distribution.

    Without `samples` there are `SAMPLES`, or None where that is more than `MAX_SAMPLE_WORK`. Refuses fewer
    than two, what the study does, and a table so large that a sequence takes over `MAX_CALL_BYTES`.
    """
    n, q = distribution.n, distribution.q
    size = SAMPLES if samples is None else check_integer("samples", samples, 2)
    edges = block_edges(check_integer("n", n, 3), check_integer("blocks", blocks, 1))
    times = sum(dyadic_logits(a, b).size for a, b in itertools.pairwise(edges))
    numbers = n * q + sum(leaf.size for leaf in jax.tree.leaves(distribution))
    if samples is None and size * times * numbers > MAX_SAMPLE_WORK:
        return None
    need = 32 * times * numbers  # a few arrays of 8 bytes
    check_bytes(need, MAX_CALL_BYTES, "conditionals", "leave them out: 0", samples=size)
    drawing, growing = jax.random.split(key)
    sequences = jax.vmap(distribution.sample)(jax.random.split(drawing, size))
    how: dict[str, Any] = {"blocks": blocks, "eta": eta, "moment": moment}
    how["batch"] = max(1, min(BATCH, MAX_CALL_BYTES // (32 * numbers)))
    return growth_sample_study(growing, Oracle(distribution), sequences, **how)


def true_masses(
    sample: GrowthSample, logits: Float[Array, " edges"], mass: Float[Array, " edges"]
) -> np.ndarray:
    """$H$ of each of its blocks, from the cumulated `mass` of a `GrowthProfile`."""
    return np.diff(np.interp(sample.edges, np.asarray(logits), np.asarray(mass)))
