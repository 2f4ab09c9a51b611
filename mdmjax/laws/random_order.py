"""The exact law of decoding in uniformly random order: the true mixture over ordered partitions."""

import itertools
import math
from functools import partial

import numpy as np

from .._errors import check_bytes, refuse
from .._types import Float, Int
from ..decoders.base import AbstractDecoder
from ..decoders.orders import RandomSubset
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES, check_table_size
from ..schedules.schedule import Schedule, check_total
from ._rows import denoised, masked_probs, with_tables
from .law import Law, Plan, stepwise

MAX_TERMS = 5 * 2**28  # products summed without being asked for: about a minute on two cores (measured)
A_CALL = 16  # products that take as long as a look-up of the denoiser (measured)
BLOCK = 2**14  # states whose rows are alive, and a sixteenth of the products that are added, at a time


def plan(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> Plan | None:
    """`random_order_law`, if the decoder reveals random subsets and has the steps for all."""
    if not (isinstance(decoder, Reveal) and isinstance(decoder.rule, RandomSubset)):
        return None
    schedule = schedule_of(decoder.rule)
    if (max_steps is not None and max_steps < schedule.steps) or schedule.n != denoiser.n:
        return None
    check_size(denoiser.n, denoiser.q, schedule)
    return partial(random_order_law, decoder.writer(denoiser), schedule)


def schedule_of(rule: RandomSubset) -> Schedule:
    """The sizes of its steps."""
    return Schedule(np.diff(np.unique(np.asarray(rule.ends)), prepend=0))


def check_size(n: int, q: int, schedule: Schedule) -> None:
    """Refuse a law that takes too many products, calls or bytes, before it is tried."""
    check_table_size(n, q)
    steps = list(zip(schedule.boundaries[:-1].tolist(), schedule.counts.tolist(), strict=True))
    need = max(_bytes(n, q, start, count) for start, count in steps)
    remedy = "use fewer positions, or steps of other sizes"
    check_bytes(need, MAX_TABLE_BYTES, "the random-order law", remedy)
    check_terms(n, q, [*itertools.pairwise(schedule.boundaries.tolist())])


def check_terms(n: int, q: int, steps: list[tuple[int, int]]) -> None:
    """Refuse steps, from so many revealed tokens to so many, of too many products or calls."""
    terms = sum(math.comb(n, end) * math.comb(end, start) * q**end for start, end in steps)
    calls = sum(math.comb(n, start) * q**start for start in {start for start, _ in steps})
    if terms + A_CALL * calls > MAX_TERMS:
        found = f"of {terms:.3g} products and {calls:.3g} calls of the denoiser"
        wanted = f"at most {MAX_TERMS:.3g} products, a call counted as {A_CALL}"
        refuse("the random-order law", found, wanted, "use fewer positions, or fewer steps")


def random_order_law(denoiser: AbstractDenoiser, schedule: Schedule) -> Law:
    r"""The law of the sampler that reveals `counts[t]` uniformly random masked positions in step `t`.

    It is the mixture over all ordered partitions with these counts, each equally likely, by levels:

    $$m'(x') = \binom{n-N}{s}^{-1} \sum_{B \subseteq S',\, |B| = s} m(x'_{S' \setminus B})
    \prod_{i \in B} \hat p(x'_i \mid x'_{S' \setminus B})$$

    for every state $x'$ with $N + s$ revealed positions $S'$: $\binom{n}{N} \binom{n-N}{s} q^{N+s}$ terms a
    step, and a call of the denoiser for each of $\binom{n}{N} q^N$ states that is reached; no schedule has
    more than $(2q+1)^n$ terms. Its KL is at most `expected_kl`, the mean over the partitions (Jensen).
    """
    n, q = denoiser.n, denoiser.q
    check_total(schedule, n)
    check_size(n, q, schedule)
    denoiser, mass = with_tables(denoiser, whole=True), np.ones((1, 1))
    for start, count in zip(schedule.boundaries[:-1].tolist(), schedule.counts.tolist(), strict=True):
        mass = level_after(denoiser, mass, start, count)
    # The words of the last level are all sequences, in the order of the table.
    return stepwise(mass.reshape((q,) * n), np.tile(schedule.counts / n, (n, 1)), "random order")


def level_after(
    denoiser: AbstractDenoiser, mass: Float[np.ndarray, "words sets"], start: int, count: int
) -> Float[np.ndarray, "more_words more_sets"]:
    """The masses after a step: a row for each word that is revealed, a column for each set of positions.

    For each way to place the new tokens among the old ones, all sets at once: the sets are the last
    axis, which is long and has stride one, and the digits of a word are axes that a view permutes.
    """
    n, q, end = denoiser.n, denoiser.q, start + count
    before, after = (np.array([*itertools.combinations(range(n), m)], np.int64) for m in (start, end))
    rank = np.zeros(2**n, np.int64)
    rank[(1 << before).sum(1)] = np.arange(before.shape[0])
    digit = np.full((before.shape[0], n), start)  # of a word, at each position; `start` where masked
    np.put_along_axis(digit, before, np.arange(start)[None, :], 1)
    row = np.cumsum(digit == start, axis=1) - 1 + np.arange(before.shape[0])[:, None] * (n - start)
    result = np.zeros((q,) * end + after.shape[:1])
    free = _free_digits(n, q, start, count)
    for first in range(0, q**start, q**free):
        shared = mass[first : first + q**free] / math.comb(n - start, count)
        rows = _rows(denoiser, shared, digit, start, first)
        fixed = np.unravel_index(first // q**free, (q,) * (start - free)) if start > free else ()
        for places in itertools.combinations(range(end), count):
            drawn = after[:, places]
            source = rank[(1 << after).sum(1) - (1 << drawn).sum(1)]
            terms = shared.take(source, 1)[:, None, :]
            for position in drawn.T:
                entry = row[source, position] * q + np.arange(q)[:, None]
                terms = terms[:, :, None, :] * rows.take(entry, 1)[:, None, :, :]
                terms = terms.reshape(q**free, -1, after.shape[0])
            kept = [place for place in range(end) if place not in places]
            view = result.transpose(*kept, *places, end)[fixed]
            view += terms.reshape(view.shape)
    return result.reshape(-1, after.shape[0])


def _rows(
    denoiser: AbstractDenoiser, mass: np.ndarray, digit: Int[np.ndarray, "sets n"], start: int, first: int
) -> Float[np.ndarray, "words entries"]:
    """The rows of masked positions, set by set, 0 where not reached; the words are from `first` on."""
    q = denoiser.q
    word = (first + np.arange(mass.shape[0]))[:, None] // q ** np.arange(start - 1, -1, -1) % q
    tokens = np.hstack([word, np.full((mass.shape[0], 1), q)])
    reached = np.flatnonzero(mass > 0)
    rows = np.zeros((mass.size, (denoiser.n - start) * q))
    states = tokens.take(digit, 1).reshape(mass.size, -1).take(reached, 0)
    rows[reached] = masked_probs(denoised(denoiser, states), states).reshape(-1, rows.shape[1])
    return rows.reshape(mass.shape[0], -1)


def _free_digits(n: int, q: int, start: int, count: int) -> int:
    """The last digits of the words that are done at once."""
    states, products = math.comb(n, start), math.comb(n, start + count) * q**count
    free = 0
    while free < start and q ** (free + 1) * max(states, products // 16) <= BLOCK:
        free += 1
    return free


def _bytes(n: int, q: int, start: int, count: int) -> int:
    """The memory of a step: masses, products, rows as log-probabilities and as probabilities, sets."""
    words, end = q ** _free_digits(n, q, start, count), start + count
    before, after = math.comb(n, start), math.comb(n, end)
    masses = 2 * before * q**start + 2 * after * q**end
    products = 3 * words * q**count * after
    rows = words * before * (4 * n * q + 3 * n)
    sets = 2**n + before * (start + n) + after * (2 * end + 2 * q)
    return 8 * (masses + products + rows + sets)
