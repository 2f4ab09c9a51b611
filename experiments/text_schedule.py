"""Figure 1 of arXiv 2511.04647 from real text: the curve, a step approximation, the error."""

import dataclasses

import numpy as np

from mdmjax import expected_kl, optimal_schedule
from mdmjax.schedules.named import llada_uniform

from ._families import text_curve
from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    window: int = 10
    steps: int = 4


SMOKE = Config(window=4, steps=2)


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """The curve in nats; counts and expected KL of the optimum and of equal steps."""
    del progress  # One curve, seconds.
    curve = text_curve(config.window)
    schedules = {
        "optimum": optimal_schedule(curve, config.steps),
        "uniform": llada_uniform(curve.n, config.steps),
    }
    return {
        "information_nats": np.asarray(curve.information),
        "schedule": np.array(list(schedules)),
        "counts": np.array([schedule.counts for schedule in schedules.values()]),
        "expected_kl_nats": np.array([float(expected_kl(curve, s)) for s in schedules.values()]),
    }
