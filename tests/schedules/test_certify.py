"""Promises are kept: every theorem's bound is above the truth of its own plan, on curves of all kinds."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from _strategies import nondecreasing_curves
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.families import FAMILIES
from mdmjax.information.closed_form import pairs_curve, permutation_curve, repetition_curve
from mdmjax.information.curve import InformationCurve
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.information.loss_curve import LossCurve
from mdmjax.schedules.bounds import equal_entropy, lower_bound_curve
from mdmjax.schedules.certify import promises, true_kl
from mdmjax.schedules.schedule import Schedule

PROVED = ("exact", "theorem", "ours")


def check(curve, epsilon):
    """Every promise in its place, and those that are proved kept; returns them by name."""
    found = {one.name: one for one in promises(curve, epsilon)}
    slack = 1e-11 * (1 + float(jnp.sum(curve.heights - curve.heights[0])))
    optimum = found["optimum"]
    for one in found.values():
        if one.plan is None:
            assert one.steps > curve.n
            assert one.promised is None or one.promised <= epsilon * (1 + 1e-12)
            continue
        true = true_kl(curve, one.plan)
        assert true >= -slack
        if one.kind in PROVED:
            assert true - slack <= one.promised <= epsilon * (1 + 1e-9) + slack, one.name
            calls = one.plan.steps if isinstance(one.plan, Schedule) else one.plan.calls(curve.n)
            assert calls >= optimum.steps - 1e-9
        assert one.plan.steps == one.steps
        if one.at_most is not None:
            assert one.steps <= one.at_most
    return found


@settings(deadline=None, max_examples=8)
@given(nondecreasing_curves(12), st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
def test_promises_are_kept_on_any_curve(heights, epsilon):
    check(InformationCurve(heights, float(heights[-1])), epsilon)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(nondecreasing_curves(12), st.floats(1e-6, 100))
def test_promises_are_kept_on_very_many_curves(heights, epsilon):
    check(InformationCurve(heights, float(heights[-1])), epsilon)


FAMILY_SIZES = {
    name: {"n": 12, "q": 13} if name == "reed-solomon" else {"n": 12} if name != "block-hmm" else {}
    for name in FAMILIES
}


QUICK = ("reed-solomon", "permutation")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in FAMILIES
        if FAMILIES[name].curve is not None
    ],
)
def test_promises_are_kept_by_every_family(name):
    family = FAMILIES[name]
    curve = family.curve(**family.values("curve", **FAMILY_SIZES[name]))
    for epsilon in (0.05, 2.0):
        check(curve, epsilon)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.01, 0.3, 3.0])
@pytest.mark.parametrize(
    "curve",
    [noisy_bit_curve(256, 0.1), permutation_curve(200), pairs_curve(256, 2), lower_bound_curve(300, 0.1)],
)
def test_promises_are_kept_at_length(curve, epsilon):
    check(curve, epsilon)


@pytest.mark.slow
def test_the_published_example():
    found = check(noisy_bit_curve(128, 0.01), 0.5)
    assert [found[name].steps for name in ("optimum", "ugc_geometric")] == [3, 21]
    # Corollary 1: N = 2 C / epsilon with C = 5.032, and the promise is 2 C / N.
    assert found["ugc_geometric"].promised == pytest.approx(2 * 5.032467 / 21, rel=1e-6)
    assert found["ugc_programme"].steps <= found["ugc_blocks"].steps
    # Both square-root rules are asymptotic, and wrong here by far.
    for name in ("square_root", "root_mass"):
        assert found[name].kind == "prediction"
        assert true_kl(noisy_bit_curve(128, 0.01), found[name].plan) > 10 * 0.5


@pytest.mark.slow
def test_what_each_promise_needs_to_know():
    # Repetition: DTC = log 2 whatever n is, TC grows with n; parity is its mirror image.
    found = check(repetition_curve(64, 2), 0.5)
    assert found["theorem9_dtc"].steps < found["theorem9_tc"].steps == 64
    assert found["random_sizes_dtc"].steps == math.ceil(math.log(64) / math.log1p(0.5 / math.log(2)))
    assert found["random_sizes_tc"].plan is None


def test_independent_tokens_need_one_step():
    found = promises(InformationCurve(jnp.zeros(6), 1.0), 0.1)
    assert [(one.name, one.steps, one.promised) for one in found] == [("optimum", 1, 0.0)]


def test_a_loss_curve_is_judged_by_what_it_falls():
    curve = permutation_curve(12)
    losses = LossCurve(np.asarray(curve.loss))
    exact, measured = check(curve, 0.5), check(losses, 0.5)
    for name, one in exact.items():
        assert measured[name].steps == one.steps
        assert measured[name].promised == pytest.approx(one.promised)


def test_equal_entropy_shares_the_entropy():
    curve = permutation_curve(64)
    boundaries = equal_entropy(curve, 8).boundaries
    shares = np.concatenate([[0.0], np.cumsum(np.asarray(curve.loss))])[boundaries]
    assert np.ptp(np.diff(shares)) <= 2 * math.log(64)  # each end is rounded to a token
    coins = InformationCurve(jnp.zeros(12), math.log(2))
    assert equal_entropy(coins, 3).counts.tolist() == [4, 4, 4]
    assert equal_entropy(InformationCurve(jnp.zeros(4), 0.0), 3).counts.tolist() == [4]


def test_refuses():
    curve = noisy_bit_curve(8, 0.1)
    for epsilon in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InvalidInputError, match="^epsilon is"):
            promises(curve, epsilon)
    with pytest.raises(InvalidInputError, match="epsilon is 1e-15: want at least .*rounding"):
        promises(curve, 1e-15)
    with pytest.raises(InvalidInputError, match="n is 2: want an integer >= 3"):
        promises(repetition_curve(2, 2), 0.5)
    with pytest.raises(InvalidInputError, match="falling somewhere: want one that never falls"):
        promises(LossCurve([3.0, 1.0, 2.0]), 0.5)
