r"""Schedules of random-order decoding judged by the KL to its own law: the mixture over partitions.

That KL is at most `expected_kl` (Jensen) and no sum over steps, so that its best schedule may be another
one, and all are tried. A step from $a$ to $b$ revealed tokens is the same linear map for all schedules that
take it (`step_after`). Its $\binom{n}{b} \binom{b}{a} q^b$ products are made once, $(2q+1)^n$ in all, and
applied to the masses of all beginnings at once, which schedules share that begin alike: $(3q+1)^n / 2$
terms for all schedules.
"""

import itertools
import math
from collections.abc import Iterable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import place_values, states_with
from .._errors import check_bytes, refuse
from .._numerics import comparable, kl_terms
from .._types import Array, Float
from ..decoders.verification import check_fits
from ..denoisers.base import AbstractDenoiser
from ..denoisers.table import tabulate_denoiser
from ..distributions.joint import Joint
from ..laws._rows import with_tables
from ..laws.levels import fit_rows, nan_unless, probs_of, step_after
from ..laws.random_order import MAX_TERMS
from ..schedules.schedule import Schedule, check_total
from .optimal import check_steps

MAX_BYTES = 2**31  # of masses, without being asked for
Codes = tuple[int, ...]
"""Schedules as numbers: bit `j - 1` says that a step ends when `j` tokens are revealed, `j = 1..n-1`."""


class MixtureSchedules(eqx.Module):
    r"""`kl[i]` is $\mathrm{KL}(p \| \text{mixture})$ in nats of the schedule `codes[i]`."""

    kl: Float[Array, " schedules"]
    n: int = eqx.field(static=True)
    codes: Codes = eqx.field(static=True)

    def schedule(self, steps: int) -> Schedule:
        """A schedule of `steps` steps of the least KL; of those equal but for rounding the least number."""
        check_steps("steps", steps, self.n)
        own = [i for i, code in enumerate(self.codes) if code.bit_count() == steps - 1]
        if not own:
            refuse("steps", steps, "a number of steps of the schedules that were tried")
        best = self.codes[own[int(np.argmin(np.asarray(comparable(self.kl[np.array(own)]))))]]
        return Schedule(np.diff([0, *(j for j in range(1, self.n) if best >> (j - 1) & 1), self.n]))

    def kl_of(self, schedule: Schedule) -> Float[Array, ""]:
        """The KL of the mixture of one schedule."""
        check_total(schedule, self.n)
        code = sum(1 << (int(end) - 1) for end in schedule.boundaries[1:-1])
        if code not in self.codes:
            refuse("schedule", schedule.counts.tolist(), "one of the schedules that were tried")
        return self.kl[self.codes.index(code)]


def all_codes(n: int, steps: int | None = None) -> Codes:
    """All schedules of `n` tokens, or those of `steps` steps, in rising order.

    >>> all_codes(4, 2)
    (1, 2, 4)
    """
    if steps is None:
        return tuple(range(2 ** (n - 1)))
    ends = itertools.combinations(range(n - 1), steps - 1)
    return tuple(sorted(sum(1 << end for end in some) for some in ends))


def mixture_schedules(
    joint: Joint,
    denoiser: AbstractDenoiser,
    steps: int | None = None,
    *,
    max_terms: int = MAX_TERMS,
) -> MixtureSchedules:
    r"""$\mathrm{KL}(p \| \text{mixture})$ of all $2^{n-1}$ schedules, or of all of `steps` steps.

    Fewer than $(3q+1)^n / 2$ terms. Refuses more than `max_terms`, and masses of more than `MAX_BYTES`.

    >>> from mdmjax import Oracle
    >>> pair = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> mixture_schedules(pair, Oracle(pair)).kl.round(4).tolist()
    [0.6931, 0.0]
    """
    n = joint.n
    check_fits(denoiser, joint)
    if steps is not None:
        check_steps("steps", steps, n)
    check_mixture_size(n, joint.q, steps, max_terms)
    codes = all_codes(n, steps)
    rows = tabulate_denoiser(with_tables(denoiser, whole=True)).log_probs
    kls = mixture_kls(joint.probs, rows, codes)
    if np.isnan(np.asarray(kls)).any():
        remedy = "the sampler draws a context that the data never have; take Fallback(denoiser)"
        refuse("the denoiser's row of a context that is reached", "NaN", "probabilities", remedy)
    return MixtureSchedules(kls, n, codes)


@partial(jax.jit, static_argnames="codes")
def mixture_kls(
    probs: Float[Array, "..."], log_rows: Float[Array, "contexts n q"], codes: Codes
) -> Float[Array, " schedules"]:
    r"""$\mathrm{KL}(p \| \text{mixture})$ in nats of the schedules `codes`: a pure function of two arrays.

    `probs` has shape `[q]*n`, and `log_rows` are those of a `TableDenoiser`. To be vmapped over joints,
    over denoisers, or both (`jax.lax.map` with `batch_size` bounds the memory), and differentiated. NaN
    where a schedule reaches a context whose row is NaN or does not sum to one. Compiled once for each shape
    and set of schedules; `dense_law` is compiled once for all, but shares no beginnings.

    >>> probs = jnp.array([[[0.5, 0.0], [0.0, 0.5]], [[0.25, 0.25], [0.25, 0.25]]])
    >>> fair = jnp.full((9, 2, 2), -jnp.log(2.0))
    >>> jax.vmap(lambda p: mixture_kls(p, fair, (0, 1)))(probs).round(4).tolist()
    [[0.6931, 0.6931], [0.0, 0.0]]
    """
    n, q = probs.ndim, probs.shape[0]
    nodes, masses, rows = _nodes(codes, n), {0: jnp.ones((1, 1), probs.dtype)}, {}
    for end, found in enumerate(nodes):
        if end and found:
            parts = [
                step_after(rows[start], masses[start][:, np.array(parents)], start, end)
                for start, parents in _parents(nodes, end)
            ]
            masses[end] = jnp.concatenate(parts, axis=1)
        if end < n and found:
            said = probs_of(log_rows[states_with(end, n, q) @ place_values(n, q)])
            rows[end], right = fit_rows(said, end, probs.dtype)
            masses[end] = nan_unless(right, masses[end])
    order = np.searchsorted(np.array(nodes[n]), np.array(codes))
    return jnp.sum(kl_terms(probs.reshape(-1)[:, None], masses[n]), axis=0)[order]


def _nodes(codes: Iterable[int], n: int) -> list[list[int]]:
    """For `b = 0..n` the beginnings that end a step with `b` tokens revealed, by their ends before `b`."""
    nodes = [{0}] + [{c & ((1 << (b - 1)) - 1) for c in codes if c >> (b - 1) & 1} for b in range(1, n)]
    return [sorted(found) for found in [*nodes, {*codes}]]


def _parents(nodes: list[list[int]], end: int) -> list[tuple[int, list[int]]]:
    """Where the last steps of the nodes of a level start, and from which nodes there; in their order."""
    groups = itertools.groupby(nodes[end], int.bit_length)  # the last end before, 0 where there is none
    found = []
    for start, group in groups:
        places = {node: place for place, node in enumerate(nodes[start])}
        found.append((start, [places[node & ~(1 << start >> 1)] for node in group]))
    return found


def check_mixture_size(n: int, q: int, steps: int | None = None, max_terms: int = MAX_TERMS) -> None:
    """Refuse more terms of all schedules (of `steps` steps), or masses, than are taken unasked."""
    remedy = f"all schedules of n = {n}, q = {q} have that many terms; use fewer positions"
    terms = masses = 0
    # Beginnings of `a` tokens, with one to come at least; in the end only those of all tokens are kept.
    begun = lambda a: sum(math.comb(a - 1, t - 1) for t in _begun(a, n, steps)) if a else 1
    for start, end in itertools.combinations(range(n + 1), 2):
        states = math.comb(n, end) * q**end
        terms += states * math.comb(end, start) * begun(start)
        masses += states * begun(start)
    if terms > max_terms:
        refuse("max_terms", max_terms, f"at least {terms}", remedy)
    check_bytes(16 * masses, MAX_BYTES, "masses of all schedules", "use fewer positions", n=n, q=q)


def _begun(revealed: int, n: int, steps: int | None) -> range:
    """How many steps a beginning of so many tokens may have."""
    if steps is None:
        return range(1, revealed + 1)
    return range(max(1, steps - (n - revealed)), min(revealed, steps - 1) + 1)
