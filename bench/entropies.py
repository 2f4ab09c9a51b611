"""Entropies of all subsets of a random binary joint, against dit and a NumPy marginalisation tree."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import Joint
from mdmjax._numerics import neg_xlogx
from mdmjax.information.enumeration import subset_entropies

from ._timing import Row, once, seconds

DIT_SAMPLE = 16
"""Subsets that dit is timed on; its time for all of them is this sample's, scaled."""


def random_joint(n: int) -> np.ndarray:
    table = np.random.default_rng(n).random((2,) * n)
    return table / table.sum()


def numpy_tree(table: np.ndarray) -> np.ndarray:
    """Every subset's entropy, each marginal summed from a superset of one more position."""
    n = table.ndim
    result = np.empty(2**n)

    def visit(subset: int, marginal: np.ndarray, positions: list[int], below: int) -> None:
        result[subset] = -np.sum(marginal * np.log(marginal))
        for axis, position in enumerate(positions):
            if position < below:
                rest = positions[:axis] + positions[axis + 1 :]
                visit(subset & ~(1 << position), marginal.sum(axis), rest, position)

    visit(2**n - 1, table, list(range(n)), n)
    return result


def dit_seconds(table: np.ndarray) -> float:
    """Seconds that dit needs for all subsets, extrapolated from a random sample of them."""
    import dit

    n = table.ndim
    outcomes = ["".join(map(str, x)) for x in itertools.product(range(2), repeat=n)]
    dist = dit.Distribution(outcomes, table.ravel().tolist())
    rng = np.random.default_rng(0)
    subsets = [np.flatnonzero(rng.random(n) < 0.5).tolist() for _ in range(DIT_SAMPLE)]
    spent = once(lambda: [dit.shannon.entropy(dist, s) for s in subsets])
    return spent / DIT_SAMPLE * 2**n


def device_rates() -> tuple[float, float]:
    """Logarithms a second of this device in its cache, and bytes a second of a large copy."""
    small, large = jnp.full(2**14, 0.3), jnp.full(2**24, 0.3)
    repeats = 500

    @jax.jit
    def logs(x):
        return jax.lax.fori_loop(0, repeats, lambda i, a: a + neg_xlogx(x + a * 1e-30), jnp.zeros_like(x))

    log_rate = repeats * small.size / seconds(lambda: logs(small))[0]
    copy = seconds(jax.jit(lambda: large * 1.5))[0]
    return log_rate, 2 * large.nbytes / copy


def run() -> list[Row]:
    rows = []
    log_rate, byte_rate = device_rates()
    for n, goal in ((14, 300.0), (16, 5.0)):
        table = random_joint(n)
        joint = Joint(jnp.asarray(table))
        ours, compile_time = seconds(lambda joint=joint: subset_entropies(joint), runs=9)
        logs = 3**n / ours
        note = f"{logs:.3g} logs/s ({logs / log_rate:.0%} of the device's {log_rate:.3g})"
        note += f", {24 * 2**n / ours / 1e9:.2f} GB/s of input and output (copy: {byte_rate / 1e9:.0f})"
        if n == 14:
            peer, theirs = f"dit ({DIT_SAMPLE} of {2**n} subsets, scaled)", dit_seconds(table)
        else:
            peer, theirs = "NumPy tree", seconds(lambda table=table: numpy_tree(table), runs=3)[0]
            error = np.max(np.abs(numpy_tree(table) - np.asarray(subset_entropies(joint))))
            note += f"; differs by at most {error:.1e}"
        rows.append(Row(f"entropies of all subsets, n = {n}", ours, compile_time, peer, theirs, goal, note))
    return rows
