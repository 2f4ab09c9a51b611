"""The optimal schedule against kmeans1d, the whole frontier, and schedules evaluated per second."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    NAMED,
    InformationCurve,
    LossTable,
    expected_kl,
    frontier,
    honest_gains,
    loss_means,
    optimal_schedule,
    permutation_curve,
)
from mdmjax.schedules.every import every_schedule

from ._timing import Row, once, seconds

N, STEPS = 10**6, 32


def optimum(name: str, curve: InformationCurve) -> Row:
    """One optimal schedule of a long curve. kmeans1d partitions the same numbers at an L2 cost."""
    import kmeans1d

    ours, compile_time = seconds(lambda: optimal_schedule(curve, STEPS), runs=5)
    points = np.asarray(curve.information).tolist()
    theirs = once(lambda: kmeans1d.cluster(points, STEPS))
    gap = float(expected_kl(curve, optimal_schedule(curve, STEPS)))
    note = f"another cost (L2), once; our optimum {gap:.6g}"
    return Row(
        f"optimum, n = 10^6, k = {STEPS}, {name}", ours, compile_time, "kmeans1d", theirs, 10.0, note
    )


def whole_frontier(n: int = 4096) -> Row:
    curve = permutation_curve(n)
    ours, compile_time = seconds(lambda: frontier(curve, n).gaps, runs=3)
    host = np.asarray(curve.information)
    theirs = once(lambda: numpy_layers(host, 8)) / 8 * n
    note = "NumPy: 8 layers of the O(n^2) programme, scaled"
    return Row(f"optimum for every k <= n = {n}", ours, compile_time, "NumPy programme", theirs, 0.0, note)


def every(n: int = 128, batch: int = 4096, loops: int = 16) -> list[Row]:
    """Many curves, each for every number of steps: the least gaps alone, and schedules that reach them."""
    curves = np.sort(np.random.default_rng(0).random((batch, n)), axis=1)
    on_device = jnp.asarray(curves)

    def row(what: str, solve: Callable, peer: Callable) -> Row:
        many = jax.jit(jax.vmap(solve))
        ours, compile_time = seconds(lambda: many(on_device), runs=5)
        theirs = once(lambda: [peer(curve, n) for curve in curves[:loops]]) / loops * batch
        note = f"{batch / ours:.3g} curves/s; NumPy: {loops} curves, scaled"
        return Row(
            f"{what} of {batch} curves, n = {n}, all k",
            ours,
            compile_time,
            "NumPy programme",
            theirs,
            100.0,
            note,
        )

    return [
        row("optimal schedules", every_schedule, numpy_schedules),
        row("least gaps", lambda heights: every_schedule(heights).gaps, numpy_layers),
    ]


def numpy_layers(values: np.ndarray, layers: int) -> np.ndarray:
    """The dense programme, one layer a step: what the last layer gains."""
    n = values.shape[0]
    x = np.arange(n + 1.0)
    gain = np.where(x == 0, 0.0, -np.inf)
    for _ in range(layers):
        gain = _lines(values, gain, x).max(0)
    return gain


def numpy_schedules(values: np.ndarray, layers: int) -> list[list[int]]:
    """The same with where each step starts, and the way back for each number of steps."""
    n = values.shape[0]
    x = np.arange(n + 1.0)
    gain, starts = np.where(x == 0, 0.0, -np.inf), []
    for _ in range(layers):
        lines = _lines(values, gain, x)
        starts.append(lines.argmax(0))
        gain = np.take_along_axis(lines, starts[-1][None], 0)[0]
    rows, found = [start.tolist() for start in starts], []
    for steps in range(1, layers + 1):
        ends = [n]
        for row in reversed(rows[:steps]):
            ends.append(row[ends[-1]])
        found.append(ends[::-1])
    return found


def _lines(values: np.ndarray, gain: np.ndarray, x: np.ndarray) -> np.ndarray:
    n = values.shape[0]
    lines = (gain[:n] - x[:n] * values)[:, None] + np.outer(values, x)
    return np.where(np.arange(n)[:, None] < x, lines, -np.inf)


def evaluations(n: int = 128, batch: int = 2**15) -> Row:
    curve = permutation_curve(n)
    cuts = np.random.default_rng(0).random((batch, n)) < 16 / n
    on_device = jnp.asarray(cuts)
    many = jax.jit(jax.vmap(curve.total_cost_of_mask))
    ours, compile_time = seconds(lambda: many(on_device), runs=9)
    host = np.asarray(curve.information)

    def with_numpy():
        starts = np.maximum.accumulate(np.where(cuts, np.arange(n), 0), axis=1)
        return np.sum(host - host[starts], axis=1)

    theirs = seconds(with_numpy)[0]
    error = np.max(np.abs(with_numpy() - np.asarray(many(on_device))))
    note = f"{batch / ours:.3g} schedules/s against {batch / theirs:.3g}; differs by at most {error:.1e}"
    return Row(f"{batch} schedules of n = {n}", ours, compile_time, "NumPy, batched", theirs, 0.0, note)


def honest(n: int = 4096, steps: int = 32) -> Row:
    """Honest gains over all schedules in use, of a table with noise in every row."""
    noise, masked = np.random.default_rng(0).normal(size=n), np.arange(1, n + 1)
    loss = np.asarray(permutation_curve(n).loss)[n - masked] + 1 + 0.1 * noise
    means = loss_means(LossTable(n, masked, loss, stderr=np.full(n, 0.1)))
    baselines = {name: make(n, steps) for name, make in NAMED.items()}
    key = jax.random.key(0)
    ours, compile_time = seconds(lambda: honest_gains(key, means, steps, baselines, repetitions=20), runs=3)
    name = f"honest gain, 20 repetitions, n = {n}, k = {steps}"
    return Row(name, ours, compile_time, "what is wanted", 2.0, 1.0, "at most 2 s are wanted")


def run() -> list[Row]:
    noise = np.sort(np.random.default_rng(0).random(N))
    return [
        optimum("permutation", permutation_curve(N)),
        optimum("sorted noise", InformationCurve(noise, noise[-1])),
        whole_frontier(),
        *every(),
        honest(),
        evaluations(),
    ]
