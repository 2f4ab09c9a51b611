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
from mdmjax.schedules import optimal
from mdmjax.schedules.envelope import RADIX, padded_lines, solve_layers, upper_envelope
from mdmjax.schedules.refine import refine
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
@pytest.mark.parametrize("blocks", [16, 128])
def test_coarse_to_fine_search_is_exact(monkeypatch, name, blocks):
    monkeypatch.setattr(optimal, "SMALL", 0)
    monkeypatch.setattr(optimal, "REFINE_BLOCKS", blocks)
    values = long_curves(3000)[name]
    exact = frontier(curve_of(values), 40)
    for steps in (2, 7, 40):
        found = optimal_schedule(curve_of(values), steps)
        assert found.steps == steps
        gap = step_gap_by_loops(values, found.counts)
        assert abs(gap - exact.gaps[steps - 1]) <= sum_tolerance(values)


@pytest.mark.parametrize("name", long_curves(2).keys())
def test_refinement_keeps_every_optimum_in_its_windows(name):
    values = long_curves(3000)[name]
    steps = 12
    found = refine(jnp.asarray(values), steps, 32)
    exact = frontier(curve_of(values), steps)
    gap = step_gap_by_loops(values, np.diff(np.asarray(found.boundaries)))
    if found.certified:
        assert gap <= exact.gaps[-1] + sum_tolerance(values)
    elif gap > exact.gaps[-1] + sum_tolerance(values):
        inner = exact.boundaries[-1, 1:steps]
        assert np.all((np.asarray(found.low) <= inner) & (inner <= np.asarray(found.high)))


@pytest.mark.slow
def test_refinement_of_few_blocks_certifies_only_optima():
    """Once blocks are dropped, a bound that leaves out the starts beyond a target is no bound."""
    rng, wrong = np.random.default_rng(0), 0
    for draw in range(2000):
        values = np.sort(rng.random(16)) if draw % 2 else np.cumsum(rng.integers(0, 3, 16)) * 1.0
        found = refine(jnp.asarray(values), 6, 8)
        if found.certified:
            gap = step_gap_by_loops(values, np.diff(np.unique(np.asarray(found.boundaries))))
            wrong += gap > frontier(curve_of(values), 6).gaps[-1] + sum_tolerance(values)
    assert wrong == 0


def test_smooth_curves_are_certified_by_the_refinement_alone():
    values = jnp.asarray(long_curves(20_000)["root"])
    assert bool(refine(values, 16, 128).certified)


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
@pytest.mark.parametrize("lines", [256, 4096])
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


def test_long_curve_that_falls_is_exact_by_refinement(monkeypatch):
    values = noisy_curve(2000)
    exact = optimal_schedule(curve_of(values), 8)
    monkeypatch.setattr(optimal, "SMALL", 0)
    monkeypatch.setattr(optimal, "REFINE_BLOCKS", 16)
    found = optimal_schedule(curve_of(values), 8)
    gaps = [step_gap_by_loops(values, schedule.counts) for schedule in (found, exact)]
    assert found.steps == 8
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


def test_fewest_steps_past_memory_names_epsilon(monkeypatch):
    curve = permutation_curve(200)
    reached = f"{frontier(curve, 16).gaps[-1]:.4g} nats, which 16 steps reach"
    monkeypatch.setattr(optimal, "MAX_BYTES", 2**15)
    with pytest.raises(InvalidInputError, match=f"epsilon is 1e-09: want at least {reached}"):
        fewest_steps(curve, 1e-9)


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
