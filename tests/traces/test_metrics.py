"""Metrics by hand, against scipy and a loop; intervals; what filling up must not change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from mdmjax._errors import InvalidInputError
from mdmjax.traces.intervals import resampled_means
from mdmjax.traces.merging import power_of_two
from mdmjax.traces.metrics import TraceMetrics, order_against, trace_metrics
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


HAND = (
    # Steps, the positions that count, edits.
    ([0, 1, 2, 0, 2, -1], [1, 1, 1, 1, 1, 0], [0, 1, 0, 0, 1, 9]),
    ([0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]),
    ([4, 4, 4], [1, 1, 1], [0, 0, 0]),
    ([4], [0], [0]),
)


@pytest.fixture(scope="module")
def drawn():
    """Traces by hand, then samples of all sizes with ties; and their metrics."""
    rng = np.random.default_rng(0)
    steps = rng.integers(0, rng.integers(1, 20, (SAMPLES, 1)), (SAMPLES, N)).astype(np.int16)
    counted = rng.random((SAMPLES, N)) < rng.random((SAMPLES, 1)) ** 0.3
    edits = rng.integers(0, 3, (SAMPLES, N))
    for row, trace in enumerate(HAND):
        counted[row] = False
        for array, values in zip((steps, counted, edits), trace, strict=True):
            array[row, : len(values)] = values
    traces = Traces(*map(jnp.asarray, (steps, counted, edits)))
    return steps, counted, edits, trace_metrics(traces), traces


def test_a_trace_by_hand(drawn):
    """Three steps: positions 0 and 3, then 1, then 2 and 4; position 5 was given."""
    found = TraceMetrics(*(np.asarray(value)[0] for value in drawn[3]))
    assert (found.n, found.steps, found.afp) == (5, 3, pytest.approx(5 / 3))
    # Ten pairs: (0,3) and (2,4) tied, (1,3) and (2,3) against the order, six with it.
    assert found.tie_fraction == pytest.approx(0.2)
    assert found.kendall_tau_b == pytest.approx(4 / np.sqrt(10 * 8))
    assert found.edits == pytest.approx(0.4)
    assert found.stages == pytest.approx([2, 1, 2])
    assert found.spans == pytest.approx([1, 1, 1])
    assert found.times == pytest.approx([0.25, 0.5, 1])


def test_the_variant_of_parallel_bench_has_other_ties(drawn):
    assert drawn[3].kendall_tau_b[1] == pytest.approx(0.8165, abs=1e-4)
    assert drawn[3].kendall_tau_sorted[1] == pytest.approx(1)


def test_one_step_has_no_order(drawn):
    found = drawn[3]
    for value in (found.kendall_tau_b, found.spearman, found.kendall_tau_sorted):
        assert np.isnan(value[2:4]).all()
    assert np.asarray(found.afp[2:4]) == pytest.approx([3, np.nan], nan_ok=True)
    assert np.asarray(found.tie_fraction[2:4]) == pytest.approx([1, np.nan], nan_ok=True)
    assert np.asarray(found.edits[2:4]) == pytest.approx([0, np.nan], nan_ok=True)


@pytest.mark.parametrize("rows", [600, pytest.param(SAMPLES, marks=pytest.mark.slow)])
def test_metrics_are_those_of_scipy(drawn, rows):
    """Both tau-b and Spearman's rho, on traces with ties."""
    steps, counted, _, found, _ = drawn
    wanted = np.full((rows, 3), np.nan)
    for row in range(rows):
        place = np.flatnonzero(counted[row])
        f = steps[row][place]
        if np.unique(f).size > 1:
            wanted[row] = [
                kendalltau(place, f).statistic,
                kendalltau(np.sort(f), f).statistic,
                spearmanr(place, f).statistic,
            ]
    for name, values in zip(("kendall_tau_b", "kendall_tau_sorted", "spearman"), wanted.T, strict=True):
        np.testing.assert_allclose(getattr(found, name)[:rows], values, rtol=0, atol=1e-12)


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


def test_reversal_turns_the_order_round(drawn):
    """Tau-b and rho change their sign, and what does not know of order stays."""
    steps, counted, edits, found, _ = drawn
    turned = [jnp.asarray(array[:, ::-1]) for array in (steps, counted, edits)]
    other = trace_metrics(Traces(*turned))
    for name in ("kendall_tau_b", "spearman"):
        np.testing.assert_allclose(getattr(other, name), -getattr(found, name), rtol=0, atol=1e-12)
    for name in ("n", "steps", "afp", "tie_fraction", "edits", "stages"):
        np.testing.assert_allclose(getattr(other, name), getattr(found, name), rtol=0, atol=1e-12)


def test_later_steps_and_other_gaps_change_nothing(drawn):
    """Steps that start elsewhere and are further apart; what does not count, behind what does."""
    steps, counted, edits, found, _ = drawn
    order = np.argsort(~counted, axis=1, kind="stable")
    moved = [np.take_along_axis(array, order, 1) for array in (7 * steps - 9, counted, edits)]
    other = trace_metrics(Traces(*map(jnp.asarray, moved)))
    for name, value in found._asdict().items():
        np.testing.assert_array_equal(getattr(other, name), value, err_msg=name)


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
    values, key = rng.normal(size=(60, 302)), jax.random.key(0)
    counts = np.ones((60, 302))
    counts[:, 300], counts[:, 301] = 0, np.arange(60) < 40  # none has a value of one, forty of the other
    means = lambda key, values: resampled_means(key, jnp.asarray(values * counts), jnp.asarray(counts))
    mean, low, high = (np.asarray(part) for part in means(key, values).interval())
    assert 0.88 < np.mean((low <= 0) & (high >= 0)) < 0.99
    np.testing.assert_allclose(mean[:300], values[:, :300].mean(0), atol=1e-12)
    assert np.isnan([mean[300], low[300], high[300]]).all()
    assert mean[301] == pytest.approx(values[:40, 301].mean())
    near = values + 0.01 * rng.normal(size=values.shape)
    paired = (means(key, values) - means(key, near)).interval()
    apart = (means(key, values) - means(jax.random.key(1), near)).interval()
    wide = [np.asarray(one.high - one.low)[:300] for one in (paired, apart)]
    assert wide[0].max() < 0.02 < wide[1].min()
