import math

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import theorem9_dtc_by_appendix, theorem9_tc_by_appendix
from _strategies import nondecreasing_curves
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mdmjax import (
    InformationCurve,
    InvalidInputError,
    expected_kl,
    llada_uniform,
    theorem9_dtc,
    theorem9_tc,
)
from mdmjax.schedules.bounds import lower_bound_curve
from mdmjax.schedules.guaranteed import (
    austin,
    austin_for_steps,
    best_of_sweep,
    doubling_sweep,
    theorem9_dtc_for_steps,
    theorem9_steps,
    theorem9_tc_for_steps,
)

SIZES = st.sampled_from([1, 2, 7, 16])
EPSILONS = st.sampled_from([0.01, 0.3, 1.0, 50.0])


def as_curve(information):
    return InformationCurve(jnp.asarray(information), jnp.asarray(information[-1]))


def test_theorem9_is_the_construction_of_appendix_d():
    for n in range(1, 45):
        for zeta in range(1, n + 3):
            correlation = float(zeta - 1)  # with epsilon = 1
            tc, dtc = theorem9_tc(n, correlation, 1.0), theorem9_dtc(n, correlation, 1.0)
            assert tc.counts.tolist() == theorem9_tc_by_appendix(n, zeta)
            assert dtc.counts.tolist() == theorem9_dtc_by_appendix(n, zeta)


@pytest.mark.parametrize("n", [1, 2, 10, 100, 4096, 10**5])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 3.0, 40.0, 1e4])
def test_theorem9_counts_steps_and_meets_the_inequalities_of_its_proof(n, ratio):
    epsilon = 0.25
    correlation = ratio * epsilon
    for schedule in (theorem9_tc(n, correlation, epsilon), theorem9_dtc(n, correlation, epsilon)):
        assert schedule.n == n
        assert schedule.steps <= theorem9_steps(n, correlation, epsilon)
    schedule = theorem9_tc(n, correlation, epsilon)
    large = schedule.counts > 1
    after = schedule.boundaries[1:]
    assert np.all((ratio * schedule.counts <= n - after)[large])
    schedule = theorem9_dtc(n, correlation, epsilon)
    large = schedule.counts > 1
    before = schedule.boundaries[:-1]
    assert np.all((ratio * schedule.counts <= before)[large])


@settings(deadline=None, max_examples=60)
@given(st.data(), SIZES, EPSILONS)
def test_theorem9_reaches_epsilon(data, n, epsilon):
    curve = as_curve(data.draw(nondecreasing_curves(n)))
    tc, dtc = float(curve.total_correlation), float(curve.dual_total_correlation)
    for schedule in (theorem9_tc(n, tc, epsilon), theorem9_dtc(n, dtc, epsilon)):
        assert float(expected_kl(curve, schedule)) <= epsilon * (1 + 1e-12)


@pytest.mark.parametrize("n", [1, 2, 9, 30])
def test_theorem9_for_steps_is_the_largest_zeta_that_fits(n):
    lengths = {zeta: theorem9_tc_by_appendix(n, zeta) for zeta in range(1, n + 1)}
    for steps in range(1, n + 1):
        fitting = [zeta for zeta, counts in lengths.items() if len(counts) <= steps]
        ours = theorem9_tc_for_steps(n, steps)
        assert ours.counts.tolist() == lengths[max(fitting)]
        assert theorem9_dtc_for_steps(n, steps).counts.tolist() == ours.counts[::-1].tolist()


def test_theorem9_for_steps_at_a_million_tokens():
    schedule = theorem9_tc_for_steps(10**6, 200)
    assert schedule.n == 10**6
    assert 150 < schedule.steps <= 200


@pytest.mark.parametrize(
    ("epsilon", "first", "last"), [(1.0, 1.0, 16.0), (0.3, 0.5, 16.0), (100.0, 128.0, 128.0)]
)
def test_the_sweep_has_every_power_of_two_from_epsilon_to_n_log_q(epsilon, first, last):
    sweep = doubling_sweep(12, 2, epsilon)  # n log q = 8.3
    estimates = [first * 2**i for i in range(int(math.log2(last / first)) + 1)]
    assert list(sweep) == estimates
    for estimate, (tc, dtc) in sweep.items():
        assert tc.counts.tolist() == theorem9_tc(12, estimate, epsilon).counts.tolist()
        assert dtc.counts.tolist() == theorem9_dtc(12, estimate, epsilon).counts.tolist()


@settings(deadline=None, max_examples=60)
@given(st.data(), SIZES, EPSILONS)
def test_best_of_sweep_reaches_epsilon_and_loses_at_most_a_doubling(data, n, epsilon):
    curve = as_curve(data.draw(nondecreasing_curves(n)))
    q = math.ceil(math.exp(min(float(curve.information[-1]), 10.0))) + 1
    assume(float(curve.total_correlation) <= n * math.log(q))
    schedule = best_of_sweep(curve, q, epsilon)
    assert float(expected_kl(curve, schedule)) <= epsilon
    # 2 max(C, epsilon) is at least the grid point above C; a margin keeps rounding out.
    tc, dtc = (
        2.001 * max(float(c), epsilon) for c in (curve.total_correlation, curve.dual_total_correlation)
    )
    known = min(theorem9_tc(n, tc, epsilon).steps, theorem9_dtc(n, dtc, epsilon).steps)
    assert schedule.steps <= known


def test_best_of_sweep_finds_the_cheaper_side():
    few = lower_bound_curve(256, 0.1)  # DTC about 1/4, TC about 18
    schedule = best_of_sweep(few, 2, 0.1)
    assert schedule.steps < theorem9_tc(256, float(few.total_correlation), 0.1).steps / 2


def test_best_of_sweep_refuses_a_curve_too_high_for_q():
    curve = as_curve(np.concatenate([np.zeros(8), np.arange(1, 9) * 1e4]))
    with pytest.raises(InvalidInputError, match="q is 2: want a distribution on q symbols"):
        best_of_sweep(curve, 2, 1e-3 * 2**14)


def test_austin():
    assert austin(10, 4, 1).counts.tolist() == [1, 1, 1, 1, 6]
    assert austin(10, 0, 3).counts.tolist() == llada_uniform(10, 3).counts.tolist()
    for n in (1, 2, 7, 20):
        for steps in range(1, n + 1):
            schedule = austin_for_steps(n, steps)
            assert (schedule.n, schedule.steps) == (n, steps)
            assert schedule.counts[: steps // 2].tolist() == [1] * (steps // 2)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([7, 16]))
def test_austin_reaches_epsilon_in_the_square_root_of_dtc_n_over_epsilon(data, n):
    curve, half = as_curve(data.draw(nondecreasing_curves(n))), data.draw(st.integers(1, n // 2))
    epsilon = max(float(curve.dual_total_correlation), 0.0) * n / half**2  # the least for so many steps
    schedule = austin(n, half, half)
    assert float(expected_kl(curve, schedule)) <= epsilon * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: theorem9_tc(8, 1.0, 0.0), "epsilon is 0.0: want finite nats > 0"),
        (lambda: theorem9_dtc(8, 1.0, -1.0), "epsilon is -1.0: want finite nats > 0"),
        (lambda: theorem9_tc(8, 1.0, math.nan), "epsilon is nan: want finite nats > 0"),
        (lambda: theorem9_tc(8, -1.0, 1.0), "total_correlation is -1.0: want finite nats >= 0"),
        (lambda: theorem9_dtc(8, math.inf, 1.0), "dual_total_correlation is inf: want finite"),
        (lambda: theorem9_tc(0, 1.0, 1.0), "n is 0: want an integer >= 1"),
        (lambda: theorem9_tc(10**11, 1.0, 1.0), "n is 100000000000: want at most 16777216"),
        (lambda: theorem9_steps(8, 1.0, 0.0), "epsilon is 0.0: want finite nats > 0"),
        (lambda: theorem9_steps(8, math.inf, 1.0), "correlation is inf: want finite nats >= 0"),
        (lambda: theorem9_steps(0, 1.0, 1.0), "n is 0: want an integer >= 1"),
        (lambda: austin(10**18, 10**17, 1), "singles is 100000000000000000: want at most 16777216"),
        (lambda: doubling_sweep(0, 2, 1.0), "n is 0: want an integer >= 1"),
        (lambda: doubling_sweep(8, 1, 1.0), "q is 1: want an integer >= 2"),
        (lambda: doubling_sweep(8, 2, 0.0), "epsilon is 0.0: want finite nats > 0"),
        (lambda: theorem9_tc_for_steps(8, 9), "steps is 9: want an integer in 1..n with n = 8"),
        (lambda: austin(8, 8, 1), "singles is 8: want an integer in 0..n-1 with n = 8"),
        (lambda: austin(8, 3, 6), "steps is 6: want an integer in 1..n with n = 5"),
        (lambda: austin_for_steps(8, 0), "steps is 0: want an integer in 1..n with n = 8"),
    ],
)
def test_bad_input_is_refused(call, said):
    with pytest.raises(InvalidInputError) as refusal:
        call()
    assert str(refusal.value).startswith(said)


def test_rounding_below_zero_counts_as_no_correlation():
    assert theorem9_tc(8, -1e-15, 0.5).counts.tolist() == [8]
    assert theorem9_tc(8, 1e300, 1e-300).counts.tolist() == [1] * 8
