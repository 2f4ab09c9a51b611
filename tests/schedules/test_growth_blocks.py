"""Blocks of the logit axis: the best partition, Proposition 1, the integer programme, a public fault."""

import itertools
import math

import numpy as np
import pytest
from _strategies import nondecreasing_curves
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax.information.curve import InformationCurve
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.information.ugc import GrowthProfile, growth_profile
from mdmjax.schedules.bernoulli import bernoulli_kl, blocks_grid
from mdmjax.schedules.growth_blocks import (
    Blocks,
    best_blocks,
    block_edges,
    integer_programme,
    multiplier_steps,
    multipliers,
    prop1_steps,
)

MASSES = st.lists(st.sampled_from([0.0, 1e-6, 0.1, 1.0, 5.0]), min_size=1, max_size=4)


def test_the_partition_is_the_best_of_all():
    logits, mass = np.linspace(-2, 2, 9), np.cumsum([0, 1e-3, 0.2, 0.5, 0.4, 0.1, 0.0, 1e-4, 0.3])
    found = best_blocks(GrowthProfile(logits, mass, mass), 5)
    for count, blocks in enumerate(found, 1):
        least = math.inf
        for inner in itertools.combinations(range(1, 8), count - 1):
            at = [0, *inner, 8]
            least = min(least, np.sum(np.sqrt(np.diff(logits[at]) * np.diff(mass[at]))) ** 2)
        assert blocks.cost == pytest.approx(least, rel=1e-12)
        assert len(blocks.mass) == count


def test_more_blocks_cost_less_and_the_root_least():
    profile = growth_profile(noisy_bit_curve(128, 0.01))
    costs = [blocks.cost for blocks in best_blocks(profile)]
    assert np.all(np.diff(costs) <= 1e-12)
    assert costs[0] == pytest.approx(float(profile.costs.coarse), rel=1e-12)
    assert costs[-1] >= float(profile.costs.fine)  # (Eq. 41a)


@settings(deadline=None, max_examples=25)
@given(nondecreasing_curves(12), st.sampled_from([0.05, 0.5, 5.0]), st.integers(1, 4))
def test_proposition_1_holds(heights, epsilon, count):
    curve, edges = InformationCurve(heights, float(heights[-1])), block_edges(12, count)
    profile = growth_profile(curve, 12)  # a common multiple: edges are places of the profile
    mass = np.diff(np.interp(edges, profile.logits, profile.mass)) * (1 + 1e-9)
    blocks = Blocks(edges, mass.tolist())
    found = prop1_steps(blocks, epsilon)
    assert sum(found.each) <= found.steps
    assert found.promised <= epsilon
    assert found.steps >= 2 * (count + 2 * 2 * math.log(11))
    theorem1 = sum(math.expm1(s / k) * h for s, k, h in zip(blocks.widths, found.each, mass, strict=True))
    true = float(bernoulli_kl(curve, blocks_grid(edges, found.each)))
    slack = 1e-12 * (1 + float(curve.total_correlation))
    assert true - slack <= theorem1 <= found.promised + slack


@settings(deadline=None, max_examples=60)
@given(MASSES, st.sampled_from([0.05, 0.5, 5.0]))
def test_the_integer_programme_is_the_best_of_all(mass, epsilon):
    blocks = Blocks(np.linspace(0, 1.5, len(mass) + 1).tolist(), mass)
    price = lambda each: sum(
        math.expm1(s / k) * h for s, k, h in zip(blocks.widths, each, mass, strict=True)
    )
    found = integer_programme(blocks, epsilon, 9)
    fits = [
        each
        for each in itertools.product(range(1, 10), repeat=len(mass))
        if sum(each) <= 9 and price(each) <= epsilon * (1 - 1e-12)
    ]
    if found is None:
        assert not fits
        return
    assert sum(found.each) == found.steps == min(map(sum, fits), default=found.steps)
    assert found.promised <= epsilon * (1 + 1e-12)
    assert found.promised >= blocks.cost / found.steps * (1 - 1e-12)  # (Eq. 28c)


def test_multipliers_divide_by_the_steps_and_not_by_their_root():
    # A public implementation takes 4 sqrt(C / N) for 4 sqrt(C) / N in Eq. 28a and 37a.
    curve = noisy_bit_curve(128, 0.3)
    blocks = best_blocks(growth_profile(curve))[3]
    steps = 800
    promised = 4 * blocks.cost / steps
    right = multipliers(blocks, steps)
    root = np.sqrt(blocks.widths / np.array(blocks.mass))
    wrong = np.minimum(1.0, 4 * math.sqrt(blocks.cost / steps) * root)
    assert np.all(wrong > right)
    true = {
        name: float(bernoulli_kl(curve, blocks_grid(blocks.edges, multiplier_steps(blocks, rho))))
        for name, rho in (("right", right), ("wrong", wrong))
    }
    assert true["right"] <= promised < true["wrong"]
