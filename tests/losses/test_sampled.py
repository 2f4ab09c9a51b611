"""Loss curves, path likelihoods and circulation of a denoiser, measured: against enumeration by loops."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _sampled_models import draws, masked, rows_of, table_of, wrong

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.base import Oracle
from mdmjax.denoisers.perturbed import Mixed
from mdmjax.denoisers.table import tabulate_denoiser
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.distributions.joint import Joint
from mdmjax.information.estimate import estimate
from mdmjax.information.loss_curve import curve_from_table
from mdmjax.losses.circulation import local_circulation, sampled_circulation
from mdmjax.losses.exact import denoiser_loss_curve
from mdmjax.losses.sampled import (
    MaskedLosses,
    joined,
    mask_counts,
    masked_losses,
)
from mdmjax.schedules.schedule import Schedule, nll


def test_the_mean_is_the_exact_curve_and_errors_are_calibrated():
    """Of 60 tables by 4 mask counts, z-scores have mean 0 and variance 1."""
    joint = table_of(4, 2)
    denoiser = wrong(joint)
    exact = np.asarray(denoiser_loss_curve(joint, denoiser).loss)
    pool, scores = draws(joint, 2000), []
    for seed in range(60):
        sequences = jax.random.choice(jax.random.key(seed), pool, (200,))
        table = masked_losses(jax.random.key(seed), denoiser, sequences, batch=100).table()
        curve = curve_from_table(table)
        scores.append((np.asarray(curve.loss) - exact) / np.asarray(curve.stderr))
        assert table.count.tolist() == [50] * 4
    scores = np.array(scores)
    assert np.abs(scores).max() < 5
    assert abs(scores.mean()) < 5 / np.sqrt(scores.size)
    assert np.mean(scores**2) == pytest.approx(1, abs=5 * np.sqrt(2 / scores.size) + 2 / 50)


def test_predicted_nll_has_the_error_of_its_sequences():
    """All mask counts on the same sequences: the errors of the points are not independent."""
    joint, counts = table_of(4, 2), Schedule([1, 1, 2])
    denoiser = wrong(joint)
    curve = denoiser_loss_curve(joint, denoiser)
    truth = float(nll(curve, counts))
    gap = truth - float(nll(curve, Schedule([4])))
    scores, paired = [], []
    for seed in range(60):
        rows = masked_losses(jax.random.key(seed), denoiser, draws(joint, 600, seed), rounds=4, batch=800)
        mean, stderr = rows.nll(counts)
        scores.append((mean - truth) / stderr)
        mean, stderr = rows.nll(counts, less=Schedule([4]))
        paired.append((mean - gap) / stderr)
        assert mean == pytest.approx(rows.nll(counts).mean - rows.nll(Schedule([4])).mean)
    for found in map(np.array, (scores, paired)):
        assert np.abs(found).max() < 5
        assert np.mean(found**2) == pytest.approx(1, abs=5 * np.sqrt(2 / 60))
    assert rows.nll(counts, less=counts) == (0, 0)


@pytest.mark.parametrize(("size", "n", "rounds"), [(7, 5, 3), (10, 4, 4), (3, 9, 9), (6, 9, 5), (8, 4, 1)])
def test_mask_counts_are_even(size, n, rounds):
    """Every round and all of them to within one; no sequence twice at a mask count."""
    place = np.random.default_rng(0).permutation(size)
    counts = mask_counts(place, n, rounds)
    for part in (*counts, counts.reshape(-1)):
        assert np.ptp(np.bincount(part, minlength=n + 1)[1:]) <= 1
    assert all(len(set(one)) == rounds for one in counts.T.tolist())


def test_standard_errors_by_hand():
    rows = MaskedLosses(
        2,
        np.array([0, 1, 2, 0, 1]),
        np.array([1, 1, 1, 2, 2]),
        np.array([1.0, 2.0, 6.0, 3.0, 5.0]),
    )
    table = rows.table()
    assert table.loss.tolist() == [3, 4]
    assert table.stderr == pytest.approx([np.std([1, 2, 6], ddof=1) / np.sqrt(3), 1])
    both = joined([rows, rows]).table()  # the same numbers from twice as many sequences
    assert both.stderr[1] == pytest.approx(np.std([3, 5, 3, 5], ddof=1) / 2)


def test_a_network_is_measured_in_batches():
    """float32 under x64; the batch changes nothing."""
    config = TransformerConfig(n=4, q=3, width=16, depth=1, heads=2, hidden=16)
    network = Transformer.create(jax.random.key(0), config)
    sequences = jax.random.randint(jax.random.key(1), (20, 4), 0, 3)
    one = masked_losses(jax.random.key(2), network, sequences, batch=7).table()
    two = masked_losses(jax.random.key(2), network, sequences, batch=20).table()
    assert one.loss == pytest.approx(two.loss, rel=1e-5)
    assert one.stderr == pytest.approx(two.stderr, rel=1e-3)


def circulation_by_loops(joint, denoiser):
    """Mean |r| and root mean square of r by the number of revealed tokens."""
    n, q = joint.n, joint.q
    rows, means = rows_of(denoiser), []
    for m in range(n - 1):
        terms = []
        for revealed in itertools.combinations(range(n), m):
            for i, j in itertools.combinations(sorted(set(range(n)) - set(revealed)), 2):
                for x in itertools.product(range(q), repeat=n):
                    base = rows[masked(x, revealed, q)]
                    after_i = rows[masked(x, (*revealed, i), q)]
                    after_j = rows[masked(x, (*revealed, j), q)]
                    r = base[i, x[i]] + after_i[j, x[j]] - base[j, x[j]] - after_j[i, x[i]]
                    terms.append((float(joint.probs[x]), r))
        mass, r = np.array(terms).T
        pairs = math.comb(n, m) * math.comb(n - m, 2)
        means.append((mass @ np.abs(r) / pairs, np.sqrt(mass @ r**2 / pairs)))
    return np.array(means).T


@pytest.mark.parametrize(("n", "q"), [(2, 3), (4, 2)])
def test_circulation_by_loops(n, q):
    joint = table_of(n, q)
    for denoiser in (Mixed(Oracle(joint), 0.3), wrong(joint)):
        found = local_circulation(joint, denoiser)
        expected = circulation_by_loops(joint, denoiser)
        assert np.asarray(found) == pytest.approx(expected, rel=1e-10)
        assert np.all(expected > 1e-3)
    right = local_circulation(joint, Oracle(joint))
    assert np.asarray(right) == pytest.approx(np.zeros((2, n - 1)), abs=1e-12)


def test_sampled_circulation_is_near_the_exact():
    joint = table_of(4, 2)
    denoiser = wrong(joint)
    exact = local_circulation(joint, denoiser)
    found = sampled_circulation(jax.random.key(0), denoiser, draws(joint, 2000), [0, 2], batch=3000)
    for name in ("mean_abs", "root_mean_square"):
        gap = getattr(found, name) - np.asarray(getattr(exact, name))[[0, 2]]
        assert np.all(np.abs(gap) < 5 * getattr(found, f"{name}_stderr"))
    flat = tabulate_denoiser(Oracle(joint))
    right = sampled_circulation(jax.random.key(0), flat, draws(joint, 2000), [0, 2], batch=3000)
    assert np.max(right.root_mean_square) < 1e-12


def test_circulation_of_what_is_ruled_out_is_infinite():
    skew = table_of(2, 2)
    certain = Oracle(Joint(jnp.array([[1.0, 0.0], [0.0, 0.0]])))
    from mdmjax.denoisers.perturbed import Fallback

    assert local_circulation(skew, Fallback(certain)).mean_abs.tolist() == [np.inf]


def test_bad_input_is_refused():
    joint = table_of(3, 2)
    denoiser, key, good = Oracle(joint), jax.random.key(0), draws(joint, 12)
    steps, few = Schedule([3]), MaskedLosses(3, np.array([0, 1]), np.array([1, 2]), np.ones(2))
    for call, message in {
        lambda: masked_losses(key, denoiser, good[:5]).table(): "give more sequences or rounds",
        lambda: masked_losses(key, denoiser, good[:, :2]).table(): "shape",
        lambda: masked_losses(key, denoiser, good + 1): "symbols 0..1",
        lambda: masked_losses(key, denoiser, good, rounds=0): "rounds is 0",
        lambda: masked_losses(key, denoiser, good, rounds=10**18): "PiB: want at most 4.0 GiB; use fewer",
        lambda: masked_losses(key, denoiser, good, batch=0): "batch is 0",
        lambda: sampled_circulation(key, denoiser, good, [2]): "numbers in 0..1",
        lambda: sampled_circulation(key, denoiser, good[:1], [0]): "at least two",
        lambda: sampled_circulation(key, denoiser, good, [0], batch=0): "batch is 0",
        lambda: local_circulation(table_of(2, 2), denoiser): "of the joint",
        lambda: estimate(np.ones(1)): "at least two",
        lambda: few.nll(steps): "every start",
        lambda: few.table(): "measured on one sequence",
    }.items():
        with pytest.raises(InvalidInputError, match=message):
            call()


def test_a_denoiser_that_rules_out_what_occurs_is_refused():
    certain = Oracle(Joint(jnp.array([[1.0, 0.0], [0.0, 0.0]])))
    with pytest.raises(InvalidInputError, match="rules out what occurs"):
        masked_losses(jax.random.key(0), certain, jnp.ones((8, 2), int))
