"""KL of the sampler itself against the mean over its orders: what the exact formula leaves out.

The expected KL that an optimal schedule makes least is a mean over ordered partitions. The law of the
sampler is their mixture, whose KL is no more (Jensen): the gap says how much the laws of the orders
differ. It is large, and a schedule that is optimal for the mean need not be so for the sampler: of the
noisy repeated bit, four steps that are optimal for the mean leave the sampler worse than three.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mdmjax import (
    BlockHMM,
    Joint,
    Oracle,
    RandomSubset,
    Reveal,
    UniformPermutation,
    exact_law,
    expected_kl,
    frontier,
    information_curve,
    kl,
    noisy_repeated_bit,
    symmetric_chain,
    tabulate,
)
from mdmjax.distributions.base import AbstractDistribution
from mdmjax.distributions.codes import pairs_code
from mdmjax.distributions.text import CharacterClasses, text_joint
from mdmjax.files.corpus import read_corpus, standard_library_files

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 8
    """Positions of the families of bits; even."""
    symbols: int = 6
    """Positions and symbols of the permutation."""
    flip: float = 0.1
    """Probability of a change: of the chain, and of the noise on the bit, the pairs, the permutation."""
    eta: float = 1e-8
    """Parity noise of the Block-HMM."""
    families: tuple[str, ...] = (
        "Markov chain",
        "noisy repeated bit",
        "noisy equal pairs",
        "Block-HMM, 2 blocks",
        "noisy permutation",
        "source text, letter or not",
    )


SMOKE = Config(n=4, families=("noisy repeated bit", "noisy equal pairs"))


def through_noise(distribution: AbstractDistribution, flip: float) -> Joint:
    """Each symbol of the distribution changed to another with probability `flip`: full support."""
    joint = tabulate(distribution)
    table, q = np.asarray(joint.probs), joint.q
    channel = np.where(np.eye(q, dtype=bool), 1 - flip, flip / (q - 1))
    for _ in range(joint.n):
        # Takes the first axis away and puts its noisy form last: after n turns the order is the old one.
        table = np.tensordot(table, channel, axes=(0, 0))
    return Joint(jnp.asarray(table / table.sum()))


def letters(window: int) -> Joint:
    """Windows of the source of the running interpreter's standard library: letter, or none."""
    classes = CharacterClasses((("letter", "A-Za-z_"),))
    texts = read_corpus(standard_library_files()).texts
    return text_joint([classes.classify(text) for text in texts], window, classes.q)


def family(title: str, config: Config) -> Joint:
    """A family by its title. Each context has a positive probability: the sampler makes them all."""
    builders = {
        "Markov chain": lambda: tabulate(symmetric_chain(config.n, 2, config.flip)),
        "noisy repeated bit": lambda: tabulate(noisy_repeated_bit(config.n, config.flip)),
        "noisy equal pairs": lambda: through_noise(pairs_code(config.n, 2), config.flip),
        "Block-HMM, 2 blocks": lambda: tabulate(BlockHMM(2, config.n // 2, eta=config.eta)),
        "noisy permutation": lambda: through_noise(UniformPermutation(config.symbols), config.flip),
        "source text, letter or not": lambda: letters(config.n),
    }
    return builders[title]()


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """In nats for 1..n optimal steps: `(family, steps)`, NaN where a family is shorter."""
    joints = [family(title, config) for title in progress(config.families, "tables")]
    shape = (len(joints), max(joint.n for joint in joints))
    mean, mixture = np.full(shape, np.nan), np.full(shape, np.nan)
    counts = np.zeros((*shape, shape[1]), int)
    for row, joint in enumerate(progress(joints, "families")):
        curve = information_curve(joint)
        best, oracle = frontier(curve, joint.n), Oracle(joint)
        for steps in range(1, joint.n + 1):
            schedule = best.schedule(steps)
            counts[row, steps - 1, : schedule.steps] = schedule.counts
            mean[row, steps - 1] = expected_kl(curve, schedule)
            mixture[row, steps - 1] = kl(joint, exact_law(oracle, Reveal(RandomSubset(schedule))))
    return {
        "family": np.array(config.families),
        "n": np.array([joint.n for joint in joints]),
        "flip": np.array(config.flip),
        "counts": counts,
        "mean_kl_nats": mean,
        "mixture_kl_nats": mixture,
    }
