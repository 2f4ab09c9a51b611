"""Expected KL against steps: every schedule in use, those with a guarantee, and the optimum."""

import dataclasses

import numpy as np

from mdmjax import Schedule, expected_kl, frontier
from mdmjax.schedules.bounds import li_cai_bound
from mdmjax.schedules.guaranteed import austin_for_steps, theorem9_dtc_for_steps, theorem9_tc_for_steps
from mdmjax.schedules.named import NAMED, llada_uniform

from ._families import families
from ._run import Progress

BUILDERS = {
    **NAMED,
    "theorem9_tc": theorem9_tc_for_steps,
    "theorem9_dtc": theorem9_dtc_for_steps,
    "austin": austin_for_steps,
}
"""Every schedule that is a function of the length and the number of steps."""


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 64
    """Positions of the closed forms; a power of two, so that there is a Reed-Solomon code."""
    blocks: int = 2
    block_size: int = 8
    window: int = 10


SMOKE = Config(n=8, block_size=3, window=3)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """In nats for 1..n steps: `(family, schedule, steps)`, NaN where a family is shorter.

    `steps_made` counts the steps that reveal something: it may be less than was asked for. The
    Li-Cai bound is the one of equal steps.
    """
    curves = families(config.n, config.blocks, config.block_size, config.window, progress)
    longest = max(curve.n for curve in curves.values())
    shape = (len(curves), len(BUILDERS), longest)
    named_kl, steps_made = np.full(shape, np.nan), np.full(shape, np.nan)
    optimum, li_cai = np.full((2, len(curves), longest), np.nan)
    for family in progress(range(len(curves)), "schedules"):
        curve = list(curves.values())[family]
        n = curve.n
        correlations = float(curve.total_correlation), float(curve.dual_total_correlation)
        optimum[family, :n] = frontier(curve, n).gaps
        for steps in range(1, n + 1):
            schedules: list[Schedule] = [build(n, steps) for build in BUILDERS.values()]
            column = family, slice(None), steps - 1
            named_kl[column] = [float(expected_kl(curve, schedule)) for schedule in schedules]
            steps_made[column] = [schedule.steps for schedule in schedules]
            li_cai[family, steps - 1] = li_cai_bound(llada_uniform(n, steps), *correlations)
    return {
        "family": np.array(list(curves)),
        "n": np.array([curve.n for curve in curves.values()]),
        "schedule": np.array(list(BUILDERS)),
        "named_kl_nats": named_kl,
        "steps_made": steps_made,
        "optimum_kl_nats": optimum,
        "li_cai_bound_nats": li_cai,
    }
