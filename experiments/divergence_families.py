"""Figure 2 of arXiv 2602.00286: pairs that one step does badly in only one of the two directions.

The tables of that figure are an image without numbers; these families, of one parameter each, are our
choice. Support near zero makes reverse CTC large: a pair of bits that hardly ever are both one, and a
fair bit with a near copy, whose reverse CTC exceeds the forward one however weak the copy is. The
opposite takes a correlation whose excess sits on rare cells: a pair that with some probability is one
symbol twice, and else two independent ones, where the symbol is rare or the alphabet large.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mdmjax import Joint
from mdmjax.divergences.total_correlation import conditional_total_correlation

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    exponents: tuple[int, ...] = tuple(range(1, 11))
    """`10**-k` are the small probabilities, `2**k` the alphabets."""
    copied: float = 0.5
    """Probability that the second symbol is the first, in the last two families."""


SMOKE = Config(exponents=(1, 2))


def forbidden_pair(eta: float) -> np.ndarray:
    """Two bits that are both one with probability `eta`, and else equally likely in three ways."""
    return np.array([[(1 - eta) / 3, (1 - eta) / 3], [(1 - eta) / 3, eta]])


def copied_symbol(marginal: np.ndarray, copied: float) -> np.ndarray:
    """A symbol and, with probability `copied`, its copy; else another symbol of the same law."""
    return copied * np.diag(marginal) + (1 - copied) * np.outer(marginal, marginal)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """`(family, parameter)` in nats: KL from the pair to the product of its marginals, and back."""
    fair = np.array([0.5, 0.5])
    families = {
        "forbidden_pair": (0.1, forbidden_pair),
        # Bits that differ with probability eta: a copy that fails is right half the time.
        "near_copy": (0.1, lambda eta: copied_symbol(fair, 1 - 2 * eta)),
        "rare_symbol": (0.1, lambda rare: copied_symbol(np.array([1 - rare, rare]), config.copied)),
        "large_alphabet": (2.0, lambda q: copied_symbol(np.full(int(q), 1 / q), config.copied)),
    }
    parameters = np.array([[base**k for k in config.exponents] for base, _ in families.values()])
    forward, reverse = np.empty_like(parameters), np.empty_like(parameters)
    tables = [table for _, table in families.values()]
    for cell in progress(list(np.ndindex(*parameters.shape)), "pairs"):
        pair = Joint(jnp.asarray(tables[cell[0]](parameters[cell])))
        nothing_seen = jnp.full(2, pair.q)
        forward[cell], reverse[cell] = conditional_total_correlation(pair, nothing_seen, [0, 1])
    return {
        "family": np.array(list(families)),
        "parameter": parameters,
        "copied": np.array(config.copied),
        "forward_ctc_nats": forward,
        "reverse_ctc_nats": reverse,
    }
