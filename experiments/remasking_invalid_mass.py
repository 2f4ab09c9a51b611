"""Proposition C.5 of arXiv 2602.00286: remasking in parallel keeps mass on what the data never have.

A parity code and a Block-HMM with no parity noise are written in one step and then edited. Redrawing two
positions or more at once writes impossible words again and again, however long it goes on, and the reverse
KL is infinite wherever that mass is not zero. One position at a time (Gibbs sampling) the mass goes to
zero, but the forward KL need not: one changed bit leads from no right word to another, so that each
word stays where it first became right. Impossible contexts have uniform rows (our choice).
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mdmjax import BlockHMM, Fallback, Joint, Oracle, kl, parity_code, tabulate
from mdmjax.divergences.tables import support_mismatch
from mdmjax.laws.stationary import sweep_laws

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 8
    """Positions of the parity code; even."""
    blocks: int = 2
    block_size: int = 4
    passes: int = 20
    """Passes over all positions."""
    widths: tuple[int, ...] = (1, 2, 4)
    """Positions that are redrawn at once."""


SMOKE = Config(n=4, block_size=2, passes=3, widths=(1, 2))


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Mass where p is zero and forward KL in nats, `[family, width, passes + 1]`, from a parallel start."""
    families = {
        "parity code": tabulate(parity_code(config.n)),
        "Block-HMM, no parity noise": tabulate(BlockHMM(config.blocks, config.block_size, eta=0.0)),
    }
    invalid, forward = [], []
    for joint in progress(list(families.values()), "remasking"):
        laws = [_laws(joint, width, config.passes) for width in config.widths]
        invalid.append([[float(support_mismatch(joint.probs, law).invalid) for law in row] for row in laws])
        forward.append([[float(kl(joint.probs, law)) for law in row] for row in laws])
    return {
        "family": np.array(list(families)),
        "width": np.array(config.widths),
        "invalid_mass": np.array(invalid),
        "forward_kl_nats": np.array(forward),
    }


def _laws(joint: Joint, width: int, passes: int):
    """Laws after each pass, from all positions written at once."""
    n = joint.n
    marginals = [joint.probs.sum(tuple(j for j in range(n) if j != i)) for i in range(n)]
    start = marginals[0]
    for row in marginals[1:]:
        start = jnp.tensordot(start, row, axes=0)
    blocks = [list(range(first, first + width)) for first in range(0, n, width)]
    return sweep_laws(Fallback(Oracle(joint)), blocks, start, passes)
