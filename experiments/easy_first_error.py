"""Does easy-first help more when the model is worse? Orders of one token at a time as the error turns.

With a perfect denoiser every order returns the data. With a wrong one the order decides where the error
falls: reverse KL as Eq. 7-9 of arXiv 2602.00286 count it, beside the best orders there are, fixed and
adaptive. Of random tables of bits: if a share of every row is uniform, easy-first saves about two fifths
of the KL of a fixed order, less of it as the error grows. If the error is in proportion to the entropy of
the row, the assumption under which easy-first is argued for (Assumption 4.2 with lambda = 0), hardly any
order differs from another, for the entropies sum to nearly the same; the weights of Eq. 11 are then equal.
The random order is a mixture of orders, which by itself lowers its KL (Jensen).
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mdmjax import (
    EntropyNoise,
    Joint,
    Mixed,
    Oracle,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    exact_law,
    left_to_right,
    negative_entropy,
    optimal_order,
    reverse_kl,
    right_to_left,
    row_entropy,
)
from mdmjax.policies.orders import fixed_orders

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 6
    """Bits."""
    deltas: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Share of every row that is uniform."""
    alphas: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Error of a row over its entropy."""
    concentration: float = 0.3
    """Of the Dirichlet law that the tables are drawn from."""
    tables: int = 8
    seed: int = 0


SMOKE = Config(n=3, deltas=(0.1,), alphas=(0.1,), tables=1)

ORDERS = (
    "easy-first",
    "hard-first",
    "left to right",
    "right to left",
    "random",
    "best fixed",
    "best adaptive",
)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Reverse KL(law || p) in nats, `[error, size, table, order]`; the mean fixed order beside them."""
    draws = np.random.default_rng(config.seed).dirichlet(
        np.full(2**config.n, config.concentration), config.tables
    )
    joints = [Joint(jnp.asarray(draw.reshape((2,) * config.n))) for draw in draws]
    kinds = {
        "uniform share of every row": (config.deltas, Mixed),
        "error in proportion to entropy": (config.alphas, lambda oracle, a: EntropyNoise(oracle, a, 0.0)),
    }
    cases = [(make, size, joint) for sizes, make in kinds.values() for size in sizes for joint in joints]
    found = [
        _reverse_kls(joint, make(Oracle(joint), size)) for make, size, joint in progress(cases, "orders")
    ]
    shape = (len(kinds), len(config.deltas), config.tables, -1)
    return {
        "kind": np.array(list(kinds)),
        "size": np.array([config.deltas, config.alphas]),
        "order": np.array(ORDERS),
        "reverse_kl_nats": np.array([row[:-1] for row in found]).reshape(shape),
        "mean_fixed_order_nats": np.array([row[-1] for row in found]).reshape(shape[:3]),
    }


def _reverse_kls(joint: Joint, denoiser) -> list[float]:
    """In the order of `ORDERS`, then the mean over all fixed orders."""
    singles = Schedule([1] * joint.n)
    rules = [
        Ranked(negative_entropy, singles),
        Ranked(row_entropy, singles),
        left_to_right(singles),
        right_to_left(singles),
        RandomSubset(singles),
    ]
    laws = [exact_law(denoiser, Reveal(rule)) for rule in rules]
    every = fixed_orders(joint, denoiser).reverse_kl
    best = float(every.min()), float(optimal_order(joint, denoiser, reverse=True).kl)
    return [*(float(reverse_kl(joint.probs, law.probs)) for law in laws), *best, float(every.mean())]
