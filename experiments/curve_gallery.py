"""The information curve of every family: where along the sequence the dependence sits."""

import dataclasses

import numpy as np

from ._families import families
from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 64
    """Positions of the closed forms; a power of two, so that there is a Reed-Solomon code."""
    blocks: int = 2
    block_size: int = 8
    window: int = 10


SMOKE = Config(n=8, block_size=3, window=3)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Curves in nats, as rows padded with NaN, and the numbers that they determine."""
    curves = families(config.n, config.blocks, config.block_size, config.window, progress)
    longest = max(curve.n for curve in curves.values())
    rows = np.full((len(curves), longest), np.nan)
    for row, curve in zip(rows, curves.values(), strict=True):
        row[: curve.n] = curve.information
    return {
        "family": np.array(list(curves)),
        "n": np.array([curve.n for curve in curves.values()]),
        "information_nats": rows,
        "entropy_nats": np.array([float(c.entropy) for c in curves.values()]),
        "total_correlation_nats": np.array([float(c.total_correlation) for c in curves.values()]),
        "dual_total_correlation_nats": np.array([float(c.dual_total_correlation) for c in curves.values()]),
    }
