r"""The $\log n$ of Theorem 9 is needed: the curve of Appendix E of arXiv 2511.04647, for several errors.

The fewest steps of any schedule, exact, for expected KL $\varepsilon$ on `lower_bound_curve(n, epsilon)`.
Its DTC is about 1/4 whatever $n$ is, yet $\log n / \varepsilon$ steps are needed up to a constant: a step
that takes $b$ of its blocks costs $\frac{(1+\varepsilon)^b - 1 - b\varepsilon}{4 \log n}$ and there are
$\frac{\log n}{b \log(1+\varepsilon)}$ of them, so that $b \to 9$ and the constant is $1/9$ for large $n$
and then small $\varepsilon$ (ours; the paper says $\Omega$). The first $1/\varepsilon$ tokens, whose blocks
are narrower than one, are cheaper.
"""

import dataclasses

import numpy as np

from mdmjax import fewest_steps
from mdmjax.schedules.bounds import lower_bound_curve
from mdmjax.schedules.guaranteed import theorem9_steps

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    log2_n: tuple[int, ...] = tuple(range(4, 17))
    epsilons: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003)
    """Expected KL allowed, in nats; also the parameter of the curve."""


SMOKE = Config(log2_n=(3, 5), epsilons=(0.1,))


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Fewest steps and Theorem 9's bound on steps from the curve's DTC, `[epsilon, n]`; DTC in nats."""
    shape = len(config.epsilons), len(config.log2_n)
    steps, bound, dtc = np.zeros(shape, int), np.zeros(shape), np.zeros(shape)
    for i, j in progress(list(np.ndindex(shape)), "curves"):
        n, epsilon = 2 ** config.log2_n[j], config.epsilons[i]
        curve = lower_bound_curve(n, epsilon)
        dtc[i, j] = float(curve.dual_total_correlation)
        steps[i, j] = fewest_steps(curve, epsilon).steps
        bound[i, j] = theorem9_steps(n, dtc[i, j], epsilon)
    return {
        "n": 2 ** np.array(config.log2_n),
        "epsilon_nats": np.array(config.epsilons),
        "fewest_steps": steps,
        "theorem9_bound": bound,
        "dtc_nats": dtc,
    }
