"""Certificates of anybody's model: of logits that are a law's conditionals, they are those of the law."""

import jax
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.base import Oracle
from mdmjax.distributions.mixtures import noisy_repeated_bit
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.losses.growth import growth_draws
from mdmjax.studies.certify_model import certify_model_study
from mdmjax.studies.judged import Judged, externals
from mdmjax.studies.measure import Measurable
from mdmjax.studies.report import Subject

N, FLIP = 12, 0.1
START, ZERO, ONE, MASK, VOCABULARY = 0, 1, 2, 3, 4


def logits_fn(ids):
    """The conditionals of a noisy bit at the last N positions, by Bayes' rule for the bit."""
    seen = ids[:, -N:]
    zeros, ones = ((seen == one).sum(axis=1) for one in (ZERO, ONE))
    zero, one = FLIP**ones * (1 - FLIP) ** zeros, FLIP**zeros * (1 - FLIP) ** ones
    mostly = one / (zero + one)  # that the bit is 1
    chance = mostly * (1 - FLIP) + (1 - mostly) * FLIP
    logits = np.zeros((*ids.shape, VOCABULARY))
    logits[:, -N:, ZERO], logits[:, -N:, ONE] = np.log(1 - chance)[:, None], np.log(chance)[:, None]
    return logits


def judged(count, prompts=False):
    """As many draws of the bit behind a symbol; with `prompts`, behind two, the second not always so."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(2, size=(count, 1)) ^ (rng.random((count, N)) < FLIP)
    before = np.full((count, 2 if prompts else 1), START)
    before[1::2, -1] = ZERO if prompts else START
    data = np.concatenate([before, ZERO + drawn], axis=1)
    regions = np.broadcast_to(np.arange(data.shape[1]) >= before.shape[1], data.shape)
    options = {"forbidden": (START,), "pad_id": None, "regions": regions}
    subject = Measurable(logits_fn, data, MASK, options=options)
    denoiser, symbols = externals(subject)
    return Judged(denoiser, symbols, Subject("a stub", q=2), subject, lambda: pytest.fail("not asked for"))


@pytest.mark.parametrize("prompts", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_certificate_of_a_model_that_is_the_law(prompts):
    key, given = jax.random.key(1), judged(100, prompts)
    report = certify_model_study(key, given, 0.9, fit="isotonic")
    found = report.fields()
    assert (found["n"], found["q"], found["exact"], found["sample"]["samples"]) == (N, 2, False, 100)
    # Its losses are the entropies of the bit, within the noise of 100 sequences.
    truth = noisy_bit_curve(N, FLIP)
    assert found["total_correlation"] == pytest.approx(float(truth.total_correlation), rel=0.15)
    proved = [row for row in found["promises"] if row["kind"] in ("exact", "theorem", "ours")]
    assert all(row["kept"] or row["calls"] is None for row in proved)
    # Its draws are those of the law's own conditionals.
    own, growing = Oracle(noisy_repeated_bit(N, FLIP)), jax.random.split(key)[1]
    draws = growth_draws(growing, own, given.sequences, report.sample.edges, positions=1)
    assert report.sample.plugged[0].mass == pytest.approx(2 * draws.totals().mean(), rel=1e-9)
    assert report.sample.calls == draws.calls


def test_one_sequence_is_no_measurement():
    with pytest.raises(InvalidInputError, match="data is 1 sequences: want two or more"):
        certify_model_study(jax.random.key(1), judged(1), 0.3)
