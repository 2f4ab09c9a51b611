"""What each theory promises of a model, from its losses and conditionals on sequences: `mdmjax certify`."""

import dataclasses
from typing import Any

import jax
import numpy as np

from .._types import Array, Key
from ..information.loss_means import loss_means
from .certify import CertifyReport, certify_study
from .growth_sample import BLOCKS, ETA, growth_sample_study
from .judged import Judged
from .measure import measure_study
from .report import Track, untracked
from .table_notes import curve_and_facts


def certify_model_study(
    key: Key[Array, ""],
    judged: Judged,
    epsilon: float,
    *,
    fit: str = "spline",
    blocks: int = BLOCKS,
    eta: float = ETA,
    moment: float | None = None,
    batch: int = 64,
    track: Track = untracked,
) -> CertifyReport:
    """`certify_study` of the masked losses of a model, and of draws by its conditionals: same sequences.

    The losses are those of `measure_study`, the curve is their `fit`; the draws are `growth_sample_study`.
    It is the sampling error alone: what a plan loses against one token at a time by the same model. What
    the model itself does not know is in no number of it.

    Raises:
        InvalidInputError: fewer than two sequences or three positions; what the three studies refuse.
    """
    masking, growing = jax.random.split(key)
    seed = int(jax.random.bits(masking, dtype=np.uint32))
    measured = measure_study(seed, judged.measurable, batch=batch, track=track)
    curve, facts = curve_and_facts(loss_means(measured.losses.rows()), fit)
    how: dict[str, Any] = {"blocks": blocks, "eta": eta, "moment": moment, "batch": batch}
    sample = growth_sample_study(growing, judged.denoiser, judged.sequences, **how)
    facts = {**judged.subject.facts, **facts, "length_given": True}
    method = f"losses measured on {judged.sequences.shape[0]} sequences"
    subject = dataclasses.replace(judged.subject, method=method, facts=facts)
    return certify_study(curve, epsilon, sample=sample, subject=subject)
