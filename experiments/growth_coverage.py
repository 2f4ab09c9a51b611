"""How often the intervals of the growth mass hold (arXiv 2608.13520, Proposition 2), and how wide they are.

Each repetition has draws of its own, of the true conditionals of a distribution whose mass is known. The
bound of moments is known before the draws (`moment_bound`), or plugged in from them, which is no theorem;
or differences of entropies, which are bounded, stand in for divergences (`entropy_interval`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mdmjax import Oracle
from mdmjax.families import FAMILIES
from mdmjax.information.ugc import growth_profile
from mdmjax.losses.growth import growth_draws
from mdmjax.schedules.growth_blocks import block_edges
from mdmjax.studies.growth_sample import growth_sample, true_masses

from ._run import Progress

CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "noisy bit, flip 0.01": ("noisy-bit", {"flip": 0.01}),
    "noisy bit, flip 0.3": ("noisy-bit", {"flip": 0.3}),
    "Markov chain, flip 0.1": ("markov", {"flip": 0.1}),
    "permutation": ("permutation", {}),
    "parity": ("parity", {}),
}

KINDS = ("known", "entropy", "plugged")


@dataclasses.dataclass(frozen=True)
class Config:
    lengths: tuple[int, ...] = (128, 128, 64, 16, 16)
    """Positions of each of the cases."""
    samples: int = 500
    blocks: tuple[int, ...] = (1, 4)
    repetitions: int = 200
    eta: float = 0.05
    seed: int = 0


SMOKE = Config(lengths=(4, 4, 4, 4, 4), samples=10, blocks=(1,), repetitions=2)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """By case and number of blocks: shares in which all blocks are inside, and the median upper / H."""
    shape = len(CASES), len(config.blocks)
    found = {name: np.zeros(shape) for kind in KINDS for name in (kind, f"{kind}_upper")}
    key = jax.random.key(config.seed)
    for i, (name, given) in enumerate(progress(list(CASES.values()), "distributions")):
        family = FAMILIES[name]
        values = family.values("curve", n=config.lengths[i], **given)
        distribution, profile = family.distribution(**values), growth_profile(family.curve(**values))
        drawing, growing = jax.random.split(jax.random.fold_in(key, i))
        keys = jax.random.split(drawing, config.samples * config.repetitions)
        data = jax.jit(jax.vmap(distribution.sample))(keys)
        for j, blocks in enumerate(config.blocks):
            edges = block_edges(distribution.n, blocks)
            draws = growth_draws(growing, Oracle(distribution), data, edges, positions=1, batch=4096)
            upper = {kind: [] for kind in KINDS}
            for one in draws.parts(config.repetitions):
                sample = growth_sample(one, edges, distribution.n, distribution.q, eta=config.eta)
                mass = true_masses(sample, profile.logits, profile.mass)
                for kind, each in upper.items():
                    pairs = list(zip(mass, getattr(sample, kind), strict=True))
                    inside = all(end.lower <= h * (1 + 1e-9) and h <= end.upper for h, end in pairs)
                    found[kind][i, j] += inside
                    each.append(sum(end.upper for _, end in pairs) / mass.sum())
            for kind, each in upper.items():
                found[f"{kind}_upper"][i, j] = np.median(each)
    for kind in KINDS:
        found[kind] /= config.repetitions
    return {
        "case": np.array(list(CASES)),
        "n": np.array(config.lengths),
        "blocks": np.array(config.blocks),
        "level": np.array(1 - config.eta),
        **found,
    }
