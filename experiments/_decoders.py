"""The likelihood of decoders that are used in place of random orders, on one model, at several prices."""

from collections.abc import Callable

import jax
import numpy as np

from mdmjax import (
    ConfidenceThreshold,
    EntropyBounded,
    LowConfidence,
    Ranked,
    Reveal,
    confidence,
    decoder_paths,
    llada_uniform,
)
from mdmjax.decoders.base import AbstractDecoder
from mdmjax.denoisers.base import AbstractDenoiser
from mdmjax.information.estimate import Estimate

from ._run import Progress

ORDERS = 4
"""Paths a sequence where the likelihood is bounded."""


def decoded(
    key: jax.Array,
    denoiser: AbstractDenoiser,
    sequences: jax.Array,
    steps: tuple[int, ...],
    thresholds: tuple[float, ...],
    bounds: tuple[float, ...],
    progress: Progress,
    *,
    mean: Callable[[np.ndarray], Estimate],
    batch: int = 64,
) -> dict[str, np.ndarray]:
    """Calls, and NLL where it is exact or its bound; `mean` is over sequences, with its error."""
    named: dict[str, AbstractDecoder] = {}
    for k in steps:
        equal = llada_uniform(denoiser.n, k)
        named[f"confidence, {k} equal steps"] = Reveal(Ranked(confidence, equal))
        named[f"low-confidence, {k} equal steps"] = LowConfidence(equal)
    for one in thresholds:
        named[f"threshold {one:g}"] = Reveal(ConfidenceThreshold(one))
    for one in bounds:
        named[f"entropy-bounded {one:g}"] = Reveal(EntropyBounded(one))
    calls, nll, exact = [], [], []
    for decoder in progress(list(named.values()), "decoders"):
        (paths,) = decoder_paths(key, denoiser, [decoder], sequences, orders=ORDERS, batch=batch)
        calls.append(paths.calls.mean())
        nll.append(mean(paths.path_nll if paths.exact else paths.importance_nll))
        exact.append(paths.exact)
    return {
        "decoder": np.array(list(named)),
        "decoder_calls": np.array(calls),
        "decoder_nll_nats": np.array(nll)[:, 0],
        "decoder_nll_stderr_nats": np.array(nll)[:, 1],
        "decoder_exact": np.array(exact),
    }
