"""Metrics by hand, against scipy and a loop; intervals; what filling up must not change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from mdmjax._errors import InvalidInputError
from mdmjax.traces.intervals import resampled_means
from mdmjax.traces.merging import power_of_two
from mdmjax.traces.metrics import order_against, trace_metrics
from mdmjax.traces.trace import Traces, before_end

N = 16
SAMPLES = 10_000


def slowly(steps, counted, edits):
    """The metrics of one sample by their definitions."""
    at = [i for i in range(len(steps)) if counted[i]]
    f = [int(steps[i]) for i in at]
    m, times = len(f), sorted(set(f))
    found = {"n": m, "steps": len(times), "afp": m / len(times) if m else np.nan}
    found["edits"] = np.mean([edits[i] for i in at]) if m else np.nan
    place = {step: k for k, step in enumerate(times)}
    for part in range(3):
        stage = [step for k, step in enumerate(times) if 3 * k // len(times) == part]
        found[f"stage_{part}"] = sum(x in stage for x in f) / len(stage) if stage else np.nan
        span = [x for rank, x in enumerate(f) if 3 * rank // m == part]
        found[f"span_{part}"] = len(span) / len(set(span)) if span else np.nan
        late = [place[x] / (len(times) - 1) for x in span] if len(times) > 1 else []
        found[f"time_{part}"] = np.mean(late) if late else np.nan
    return found


@pytest.fixture(scope="module")
def drawn():
    """Samples of all sizes with ties, and their metrics."""
    rng = np.random.default_rng(0)
    steps = rng.integers(0, rng.integers(1, 20, (SAMPLES, 1)), (SAMPLES, N)).astype(np.int16)
    counted = rng.random((SAMPLES, N)) < rng.random((SAMPLES, 1)) ** 0.3
    edits = rng.integers(0, 3, (SAMPLES, N))
    traces = Traces(*map(jnp.asarray, (steps, counted, edits)))
    return steps, counted, edits, trace_metrics(traces), traces


def test_a_trace_by_hand():
    """Three steps: positions 0 and 3, then 1, then 2 and 4; position 5 was given."""
    traces = Traces(
        jnp.array([0, 1, 2, 0, 2, -1]), jnp.array([True] * 5 + [False]), jnp.array([0, 1, 0, 0, 1, 9])
    )
    found = trace_metrics(traces)
    assert (found.n, found.steps, found.afp) == (5, 3, pytest.approx(5 / 3))
    # Ten pairs: (0,3) and (2,4) tied, (1,3) and (2,3) against the order, six with it.
    assert found.tie_fraction == pytest.approx(0.2)
    assert found.kendall_tau_b == pytest.approx(4 / np.sqrt(10 * 8))
    assert found.edits == pytest.approx(0.4)
    assert found.stages == pytest.approx([2, 1, 2])
    assert found.spans == pytest.approx([1, 1, 1])
    assert found.times == pytest.approx([0.25, 0.5, 1])


def test_the_variant_of_parallel_bench_has_other_ties():
    found = trace_metrics(Traces(jnp.array([0, 0, 1, 1]), jnp.ones(4, bool)))
    assert found.kendall_tau_b == pytest.approx(0.8165, abs=1e-4)
    assert found.kendall_tau_sorted == pytest.approx(1)


def test_one_step_has_no_order():
    found = trace_metrics(Traces(jnp.zeros((2, 3), int), jnp.array([[True] * 3, [False] * 3])))
    for value in (found.kendall_tau_b, found.spearman, found.kendall_tau_sorted):
        assert np.isnan(value).all()
    assert found.afp == pytest.approx([3, np.nan], nan_ok=True)
    assert found.tie_fraction == pytest.approx([1, np.nan], nan_ok=True)
    assert np.isnan(found.edits).all()


def test_metrics_are_those_of_scipy(drawn):
    """Both tau-b and Spearman's rho, on 10^4 traces with ties."""
    steps, counted, _, found, _ = drawn
    taus, sorted_taus, rhos = [], [], []
    for row, kept in zip(steps, counted, strict=True):
        f = row[kept]
        if np.unique(f).size < 2:
            taus.append(np.nan), sorted_taus.append(np.nan), rhos.append(np.nan)
            continue
        place = np.flatnonzero(kept)
        taus.append(kendalltau(place, f).statistic)
        sorted_taus.append(kendalltau(np.sort(f), f).statistic)
        if len(rhos) < 2000:
            rhos.append(spearmanr(place, f).statistic)
    np.testing.assert_allclose(found.kendall_tau_b, taus, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.kendall_tau_sorted, sorted_taus, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.spearman[:2000], rhos[:2000], rtol=0, atol=1e-12)


def test_metrics_are_those_of_a_loop(drawn):
    steps, counted, edits, found, _ = drawn
    for row in range(0, SAMPLES, 20):
        for name, value in slowly(steps[row], counted[row], edits[row]).items():
            whole, _, part = name.partition("_")
            got = getattr(found, f"{whole}s")[row, int(part)] if part else getattr(found, whole)[row]
            assert got == pytest.approx(value, abs=1e-12, nan_ok=True), (row, name)


def test_order_against_a_difficulty_is_that_of_scipy(drawn):
    steps, counted, _, _, traces = drawn
    rng = np.random.default_rng(1)
    values = np.where(rng.random(steps.shape) < 0.1, np.nan, rng.integers(0, 6, steps.shape) / 4)
    found = order_against(jnp.asarray(values), traces)
    for row in range(500):
        kept = counted[row] & ~np.isnan(values[row])
        x, f = values[row][kept], steps[row][kept]
        if np.unique(x).size < 2 or np.unique(f).size < 2:
            assert np.isnan(found.kendall_tau_b[row])
            continue
        assert found.kendall_tau_b[row] == pytest.approx(kendalltau(x, f).statistic, abs=1e-12)
        assert found.spearman[row] == pytest.approx(spearmanr(x, f).statistic, abs=1e-12)


def test_long_integers_are_as_good(drawn):
    """The way of integers that are not packed, and numbers of steps that are far apart."""
    steps, counted, _, found, _ = drawn
    other = trace_metrics(
        Traces(jnp.asarray(steps[:600].astype(np.int64) * 10**9), jnp.asarray(counted[:600]))
    )
    for name in ("kendall_tau_b", "spearman", "tie_fraction", "kendall_tau_sorted", "steps", "times"):
        np.testing.assert_array_equal(getattr(other, name), getattr(found, name)[:600])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=N))
def test_reversal_turns_the_order_round(f):
    """Tau-b and rho change their sign, the rest stays; padding, prompts and later steps change nothing."""
    rows = np.full((3, N), 3, np.int16)
    rows[0, : len(f)], rows[1, : len(f)], rows[2, N - len(f) :] = f, f[::-1], np.array(f) * 7 - 9
    counted = np.arange(N) < len(f)
    counted = np.stack([counted, counted, counted[::-1]])
    found = trace_metrics(Traces(jnp.asarray(rows), jnp.asarray(counted)))
    for name in ("kendall_tau_b", "spearman"):
        value = np.asarray(getattr(found, name))
        assert value[1] == pytest.approx(-value[0], abs=1e-12, nan_ok=True)
    for name, value in found._asdict().items():
        value = np.asarray(value)
        assert value[2] == pytest.approx(value[0], abs=1e-12, nan_ok=True), name


def test_within_counts_a_span_alone(drawn):
    traces = drawn[-1]
    first = eqx.tree_at(lambda t: t.counted, traces, traces.counted & (jnp.arange(N) < 5)[None])
    inside = traces.within(jnp.broadcast_to(jnp.arange(N) < 5, traces.steps.shape))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, inside))


def test_the_end_of_a_text_does_not_count():
    assert before_end(jnp.array([[1, 2, 9, 1, 9]]), 9).tolist() == [[True, True, False, False, False]]


def test_a_trace_that_is_too_long_is_refused():
    with pytest.raises(InvalidInputError, match="n is 32769: want at most 32768 positions"):
        power_of_two(2**15 + 1)


def test_intervals_cover_and_are_paired():
    """Nominal cover over 300 data sets within binomial error; a paired difference is narrower."""
    rng = np.random.default_rng(0)
    values, key = rng.normal(size=(60, 300)), jax.random.key(0)
    mean, low, high = resampled_means(key, jnp.asarray(values), jnp.ones((60, 300))).interval()
    assert 0.88 < float(jnp.mean((low <= 0) & (high >= 0))) < 0.99
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-12)
    near = values + 0.01 * rng.normal(size=values.shape)
    one, other = (resampled_means(key, jnp.asarray(v), jnp.ones((60, 300))) for v in (values, near))
    paired = (one - other).interval()
    apart = (one - resampled_means(jax.random.key(1), jnp.asarray(near), jnp.ones((60, 300)))).interval()
    assert float(jnp.max(paired.high - paired.low)) < 0.02 < float(jnp.min(apart.high - apart.low))


def test_what_has_no_value_has_no_part_in_a_mean():
    sums, counts = (
        jnp.array([[2.0, 0.0], [0.0, 0.0], [4.0, 0.0]]),
        jnp.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]),
    )
    found = resampled_means(jax.random.key(0), sums, counts, resamples=50).interval()
    assert found.mean[0] == 3
    assert 2 <= found.low[0] <= 3 <= found.high[0] <= 4
    assert np.isnan([found.mean[1], found.low[1], found.high[1]]).all()
