"""Samplers that are packages (the extra `samplers`), as they are installed, run with their adapters."""

import pathlib

import numpy as np
import pytest
from _adapter_cases import planned, without_zeros

torch = pytest.importorskip("torch")
PLANS = 5


def folder_of(name):
    """Where a package that is installed is imported from."""
    return pathlib.Path(pytest.importorskip(name).__file__).parent.parent


@pytest.mark.filterwarnings("ignore")
def test_block_refinement_of_diffusers_reveals_the_plan():
    folder = folder_of("diffusers")
    from _real_block_samplers import block_refinement

    run, random_plan = block_refinement(folder)
    rng = np.random.default_rng(0)
    for _ in range(PLANS):
        plan = random_plan(rng)
        call, found = run(plan, rng)
        assert without_zeros(found) == planned(plan, call)


@pytest.mark.filterwarnings("ignore")
def test_flow_matching_ends_with_no_mask_and_the_plan_about():
    folder = folder_of("flow_matching")
    from _real_block_samplers import flow_matching

    torch.manual_seed(0)
    run, random_plan = flow_matching(folder)
    rng = np.random.default_rng(0)
    for _ in range(PLANS):
        plan = random_plan(rng)
        mean = np.array(run(plan, rng)[1]["mean"])
        assert mean.sum() == pytest.approx(plan.schedule.n)
        counts = np.array(plan.schedule.counts)
        left = counts[::-1].cumsum()[::-1]
        first = plan.schedule.n * -np.expm1(-counts[0] / left[0]) if counts.size > 1 else counts[0]
        error = np.sqrt(plan.schedule.n / 4 / 400)  # of a mean of 400 binomial counts, at most
        assert abs(mean[0] - first) <= 5 * error
