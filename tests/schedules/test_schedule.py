import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from _oracles import all_compositions, kl_by_sum, random_order_laws, step_gap_by_loops
from _strategies import counts_of, nondecreasing_curves
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    InformationCurve,
    InvalidInputError,
    Joint,
    LossCurve,
    Schedule,
    expected_kl,
    fewest_steps,
    frontier,
    information_curve,
    nll,
    optimal_schedule,
)
from mdmjax.schedules.bounds import austin_bound, square_root_rule, square_root_rule_error, wainwright_bound
from mdmjax.schedules.guaranteed import best_of_sweep
from mdmjax.schedules.schedule import step_gap

# The second has zeros, so that some contexts cannot occur; the third is as uneven as they come.
SIZES = [(1, 3), (2, 3), (3, 2), (3, 3), (4, 2)]


def random_table(n, q, kind):
    rng = np.random.default_rng([n, q, kind])
    table = rng.dirichlet(np.full(q**n, [1.0, 1.0, 0.05][kind])).reshape((q,) * n)
    if kind == 1:
        table = table * (rng.random(table.shape) < 0.6)
        table.flat[0] += 0.1
    return table / table.sum()


@pytest.mark.parametrize(("n", "q"), SIZES)
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_expected_kl_is_the_mean_over_ordered_partitions(n, q, kind):
    table = random_table(n, q, kind)
    curve = information_curve(Joint(jnp.asarray(table)))
    for steps in range(1, n + 1):
        for counts in all_compositions(n, steps):
            laws = random_order_laws(table, counts)
            mean = np.mean([kl_by_sum(table, law) for law in laws])
            ours = float(expected_kl(curve, Schedule(counts)))
            assert ours == pytest.approx(mean, abs=1e-13 * q**n)
            # The law of the sampler is the mixture; by convexity its KL is no larger.
            assert kl_by_sum(table, laws.mean(0)) <= ours + 1e-13 * q**n


def test_expected_kl_on_four_ternary_positions():
    table = random_table(4, 3, 1)
    curve = information_curve(Joint(jnp.asarray(table)))
    for counts in ([4], [1, 3], [2, 2]):
        mean = np.mean([kl_by_sum(table, law) for law in random_order_laws(table, counts)])
        assert float(expected_kl(curve, Schedule(counts))) == pytest.approx(mean, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([1, 2, 5, 9]))
def test_step_gap_matches_loops(data, n):
    counts = data.draw(counts_of(n))
    values = data.draw(st.lists(st.floats(-5, 5), min_size=n, max_size=n))
    schedule = Schedule(counts)
    wanted = step_gap_by_loops(values, counts)
    for curve in InformationCurve(values, 5.0), LossCurve(-np.array(values)):
        assert float(step_gap(curve, schedule)) == pytest.approx(wanted, abs=1e-12)
        steps = zip(schedule.boundaries.tolist(), counts, strict=False)
        assert sum(float(curve.step_cost(*step)) for step in steps) == pytest.approx(wanted, abs=1e-12)
        total = schedule.weights @ np.asarray(curve.loss)
        assert float(nll(curve, schedule)) == pytest.approx(total, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([1, 2, 5, 9]))
def test_nll_is_the_entropy_plus_expected_kl_for_the_perfect_model(data, n):
    information = data.draw(nondecreasing_curves(n))
    schedule = Schedule(data.draw(counts_of(n)))
    curve = InformationCurve(jnp.asarray(information), jnp.asarray(information[-1] + 0.5))
    total = float(curve.entropy + expected_kl(curve, schedule))
    assert float(nll(curve, schedule)) == pytest.approx(total, rel=1e-12)
    perfect = LossCurve(curve.loss)
    assert float(nll(perfect, schedule)) == float(nll(curve, schedule))
    paid = float(step_gap(perfect, schedule))
    assert paid == pytest.approx(float(expected_kl(curve, schedule)), abs=1e-12 * (1 + total))


def test_single_tokens_cost_nothing():
    assert float(step_gap(InformationCurve([0.3, 0.5, 2.0], 2.0), Schedule([1, 1, 1]))) == 0


def test_float32_values_give_a_float32_gap():
    curve = InformationCurve(jnp.arange(4, dtype=jnp.float32), jnp.float32(3.0))
    gap = expected_kl(curve, Schedule([2, 2]))
    assert gap.dtype == jnp.float32
    assert float(gap) == 2.0


def test_very_many_schedules_are_one_vmap():
    curve = InformationCurve([0.0, 1.0, 3.0, 4.0], 4.0)
    schedules = [Schedule(counts) for steps in range(1, 5) for counts in all_compositions(4, steps)]
    starts = np.stack([schedule.starts for schedule in schedules])
    masks = starts == np.arange(4)
    of_starts, of_masks = (jax.jit(jax.vmap(f)) for f in (curve.total_cost, curve.total_cost_of_mask))
    for gaps in (of_starts(starts), of_masks(masks)):
        for schedule, gap in zip(schedules, np.asarray(gaps), strict=True):
            assert gap == pytest.approx(step_gap_by_loops([0, 1, 3, 4], schedule.counts))
    costs = jax.vmap(curve.step_cost)(jnp.array([0, 1]), jnp.array([1, 3]))
    assert costs.tolist() == [0.0, 5.0]


def test_schedule_properties():
    schedule = Schedule([1, 2, 4])
    assert (schedule.n, schedule.steps) == (7, 3)
    assert schedule.starts.tolist() == [0, 1, 1, 3, 3, 3, 3]
    assert Schedule(np.array([2], np.int8)).counts.dtype == np.int64
    assert Schedule(jnp.array([2, 1])).counts.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([], "of shape (0,)"),
        ([[1, 2]], "of shape (1, 2)"),
        ([1, 0, 2], "0 at step 1"),
        ([3, -1], "-1 at step 1"),
        ([1.0, 2.0], "of type float64"),
        ([True, True], "of type bool"),
    ],
)
def test_bad_counts_are_refused(counts, said, unchecked_types):
    with pytest.raises(InvalidInputError) as refusal:
        Schedule(counts)
    assert str(refusal.value).startswith(f"counts is {said}: want ")
    assert "\n" not in str(refusal.value)


@pytest.fixture
def unchecked_types():
    """Run without the type checks of the tests, as a user does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("cost", [step_gap, nll, expected_kl])
def test_a_schedule_of_another_length_is_refused(cost):
    with pytest.raises(InvalidInputError, match=r"counts is of sum 4: want a sum of n = 3"):
        cost(InformationCurve(jnp.zeros(3), 0.0), Schedule([2, 2]))


CALLS = {
    step_gap: Schedule([2, 2]),
    nll: Schedule([2, 2]),
    expected_kl: Schedule([2, 2]),
    optimal_schedule: 2,
    frontier: 2,
    fewest_steps: 0.5,
    square_root_rule: 2,
    square_root_rule_error: 2,
    austin_bound: 2,
    wainwright_bound: Schedule([2, 2]),
}


@pytest.mark.parametrize("function", CALLS, ids=lambda f: f.__name__)
def test_an_array_is_refused_with_what_to_pass(function, unchecked_types):
    for numbers, said in ((np.zeros(4), "an array"), (jnp.zeros(4), "an array"), ([0.0] * 4, "a list")):
        with pytest.raises(InvalidInputError) as refusal:
            function(numbers, CALLS[function])
        assert str(refusal.value) == (
            f"curve is {said}: want an InformationCurve or a LossCurve; "
            "pass InformationCurve(information, marginal_entropy) or LossCurve(loss), in nats"
        )


def test_the_expected_kl_of_a_loss_is_refused(unchecked_types):
    with pytest.raises(InvalidInputError, match="curve is a LossCurve: want an InformationCurve"):
        expected_kl(LossCurve([3.0, 2.0]), Schedule([2]))
    with pytest.raises(InvalidInputError, match="curve is a LossCurve: want an InformationCurve"):
        best_of_sweep(LossCurve([3.0, 2.0]), 2, 1.0)
