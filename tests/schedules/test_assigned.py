"""Models to steps under a budget, against every schedule and every assignment."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from _oracles import all_compositions
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, LossCurve, nll, optimal_schedule, permutation_curve
from mdmjax.schedules import assigned
from mdmjax.schedules.assigned import assigned_nll, exact_number, optimal_assignment
from mdmjax.schedules.schedule import Schedule

COSTS = st.sampled_from(["1", "0.25", "0.3", "1/3", "2.5"])
BUDGETS = st.sampled_from(["0.25", "1", "1.3", "2", "2.75", "4", "20"])


def loss_lists(n):
    """Losses that rise and fall, with ties."""
    return st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.25, 5.0]), min_size=n, max_size=n)


@st.composite
def problems(draw, most=5, models=3):
    n, count = draw(st.integers(1, most)), draw(st.integers(1, models))
    losses = [draw(loss_lists(n)) for _ in range(count)]
    return losses, [draw(COSTS) for _ in range(count)], draw(BUDGETS)


def every_plan(n, models):
    """Every (counts, model a step)."""
    for steps in range(1, n + 1):
        for counts in all_compositions(n, steps):
            for taken in itertools.product(range(models), repeat=steps):
                yield counts, taken


def in_order(taken, order):
    """Whether a plan is steps of order[0], then of order[1], ...: some may be missing."""
    place = 0
    for one in taken:
        while place < len(order) and order[place] != one:
            place += 1
        if place == len(order):
            return False
    return True


def brute_force(losses, costs, budget, order=None):
    """The least sum, and the least cost at which it is had; None where the budget is too small."""
    found = []
    for counts, taken in every_plan(len(losses[0]), len(losses)):
        cost = sum((Fraction(costs[one]) for one in taken), Fraction(0))
        if cost <= Fraction(budget) and (order is None or in_order(taken, order)):
            starts = itertools.accumulate(counts[:-1], initial=0)
            total = sum(size * losses[one][at] for size, at, one in zip(counts, starts, taken, strict=True))
            found.append((total, cost))
    return min(found) if found else None


def solve(losses, costs, budget, **options):
    return optimal_assignment([LossCurve(loss) for loss in losses], costs, budget, **options)


@settings(deadline=None, max_examples=120)
@given(problems(), st.data())
def test_the_plan_is_the_best_of_all(problem, data):
    """Any curves, any order of models or none; and no plan as good is cheaper."""
    losses, costs, budget = problem
    places = st.integers(0, len(losses) - 1)
    order = data.draw(st.none() | st.lists(places, min_size=1, max_size=3))
    best = brute_force(losses, costs, budget, order)
    if best is None:
        with pytest.raises(InvalidInputError, match="^budget is .*the cheapest plan is one step"):
            solve(losses, costs, budget, order=order)
        return
    plan = solve(losses, costs, budget, order=order)
    assert plan.nll == pytest.approx(best[0], abs=1e-12)
    assert plan.cost == best[1] <= Fraction(budget)
    assert plan.cost == sum(Fraction(costs[one]) for one in plan.models)
    starts = plan.schedule.boundaries[:-1]
    paid = sum(
        size * losses[one][at]
        for size, at, one in zip(plan.schedule.counts, starts, plan.models, strict=True)
    )
    assert plan.nll == pytest.approx(paid, abs=1e-12)
    assert np.sum(plan.weights(len(losses)) * np.array(losses)) == pytest.approx(paid, abs=1e-12)
    assert order is None or in_order(plan.models.tolist(), order)


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(problems(most=6, models=3))
def test_six_tokens(problem):
    losses, costs, budget = problem
    best = brute_force(losses, costs, budget)
    if best is not None:
        plan = solve(losses, costs, budget)
        assert (plan.nll, plan.cost) == (pytest.approx(best[0], abs=1e-12), best[1])


@settings(deadline=None, max_examples=30)
@given(loss_lists(9), st.integers(1, 9))
def test_one_model_of_cost_one_is_the_optimal_schedule(loss, steps):
    curve = LossCurve(loss)
    plan = optimal_assignment([curve], [1], steps)
    best = min(float(nll(curve, optimal_schedule(curve, k))) for k in range(1, steps + 1))
    assert plan.nll == pytest.approx(best, abs=1e-12)
    assert plan.schedule.steps == plan.cost <= steps


@settings(deadline=None, max_examples=30)
@given(problems(most=8), COSTS, st.data())
def test_more_budget_or_another_model_is_never_worse(problem, cost, data):
    losses, costs, _ = problem
    another = data.draw(loss_lists(len(losses[0])))
    before = [solve(losses, costs, budget) for budget in ("2.5", "2.6", "3.4", "7")]
    assert all(a.nll >= b.nll - 1e-12 for a, b in itertools.pairwise(before))
    assert solve([*losses, another], [*costs, cost], "3.4").nll <= before[2].nll + 1e-12


def test_of_equal_curves_only_the_cheaper_is_used():
    curve = permutation_curve(40)
    plan = optimal_assignment([curve, curve], [1, "0.3"], 3)
    assert plan.models.tolist() == [1] * 10
    assert plan.cost == 3
    assert plan.nll == pytest.approx(float(nll(curve, optimal_schedule(curve, 10))), abs=1e-10)
    same = optimal_assignment([curve, curve], [1, 1], 5)
    assert same.nll == pytest.approx(float(nll(curve, optimal_schedule(curve, 5))), abs=1e-10)


def test_what_does_not_help_is_not_spent():
    """A flat curve needs one step, of the cheapest of equal models."""
    plan = optimal_assignment([LossCurve([2.0] * 12)] * 2, [1, "0.1"], 9)
    assert (plan.schedule.counts.tolist(), plan.models.tolist(), plan.cost) == ([12], [1], Fraction(1, 10))


def test_a_sandwich_where_it_is_best():
    """Models that agree at both ends and differ in the middle: small, large, small."""
    m = np.arange(16.0)
    large = 4.0 - 3.0 * m / 16
    small = large + np.where((m >= 4) & (m < 12), 1.0, 0.0)
    curves, costs = [LossCurve(large), LossCurve(small)], [1, "0.25"]
    plan = optimal_assignment(curves, costs, 6)
    parts = [int(one) for one, _ in itertools.groupby(plan.models)]
    assert parts == [1, 0, 1]
    assert optimal_assignment(curves, costs, 6, order=(1, 0, 1)).nll == pytest.approx(plan.nll, abs=1e-12)
    halves = [optimal_assignment(curves, costs, 6, order=one).nll for one in ((0, 1), (1, 0))]
    assert min(halves) > plan.nll + 0.1


def test_a_number_is_what_is_written():
    """Three tenths are paid by a budget of 0.3 of a cost of 0.1, which floats would not do."""
    plan = optimal_assignment([permutation_curve(8)], [0.1], 0.3)
    assert plan.schedule.steps == 3
    assert exact_number("cost", "2e-3") == Fraction(1, 500)


@pytest.mark.parametrize(
    ("costs", "budget", "line"),
    [
        (["0", 1], 4, "costs is 0: want a number > 0"),
        ([-1, 1], 4, "costs is -1: want a number > 0"),
        (["nan", 1], 4, "costs is nan: want a number > 0"),
        (["1e999999999", 1], 4, "costs is 1e999999999: want a number > 0"),
        (["1/0", 1], 4, "costs is 1/0: want a number > 0"),
        (["x", 1], 4, "costs is x: want a number > 0, as 0.25"),
        ([1], 4, "costs is of length 1: want one for each of 2 curves"),
        ([1, 0.5], "inf", "budget is inf: want a number > 0"),
        ([1, 0.5], 0.4, r"budget is 0\.4: want at least 0\.5; the cheapest plan is one step"),
    ],
)
def test_bad_costs_are_refused(costs, budget, line):
    with pytest.raises(InvalidInputError, match=f"^{line}"):
        optimal_assignment([permutation_curve(4)] * 2, costs, budget)


def test_other_bad_input_is_refused(monkeypatch):
    curve = permutation_curve(4)
    with pytest.raises(InvalidInputError, match="curves is of lengths 4, 5: want models of one n"):
        optimal_assignment([curve, permutation_curve(5)], [1, 1], 2)
    with pytest.raises(InvalidInputError, match="curves is nan at index 1 of number 0"):
        optimal_assignment([LossCurve([1.0, np.nan])], [1], 2)
    with pytest.raises(InvalidInputError, match=r"order is \[2\]: want places among the 2 curves"):
        optimal_assignment([curve] * 2, [1, 1], 2, order=[2])
    with pytest.raises(InvalidInputError, match=r"order is \[\]: want places"):
        optimal_assignment([curve], [1], 2, order=[])
    with pytest.raises(InvalidInputError, match=r"units of 1/1000000.*; round the costs"):
        optimal_assignment([permutation_curve(2000)] * 2, [1, "0.251301"], 16)
    monkeypatch.setattr(assigned, "MAX_BYTES", 2**12)
    with pytest.raises(InvalidInputError, match="KiB: want at most .*; round the costs"):
        optimal_assignment([curve] * 2, [1, "0.001"], 16)


def test_the_nll_of_a_plan_of_ones_own():
    curves = [LossCurve([3.0, 2.0, 1.0]), LossCurve([4.0, 3.5, 0.5])]
    assert assigned_nll(curves, Schedule([2, 1]), np.array([1, 1])) == 2 * 4.0 + 0.5
