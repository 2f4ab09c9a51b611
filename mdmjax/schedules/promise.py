r"""What a theory of unmasking promises, and the numbers of a curve that promises are made from."""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from ..information.curve import AbstractCurve, check_curve
from ..information.ugc import GrowthProfile, effective_total_correlation, growth_profile
from .bernoulli import TimeGrid
from .schedule import Schedule

Kind = Literal["exact", "theorem", "ours", "prediction", "estimate", "rule"]
"""`theorem`: proved in its source; `ours`: proved here, where its grid or its interval is made;
`prediction`: only in the limit of many steps; `estimate`: a theorem but for a bound that is itself
estimated; `rule`: promises no KL, and has the fewest steps whose true one is small enough."""


@dataclasses.dataclass(frozen=True, eq=False)
class Promise:
    """`steps` that a theory asks for, and the `promised` KL in nats; `plan` reveals so, None beyond `n`.

    A `Schedule` has fixed `sizes`, a `TimeGrid` random ones. `at_most` bounds the steps ahead.
    """

    name: str
    kind: Kind
    source: str
    steps: int
    promised: float | None
    plan: Schedule | TimeGrid | None
    at_most: float | None = None

    @property
    def sizes(self) -> Literal["fixed", "random"]:
        """What its steps reveal: so many tokens, or each token with a probability, as all beyond `n`."""
        return "fixed" if isinstance(self.plan, Schedule) else "random"


class Known(NamedTuple):
    r"""The numbers of a curve that promises are made from, in nats."""

    n: int
    total_correlation: float
    dual_total_correlation: float
    effective: float
    profile: GrowthProfile

    @property
    def both(self) -> float:
        r"""$\mathrm{TC} + \mathrm{DTC} = h(1)$."""
        return self.total_correlation + self.dual_total_correlation

    @property
    def logits(self) -> float:
        r"""$L = \log \frac{\psi(T)}{\psi(t_0)} = 2 \log(n - 1)$ of the canonical interval."""
        return 2 * math.log(self.n - 1)


def known_of(curve: AbstractCurve) -> Known:
    """The numbers of a curve; of a loss curve, those of what it falls by. Refuses `n < 3`."""
    check_curve(curve)
    heights = np.asarray(curve.heights, np.float64)
    profile = growth_profile(curve)
    tc, dual = float(np.sum(heights - heights[0])), float(np.sum(heights[-1] - heights))
    return Known(curve.n, tc, dual, float(effective_total_correlation(curve)), profile)
