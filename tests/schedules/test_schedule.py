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
    Schedule,
    expected_kl,
    information_curve,
    nll,
    step_gap,
)
from mdmjax.schedules.schedule import gap_of_starts

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
    assert float(step_gap(jnp.array(values), schedule)) == pytest.approx(wanted, abs=1e-12)
    is_start = jnp.zeros(n, bool).at[schedule.boundaries[:-1]].set(True)
    assert float(gap_of_starts(jnp.array(values), is_start)) == pytest.approx(wanted, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([1, 2, 5, 9]))
def test_nll_is_the_entropy_plus_expected_kl_for_the_perfect_model(data, n):
    information = data.draw(nondecreasing_curves(n))
    schedule = Schedule(data.draw(counts_of(n)))
    curve = InformationCurve(jnp.asarray(information), jnp.asarray(information[-1] + 0.5))
    total = float(curve.entropy + expected_kl(curve, schedule))
    assert float(nll(curve.conditional_entropies, schedule)) == pytest.approx(total, rel=1e-12)


def test_single_tokens_cost_nothing_and_a_mask_without_0_still_starts_there():
    values = jnp.array([0.3, 0.5, 2.0])
    assert float(step_gap(values, Schedule([1, 1, 1]))) == 0
    whole = float(step_gap(values, Schedule([3])))
    assert float(gap_of_starts(values, jnp.zeros(3, bool))) == pytest.approx(whole)


def test_float32_values_give_a_float32_gap():
    curve = InformationCurve(jnp.arange(4, dtype=jnp.float32), jnp.float32(3.0))
    gap = expected_kl(curve, Schedule([2, 2]))
    assert gap.dtype == jnp.float32
    assert float(gap) == 2.0


def test_very_many_schedules_are_one_vmap():
    values = jnp.array([0.0, 1.0, 3.0, 4.0])
    masks = jnp.array([[True, b, c, d] for b in (0, 1) for c in (0, 1) for d in (0, 1)], bool)
    gaps = jax.vmap(gap_of_starts, (None, 0))(values, masks)
    for mask, gap in zip(np.asarray(masks), np.asarray(gaps), strict=True):
        counts = np.diff([*np.flatnonzero(mask), 4]).tolist()
        assert gap == pytest.approx(step_gap_by_loops(values, counts))


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


@pytest.mark.parametrize("cost", [step_gap, nll])
def test_a_schedule_of_another_length_is_refused(cost):
    with pytest.raises(InvalidInputError, match=r"counts is of sum 4: want a sum of n = 3"):
        cost(jnp.zeros(3), Schedule([2, 2]))
