"""The metrics of many traces at once, against scipy one by one."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import kendalltau, spearmanr

from mdmjax.traces.metrics import order_against, trace_metrics
from mdmjax.traces.trace import Traces

from ._timing import Row, once, seconds

BATCH = 2**17
"""Traces that are on the device at once."""


def drawn(samples: int, n: int, steps: int) -> np.ndarray:
    """Traces of as many steps, in no order."""
    return np.random.default_rng(0).integers(0, steps, (samples, n)).astype(np.int16)


def by_scipy(steps: np.ndarray) -> list[tuple]:
    """What scipy has of them: tau-b of position, that of ParallelBench, and rho; and the rest by NumPy."""
    place, found = np.arange(steps.shape[1]), []
    for row in steps:
        times, counts = np.unique(row, return_counts=True)
        tau, other = kendalltau(place, row).statistic, kendalltau(np.sort(row), row).statistic
        ties = np.sum(counts * (counts - 1)) / (row.size * (row.size - 1))
        found.append((row.size / times.size, tau, ties, other, spearmanr(place, row).statistic))
    return found


def metrics(samples: int, n: int, steps: int, loops: int, runs: int, goal: float = 0.0) -> Row:
    """All metrics of `TraceMetrics`."""
    rows = drawn(samples, n, steps)
    every = jnp.ones((min(BATCH, samples), n), bool)

    def ours() -> list:
        found = []
        for start in range(0, samples, BATCH):
            part = rows[start : start + BATCH]
            found.append(
                jax.block_until_ready(trace_metrics(Traces(jnp.asarray(part), every[: len(part)])))
            )
        return found

    time, compile_time = seconds(ours, runs=runs)
    theirs = once(lambda: by_scipy(rows[:loops])) / loops * samples
    first, check = ours()[0], np.array(by_scipy(rows[:16]))
    names = ("afp", "kendall_tau_b", "tie_fraction", "kendall_tau_sorted", "spearman")
    error = max(
        float(np.max(np.abs(np.asarray(getattr(first, name))[:16] - check[:, i])))
        for i, name in enumerate(names)
    )
    note = f"{samples / time:.3g} traces/s; scipy: {loops} traces, scaled; differ by at most {error:.0e}"
    return Row(
        f"metrics of {samples} traces, n = {n}", time, compile_time, "scipy, one by one", theirs, 20.0, note
    )


def against(samples: int = 2**15, n: int = 256, loops: int = 200) -> Row:
    """Tau-b and rho of step and an entropy."""
    rows, values = drawn(samples, n, 64), np.random.default_rng(1).random((samples, n))
    traces, entropy = Traces(jnp.asarray(rows), jnp.ones((samples, n), bool)), jnp.asarray(values)
    time, compile_time = seconds(lambda: order_against(entropy, traces), runs=3)

    def one_by_one() -> list:
        pairs = zip(values[:loops], rows[:loops], strict=True)
        return [(kendalltau(x, y).statistic, spearmanr(x, y).statistic) for x, y in pairs]

    theirs = once(one_by_one) / loops * samples
    note = f"scipy: {loops} traces, scaled"
    return Row(
        f"order of {samples} traces against an entropy", time, compile_time, "scipy", theirs, 20.0, note
    )


def run() -> list[Row]:
    return [metrics(10**6, 256, 64, 200, 1, 20.0), metrics(16, 4096, 512, 16, 5), against()]
