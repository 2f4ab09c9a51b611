import math

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import step_gap_by_loops
from _strategies import counts_of, nondecreasing_curves
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InformationCurve,
    InvalidInputError,
    Schedule,
    expected_kl,
    frontier,
    llada_uniform,
    theorem9_dtc,
    theorem9_tc,
)
from mdmjax.schedules.bounds import (
    austin_bound,
    austin_dtc_bound,
    dtc_bound,
    li_cai_bound,
    lower_bound_curve,
    square_root_rule,
    square_root_rule_error,
    tc_bound,
    wainwright_bound,
)
from mdmjax.schedules.guaranteed import austin

SIZES = st.sampled_from([1, 2, 5, 9, 16])
SLACK = 1e-12  # relative: a sum of at most 16 terms of one sign


def as_curve(information):
    return InformationCurve(jnp.asarray(information), jnp.asarray(information[-1]))


@settings(deadline=None, max_examples=100)
@given(st.data(), SIZES)
def test_every_bound_is_above_the_exact_value(data, n):
    information = data.draw(nondecreasing_curves(n))
    counts = data.draw(counts_of(n))
    curve, schedule = as_curve(information), Schedule(counts)
    exact = step_gap_by_loops(information, counts)
    tc, dtc = float(curve.total_correlation), float(curve.dual_total_correlation)
    bounds = {
        "tc": tc_bound(schedule, tc),
        "dtc": dtc_bound(schedule, dtc),
        "li_cai": li_cai_bound(schedule, tc, dtc),
        "wainwright": float(wainwright_bound(curve, schedule)),
    }
    for name, bound in bounds.items():
        assert exact <= bound * (1 + SLACK) + SLACK * n * information[-1], name
    assert bounds["li_cai"] <= li_cai_bound(schedule, tc, dtc, power_of_two=True)
    in_z = (max(counts) - 1) * information[-1]
    assert bounds["li_cai"] == pytest.approx(in_z, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.data(), SIZES)
def test_austins_bounds(data, n):
    information = data.draw(nondecreasing_curves(n))
    steps = data.draw(st.integers(1, n))
    curve, schedule = as_curve(information), austin(n, steps - 1, 1)
    dtc = float(curve.dual_total_correlation)
    exact = step_gap_by_loops(information, schedule.counts)
    slack = SLACK * n * (1 + information[-1])
    first, second = float(austin_bound(curve, steps)), austin_dtc_bound(n, steps, dtc)
    assert exact <= first + slack
    assert first <= second + slack
    assert dtc_bound(schedule, dtc) <= second + slack


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([2, 5, 9]))
def test_no_smaller_constant_will_do(data, n):
    """Among the curves with one step up, some reach each bound: the constants are the best."""
    counts = data.draw(counts_of(n))
    schedule = Schedule(counts)
    ratios = {"tc": [], "dtc": [], "li_cai": []}
    for j in range(1, n):
        information = (np.arange(n) >= j) * 1.0
        exact = step_gap_by_loops(information, counts)
        ratios["tc"].append(exact / (n - j))
        ratios["dtc"].append(exact / j)
        ratios["li_cai"].append(exact / n)
    assert max(ratios["tc"]) == pytest.approx(tc_bound(schedule, 1.0), rel=1e-12)
    assert max(ratios["dtc"]) == pytest.approx(dtc_bound(schedule, 1.0), rel=1e-12)
    assert max(ratios["li_cai"]) == pytest.approx(li_cai_bound(schedule, 0.25, 0.75), rel=1e-12)


@pytest.mark.parametrize("n", [3, 20, 500])
@pytest.mark.parametrize("correlation", [0.1, 2.0, 30.0])
def test_theorem9_follows_from_the_correlation_bounds(n, correlation):
    epsilon = 0.7
    assert tc_bound(theorem9_tc(n, correlation, epsilon), correlation) <= epsilon
    assert dtc_bound(theorem9_dtc(n, correlation, epsilon), correlation) <= epsilon


def test_li_cai_rounds_the_largest_step_up_to_a_power_of_two():
    values = [li_cai_bound(Schedule([s, 8]), 0.0, s + 8.0, power_of_two=True) for s in (8, 9, 16, 17)]
    assert values == [7.0, 15.0, 15.0, 31.0]
    assert li_cai_bound(Schedule([1, 1]), 1.0, 1.0, power_of_two=True) == 0


def test_wainwrights_bound_by_its_formula():
    rng = np.random.default_rng(0)
    n, counts = 12, [1, 4, 2, 5]
    information = np.cumsum(rng.exponential(size=n))
    h = n * (information - information[0])  # h[j] = n Z_{j+1}
    psi = lambda x: x / (1 - x)
    bound, start = 0.0, 0
    for count in counts[:-1]:
        end = start + count
        mass = sum((j / n) * (1 - j / n) * (h[j] - h[j - 1]) for j in range(start + 1, end))
        bound += (psi(end / n) / psi((start + 1) / n) - 1) * mass
        start = end
    bound += sum(information[m] - information[start] for m in range(start, n))
    ours = wainwright_bound(as_curve(information), Schedule(counts))
    assert float(ours) == pytest.approx(bound, rel=1e-12)


def test_bounds_of_a_float32_curve_are_float32():
    curve = InformationCurve(jnp.arange(6, dtype=jnp.float32), jnp.float32(6.0))
    assert wainwright_bound(curve, Schedule([2, 4])).dtype == jnp.float32
    assert austin_bound(curve, 3).dtype == jnp.float32
    assert float(austin_bound(curve, 3)) == 12.0


def test_the_square_root_rule_on_the_curve_of_512_positions():
    profile = 2 / (1 + 8 * np.arange(512) / 512)
    curve = as_curve(profile[0] - profile)
    optimum = frontier(curve, 64).gaps
    # (steps, optimum, rule, uniform) in nats; the rule's integers are ours, so is its last digit.
    for steps, best, rule, uniform in ((8, 41.526, 41.527, 65.75), (64, 4.014, 4.030, 6.384)):
        schedule = square_root_rule(curve, steps)
        assert schedule.steps == steps
        assert float(optimum[steps - 1]) == pytest.approx(best, abs=6e-4)
        assert float(expected_kl(curve, schedule)) == pytest.approx(rule, abs=3e-3)
        plain = float(expected_kl(curve, llada_uniform(512, steps)))
        assert plain == pytest.approx(uniform, abs=6e-3)
    continuum = 512 * (math.log(9) / 2) ** 2 / (2 * 64) - (2 - 2 / 9) / 2
    assert square_root_rule_error(curve, 64) == pytest.approx(continuum, rel=5e-3)


def test_the_square_root_rule_is_optimal_on_a_line_and_its_error_is_exact():
    curve = as_curve(np.arange(60.0))
    for steps in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60):
        schedule = square_root_rule(curve, steps)
        assert schedule.counts.tolist() == [60 // steps] * steps
        # The rule sees n-1 increments where the line has n.
        exact = float(expected_kl(curve, schedule))
        predicted = square_root_rule_error(curve, steps)
        assert predicted == pytest.approx(exact - (60**2 - 59**2) / (2 * steps) + 0.5, abs=1e-9)


def test_the_square_root_rule_puts_steps_where_the_curve_rises():
    jump = as_curve(np.where(np.arange(10) >= 6, 1.0, 0.0))
    assert float(expected_kl(jump, square_root_rule(jump, 2))) == 0
    flat = as_curve(np.zeros(10))
    assert square_root_rule(flat, 4).counts.tolist() == [10]


@settings(deadline=None, max_examples=60)
@given(st.data(), SIZES)
def test_the_square_root_rule_gives_a_schedule_for_any_curve(data, n):
    curve = as_curve(data.draw(nondecreasing_curves(n)))
    steps = data.draw(st.integers(1, n))
    schedule = square_root_rule(curve, steps)
    assert schedule.n == n
    assert schedule.steps <= steps


@pytest.mark.parametrize("epsilon", [0.1, 0.05])
def test_the_curve_of_appendix_e_needs_log_n_over_epsilon_steps(epsilon):
    fewest = {"forwards": [], "backwards": []}
    for n in (64, 256, 1024):
        curve = lower_bound_curve(n, epsilon)
        backwards = as_curve(np.asarray(curve.information[-1] - curve.information[::-1]))
        correlation = (1 + epsilon) * (1 + 1 / math.log(n)) / 4
        assert float(curve.dual_total_correlation) <= correlation
        assert float(backwards.total_correlation) <= correlation
        for name, hard in (("forwards", curve), ("backwards", backwards)):
            gaps = np.asarray(frontier(hard, 24).gaps)
            assert gaps[-1] <= epsilon
            fewest[name].append(int(np.argmax(gaps <= epsilon)) + 1)
            # k pieces over log n cost at least log(n) / (8 k) in the continuum: 1/8, less the
            # first tokens, where a block is no wider than one.
            assert fewest[name][-1] >= math.log(n) / (14 * epsilon)
    for steps in fewest.values():
        assert steps[0] < steps[1] < steps[2]


def test_the_curve_of_appendix_e_is_constant_on_geometric_blocks():
    curve = lower_bound_curve(30, 0.5)
    expected = [
        (1 - 1.5 ** -max(i for i in range(20) if 1.5**i <= x)) / (4 * math.log(30)) for x in range(1, 31)
    ]
    np.testing.assert_allclose(np.asarray(curve.information), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lower_bound_curve(1, 0.1), "n is 1: want an integer >= 2"),
        (lambda: lower_bound_curve(9, 0.0), "epsilon is 0.0: want nats in (0, 1)"),
        (lambda: lower_bound_curve(9, 1.0), "epsilon is 1.0: want nats in (0, 1)"),
        (lambda: austin_bound(as_curve(np.zeros(4)), 5), "steps is 5: want an integer in 1..n"),
        (lambda: austin_dtc_bound(4, 0, 1.0), "steps is 0: want an integer in 1..n"),
        (lambda: square_root_rule(as_curve(np.zeros(4)), 0), "steps is 0: want an integer"),
        (lambda: square_root_rule_error(as_curve(np.zeros(4)), 5), "steps is 5: want an integer"),
        (
            lambda: wainwright_bound(as_curve(np.zeros(4)), Schedule([3])),
            "counts is of sum 3: want a sum of n = 4",
        ),
    ],
)
def test_bad_input_is_refused(call, said):
    with pytest.raises(InvalidInputError) as refusal:
        call()
    assert str(refusal.value).startswith(said)
