"""Is the best schedule of the mean best for the sampler itself? How often not, and by how much.

The expected KL that an optimal schedule makes least is a mean over ordered partitions. The law of the
sampler is their mixture, whose KL is no more (Jensen): the gap says how much the laws of the orders differ.
It is large, and a schedule that is optimal for the mean need not be so for the sampler: of the noisy
repeated bit, four steps that are optimal for the mean leave the sampler worse than three. All schedules of
all members of a family are judged in one call; at length noisy bits are, whose own laws are of counts.
"""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    BlockHMM,
    Joint,
    Oracle,
    UniformPermutation,
    expected_kl,
    frontier,
    information_curve,
    noisy_bit_curve,
    noisy_repeated_bit,
    optimal_schedule,
    symmetric_chain,
    tabulate,
)
from mdmjax.denoisers.perturbed import Fallback
from mdmjax.denoisers.table import tabulate_denoiser
from mdmjax.distributions.base import AbstractDistribution
from mdmjax.distributions.codes import pairs_code, repetition_code
from mdmjax.distributions.text import CharacterClasses, text_joint
from mdmjax.files.corpus import read_corpus, standard_library_files
from mdmjax.information.counts import noisy_bit_counts
from mdmjax.laws._rows import with_tables
from mdmjax.laws.exchangeable import ExchangeableLaw
from mdmjax.policies.mixture import all_codes, mixture_kls
from mdmjax.policies.own_law import own_law_schedule
from mdmjax.schedules.schedule import Schedule

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    sizes: tuple[int, ...] = (4, 6, 8)
    """Positions; even."""
    symbols: tuple[int, ...] = (3, 4, 5)
    """Positions and symbols of the permutation, in place of `sizes`."""
    level: float = 0.1
    """The noise of the first member of each family: of the chain, the bit, what goes through noise; the
    parity noise of the Block-HMM; the concentration of a random table; of text, a part of the corpus."""
    least: float = 0.01
    most: float = 0.45
    members: int = 32
    """More of each family, from the least level to the most, evenly in the logarithm."""
    batch: int = 4
    seed: int = 0
    flips: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Of noisy bits at length."""
    lengths: tuple[int, ...] = (16, 64, 256, 1024)
    steps: tuple[int, ...] = (2, 3, 4, 8)
    families: tuple[str, ...] = (
        "Markov chain",
        "noisy repeated bit",
        "noisy equal pairs",
        "noisy symbol, $q$ = 3",
        "noisy permutation",
        "Block-HMM, 2 blocks",
        "random tables",
        "source text",
    )

    @property
    def levels(self) -> np.ndarray:
        """Of each member."""
        return np.array([self.level, *np.geomspace(self.least, self.most, self.members)])


SMOKE = Config(
    sizes=(4,),
    symbols=(3,),
    members=1,
    flips=(0.1,),
    lengths=(16,),
    steps=(2, 3),
    families=("noisy repeated bit", "noisy equal pairs"),
)


def through_noise(distribution: AbstractDistribution, flip: float) -> Joint:
    """Each symbol of the distribution changed to another with probability `flip`: full support."""
    joint = tabulate(distribution)
    table, q = np.asarray(joint.probs), joint.q
    channel = np.where(np.eye(q, dtype=bool), 1 - flip, flip / (q - 1))
    for _ in range(joint.n):
        # Takes the first axis away and puts its noisy form last: after n turns the order is the old one.
        table = np.tensordot(table, channel, axes=(0, 0))
    return Joint(jnp.asarray(table / table.sum()))


def letters(window: int, parts: int) -> list[Joint]:
    """Windows of the source of the running interpreter's standard library, in parts: letter, or none."""
    classes = CharacterClasses((("letter", "A-Za-z_"),))
    coded = [classes.classify(text) for text in read_corpus(standard_library_files()).texts]
    return [text_joint(coded[part::parts], window, classes.q) for part in range(parts)]


def random_tables(n: int, config: Config) -> list[Joint]:
    """Probabilities of words of bits from Dirichlet laws of the concentrations `config.levels`."""
    rng = np.random.default_rng(config.seed)
    draws = [rng.dirichlet(np.full(2**n, level)) for level in config.levels]
    return [Joint(jnp.asarray(draw.reshape((2,) * n))) for draw in draws]


def members(title: str, size: int, config: Config) -> list[Joint]:
    """The members of a family of that title, the one with the noise `config.level` first."""
    one = {
        "Markov chain": lambda n, level: tabulate(symmetric_chain(n, 2, level)),
        "noisy repeated bit": lambda n, level: tabulate(noisy_repeated_bit(n, level)),
        "noisy equal pairs": lambda n, level: through_noise(pairs_code(n, 2), level),
        "noisy symbol, $q$ = 3": lambda n, level: through_noise(repetition_code(n, 3), level),
        "noisy permutation": lambda n, level: through_noise(UniformPermutation(n), level),
        "Block-HMM, 2 blocks": lambda n, level: tabulate(BlockHMM(2, n // 2, eta=level)),
    }
    n = (config.symbols if title == "noisy permutation" else config.sizes)[size]
    if title == "source text":
        return letters(n, config.members + 1)
    if title == "random tables":
        return random_tables(n, config)
    return [one[title](n, level) for level in config.levels]


@partial(jax.jit, static_argnums=(1, 2))
def own_laws(tables: jax.Array, codes: tuple[int, ...], batch: int) -> jax.Array:
    """The KL of the own law of every schedule, for every table: `(tables, codes)`."""

    def one(probs):
        oracle = with_tables(Fallback(Oracle(Joint(probs))))
        return mixture_kls(probs, tabulate_denoiser(oracle).log_probs, codes)

    return jax.lax.map(one, tables, batch_size=batch)


def at_length(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Noisy bits by the law of their ones, `(flip, length, steps)`; the best is what the search found."""
    found = {name: [] for name in ("of_mean_expected", "of_mean_own", "best_expected", "best_own")}
    for flip, n in progress([*itertools.product(config.flips, config.lengths)], "lengths"):
        law, curve = ExchangeableLaw.of(noisy_bit_counts(n, flip)), noisy_bit_curve(n, flip)
        for steps in config.steps:
            of_mean = optimal_schedule(curve, steps)
            best = own_law_schedule(law, steps, of_mean).schedule
            for name, schedule in (("of_mean", of_mean), ("best", best)):
                found[f"{name}_expected"].append(float(expected_kl(curve, schedule)))
                found[f"{name}_own"].append(float(law.kls(schedule.counts[None])[0]))
    shape = (len(config.flips), len(config.lengths), len(config.steps))
    return {name: np.array(values).reshape(shape) for name, values in found.items()}


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """In nats for 1..n steps, `(family, size, member, steps)`: NaN where a family is shorter."""
    families, count = config.families, config.levels.size
    longest = max(*config.sizes, *config.symbols)
    shape = (len(families), len(config.sizes), count, longest)
    names = ("of_mean_expected", "of_mean_own", "best_expected", "best_own")
    found = {name: np.full(shape, np.nan) for name in names}
    counts = {name: np.zeros((*shape, longest), int) for name in ("of_mean", "best")}
    n_of = np.zeros(shape[:2], int)
    for family, title in enumerate(progress(families, "families")):
        for size in range(len(config.sizes)):
            joints = members(title, size, config)
            n = n_of[family, size] = joints[0].n
            codes = all_codes(n)
            ends = [np.array([0, *(j for j in range(1, n) if c >> (j - 1) & 1), n]) for c in codes]
            tables = jnp.stack([joint.probs for joint in joints])
            kls = np.asarray(own_laws(tables, codes, config.batch))
            for member, joint in enumerate(joints):
                curve = information_curve(joint)
                best = frontier(curve, n)
                for steps in range(1, n + 1):
                    of_mean = best.schedule(steps)
                    own = [c for c in codes if c.bit_count() == steps - 1]
                    least = min(own, key=lambda c: round(kls[member, c], 12))
                    place = (family, size, member, steps - 1)
                    code = sum(1 << (int(end) - 1) for end in of_mean.boundaries[1:-1])
                    if kls[member, code] <= kls[member, least] + 1e-12:
                        least = code
                    chosen = Schedule(np.diff(ends[least]))
                    for name, schedule, c in (("of_mean", of_mean, code), ("best", chosen, least)):
                        found[f"{name}_expected"][place] = expected_kl(curve, schedule)
                        found[f"{name}_own"][place] = kls[member, c]
                        counts[name][place][: schedule.steps] = schedule.counts
    long = at_length(config, progress)
    return {
        "flip": np.array(config.flips),
        "length": np.array(config.lengths),
        "steps": np.array(config.steps),
        **{f"long_{name}_kl_nats": of for name, of in long.items()},
        "family": np.array(families),
        "n": n_of,
        "level": config.levels,
        **{f"{name}_counts": of for name, of in counts.items()},
        **{f"{name}_kl_nats": of for name, of in found.items()},
    }
