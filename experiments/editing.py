"""Generate, then edit, against as many plain steps; and what influence bounds of sweeps are worth.

A writer reveals in random order, in a few equal steps; an editor then masks and redraws 1, 2 or 4
positions at once, all of them in turn. The calls of both count alike, and all laws are exact. A writer of
n steps with perfect conditionals makes no error, and a Gibbs sweep is n calls: with one model an editor
comes too late. It can gain where it is a better model than the writer's, and n calls more are left.

Accuracy is the mass of the law on the likely words: for random tables the fewest that hold 9 tenths of
the truth, for NAE-SAT the possible ones, which are equally likely. Impossible contexts have uniform rows.

The bounds are those of `sweep_bounds`, of Ising models with random couplings, scaled to a largest row sum
`alpha` of the influence; the truth beside them is the total variation of the worst first word, and the
transport cost from the word of zeros.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

from mdmjax import (
    Fallback,
    Joint,
    Mixed,
    Oracle,
    RandomSubset,
    Reveal,
    exact_law,
    kl,
    llada_uniform,
    tabulate,
    tabulate_denoiser,
    total_variation,
)
from mdmjax.distributions.joint import random_table
from mdmjax.distributions.nae_sat import nae_sat
from mdmjax.laws.influence import full_conditionals, influence_matrix, sweep_bounds
from mdmjax.laws.stationary import sweep_laws

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 8
    """Positions, of two symbols; even."""
    draws: int = 24
    """Joints of each family."""
    concentration: float = 0.3
    """Of the random tables."""
    observations: int = 3
    """Of NAE-SAT; the other positions are latent."""
    errors: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.1, 0.1), (0.1, 0.0))
    """Uniform share of the rows of the writer, and of the editor."""
    written: tuple[int, ...] = (1, 2, 4)
    """Steps of the writer."""
    widths: tuple[int, ...] = (1, 2, 4)
    """Positions that the editor redraws at once; divisors of n."""
    sweeps: int = 4
    bound_n: int = 6
    bound_draws: int = 8
    alphas: tuple[float, ...] = (0.3, 0.6, 0.9)
    bound_sweeps: int = 6
    seed: int = 0


SMOKE = Config(
    n=4, draws=2, observations=1, errors=((0.0, 0.0), (0.1, 0.0)), written=(1, 2), widths=(1, 2), sweeps=1,
    bound_n=3, bound_draws=2, alphas=(0.5,), bound_sweeps=2,
)  # fmt: skip


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Forward KL in nats, total variation and accuracy: plain `[family, error, draw, steps]`, edited
    `[family, error, draw, written, width, sweeps]` with its calls; and bounds `[alpha, draw, sweeps + 1]`.
    """
    n, latents = config.n, config.n - config.observations
    families = {
        "random tables": lambda draw: random_table(n, 2, config.concentration, draw),
        "NAE-SAT": lambda draw: tabulate(nae_sat(latents, config.observations, draw)),
    }
    points = [(f, e, d) for f in families for e in config.errors for d in range(config.draws)]
    shape = (len(families), len(config.errors), config.draws)
    found = [_compared(families[f](d), e, config) for f, e, d in progress(points, "editing")]
    plain, edited = (np.array([one[k] for one in found]) for k in (0, 1))
    calls = np.array([
        [[k + s * n // w for s in range(1, config.sweeps + 1)] for w in config.widths]
        for k in config.written
    ])  # fmt: skip
    numbers = ("forward_kl_nats", "total_variation", "accuracy")
    return {
        "family": np.array(list(families)),
        "error": np.array(config.errors),
        "written": np.array(config.written),
        "width": np.array(config.widths),
        "edited_calls": calls,
        **{f"plain_{x}": plain[..., i].reshape(*shape, n) for i, x in enumerate(numbers)},
        **{f"edited_{x}": edited[..., i].reshape(*shape, *calls.shape) for i, x in enumerate(numbers)},
        **_bounds(config, progress),
    }


def _compared(joint: Joint, error: tuple[float, float], config: Config) -> tuple[list, list]:
    """The numbers of plain steps `[steps, 3]`, and of the edited ones `[written, width, sweeps, 3]`."""
    n, likely = config.n, _likely(joint.probs)
    writer, editor = (tabulate_denoiser(Mixed(Fallback(Oracle(joint)), share)) for share in error)
    numbers = lambda law: [float(f(joint, law)) for f in (kl, total_variation)] + [float(law[likely].sum())]
    laws = {k: exact_law(writer, Reveal(RandomSubset(llada_uniform(n, k)))).probs for k in range(1, n + 1)}
    blocks = {w: [list(range(i, i + w)) for i in range(0, n, w)] for w in config.widths}
    edits = lambda k, w: sweep_laws(editor, blocks[w], laws[k], config.sweeps)[1:]
    edited = [[[numbers(law) for law in edits(k, w)] for w in config.widths] for k in config.written]
    return [numbers(law) for law in laws.values()], edited


def _likely(probs: jax.Array, share: float = 0.9) -> jax.Array:
    """The fewest words that hold this share of p; all of the possible ones if they are equally likely."""
    flat = np.asarray(probs).reshape(-1)
    least = np.sort(flat)[::-1][np.searchsorted(np.cumsum(np.sort(flat)[::-1]), share)]
    return probs >= least * (1 - 1e-9)


def _bounds(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """True distances of runs of Gibbs sweeps from the law that they leave as it is, and bounds on them."""
    n, found = config.bound_n, []
    for alpha in progress(config.alphas, "bounds"):
        for draw in range(config.bound_draws):
            joint = _ising(np.random.default_rng([config.seed, draw]), n, alpha)
            rows = np.asarray(full_conditionals(joint))
            bounds = sweep_bounds(influence_matrix(jnp.asarray(rows)), config.bound_sweeps)
            laws, p, true, cost = np.eye(2**n).reshape(-1, *(2,) * n), np.asarray(joint.probs), [], []
            for _ in range(config.bound_sweeps + 1):
                true.append(np.abs(laws - p).reshape(2**n, -1).sum(1).max() / 2)
                cost.append(_transport(laws[0].reshape(-1), p.reshape(-1), n))
                for i in range(n):
                    laws = laws.sum(axis=i + 1, keepdims=True) * rows[i]
            found.append([true, bounds.total_variation, bounds.swept, cost, bounds.wasserstein])
    shape = (len(config.alphas), config.bound_draws)
    names = ("worst_tv", "rows_bound", "swept_bound", "transport", "columns_bound")
    stacked = np.array(found).reshape(*shape, len(names), -1)
    return {"alpha": np.array(config.alphas), **{x: stacked[:, :, i] for i, x in enumerate(names)}}


def _ising(rng: np.random.Generator, n: int, alpha: float) -> Joint:
    """Random couplings and fields, the couplings scaled until the influence has the row sum alpha."""
    spins = 2 * np.indices((2,) * n).reshape(n, -1) - 1
    pairs, field = np.triu(rng.standard_normal((n, n)), 1), rng.standard_normal(n) / 4
    energy = np.einsum("is,ij,js->s", spins, pairs, spins)

    def made(scale: float) -> Joint:
        weight = np.exp(scale * energy + field @ spins)
        return Joint(jnp.asarray(weight / weight.sum()).reshape((2,) * n))

    low, high = 0.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        sum_of = influence_matrix(full_conditionals(made(middle))).sum(1).max()
        low, high = (middle, high) if sum_of < alpha else (low, middle)
    return made(low)


def _transport(p: np.ndarray, r: np.ndarray, n: int) -> float:
    """The least mean number of positions at which draws of two laws differ."""
    words = np.indices((2,) * n).reshape(n, -1).T
    costs = (words[:, None] != words[None]).sum(2).reshape(-1)
    some = np.flatnonzero(p)  # few at the beginning
    kept = (p[:, None] > 0).repeat(r.size, axis=1).reshape(-1)
    one, size = np.ones((1, r.size)), r.size
    from_p, to_r = kron(eye_array(some.size), one), kron(np.ones((1, some.size)), eye_array(size))
    done = linprog(costs[kept], A_eq=vstack([from_p, to_r]), b_eq=np.concatenate([p[some], r]))
    return float(done.fun)
