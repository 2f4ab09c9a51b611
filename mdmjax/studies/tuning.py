"""Which decoder is best for a model: families tuned to a number of calls, and the frontier of all of them.

A family is a decoder by name with the one parameter that trades calls for likelihood: a threshold, a
factor, a bound in nats, or the counts of a schedule.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..laws.likelihood import decoder_paths
from ..schedules.schedule import Schedule
from .law_report import Named
from .likelihood import likelihood_study
from .likelihood_report import LikelihoodReport
from .named_decoders import DECODERS
from .naming import Setting
from .report import Subject, Track, untracked

Value = Callable[[float, int, int], float]
LEAST = 1e-3  # nats, or the factor, that no position passes but the best (our choice)
PILOT, PILOT_GRID = 16, 9  # sequences and values of the first look at a family (our choice)
GRID, ROUNDS = 5, 5  # values tried at once, and how often the interval between two of them is cut so

TUNED: dict[str, tuple[str, Value]] = {
    "threshold": ("threshold", lambda u, n, q: u),
    "factor": ("factor", lambda u, n, q: _between(n + 2.0, u)),
    "entropy-bounded": ("bound", lambda u, n, q: _between(n * math.log(q) + 1.0, u)),
    "entropy-sum": ("threshold", lambda u, n, q: _between(n * math.log(q) + 1.0, u)),
}
"""The parameter of a family, from one call at `u = 0` to one token a call at `u = 1`, by `n` and `q`."""

COUNTED = ("random", "l2r", "confidence", "entropy", "margin", "low-confidence")
"""Families that take a schedule."""

Schedules = Callable[[int], Mapping[str, Schedule]]
"""Schedules of a number of steps by name, that of the loss curve as `best` among them."""


def _between(most: float, u: float) -> float:
    """From `most` down to `LEAST`, evenly in logarithms."""
    return most * (LEAST / most) ** u


def tuned_to_calls(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    name: str,
    sequences: Int[Array, "samples n"],
    calls: Sequence[float | int],
    *,
    batch: int = 64,
) -> list[Named]:
    """Decoders `name` of `TUNED` with about so many mean calls on `sequences`, and no more where they can.

    Mean calls along `u`, which rise up to noise, are found at `PILOT_GRID` values on the first `PILOT`
    sequences; then for each number at `GRID` values between two neighbours, and again, `ROUNDS` times, the
    last time on all sequences.

    >>> import mdmjax as mj
    >>> bits = mj.noisy_repeated_bit(4, 0.1)
    >>> words = jax.vmap(bits.sample)(jax.random.split(jax.random.key(0), 20))
    >>> (found,) = tuned_to_calls(jax.random.key(1), mj.Oracle(bits), "threshold", words, [2])
    >>> 0.5 < found.parameters["threshold"] < 0.95
    True
    """
    knob, value = TUNED[name]
    n, q = denoiser.n, denoiser.q
    setting = Setting(denoiser, Schedule([n]), n)

    def tried(places: np.ndarray, on: Array) -> tuple[list[Named], np.ndarray]:
        """The decoders at these places, and the mean calls of each, made to rise."""
        named = [DECODERS[name].named(setting, **{knob: float(value(u, n, q))}) for u in places]
        found = decoder_paths(key, denoiser, [one.decoder for one in named], on, batch=batch)
        return named, np.maximum.accumulate([paths.calls.mean() for paths in found])

    pilot = np.linspace(0, 1, PILOT_GRID)
    roughly, chosen = tried(pilot, sequences[:PILOT])[1], []
    for most in calls:
        at = max(0, int(np.searchsorted(roughly, most, "right")) - 1)
        low, high = pilot[max(0, at - 1)], pilot[min(at + 2, PILOT_GRID - 1)]
        for number in range(ROUNDS):
            places = np.linspace(low, high, GRID)
            named, found = tried(places, sequences if number == ROUNDS - 1 else sequences[:PILOT])
            best = max(0, int(np.searchsorted(found, most, "right")) - 1)
            wider = number == ROUNDS - 2  # all sequences take a little more or less than the first few
            low, high = places[max(0, best - wider)], places[min(best + 1 + wider, GRID - 1)]
        chosen.append(named[best])
    return chosen


def budget_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    calls: float | int,
    schedules: Schedules,
    *,
    orders: int = 4,
    batch: int = 64,
    cost: Float[Array, " revealed"] | None = None,
    subject: Subject | None = None,
    track: Track = untracked,
) -> LikelihoodReport:
    """Every family tuned to `calls` mean calls on half of the sequences, its NLL on the other half.

    Thresholds, factors and bounds are tuned to the calls; a family that takes a schedule gets the one of
    `schedules` whose NLL is least on the first half. Temperatures are left at 1.

    Raises:
        InvalidInputError: as `likelihood_study`; `calls` outside `1..n`; fewer than four sequences.
    """
    n, size = denoiser.n, sequences.shape[0]
    if not 1 <= calls <= n:
        refuse("budget", calls, f"a number of calls in 1..{n}")
    if size < 4:
        refuse("sequences", size, "an integer >= 4", "half of them tune, the others judge")
    tuning, judging = sequences[: size // 2], sequences[size // 2 :]
    choosing, scoring = jax.random.split(key)
    named = []
    for name in track((*COUNTED, *TUNED), "tuning"):
        if name in TUNED:
            named += tuned_to_calls(choosing, denoiser, name, tuning, [calls], batch=batch)
            continue
        every = counted(denoiser, name, schedules(int(calls)))
        report = likelihood_study(choosing, denoiser, every, tuning, orders=orders, batch=batch)
        named.append(every[report.first])
    about: dict[str, Any] = {
        "orders": orders,
        "batch": batch,
        "cost": cost,
        "subject": subject,
        "track": track,
    }
    report = likelihood_study(scoring, denoiser, named, judging, **about)
    order = np.argsort([one.nll.mean() for one in report.scored], kind="stable")
    scored = [report.scored[i] for i in order]
    best = scored[0].decoder
    settings = {"decoder": best.name, **best.parameters}
    if best.name in COUNTED:
        settings["counts"] = schedules(int(calls))[best.parameters["schedule"]].counts
    return dataclasses.replace(report, budget=calls, scored=scored, first=0, settings=settings)


def frontier_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    steps: Sequence[int],
    schedules: Schedules,
    *,
    batch: int = 64,
    track: Track = untracked,
    **about: Any,
) -> LikelihoodReport:
    """NLL against calls: every tuned family, and every family of schedules, at each of `steps` calls.

    Random orders take all schedules, the others the best. More than a quarter of `n` calls are seldom worth
    their price, and cost most of the work: the command asks for no more (our choice).

    Raises:
        InvalidInputError: as `likelihood_study`, which takes the other arguments.
    """
    tuning, scoring = jax.random.split(key)
    named, few = list[Named](), sequences[: 2 * PILOT]
    for name in COUNTED:  # which schedule matters is the question of random orders
        for k in steps:
            every = schedules(k)
            named += counted(denoiser, name, every if name == "random" else {"best": every["best"]})
    for name in track(list(TUNED), "tuning"):
        named += tuned_to_calls(tuning, denoiser, name, few, steps, batch=batch)
    report = likelihood_study(scoring, denoiser, named, sequences, batch=batch, track=track, **about)
    return dataclasses.replace(report, frontier=True)


def counted(denoiser: AbstractDenoiser, name: str, schedules: Mapping[str, Schedule]) -> list[Named]:
    """A family that takes a schedule, with each of them."""
    found = []
    for label, schedule in schedules.items():
        setting = Setting(denoiser, schedule, denoiser.n)
        one = DECODERS[name].named(setting)
        found.append(
            one._replace(parameters={"schedule": label, "steps": schedule.steps, **one.parameters})
        )
    return found
