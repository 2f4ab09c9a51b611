"""Losses along one order: path NLLs of schedules against loops, and the best of all schedules."""

import itertools
import math

import jax
import numpy as np
import pytest
from _oracles import all_compositions
from _sampled_models import draws, masked, rows_of, table_of, wrong

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.base import Oracle
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.information.estimate import estimate
from mdmjax.laws.random_order import random_order_law
from mdmjax.losses.exact import denoiser_loss_curve
from mdmjax.losses.prefix import PrefixLosses, minus_log_mean, prefix_losses
from mdmjax.schedules.schedule import Schedule, nll


def path_nlls_of(key, denoiser, sequences, schedules, batch=64):
    """A column a schedule, along one order a sequence; only where a step starts is measured."""
    starts = np.unique(np.concatenate([schedule.starts for schedule in schedules]))
    losses = prefix_losses(key, denoiser, sequences, starts=starts, batch=batch)
    return np.stack([losses.path_nll(schedule)[:, 0] for schedule in schedules], axis=1)


@pytest.mark.parametrize("counts", [[3], [1, 2], [2, 1], [1, 2, 1]])
def test_path_nll_averages_to_nll(counts):
    """Over all orders and all sequences: `nll` of the exact curve."""
    n, q = sum(counts), 6 - sum(counts)
    joint = table_of(n, q)
    denoiser, schedule = wrong(joint), Schedule(counts)
    log_probs, total = rows_of(denoiser), 0.0
    bounds = np.concatenate([[0], np.cumsum(counts)])
    for x in itertools.product(range(q), repeat=n):
        for order in itertools.permutations(range(n)):
            for start, end in itertools.pairwise(bounds.tolist()):
                row = log_probs[masked(x, order[:start], q)]
                spent = -sum(row[i, x[i]] for i in order[start:end])
                total += spent * float(joint.probs[x]) / math.factorial(n)
    assert total == pytest.approx(float(nll(denoiser_loss_curve(joint, denoiser), schedule)), rel=1e-12)
    sequences = draws(joint, 3000)
    found = estimate(path_nlls_of(jax.random.key(3), denoiser, sequences, [schedule], batch=999)[:, 0])
    assert abs(found.mean - total) < 5 * found.stderr


def test_path_nlls_share_their_orders():
    """Each row goes along the order of its key, and one step has no order."""
    joint = table_of(4, 2)
    denoiser = wrong(joint)
    schedules = [Schedule([4]), Schedule([1, 3]), Schedule([2, 1, 1])]
    sequences, key = draws(joint, 5), jax.random.key(0)
    found = path_nlls_of(key, denoiser, sequences, schedules, batch=3)
    rows = rows_of(denoiser)
    for spent, row_key, tokens in zip(found, jax.random.split(key, 5), sequences.tolist(), strict=True):
        order = jax.random.permutation(row_key, 4).tolist()
        for nats, schedule in zip(spent, schedules, strict=True):
            seen = [masked(tokens, order[:start], 2) for start in schedule.starts]
            expected = -sum(rows[state][i, tokens[i]] for state, i in zip(seen, order, strict=True))
            assert nats == pytest.approx(expected, rel=1e-12)
    log_probs = rows[(2,) * 4]
    marginal = [-sum(log_probs[i, a] for i, a in enumerate(x)) for x in np.asarray(sequences).tolist()]
    assert found[:, 0] == pytest.approx(marginal)
    again = path_nlls_of(jax.random.key(1), denoiser, sequences, schedules, batch=20)
    assert again[:, 0] == pytest.approx(marginal)
    assert not np.allclose(again[:, 1:], found[:, 1:])


def test_the_oracle_one_token_a_step_is_the_likelihood():
    joint = table_of(4, 2)
    sequences = draws(joint, 8)
    found = path_nlls_of(jax.random.key(0), Oracle(joint), sequences, [Schedule([1] * 4)])
    assert found[:, 0] == pytest.approx(-np.log([float(joint.probs[tuple(x)]) for x in sequences.tolist()]))


def random_losses(n, samples, orders, seed=0, starts=None):
    """Sums of random nats that fall with what is revealed, of `starts` or all."""
    places = np.arange(n) if starts is None else np.asarray(starts)
    shape = samples, orders, places.size, n
    nats = np.random.default_rng(seed).exponential(1.0, shape) / (1 + places[:, None])
    nats = np.where(np.arange(n) >= places[:, None], nats, 0.0)
    return PrefixLosses(places, np.concatenate([np.zeros((*shape[:3], 1)), nats.cumsum(3)], axis=3))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6])
def test_best_mean_is_the_best_composition(steps):
    losses = random_losses(6, 3, 2)
    least = min(losses.path_nll(Schedule(counts)).mean() for counts in all_compositions(6, steps))
    assert losses.path_nll(losses.best_mean(steps)).mean() == pytest.approx(least, rel=1e-12)


def test_best_mean_on_a_grid_of_starts():
    losses = random_losses(9, 3, 2, starts=[0, 2, 3, 7])
    every = [c for c in all_compositions(9, 3) if {c[0], c[0] + c[1]} <= {2, 3, 7}]
    least = min(losses.path_nll(Schedule(counts)).mean() for counts in every)
    assert losses.path_nll(losses.best_mean(3)).mean() == pytest.approx(least, rel=1e-12)
    with pytest.raises(InvalidInputError, match="starting a step at 1"):
        losses.path_nll(Schedule([1, 8]))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_no_move_of_one_boundary_improves_the_best_bound(steps):
    losses = random_losses(7, 4, 3, seed=5)
    found = losses.best_bound(steps)
    own = losses.importance_nll(found).mean()
    assert own <= losses.importance_nll(losses.best_mean(steps)).mean() + 1e-12
    for counts in all_compositions(7, steps):
        apart = set(np.cumsum(counts)) ^ set(np.cumsum(found.counts))
        if len(apart) <= 2:
            assert own <= losses.importance_nll(Schedule(counts)).mean() + 1e-12


def test_the_bound_of_many_orders_is_the_law_of_the_sampler():
    """Of all 4! orders: the probability that the mixture over orders writes the sequence."""
    joint = table_of(4, 2)
    denoiser, schedule = wrong(joint), Schedule([2, 1, 1])
    sequences = draws(joint, 3)
    losses = prefix_losses(jax.random.key(0), denoiser, sequences, orders=4000)
    law = np.asarray(random_order_law(denoiser, schedule).probs)
    exact = -np.log([law[tuple(x)] for x in sequences.tolist()])
    weights = np.exp(-losses.path_nll(schedule))
    error = weights.std(axis=1) / weights.mean(axis=1) / np.sqrt(4000)
    assert np.all(np.abs(losses.importance_nll(schedule) - exact) < 5 * error + 1e-12)
    assert np.all(losses.importance_nll(schedule) <= losses.path_nll(schedule).mean(axis=1))


def test_a_mean_of_impossible_orders_is_infinite():
    assert minus_log_mean(np.array([[np.inf, np.inf], [0.0, np.inf]])) == pytest.approx([np.inf, np.log(2)])


def test_a_network_is_measured_in_float32_and_summed_in_float64():
    config = TransformerConfig(n=4, q=3, width=16, depth=1, heads=2, hidden=16)
    network = Transformer.create(jax.random.key(0), config)
    sequences = jax.random.randint(jax.random.key(1), (20, 4), 0, 3)
    one = prefix_losses(jax.random.key(2), network, sequences, orders=2, batch=5)
    two = prefix_losses(jax.random.key(2), network, sequences, orders=2, batch=64)
    assert one.sums.dtype == np.float64
    assert one.sums == pytest.approx(two.sums, rel=1e-5)


def test_bad_input_is_refused():
    joint = table_of(3, 2)
    denoiser, key, good = Oracle(joint), jax.random.key(0), draws(joint, 12)
    losses = prefix_losses(key, denoiser, good)
    for call, message in {
        lambda: prefix_losses(key, denoiser, good, batch=0): "batch is 0",
        lambda: prefix_losses(key, denoiser, good, orders=0): "orders is 0",
        lambda: prefix_losses(key, denoiser, good, orders=10**9): "GiB",
        lambda: prefix_losses(key, denoiser, good, starts=np.array([1, 2])): "0 among them",
        lambda: prefix_losses(key, denoiser, good, starts=np.array([0, 3])): "numbers in 0..2",
        lambda: losses.path_nll(Schedule([2])): "a sum of n = 3",
        lambda: losses.best_mean(4): "steps is 4: want an integer in 1..3",
    }.items():
        with pytest.raises(InvalidInputError, match=message):
            call()
