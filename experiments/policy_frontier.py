"""How far every decoder is from the best there is: its (expected calls, KL) beside Bellman's frontier.

The line is the lower convex hull over all deterministic decoders that only reveal. A random order may
lie below it, for its law is a mixture; verified and speculative decoders are outside its class.
"""

import dataclasses

import numpy as np

from mdmjax import (
    AbstractRule,
    AnySubsetSpeculative,
    BlockHMM,
    BlockVerification,
    ConfidenceFactor,
    ConfidenceThreshold,
    EntropyBounded,
    EntropySum,
    Joint,
    LowConfidence,
    Oracle,
    RandomSubset,
    Ranked,
    ReMDM,
    Reveal,
    Wino,
    calls_hull,
    confidence,
    dilated,
    exact_law,
    frontier,
    information_curve,
    kl,
    left_to_right,
    llada_uniform,
    margin,
    negative_entropy,
    noisy_repeated_bit,
    row_entropy,
    symmetric_chain,
    tabulate,
)
from mdmjax.policies.mixture import mixture_schedules

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    n: int = 6
    """Bits; even."""
    flip: float = 0.1
    """Of the chain and of the noisy bit."""
    eta: float = 1e-2
    """Parity noise of the Block-HMM of two blocks."""
    knobs: tuple[float, ...] = (0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    """Thresholds of confidence."""
    bounds: tuple[float, ...] = (0.02, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0)
    """Bounds of entropy, nats; factors are twice as large."""


SMOKE = Config(n=4, knobs=(0.8,), bounds=(0.5,))


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Forward KL(p || law) in nats and expected calls over the law of each decoder, and the hulls."""
    n = config.n
    families = {
        "Markov chain": symmetric_chain(n, 2, config.flip),
        "noisy repeated bit": noisy_repeated_bit(n, config.flip),
        "Block-HMM, two blocks": BlockHMM(2, n // 2, eta=config.eta),
    }
    points, hulls, random = [], [], []
    for number, distribution in enumerate(progress(list(families.values()), "decoders")):
        joint = tabulate(distribution)
        hull = calls_hull(joint)
        hulls += [(number, c, k) for c, k in zip(hull.calls.tolist(), hull.kl.tolist(), strict=True)]
        for label, law in _laws(joint, config):
            points.append((number, label, float(law.expected_calls), float(kl(joint.probs, law.probs))))
        curve = information_curve(joint)
        table = frontier(curve, n)
        mixtures = mixture_schedules(joint, Oracle(joint))
        for steps in range(1, n + 1):
            mean_optimal = exact_law(Oracle(joint), Reveal(RandomSubset(table.schedule(steps))))
            mixture = mixtures.kl_of(mixtures.schedule(steps))
            row = (float(table.gaps[steps - 1]), float(kl(joint.probs, mean_optimal.probs)), float(mixture))
            random.append((number, steps, *row))
    return {
        "family": np.array(list(families)),
        "point_family": np.array([p[0] for p in points]),
        "point_decoder": np.array([p[1] for p in points]),
        "point_calls": np.array([p[2] for p in points]),
        "point_kl_nats": np.array([p[3] for p in points]),
        "hull_family": np.array([h[0] for h in hulls]),
        "hull_calls": np.array([h[1] for h in hulls]),
        "hull_kl_nats": np.array([h[2] for h in hulls]),
        "random_family": np.array([r[0] for r in random]),
        "random_steps": np.array([r[1] for r in random]),
        "random_kl_nats": np.array([r[2:] for r in random]),
    }


def _laws(joint: Joint, config: Config):
    """Every decoder with the oracle, over its knob: the label and the law."""
    for label, one in _decoders(joint, config):
        yield label, exact_law(Oracle(joint), Reveal(one) if isinstance(one, AbstractRule) else one)


def _decoders(joint: Joint, config: Config):
    """Every decoder, those that only reveal by their rule."""
    n = joint.n
    for steps in range(1, n + 1):
        schedule = llada_uniform(n, steps)
        yield "easy-first", Ranked(negative_entropy, schedule)
        yield "confidence", Ranked(confidence, schedule)
        yield "margin", Ranked(margin, schedule)
        yield "hard-first", Ranked(row_entropy, schedule)
        yield "left to right", left_to_right(schedule)
        yield "ReMDM, cap 0.1", ReMDM.cap(schedule, 0.1)
        yield "low-confidence", LowConfidence(schedule)
    yield "dilated", dilated(n)
    for knob in config.knobs:
        yield "threshold", ConfidenceThreshold(knob)
        yield "WINO", Wino(knob, knob)
    for bound in config.bounds:
        yield "entropy-bounded", EntropyBounded(bound)
        yield "entropy sum", EntropySum(bound)
        yield "factor", ConfidenceFactor(2 * bound)
    for drafts in (1, 2, 4, 8):
        yield "speculative", AnySubsetSpeculative(list(range(n)), drafts)
    halves = [list(range(n // 2)), list(range(n // 2, n))]
    yield "verified", BlockVerification(joint, halves)
