"""Five distributions, n = 128, k = 16: what each schedule in use costs beside the optimum.

Neither growing nor equal steps are best in general: growing steps win where a few tokens tell the
rest (mixtures), and lose where the dependence comes late (permutations, codes).
"""

import dataclasses

import numpy as np

from mdmjax import expected_kl, frontier, noisy_bit_curve, pairs_curve, parity_curve, permutation_curve
from mdmjax.information.closed_form import mds_curve
from mdmjax.schedules.named import NAMED

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 128
    steps: int = 16
    flip: float = 0.1
    """Of the noisy repeated bit."""
    code_q: int = 256
    """Alphabet of the MDS code of dimension n/2."""


SMOKE = Config(n=16, steps=4)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Expected KL in nats of every named schedule; the optimum and its counts."""
    n, steps = config.n, config.steps
    curves = {
        f"noisy repeated bit, flip {config.flip:g}": noisy_bit_curve(n, config.flip),
        f"{n // 2} equal pairs": pairs_curve(n, 2),
        "uniform permutation": permutation_curve(n),
        f"MDS code of dimension {n // 2}, q = {config.code_q}": mds_curve(n, n // 2, config.code_q),
        "parity": parity_curve(n, 2),
    }
    best_kl, best_counts, named_kl = [], [], []
    for title in progress(list(curves), "schedules"):
        curve = curves[title]
        best = frontier(curve, steps)
        best_kl.append(best.gaps[-1])
        best_counts.append(best.schedule(steps).counts)
        named_kl.append([float(expected_kl(curve, f(n, steps))) for f in NAMED.values()])
    return {
        "family": np.array(list(curves)),
        "optimum_kl_nats": np.array(best_kl),
        "optimum_counts": np.array(best_counts),
        "schedule": np.array(list(NAMED)),
        "named_kl_nats": np.array(named_kl),
    }
