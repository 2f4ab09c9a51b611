"""The optimum against every composition and the definition; its three methods against each other."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import all_compositions, least_step_gap, step_gap_by_loops
from _strategies import nondecreasing_curves
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InformationCurve,
    InvalidInputError,
    LossCurve,
    Schedule,
    fewest_steps,
    frontier,
    noisy_bit_curve,
    optimal_schedule,
    pairs_curve,
    parity_curve,
    permutation_curve,
)
from mdmjax.information.closed_form import mds_curve
from mdmjax.schedules import optimal, priced
from mdmjax.schedules.envelope import RADIX, padded_lines, solve_layers, upper_envelope
from mdmjax.schedules.schedule import step_gap


def curve_of(values):
    """The loss curve of these heights, which may fall."""
    return LossCurve(-values)


def sum_tolerance(values):
    return 64 * np.finfo(np.float64).eps * np.abs(values).sum() + 1e-300


def long_curves(n):
    """Curves of every character: smooth, singular, saturated, noisy, with jumps."""
    rng, x = np.random.default_rng(n), np.arange(n) / n
    return {
        "linear": x,
        "root": np.sqrt(x),
        "permutation": -np.log1p(-x),
        "saturated": 1 - np.exp(-40 * x),
        "sigmoid": 1 / (1 + np.exp(-(x - 0.3) * 40)),
        "sorted noise": np.sort(rng.random(n)),
        "heavy noise": np.cumsum(rng.exponential(size=n) ** 3) / n,
        "jumps": np.repeat(np.sort(rng.random(20)), -(-n // 20))[:n],
        "parity": (np.arange(n) == n - 1).astype(float),
        "flat": np.zeros(n),
    }


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("kind", ["rising", "any"])
def test_frontier_is_the_best_of_all_compositions(n, kind):
    values = np.random.default_rng(n).normal(size=n)
    values = np.cumsum(values**2) if kind == "rising" else values
    best = frontier(curve_of(values), n)
    for steps in range(1, n + 1):
        brute = min(step_gap_by_loops(values, c) for c in all_compositions(n, steps))
        schedule = best.schedule(steps)
        assert schedule.steps == steps
        assert schedule.n == n
        assert abs(best.gaps[steps - 1] - brute) <= sum_tolerance(values)
        assert abs(step_gap_by_loops(values, schedule.counts) - brute) <= sum_tolerance(values)


@settings(deadline=None, max_examples=60)
@given(nondecreasing_curves(12), st.integers(1, 12))
def test_optimum_of_a_curve_with_flat_parts(values, steps):
    brute = min(step_gap_by_loops(values, c) for c in all_compositions(12, steps))
    found = optimal_schedule(curve_of(values), steps)
    assert found.steps == steps
    assert step_gap_by_loops(values, found.counts) <= brute + sum_tolerance(values)


@settings(deadline=None, max_examples=30)
@given(nondecreasing_curves(40))
def test_frontier_is_monotone_and_ends_at_zero(values):
    gaps = frontier(curve_of(values), 40).gaps
    assert np.all(np.diff(gaps) <= sum_tolerance(values))
    assert gaps[-1] == 0.0


@pytest.mark.parametrize("name", long_curves(2).keys())
def test_envelope_agrees_with_the_dense_programme(name):
    values = long_curves(700)[name]
    sorted_rows = frontier(curve_of(values), 24).boundaries
    dense_rows = optimal._solve_any(values, 24)
    for steps in (1, 2, 3, 11, 24):
        pair = [np.diff(rows[steps - 1, : steps + 1]) for rows in (sorted_rows, dense_rows)]
        gaps = [step_gap_by_loops(values, counts) for counts in pair]
        assert min(min(counts) for counts in pair) >= 1
        assert abs(gaps[0] - gaps[1]) <= sum_tolerance(values)


@pytest.mark.parametrize("name", long_curves(2).keys())
def test_priced_steps_are_the_layers_of_the_envelope(monkeypatch, name):
    """From thinned starts to all, against another method; of curves with ties as of smooth ones."""
    monkeypatch.setattr(priced, "FEWEST", 8)
    values = long_curves(3000)[name]
    exact = frontier(curve_of(values), 40)
    for steps in (1, 2, 7, 21, 39, 40):
        found = optimal_schedule(curve_of(values), steps)
        assert found.steps == steps
        gap = step_gap_by_loops(values, found.counts)
        assert abs(gap - exact.gaps[steps - 1]) <= sum_tolerance(values)


@settings(deadline=None, max_examples=100)
@given(nondecreasing_curves(9))
def test_priced_steps_of_every_number(values):
    """Small integers and plateaus: prices jump over most numbers of steps."""
    for steps in range(1, 10):
        brute = min(step_gap_by_loops(values, c) for c in all_compositions(9, steps))
        found = optimal_schedule(curve_of(values), steps)
        assert found.steps == steps
        assert step_gap_by_loops(values, found.counts) <= brute + sum_tolerance(values)


def least_priced(values, price):
    """The least loss plus `price` a step, from the definition."""
    n, sums = values.size, np.append(0.0, np.cumsum(values - values[0]))
    least = np.append(0.0, np.full(n, np.inf))
    for end in range(1, n + 1):
        starts = np.arange(end)
        costs = sums[end] - sums[:end] - (end - starts) * (values[:end] - values[0])
        least[end] = np.min(least[:end] + costs) + price
    return least[n]


@pytest.mark.parametrize("name", ["linear", "permutation", "saturated", "sorted noise", "heavy noise"])
@pytest.mark.parametrize("steps", [64, 700])
def test_a_price_proves_the_optimum(name, steps):
    """The dual bound of the price at which the optimum gains least from one step more or less."""
    values = long_curves(2000)[name]
    found = [optimal_schedule(curve_of(values), k) for k in (steps - 1, steps, steps + 1)]
    less, gap, more = (step_gap_by_loops(values, schedule.counts) for schedule in found)
    bound = least_priced(values, (less - more) / 2) - steps * (less - more) / 2
    assert abs(gap - bound) <= sum_tolerance(values)


@settings(deadline=None, max_examples=30)
@given(nondecreasing_curves(30), st.floats(0.0, 3.0))
def test_no_price_says_more_than_the_optimum(values, price):
    for steps in (1, 4, 17, 30):
        gap = step_gap_by_loops(values, optimal_schedule(curve_of(values), steps).counts)
        assert least_priced(values, price) - price * steps <= gap + sum_tolerance(values)


def test_values_that_differ_by_rounding_alone_or_not_after_the_first_is_taken_off():
    rng, eps = np.random.default_rng(0), np.finfo(float).eps
    near = np.sort(1 + eps * rng.integers(0, 900, 600))
    tiny = np.append(-1.0, np.sort(rng.random(599)) * 1e-18)
    for values in (near, tiny):
        exact = frontier(curve_of(values), 30).gaps
        for steps in (2, 3, 9, 30):
            found = optimal_schedule(curve_of(values), steps)
            assert found.steps == steps
            gap = step_gap_by_loops(values, found.counts)
            assert abs(gap - exact[steps - 1]) <= sum_tolerance(values - values[0])


def test_one_schedule_compiles_nothing():
    curve, events = permutation_curve(300), []
    optimal_schedule(curve, 2)
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
    for steps in (1, 3, 50, 299):
        optimal_schedule(curve, steps)
        fewest_steps(curve, 1 / steps)
    assert not events
    jax.jit(lambda x: x * 2.125)(1.0)
    assert any("compile" in event for event in events)


@pytest.mark.parametrize(("n", "steps"), [(2000, 9), (128, 16), (12, 5)])
@pytest.mark.parametrize("kind", ["sigmoid", "falls", "noise"])
def test_the_optimum_is_the_shortest_path(n, steps, kind):
    values = {
        "sigmoid": long_curves(n)["sigmoid"],
        "falls": noisy_curve(n),
        "noise": np.random.default_rng(n).normal(size=n),
    }[kind]
    best = optimal_schedule(curve_of(values), steps)
    assert step_gap_by_loops(values, best.counts) == pytest.approx(least_step_gap(values, steps), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(nondecreasing_curves(9), st.integers(1, 9))
def test_a_loss_and_an_information_have_the_same_optima(values, steps):
    curve = InformationCurve(values, values[-1])
    pair = optimal_schedule(curve, steps), optimal_schedule(LossCurve(-values), steps)
    assert pair[0].counts.tolist() == pair[1].counts.tolist()
    assert frontier(curve, steps).gaps.tolist() == frontier(LossCurve(-values), steps).gaps.tolist()


@pytest.mark.parametrize("lines", [2, 5, 16, 17, 300])
def test_upper_envelope_is_the_pointwise_maximum(lines):
    count = padded_lines(lines)
    rng = np.random.default_rng(lines)
    slopes = np.sort(rng.integers(0, 9, count).astype(float))
    queries = np.sort(rng.normal(size=count)) * 5
    intercepts = np.cumsum(-queries * np.diff(slopes, prepend=0.0)) + 0.1 * rng.normal(size=count)
    value, index = upper_envelope(*map(jnp.asarray, (intercepts, slopes, queries)))
    table = intercepts + slopes * queries[:, None]
    np.testing.assert_allclose(value, table.max(1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(table[np.arange(count), index], table.max(1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lines", [256, pytest.param(4096, marks=pytest.mark.slow)])
def test_upper_envelope_of_lines_that_tie_to_rounding(dtype, lines):
    """Rounding makes the highest line jump back and forth from one query to the next."""
    rng, eps = np.random.default_rng(lines), np.finfo(dtype).eps
    x = np.arange(lines).astype(dtype)
    slopes = np.sort(1 + eps * rng.integers(0, lines // 4, lines)).astype(dtype)
    intercepts = (x - x * slopes + eps * lines * rng.integers(0, 3, lines)).astype(dtype)
    value, index = map(np.asarray, upper_envelope(*map(jnp.asarray, (intercepts, slopes, x))))
    table = intercepts.astype(np.float64) + slopes.astype(np.float64) * x.astype(np.float64)[:, None]
    tolerance = 4 * eps * lines
    assert np.all(np.diff(index) >= 0)
    np.testing.assert_allclose(value, table.max(1), rtol=0, atol=tolerance)
    np.testing.assert_allclose(table[np.arange(lines), index], table.max(1), rtol=0, atol=tolerance)


def test_padded_lines_cut_into_tiles():
    for count in (1, 2, 16, 17, 4096, 4097, 10**6):
        lines = padded_lines(count)
        assert count <= lines < max(3, count + lines // RADIX + 1) * 2
        while lines > RADIX:
            assert lines % RADIX == 0
            lines //= RADIX


# The exact optima of peers.md at n = 128, k = 16, recomputed there independently.
@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (noisy_bit_curve(128, 0.1), 0.0003),
        (permutation_curve(128), 11.11),
        (pairs_curve(128, 2), 2.445),
        (mds_curve(128, 64, 256), 0.0),
        (parity_curve(128, 2), 0.0),
    ],
)
def test_n128_k16_optima(curve, expected):
    schedule = optimal_schedule(curve, 16)
    places = {0.0003: 4, 2.445: 3}.get(expected, 2)
    assert round(float(step_gap(curve, schedule)), places) == expected


def noisy_curve(n):
    x = np.arange(n) / n
    return np.sqrt(x) + 0.02 * np.random.default_rng(n).normal(size=n)


def test_records_give_the_optimum_of_a_curve_that_falls():
    values = noisy_curve(300)
    most = optimal._records(values).size
    found, dense = frontier(curve_of(values), most), optimal._solve_any(values, most)
    assert not optimal.is_sorted(values)
    for steps in range(1, most + 1):
        schedule = found.schedule(steps)
        best = step_gap_by_loops(values, np.diff(dense[steps - 1, : steps + 1]))
        assert schedule.steps == steps
        assert abs(step_gap_by_loops(values, schedule.counts) - best) <= sum_tolerance(values)


def test_a_long_curve_that_falls(monkeypatch):
    values = noisy_curve(2000)
    exact = np.diff(optimal._solve_any(values, 8)[-1])
    monkeypatch.setattr(priced, "FEWEST", 2)
    found = optimal_schedule(curve_of(values), 8).counts
    gaps = [step_gap_by_loops(values, counts) for counts in (found, exact)]
    assert len(found) == 8
    assert abs(gaps[0] - gaps[1]) <= sum_tolerance(values)


def test_fewest_steps_of_a_curve_that_falls():
    values = noisy_curve(60)
    gaps = [np.diff(row[: k + 1]) for k, row in enumerate(optimal._solve_any(values, 60), 1)]
    gaps = np.array([step_gap_by_loops(values, counts) for counts in gaps])
    for epsilon in (3.0, 0.3, 1e-9):
        assert fewest_steps(curve_of(values), epsilon).steps == np.flatnonzero(gaps <= epsilon)[0] + 1


def test_permutation_optimum_counts():
    counts = optimal_schedule(permutation_curve(128), 16).counts.tolist()
    assert counts[:2] == [15, 14]
    assert counts[-1] == 1


def test_fewest_steps_is_the_first_that_suffices():
    curve = permutation_curve(60)
    gaps = frontier(curve, 60).gaps
    for epsilon in (20.0, 3.0, 0.5, 1e-9):
        schedule = fewest_steps(curve, epsilon)
        assert float(step_gap(curve, schedule)) <= epsilon
        assert schedule.steps == 1 or gaps[schedule.steps - 2] > epsilon


@pytest.mark.parametrize("name", long_curves(2).keys())
def test_fewest_steps_of_long_curves(monkeypatch, name):
    monkeypatch.setattr(priced, "FEWEST", 8)
    values = long_curves(2000)[name]
    gaps = frontier(curve_of(values), 60).gaps
    for epsilon in (0.7 * gaps[0] + 1e-9, 1.01 * gaps[6] + 1e-9, 0.5 * (gaps[29] + gaps[30]) + 1e-9):
        found = fewest_steps(curve_of(values), epsilon)
        assert step_gap_by_loops(values, found.counts) <= epsilon
        assert found.steps == 1 or gaps[found.steps - 2] > epsilon


@settings(deadline=None, max_examples=60)
@given(nondecreasing_curves(12), st.floats(1e-6, 4.0))
def test_fewest_steps_are_those_of_the_frontier(values, epsilon):
    gaps = frontier(curve_of(values), 12).gaps
    steps = fewest_steps(curve_of(values), epsilon).steps
    assert gaps[steps - 1] <= epsilon + sum_tolerance(values)
    assert steps == 1 or gaps[steps - 2] > epsilon - sum_tolerance(values)


def test_any_error_can_be_reached():
    curve = permutation_curve(30_000)
    for epsilon in (1e-3, 1e-300):
        assert float(step_gap(curve, fewest_steps(curve, epsilon))) <= epsilon


def test_a_curve_too_long_for_memory_is_refused(monkeypatch):
    monkeypatch.setattr(priced, "MAX_BYTES", 2**15)
    for call in (lambda c: optimal_schedule(c, 8), lambda c: fewest_steps(c, 1.0)):
        with pytest.raises(InvalidInputError, match="a solve for n = 200 is of 39.1 KiB: want at most 32"):
            call(permutation_curve(200))


def test_rounding_does_not_make_a_curve_unsorted():
    values = np.repeat(np.linspace(0.0, 1.0, 30), 3) + 1e-16 * (-1.0) ** np.arange(90)
    assert optimal.is_sorted(values)
    assert not optimal.is_sorted(-values)


def test_float32_curve_reaches_the_float64_optimum_to_its_own_accuracy():
    values = long_curves(500)["root"]
    exact = frontier(curve_of(values), 10).gaps[-1]
    single = optimal_schedule(curve_of(jnp.asarray(values, jnp.float32)), 10)
    gap = step_gap_by_loops(values, single.counts)
    assert gap - exact <= 64 * np.finfo(np.float32).eps * values.sum()


@pytest.mark.slow
def test_a_million_positions():
    values = jnp.asarray(long_curves(10**6)["permutation"])
    found = optimal_schedule(curve_of(values), 8)
    exact = frontier(curve_of(values), 8).schedule(8)
    assert abs(float(step_gap(curve_of(values), found)) - float(step_gap(curve_of(values), exact))) <= 1e-6
    gap = float(step_gap(curve_of(values), optimal_schedule(curve_of(values), 512)))
    assert gap == pytest.approx(3876.58386146)  # as the search from coarse to fine and all its layers found


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda v: frontier(v, 0), "max_steps"),
        (lambda v: frontier(v, 5), "max_steps"),
        (lambda v: optimal_schedule(v, 0), "steps"),
        (lambda v: optimal_schedule(v, 5), "steps"),
        (lambda v: optimal_schedule(curve_of(jnp.arange(4.0).at[2].set(jnp.nan)), 2), "curve"),
        (lambda v: fewest_steps(v, 0.0), "epsilon"),
        (lambda v: fewest_steps(v, float("nan")), "epsilon"),
        (lambda v: frontier(v, 2).schedule(3), "steps"),
        (lambda v: step_gap(v, Schedule([1, 2])), "counts"),
    ],
)
def test_bad_input_is_refused(call, argument):
    with pytest.raises(InvalidInputError, match=f"^{argument} is "):
        call(curve_of(jnp.arange(4.0)))


def test_many_steps_on_few_values_take_one_row_of_memory():
    schedule = optimal_schedule(parity_curve(200_000, 2), 150_000)
    assert schedule.steps == 150_000
    assert schedule.counts[-1] == 1
    with pytest.raises(InvalidInputError, match="GiB"):
        frontier(parity_curve(200_000, 2), 150_000)


def test_a_falling_curve_too_long_for_the_dense_programme_is_refused():
    with pytest.raises(InvalidInputError, match="at most 1 for this falling curve"):
        optimal_schedule(curve_of(-np.arange(10.0**6)), 8)


def test_a_solve_too_large_is_refused_before_it_is_tried():
    with pytest.raises(InvalidInputError, match="GiB"):
        frontier(curve_of(np.arange(10.0**6)), 10**5)


def test_frontiers_of_one_padded_length_are_compiled_once(monkeypatch):
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(solve_layers.__wrapped__, n=1)
    monkeypatch.setattr(optimal, "solve_layers", jax.jit(traced, static_argnames=("max_steps", "block")))
    for n in (260, 300, 512):
        assert padded_lines(n) == 512
        frontier(permutation_curve(n), 4)
    with pytest.raises(AssertionError, match="traced > 1 times"):
        frontier(permutation_curve(300), 5)
