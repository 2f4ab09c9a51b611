"""Adapters as they are written, and those whose counts are random or times."""

import ast
import json
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _adapter_cases import load, plan_of, random_blocks, random_plan
from _strategies import counts_of
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, Schedule
from mdmjax.adapters.source import ADAPTERS, adapter_source, plan_literal
from mdmjax.schedules.export import to_json_dict
from mdmjax.schedules.plan import Plan

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
COUNTS = st.integers(1, 40).flatmap(counts_of)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("kind", [random_plan, random_blocks])
def test_every_file_stands_alone_and_has_the_plan(name, kind):
    plan = kind(np.random.default_rng(0))
    source = adapter_source(name, plan)
    tree = ast.parse(source)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert None not in modules  # a relative import
    assert not any("mdmjax" in line for line in source.splitlines() if "import" in line and "`" not in line)
    assert plan_literal(plan) == load(name, plan).PLAN
    assert "random order" in " ".join(ast.get_docstring(tree).split()) or name == "mdlm_adapter.py"
    assert source.splitlines()[0].endswith("predicted for random order.")
    assert source.endswith("\n")
    assert max(map(len, source.splitlines())) <= 110


def test_a_long_plan_has_short_lines():
    source = adapter_source("llada_adapter.py", Plan(Schedule(list(range(1, 300)))))
    assert max(map(len, source.splitlines())) <= 110
    assert f"{300 * 299 // 2} masks" in source


def test_another_name_is_refused():
    with pytest.raises(InvalidInputError, match="adapter is 'x.py'|adapter is x.py"):
        adapter_source("x.py", Plan(Schedule([1])))


@pytest.mark.parametrize("name", ["mdlm", "remdm"])
def test_mean_and_spread_of_random_counts(name):
    """400 rows a case of the real code: means and standard deviations within five errors of the theory."""
    recorded = json.loads((FIXTURES / f"{name}.json").read_text())
    worst, sds = [], []
    for case in recorded["cases"]:
        plan, rows = plan_of(case["plan"]), case["call"]["rows"]
        module = load("mdlm_adapter.py", plan)
        counts, sd = np.array(plan.schedule.counts), np.array(module.spread())
        n = counts.sum()
        np.testing.assert_allclose(
            sd**2, [binomial_variance(n, c / n) for c in counts], rtol=1e-9, atol=1e-12
        )
        error = sd / np.sqrt(rows)
        assert np.all(np.abs(np.array(case["revealed"]["mean"]) - counts) <= 5 * error + 1e-12)
        found = np.array(case["revealed"]["sd"])
        ratio = found[sd > 0] / sd[sd > 0]
        worst += list(np.abs(ratio - 1))
        sds += list(ratio)
        shares = module.masked_shares(counts.tolist())
        np.testing.assert_allclose(shares, to_json_dict(plan.schedule, {})["decreasing_times"], atol=1e-15)
    assert max(worst) < 0.35  # an sd of 400 rows is known to 3.5% (of counts that are mostly 0, to less)
    assert abs(np.mean(sds) - 1) < 0.01


def test_flow_matching_reveals_what_the_file_says():
    """A mean of n (1 - exp(-h / (1 - t))) of those that are left, and all of them at the last step."""
    recorded = json.loads((FIXTURES / "flow_matching.json").read_text())
    assert len(recorded["cases"]) == 100
    for case in recorded["cases"]:
        plan, rows = plan_of(case["plan"]), case["call"]["rows"]
        times = np.array(load("time_grid_adapter.py", plan).increasing_times())
        shares, left = [], 1.0
        for t, s in zip(times[:-2], times[1:-1], strict=True):
            shares.append(left * -np.expm1(-(s - t) / (1 - t)))
            left -= shares[-1]
        shares = np.array([*shares, left])
        error = np.sqrt(plan.schedule.n * shares * (1 - shares) / rows)
        gap = np.abs(np.array(case["revealed"]["mean"]) - plan.schedule.n * shares)
        assert np.all(gap <= 5 * error + 1e-9)


def test_hackable_diffusion_reveals_the_plan_in_the_mean():
    """A masked token is revealed with probability (t - s) / t, and never masked again."""
    recorded = json.loads((FIXTURES / "hackable_diffusion.json").read_text())
    assert len(recorded["cases"]) == 100
    for case in recorded["cases"]:
        plan, rows = plan_of(case["plan"]), case["call"]["rows"]
        times = np.array(load("time_grid_adapter.py", plan).decreasing_times())
        shares = -np.diff(times)  # but for the margins, counts / n
        np.testing.assert_allclose(shares, np.array(plan.schedule.counts) / plan.schedule.n, atol=2.1e-6)
        error = np.sqrt(plan.schedule.n * shares * (1 - shares) / rows)
        gap = np.abs(np.array(case["revealed"]["mean"]) - plan.schedule.n * shares)
        assert np.all(gap <= 5 * error + 1e-3)


def binomial_variance(n, p):
    """From the definition: the sum over all counts of the squared distance from the mean."""
    from math import comb

    weights = [comb(int(n), k) * p**k * (1 - p) ** (int(n) - k) for k in range(int(n) + 1)]
    mean = sum(k * w for k, w in enumerate(weights))
    return sum((k - mean) ** 2 * w for k, w in enumerate(weights))


def test_maskgit_reveals_the_plan():
    recorded = json.loads((FIXTURES / "maskgit.json").read_text())
    assert len(recorded["cases"]) == 100
    for case in recorded["cases"]:
        plan = plan_of(case["plan"])
        assert case["revealed"] == [plan.schedule.counts.tolist()] * case["call"]["rows"]
        assert cut_to_integers(load("maskgit_adapter.py", plan), 0) == plan.schedule.counts.tolist()


@settings(deadline=None)
@given(st.lists(COUNTS, min_size=2, max_size=3))
def test_levels_are_cut_to_the_counts_of_each(levels):
    blocks = tuple(Plan(Schedule(counts)) for counts in levels)
    whole = Schedule([count for counts in levels for count in counts])
    module = load("maskgit_adapter.py", Plan(whole, {}, 1, False, blocks))
    assert [cut_to_integers(module, level) for level in range(len(levels))] == levels


def test_a_share_is_the_same_inside_jax():
    share = load("maskgit_adapter.py", Plan(Schedule([1, 3, 4]))).level_share(0)
    ratios = (np.arange(3) + 1) / 3
    inside = jax.jit(jax.vmap(share))(jnp.asarray(ratios, jnp.float32))
    np.testing.assert_allclose(inside, [share(float(ratio)) for ratio in ratios], rtol=1e-6)


def cut_to_integers(module, level):
    """The counts of a loop that leaves `int(n share)` masks after each step."""
    share, steps, n = module.level_share(level), module.level_steps(level), module.level_plan(level)["n"]
    left = [n, *(int(np.float32(n) * np.float32(share((i + 1) / steps))) for i in range(steps))]
    return [a - b for a, b in zip(left, left[1:], strict=False)]


def test_time_grids():
    schedule = Schedule([1, 3, 4])
    module = load("time_grid_adapter.py", Plan(schedule))
    assert module.increasing_times() == to_json_dict(schedule, {})["increasing_times"]
    assert module.decreasing_times() == [1 - 1e-6, 7 / 8, 1 / 2, 1e-6]

    class Uniform:
        def all_step_infos(self, rng, num_steps, data_spec):
            shape = (num_steps, data_spec.shape[0], 1, 1)
            return Infos(jnp.arange(num_steps), jnp.zeros(shape, jnp.float32), rng)

    class Infos(types.SimpleNamespace):
        def __init__(self, step, time, rng):
            super().__init__(step=step, time=time, rng=rng)

    infos = module.TabulatedTimeSchedule(Uniform()).all_step_infos(7, 4, jnp.zeros((2, 5, 1)))
    assert infos.time.shape == (4, 2, 1, 1)
    wanted = np.float32(module.decreasing_times())[:, None] * np.ones(2, np.float32)
    np.testing.assert_array_equal(np.asarray(infos.time)[..., 0, 0], wanted)
    assert infos.rng == 7
    with pytest.raises(ValueError, match="num_steps is 3: set num_steps=4"):
        module.TabulatedTimeSchedule(Uniform()).all_step_infos(7, 3, jnp.zeros((2, 5, 1)))
