"""Decoding under a constraint: DINGO, its product drawn, rejection, and no constraint at all.

The data are mostly right: a share `noise` of them is not under the constraint. The denoiser is their
oracle. Tokens are written from left to right, several at once, so that words come out wrong; each way to
mend that is held against p(x | x is accepted), exactly. Families (ours): brackets among letters, from a
random Markov chain; a Block-HMM with random chain and biases, whose blocks have even parity; lists, a
random law on the orders of some symbols. Rejection writes without a constraint until a word is accepted.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import BlockHMM, Fallback, Joint, Oracle, Reveal, exact_law, tabulate
from mdmjax.decoders.automaton import Automaton, given_accepted
from mdmjax.decoders.constrained import Completable, Constrained, Dingo
from mdmjax.decoders.languages import brackets, symbol_counts
from mdmjax.decoders.orders import FixedPartition
from mdmjax.decoders.patterns import pattern
from mdmjax.divergences.tables import kl, reverse_kl, total_variation

from ._run import Progress

METHODS = ("no constraint", "rejection", "DINGO", "completable", "constrained")
CONSTRAINED = {"DINGO": Dingo, "completable": Completable, "constrained": Constrained}


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 6
    """Positions of brackets and of the Block-HMM; a multiple of `block_size`."""
    block_size: int = 3
    items: int = 4
    """Symbols of a list, each once."""
    depth: int = 2
    """How deep brackets go."""
    noise: float = 0.2
    """Share of the data that the constraint does not shape; eta of the Block-HMM is half of it."""
    widths: tuple[int, ...] = (1, 2, 3, 6)
    """Tokens that are written at once; all of them where they are fewer."""
    seeds: int = 64
    """Random laws of each family."""


SMOKE = Config(n=2, block_size=2, items=2, widths=(1, 2), seeds=2)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """By `[family, method, width, seed]`: accepted mass, divergences from p(x | accepted), calls.

    `n` is by family; a width that is larger is `n`.
    """
    families = {
        "brackets": (_brackets, brackets(3, config.depth)),
        "parity": (_block_hmm, pattern(f"({'|'.join(_even(config.block_size))})*", 2)),
        "lists": (_list, symbol_counts([1] * config.items)),
    }
    shape = (len(families), len(METHODS), len(config.widths), config.seeds)
    names = ("accepted_mass", "forward_kl_nats", "reverse_kl_nats", "total_variation", "calls")
    found = {name: np.zeros(shape) for name in names}
    truth, n = np.zeros((len(families), config.seeds)), np.zeros(len(families), int)
    cases = [(place, seed) for place in range(len(families)) for seed in range(config.seeds)]
    for place, seed in progress(cases, "laws"):
        make, automaton = families[list(families)[place]]
        joint = Joint(jnp.asarray(make(np.random.default_rng([place, seed]), config, automaton)))
        truth[place, seed], n[place] = given_accepted(joint, automaton)[1], joint.n
        for column, width in enumerate(config.widths):
            rows = _rows(joint, automaton, width)
            for name, values in zip(names, rows, strict=True):
                found[name][place, :, column, seed] = values
    return {
        "family": np.array(list(families)),
        "method": np.array(METHODS),
        "width": np.array(config.widths),
        "n": n,
        "accepted_mass_of_the_data": truth,
        **found,
    }


def _rows(joint: Joint, automaton: Automaton, width: int) -> np.ndarray:
    """Accepted mass, KL both ways, total variation and calls, `[5, method]`."""
    target, _ = given_accepted(joint, automaton)
    model = Fallback(Oracle(joint))
    blocks = [list(range(i, min(i + width, joint.n))) for i in range(0, joint.n, width)]
    rule = FixedPartition(blocks)
    plain = exact_law(model, Reveal(rule))
    right, mass = given_accepted(Joint(plain.probs), automaton)
    laws = {"no constraint": (plain.probs, float(mass), len(blocks))}
    laws["rejection"] = (right.probs, 1.0, len(blocks) / float(mass))
    for name, kind in CONSTRAINED.items():
        law = exact_law(model, kind(rule, automaton, joint.n))
        accepted = float(given_accepted(Joint(law.probs), automaton)[1])
        laws[name] = (law.probs, accepted, float(law.expected_calls))
    compared = [
        [mass, *map(float, _divergences(target.probs, probs)), calls]
        for probs, mass, calls in (laws[name] for name in METHODS)
    ]
    return np.array(compared).T


@jax.jit
def _divergences(target: jax.Array, law: jax.Array) -> tuple[jax.Array, ...]:
    return kl(target, law), reverse_kl(target, law), total_variation(target, law)


def _even(size: int) -> list[str]:
    """The words of even parity."""
    words = [f"{code:0{size}b}" for code in range(2**size)]
    return [word for word in words if word.count("1") % 2 == 0]


def _noisy(table: np.ndarray, automaton: Automaton, noise: float) -> np.ndarray:
    """A share `noise` of the law, and the rest of the law given that the word is accepted."""
    return (1 - noise) * np.asarray(
        given_accepted(Joint(jnp.asarray(table)), automaton)[0].probs
    ) + noise * table


def _brackets(rng: np.random.Generator, config: Config, automaton: Automaton) -> np.ndarray:
    initial, moves = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3)
    table = initial
    for _ in range(config.n - 1):
        table = table[..., None] * moves
    return _noisy(table, automaton, config.noise)


def _block_hmm(rng: np.random.Generator, config: Config, automaton: Automaton) -> np.ndarray:
    model = BlockHMM(
        config.n // config.block_size,
        config.block_size,
        eta=config.noise / 2,
        initial=rng.dirichlet(np.ones(2)),
        transition=rng.dirichlet(np.ones(2), 2),
        emission=rng.uniform(size=2),
    )
    return np.asarray(tabulate(model).probs)


def _list(rng: np.random.Generator, config: Config, automaton: Automaton) -> np.ndarray:
    size = (config.items,) * config.items
    return _noisy(rng.dirichlet(np.ones(int(np.prod(size)))).reshape(size), automaton, config.noise)
