"""L&O-NAE-SAT (arXiv 2502.06768): does easy-first find the easy positions, and what does it gain?

The easy order is known: the latent bits, which are independent, then the observations, which they decide;
two steps write it without error. At the start, though, an observation is the surer position (3/4 against
1/2): who begins with the surest begins at the end that has to be inverted. All laws are exact, of several
instances, orders, numbers of steps and kinds of model error; impossible contexts have uniform rows.

The error that the paper argues for is that latents cannot be found from observations: "blind" is a model
that is right about observations and takes latents for fair bits whatever is observed (our reading of it).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    DirichletNoise,
    Fallback,
    Mixed,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    confidence,
    exact_law,
    kl,
    left_to_right,
    llada_uniform,
    right_to_left,
    row_entropy,
    tabulate,
    tabulate_denoiser,
)
from mdmjax.denoisers.base import AbstractDenoiser
from mdmjax.denoisers.perturbed import AbstractPerturbed
from mdmjax.distributions.nae_sat import nae_sat, nae_triples

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    latents: int = 5
    observations: int = 5
    draws: int = 12
    """Instances: triples."""
    steps: tuple[int, ...] = (2, 3, 5, 10)
    """Equal steps."""
    mix: float = 0.1
    """Uniform share of every row."""
    concentration: float = 10.0
    """Of rows drawn from a Dirichlet law about the right ones."""
    seed: int = 0


SMOKE = Config(latents=3, observations=1, draws=2, steps=(2, 4))


class Blind(AbstractPerturbed):
    """A model that takes the first `latents` positions for fair bits where they are masked."""

    latents: int

    def perturb(self, log_probs: jax.Array, tokens: jax.Array) -> jax.Array:
        """Uniform rows of latents, the others as they are."""
        latent = (jnp.arange(self.n) < self.latents)[:, None]
        return jnp.where(latent, -jnp.log(2.0), log_probs)


RULES = {
    "random": RandomSubset,
    "easy-first": lambda schedule: Ranked(confidence, schedule),
    "hard-first": lambda schedule: Ranked(row_entropy, schedule),
    "latents first": left_to_right,
    "observations first": right_to_left,
}
"""What is taken next, given a schedule. Of bits, confidence, margin and entropy choose alike."""


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Of every `[error, order, steps, draw]`: forward KL in nats, mass of impossible words (SER), the share
    of the observations that is right, and of the first N tokens that are latents.
    """
    names = list(_errors(config))
    points = [(name, draw) for name in names for draw in range(config.draws)]
    orders = []
    for name, draw in progress(points, "NAE-SAT"):
        joint = tabulate(nae_sat(config.latents, config.observations, draw))
        denoiser = tabulate_denoiser(_errors(config)[name](Fallback(Oracle(joint)), draw))
        numbers = _numbers_of(joint, config, draw)
        decoders = [
            Reveal(rule(llada_uniform(joint.n, k))) for rule in RULES.values() for k in config.steps
        ]
        orders.append([numbers(exact_law(denoiser, decoder)) for decoder in decoders])
    shape = (len(names), config.draws, len(RULES), len(config.steps), 4)
    found = np.array(orders).reshape(shape).transpose(0, 2, 3, 1, 4)
    keys = ("forward_kl_nats", "sequence_error_rate", "observations_right", "latents_among_first")
    return {
        "error": np.array(names),
        "order": np.array(list(RULES)),
        "steps": np.array(config.steps),
        **{key: found[..., i] for i, key in enumerate(keys)},
    }


def _errors(config: Config) -> dict[str, Any]:
    """The denoisers made of an oracle, for each instance."""

    def dirichlet(oracle: AbstractDenoiser, draw: int) -> AbstractDenoiser:
        key = jax.random.fold_in(jax.random.key(config.seed), draw)
        return DirichletNoise(oracle, config.concentration, key=key)

    return {
        "oracle": lambda oracle, draw: oracle,
        f"{config.mix:g} uniform": lambda oracle, draw: Mixed(oracle, config.mix),
        f"Dirichlet {config.concentration:g}": dirichlet,
        "blind": lambda oracle, draw: Blind(oracle, config.latents),
    }


def _numbers_of(joint, config: Config, draw: int):
    """The four numbers of a law."""
    n, latents = joint.n, config.latents
    words = np.indices((2,) * n).reshape(n, -1).T
    seen = words[:, nae_triples(latents, config.observations, draw)]
    right = (words[:, latents:] == (seen.min(2) != seen.max(2))).mean(1)

    def numbers(law) -> list[float]:
        table, order = np.asarray(law.probs).reshape(-1), np.asarray(law.finalised)
        per_step = order.sum(0)  # the mean number of tokens of each step: equal steps are counted whole
        share = np.clip((latents - np.concatenate([[0.0], np.cumsum(per_step)[:-1]])) / per_step, 0, 1)
        first = (order[:latents].sum(0) * share).sum() / latents
        return [float(kl(joint, law)), float(table[right < 1].sum()), float(table @ right), float(first)]

    return numbers
