"""Anybody's model under decoders: what is judged of a measurable, against loops over its logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.decoders.orders import left_to_right
from mdmjax.decoders.ranked import ConfidenceThreshold
from mdmjax.decoders.reveal import Reveal
from mdmjax.denoisers.infilling import Infilling
from mdmjax.laws.likelihood import decoder_paths
from mdmjax.schedules.schedule import Schedule
from mdmjax.studies.judged import externals
from mdmjax.studies.law_report import Named
from mdmjax.studies.likelihood import likelihood_study
from mdmjax.studies.measure import Measurable

VOCABULARY, MASK, START, PAD = 8, 7, 0, 1
WEIGHTS = np.random.default_rng(0).normal(size=(VOCABULARY, VOCABULARY, 3))


def logits_fn(ids):
    """Logits that hang on the two neighbours and the id itself."""
    ids = np.asarray(ids)
    left, right = np.roll(ids, 1, axis=1), np.roll(ids, -1, axis=1)
    return WEIGHTS[left, :, 0] + WEIGHTS[right, :, 1] + 0.5 * WEIGHTS[ids, :, 2]


def measurable(data, regions, **options):
    options = {"forbidden": (START,), "pad_id": PAD, "regions": np.array(regions, bool), **options}
    return Measurable(logits_fn, np.array(data), MASK, options=options)


def nll_by_loops(frame, region, threshold):
    """-log q of the region of one frame under a confidence threshold, and the calls, by NumPy alone."""
    state, total, calls = np.where(region, MASK, frame), 0.0, 0
    allowed = [a for a in range(VOCABULARY) if a not in (MASK, START, PAD)]
    while (state[region] == MASK).any():
        logits = logits_fn(state[None])[0][:, allowed]
        rows = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        hidden = [i for i in np.flatnonzero(region) if state[i] == MASK]
        best = max(hidden, key=lambda i: (round(rows[i].max(), 12), -i))
        for i in hidden:
            if rows[i].max() >= threshold or i == best:
                total -= np.log(rows[i, allowed.index(frame[i])])
                state = np.where(np.arange(len(state)) == i, frame, state)
        calls += 1
    return total, calls


SAME = [[0, 2, 3, 4, 0], [0, 5, 5, 2, 0], [0, 6, 3, 3, 0]]
PROMPTS = [[0, 2, 2, 3, 4], [0, 6, 5, 2, 4], [0, 3, 3, 6, 1]]


@pytest.mark.parametrize(
    ("data", "regions", "one"),
    [
        (SAME, [[0, 1, 1, 1, 0]] * 3, True),
        (PROMPTS, [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 0]], False),
    ],
)
def test_the_likelihood_of_anybodys_model_is_that_of_a_loop(data, regions, one):
    denoiser, symbols = externals(measurable(data, regions))
    assert isinstance(denoiser, Infilling) == one
    decoder = Reveal(ConfidenceThreshold(0.4))
    (paths,) = decoder_paths(jax.random.key(0), denoiser, [decoder], symbols, batch=2)
    for row, frame, region in zip(range(3), np.array(data), np.array(regions, bool), strict=True):
        nll, calls = nll_by_loops(frame, region, 0.4)
        assert paths.path_nll[row] == pytest.approx(nll, rel=1e-9)
        assert paths.calls[row, 0] == calls


def test_a_study_takes_one_denoiser_a_sequence():
    denoisers, symbols = externals(measurable(PROMPTS, [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 0]]))
    named = [Named(Reveal(left_to_right(Schedule([1, 1]))), "l2r")]
    report = likelihood_study(jax.random.key(0), denoisers, named, symbols)
    (paths,) = decoder_paths(jax.random.key(1), denoisers, [named[0].decoder], symbols)
    assert report.scored[0].nll == pytest.approx(paths.path_nll)
    assert report.n == 2


def test_symbols_are_the_ids_that_may_be_written():
    denoiser, symbols = externals(measurable(SAME, [[0, 1, 1, 1, 0]] * 3))
    assert denoiser.symbols.tolist() == [2, 3, 4, 5, 6]
    assert symbols.tolist() == [[0, 1, 2], [3, 3, 0], [4, 1, 1]]
    rows = denoiser(jnp.array([5, 5, 5]))
    assert jnp.exp(rows).sum(axis=1) == pytest.approx(np.ones(3))


def test_regions_of_unequal_lengths_are_refused():
    with pytest.raises(InvalidInputError, match="of regions of 1 to 2 tokens: want one length"):
        externals(measurable(SAME[:2], [[0, 1, 1, 0, 0], [0, 1, 0, 0, 0]]))
