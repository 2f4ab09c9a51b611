"""Schedules of noisy loss tables: losses between rows, the curve to choose on, what a gain is worth."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import numpy as np
from scipy.interpolate import PchipInterpolator

from mdmjax import LossCurve, LossTable, honest_gains, llada_uniform, loss_means, nll, optimal_schedule
from mdmjax.information.curve_fit import FITS, isotonic_fit, spline_fit
from mdmjax.information.loss_curve import between_rows, log_odds
from mdmjax.schedules.schedule import Schedule

from ._loss_curves import loss_curves, main_curves
from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 64
    steps: int = 8
    stderr: float = 0.1
    stderrs: tuple[float, ...] = (0.03, 0.1, 0.3)
    every: tuple[int, ...] = (1, 4)
    tables: int = 200
    choices: int = 30
    repetitions: int = 20
    groups: int = 32
    bags: int = 20
    seed: int = 0


SMOKE = Config(n=16, steps=3, stderrs=(0.1,), tables=2, choices=1, repetitions=2, groups=4, bags=2)

RAISED = 4.0  # nats that every loss has more: no difference changes, and noise makes none negative

Rule = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


def _rule(kind: str, x: Callable[[np.ndarray, int], np.ndarray]) -> Rule:
    def line(n, at, loss):
        return np.interp(x(np.arange(n), n), x(at, n), loss)

    def log(n, at, loss):
        return np.exp(PchipInterpolator(x(at, n), np.log(np.maximum(loss, 1e-6)))(x(np.arange(n), n)))

    def cubic(n, at, loss):
        return PchipInterpolator(x(at, n), loss)(x(np.arange(n), n))

    return {"linear": line, "log PCHIP": log, "PCHIP": cubic}[kind]


RULES: dict[str, Rule] = {
    "linear in m": _rule("linear", lambda m, n: m),
    "linear in log odds": _rule("linear", log_odds),
    "log PCHIP in m": _rule("log PCHIP", lambda m, n: m),
    "log PCHIP in log(m + 1)": _rule("log PCHIP", lambda m, n: np.log1p(m)),
    "PCHIP in m": _rule("PCHIP", lambda m, n: m),
    "PCHIP in sqrt(m)": _rule("PCHIP", lambda m, n: np.sqrt(m)),
    "PCHIP in log(m + 1)": _rule("PCHIP", lambda m, n: np.log1p(m)),
    "PCHIP in -log(n - m)": _rule("PCHIP", lambda m, n: -np.log(n - m)),
    "PCHIP in log odds": between_rows,
}
"""Losses at all `m` from those `at` some."""


def grids(n: int) -> dict[str, np.ndarray]:
    """Numbers of masked tokens that are measured, both ends among them."""
    ends = [1, n]
    chosen = {
        "every 4th": np.arange(4, n, 4),
        "every 8th": np.arange(8, n, 8),
        "5 bins": np.array([12, 32, 52, 76, 96]) * n // 104,
        "10 geometric": np.geomspace(1, n, 10).round().astype(int),
    }
    return {
        name: np.unique([*ends, *(one for one in masked if one >= 1)]) for name, masked in chosen.items()
    }


def interpolation(config: Config) -> dict[str, np.ndarray]:
    """Without noise, in nats: errors of the predicted NLL of equal and best steps; excess of the choice."""
    curves = loss_curves(config.n)
    shape = len(RULES), len(grids(config.n)), len(curves)
    uniform, best, excess = np.zeros((3, *shape))
    for c, loss in enumerate(curves.values()):
        n, true = loss.size, LossCurve(loss)
        schedules = llada_uniform(n, config.steps), optimal_schedule(true, config.steps)
        for g, masked in enumerate(grids(n).values()):
            at = np.sort(n - masked)
            for r, rule in enumerate(RULES.values()):
                found = LossCurve(rule(n, at, loss[at]))
                for errors, one in zip((uniform, best), schedules, strict=True):
                    errors[r, g, c] = abs(float(nll(found, one) - nll(true, one)))
                chosen = optimal_schedule(found, config.steps)
                excess[r, g, c] = float(nll(true, chosen) - nll(true, schedules[1]))
    return {
        "rule": np.array(list(RULES)),
        "grid": np.array(list(grids(config.n))),
        "rule_uniform_error_nats": uniform,
        "rule_best_error_nats": best,
        "rule_excess_nats": excess,
    }


def candidates(bags: int) -> dict[str, Callable[[LossCurve], LossCurve]]:
    """Curves to choose on: those of the library, and means of fits to tables with more noise (bagging)."""

    def bagged(fit: Callable[[LossCurve], LossCurve]) -> Callable[[LossCurve], LossCurve]:
        def mean(curve: LossCurve) -> LossCurve:
            generator, (loss, stderr) = (
                np.random.default_rng(0),
                map(np.asarray, (curve.loss, curve.stderr)),
            )
            noise = stderr * generator.normal(size=(bags, curve.n))
            at = np.flatnonzero(curve.measured)
            drawn = (between_rows(curve.n, at, (loss + z)[at]) for z in noise)
            fits = [fit(LossCurve(one, stderr, curve.count)).loss for one in drawn]
            return LossCurve(np.mean(fits, axis=0), stderr, curve.count)

        return mean

    def blocks(curve: LossCurve) -> LossCurve:
        at, level = np.flatnonzero(curve.measured), np.asarray(isotonic_fit(curve).loss)
        values, place = np.unique(-level[at], return_inverse=True)
        if values.size == 1:
            return isotonic_fit(curve)
        x = np.bincount(place, log_odds(at, curve.n)) / np.bincount(place)
        inside = np.clip(log_odds(np.arange(curve.n), curve.n), x[0], x[-1])
        return LossCurve(-PchipInterpolator(x, values)(inside), curve.stderr, curve.count)

    return FITS | {
        "means of isotonic blocks, PCHIP": blocks,
        "bagged isotonic": bagged(isotonic_fit),
        "bagged spline": bagged(spline_fit),
    }


def choice(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """What the schedule chosen on each curve costs over the true optimum, in nats, mean of noisy tables."""
    curves, rules = loss_curves(config.n), candidates(config.bags)
    excess = np.zeros((len(rules), len(config.every), len(config.stderrs), len(curves)))
    for c, loss in enumerate(progress(list(curves.values()), "choices")):
        true = LossCurve(loss)
        least = float(nll(true, optimal_schedule(true, config.steps)))
        for e, every in enumerate(config.every):
            masked = _masked(loss.size, every)
            for s, stderr in enumerate(config.stderrs):
                generator = np.random.default_rng([config.seed, c, e, s])
                for _ in range(config.choices):
                    curve = loss_means(_with_stderr(generator, loss, masked, stderr, 0)).curve()
                    for r, rule in enumerate(rules.values()):
                        chosen = optimal_schedule(rule(curve), config.steps)
                        excess[r, e, s, c] += (float(nll(true, chosen)) - least) / config.choices
    return {"choice": np.array(list(rules)), "choice_excess_nats": excess}


def coverage(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Gains over equal steps: promised, true and honest, and how often the interval holds the true one."""
    curves, rows = main_curves(config.n), []
    kinds = {"stderr": _with_stderr, "rows": _repeated, "sequences": _clustered}
    for case, (name, every, kind, fit) in enumerate(
        progress(list(_cases(curves, config.every, kinds)), "coverage")
    ):
        loss, masked = curves[name], _masked(config.n, every)
        true, even = LossCurve(loss), llada_uniform(config.n, config.steps)
        generator, found = np.random.default_rng([config.seed, case]), []
        for number in range(config.tables):
            means = loss_means(kinds[kind](generator, loss, masked, config.stderr, config.groups))
            measured = means.curve()
            chosen = optimal_schedule(FITS[fit](measured), config.steps)
            key = jax.random.fold_in(jax.random.key(config.seed), number)
            options = {"fit": FITS[fit], "repetitions": config.repetitions}
            honest = honest_gains(key, means, config.steps, {"even": even}, **options)["even"]
            gain = _gain(true, even, chosen)
            low, high = honest.interval
            found.append(
                (_gain(measured, even, chosen), gain, honest.gain, honest.stderr, low <= gain <= high)
            )
        best = _gain(true, even, optimal_schedule(true, config.steps))
        rows.append((best, *np.mean(found, axis=0), np.std(found, axis=0)[2]))
    keys = ("best", "promised", "true", "honest", "honest_stderr", "covered", "honest_spread")
    words = zip(
        ("curve", "every", "errors", "fit"),
        zip(*_cases(curves, config.every, kinds), strict=True),
        strict=True,
    )
    numbers = zip(keys, np.array(rows).T, strict=True)
    return {f"case_{key}": np.array(value) for key, value in (*words, *numbers)}


def _cases(curves, every, kinds) -> Iterator[tuple[str, int, str, str]]:
    """Curve, rows, errors, fit: of known errors the measured curve too, which was chosen on before."""
    for kind in kinds:
        for fit in ("rows", "spline") if kind == "stderr" else ("spline",):
            for one in every:
                yield from ((name, one, kind, fit) for name in curves)


def _masked(n: int, every: int) -> np.ndarray:
    return np.arange(every, n + 1, every)


def _gain(curve: LossCurve, even: Schedule, chosen: Schedule) -> float:
    return float(nll(curve, even) - nll(curve, chosen))


def _with_stderr(generator, loss, masked, stderr, groups) -> LossTable:
    """One row a mask count, of a known standard error."""
    noisy = RAISED + loss[loss.size - masked] + stderr * generator.normal(size=masked.size)
    return LossTable(loss.size, masked, noisy, stderr=np.full(masked.size, stderr))


def _repeated(generator, loss, masked, stderr, groups) -> LossTable:
    """`groups` independent rows a mask count, none of which says how sure it is."""
    rows = np.tile(masked, groups)
    noisy = RAISED + loss[loss.size - rows] + stderr * np.sqrt(groups) * generator.normal(size=rows.size)
    return LossTable(loss.size, rows, noisy)


def _clustered(generator, loss, masked, stderr, groups) -> LossTable:
    """`groups` sequences, each with a level and a slope of its own in all of its rows, and noise beside."""
    rows, sequence = np.tile(masked, groups), np.repeat(np.arange(groups), masked.size)
    level, slope = generator.normal(size=(2, groups))
    own = (level + slope * np.sqrt(3) * (2 * rows.reshape(groups, -1).T / loss.size - 1)).T.reshape(-1)
    each = np.sqrt(groups / 3) * stderr * (own + generator.normal(size=rows.size))
    return LossTable(loss.size, rows, RAISED + loss[loss.size - rows] + each, sequence=sequence)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """The three tables: rules between rows, curves to choose on, gains and their intervals."""
    return {
        "curve": np.array(list(loss_curves(config.n))),
        "stderr_nats": np.array(config.stderrs),
        "every": np.array(config.every),
        **interpolation(config),
        **choice(config, progress),
        **coverage(config, progress),
    }
