import json
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import dllm_counts_by_rule
from _strategies import counts_of
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError, Schedule
from mdmjax.schedules.adapters import ADAPTERS, adapter_source
from mdmjax.schedules.export import from_json_dict, to_json_dict

COUNTS = st.one_of(
    st.integers(1, 40).flatmap(counts_of),
    st.lists(st.sampled_from([1, 1, 2, 3, 17, 400, 9999]), min_size=1, max_size=60),
)


# The stand-ins below are what the adapters need of torch and of dLLM, on NumPy arrays.


class BaseAlphaScheduler:
    """dLLM's contract: a float32 tensor of times in, alphas out."""

    def alpha(self, t):
        return self._alpha(np.asarray(t, np.float32))


def load(source):
    """The module of an adapter's source, with torch and dLLM as above."""
    torch = types.ModuleType("torch")
    torch.int64 = np.int64
    torch.tensor = lambda values, dtype, device: np.array(values, dtype)
    schedulers = types.ModuleType("dllm.core.schedulers")
    schedulers.BaseAlphaScheduler = BaseAlphaScheduler
    stand_ins = {
        "torch": torch,
        "dllm": types.ModuleType("dllm"),
        "dllm.core": types.ModuleType("dllm.core"),
        "dllm.core.schedulers": schedulers,
    }
    module = types.ModuleType("adapter")
    before = {name: sys.modules.get(name) for name in (*stand_ins, "adapter")}
    sys.modules.update(stand_ins, adapter=module)
    try:
        exec(compile(source, "adapter.py", "exec"), module.__dict__)
        module.torch = torch
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
    return module


@given(COUNTS)
def test_any_counts_survive_export_and_import(counts):
    document = to_json_dict(Schedule(counts), {"curve": "a", "expected_kl": 0.5})
    document = json.loads(json.dumps(document, allow_nan=False))
    assert from_json_dict(document).counts.tolist() == counts
    assert from_json_dict({"counts": counts}).counts.tolist() == counts
    assert document["metadata"] == {"units": "nats", "curve": "a", "expected_kl": 0.5}


def test_the_fields_of_the_schema():
    assert to_json_dict(Schedule([1, 3]), {}) == {
        "schema": "mdmjax.schedule",
        "version": 1,
        "n": 4,
        "steps": 2,
        "counts": [1, 3],
        "boundaries": [0, 1, 4],
        "remaining_fractions": [1.0, 0.75, 0.0],
        "decreasing_times": [1.0, 0.75, 0.0],
        "increasing_times": [0.0, 0.25, 1.0],
        "metadata": {"units": "nats"},
    }


@given(COUNTS)
def test_grids_go_strictly_from_end_to_end(counts):
    schedule = Schedule(counts)
    times = to_json_dict(schedule, {})
    up, down = np.array(times["increasing_times"]), np.array(times["decreasing_times"])
    assert (up[0], up[-1], down[0], down[-1]) == (0, 1, 1, 0)
    assert np.all(np.diff(up) > 0)
    assert np.all(np.diff(down) < 0)
    np.testing.assert_allclose(up + down, 1, atol=2e-16)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([3, 5], 'schedule is a list: want an object such as {"counts": [3, 5]}'),
        (None, "schedule is a NoneType: want an object"),
        ({}, "counts is None: want a list of integers"),
        ({"counts": "35"}, "counts is '35': want a list of integers"),
        ({"counts": [3, 5.0]}, "counts is [3, 5.0]: want a list of integers"),
        ({"counts": [3, True]}, "counts is [3, True]: want a list of integers"),
        ({"counts": [3, None]}, "counts is [3, None]: want a list of integers"),
        ({"counts": []}, "counts is of shape (0,): want a list of at least one count"),
        ({"counts": [3, 0]}, "counts is 0 at step 1: want counts >= 1"),
        ({"counts": [-3, 4]}, "counts is -3 at step 0: want counts >= 1"),
        ({"counts": [2**62, 2**62]}, "counts is [4611686018427387904, 4611686018427387904]"),
        (
            {"counts": [10**30]},
            "counts is [1000000000000000000000000000000]: want a sum below 2^63",
        ),
        ({"counts": [3, 5], "n": 9}, "n is 9: want 8 for these counts"),
        ({"counts": [3, 5], "n": "8"}, "n is '8': want 8 for these counts"),
        ({"counts": [3, 5], "steps": True}, "steps is True: want 2 for these counts"),
        ({"counts": [3, 5], "boundaries": [0, 8]}, "boundaries is [0, 8]: want [0, 3, 8]"),
        ({"counts": [3, 5], "increasing_times": [0, 0.4, 1]}, "increasing_times is [0, 0.4, 1]"),
        ({"counts": [3, 5], "increasing_times": None}, "increasing_times is None: want [0.0,"),
        ({"counts": [3, 5], "decreasing_times": [1, float("nan"), 0]}, "decreasing_times is [1,"),
        ({"counts": [3, 5], "schema": "other"}, "schema is 'other': want 'mdmjax.schedule'"),
        ({"counts": [3, 5], "version": 2}, "version is 2: want 1; read it with the mdmjax"),
        ({"counts": [1] * 99, "n": list(range(99))}, "n is [0, 1, 2, "),
    ],
)
def test_a_bad_document_is_refused_in_one_short_line(document, said):
    with pytest.raises(InvalidInputError) as refusal:
        from_json_dict(document)
    assert str(refusal.value).startswith(said)
    assert len(str(refusal.value)) < 200


def test_a_document_that_went_through_float32_is_read():
    document = to_json_dict(Schedule([1, 2, 4]), {})
    for name in ("remaining_fractions", "decreasing_times", "increasing_times"):
        document[name] = np.float32(document[name]).tolist()
    assert from_json_dict(document | {"note": "ours"}).counts.tolist() == [1, 2, 4]


@given(COUNTS)
def test_dllm_gives_the_counts_back(counts):
    scheduler = load(adapter_source("dllm_adapter.py", Schedule(counts))).TabulatedAlphaScheduler()
    assert dllm_counts_by_rule(sum(counts), len(counts), scheduler.alpha) == counts


@pytest.mark.parametrize("n", [10**4, 10**6, 2**21])
@pytest.mark.parametrize("steps", [2, 37, 3000])
def test_dllm_gives_the_counts_of_long_schedules_back(n, steps):
    rng = np.random.default_rng([n, steps])
    for skew in (1.0, 6.0):  # even starts, and starts that crowd at the beginning or the end
        starts = np.unique(1 + ((n - 2) * rng.random(steps - 1) ** skew).astype(int))
        for edges in ([0, *starts, n], [0, *(n - starts[::-1]), n]):
            counts = np.diff(edges).tolist()
            scheduler = load(adapter_source("dllm_adapter.py", Schedule(counts))).TabulatedAlphaScheduler()
            assert dllm_counts_by_rule(n, len(counts), scheduler.alpha) == counts


def test_the_alpha_table_alone_does_too():
    """Without the adapter: alpha(1 - j/k) = 1 - remaining_fractions[j], in float32."""
    for counts in ([1, 2, 97, 300], [300, 1, 1, 2], [1] * 57, [5]):
        remaining = to_json_dict(Schedule(counts), {})["remaining_fractions"]
        table = np.float32(1 - np.array(remaining))

        def alpha(t, table=table):
            return table[round((1 - float(t)) * (len(table) - 1))]

        assert dllm_counts_by_rule(sum(counts), len(counts), alpha) == counts


def test_the_dllm_scheduler_between_its_times():
    module = load(adapter_source("dllm_adapter.py", Schedule([1, 3, 4])))
    scheduler = module.TabulatedAlphaScheduler()
    times = np.array([[1.0, 5 / 6], [1 / 3, 0.0]], np.float32)
    values = scheduler._alpha(times)
    assert (values.shape, values.dtype) == ((2, 2), np.float32)
    np.testing.assert_allclose(values, [[0, 1 / 16], [1 / 2, 1]], rtol=1e-6)
    np.testing.assert_array_equal(scheduler._value(times), values)
    middle = np.array([5 / 6, 1 / 2, 1 / 6], np.float32)
    slopes = [-3 / 8, -9 / 8, -12 / 8]
    np.testing.assert_allclose(scheduler._alpha_derivative(middle), slopes, rtol=1e-6)
    np.testing.assert_array_equal(scheduler._derivative(middle), scheduler._alpha_derivative(middle))


class FakeMask:
    """A bool mask tensor: `mask.sum(dim=1).tolist()` and a device."""

    device = "cpu"

    def __init__(self, masked):
        self.masked = masked

    def sum(self, dim):
        assert dim == 1
        return np.array(self.masked)


@settings(deadline=None)
@given(COUNTS, st.integers(1, 3))
def test_llada_gets_the_counts_for_every_row(counts, batch):
    source = adapter_source("llada_adapter.py", Schedule(counts))
    module = load(source)
    sys.modules["torch"] = module.torch
    try:
        found = module.get_num_transfer_tokens(FakeMask([sum(counts)] * batch), len(counts))
    finally:
        del sys.modules["torch"]
    assert found.dtype == np.int64
    assert found.tolist() == [counts] * batch


@pytest.mark.parametrize(("masked", "steps"), [([8, 7], 2), ([8], 3), ([4], 1)])
def test_llada_is_told_what_to_set(masked, steps, monkeypatch):
    module = load(adapter_source("llada_adapter.py", Schedule([3, 5])))
    monkeypatch.setitem(sys.modules, "torch", module.torch)
    with pytest.raises(ValueError, match="set steps=2 and gen_length=block_length=8"):
        module.get_num_transfer_tokens(FakeMask(masked), steps)


def test_time_grids_of_the_adapter():
    schedule = Schedule([1, 3, 4])
    module = load(adapter_source("time_grid_adapter.py", schedule))
    assert module.increasing_times() == to_json_dict(schedule, {})["increasing_times"]
    assert module.decreasing_times() == [1 - 1e-6, 7 / 8, 1 / 2, 1e-6]

    class Infos:
        def __init__(self, step, time, rng):
            self.step, self.time, self.rng = step, time, rng

    class Uniform:
        def all_step_infos(self, rng, num_steps, data_spec):
            shape = (num_steps, data_spec.shape[0], 1, 1)
            return Infos(jnp.arange(num_steps), jnp.zeros(shape, jnp.float32), rng)

    infos = module.TabulatedTimeSchedule(Uniform()).all_step_infos(7, 4, jnp.zeros((2, 5, 1)))
    assert infos.time.shape == (4, 2, 1, 1)
    wanted = np.float32(module.decreasing_times())[:, None] * np.ones(2, np.float32)
    np.testing.assert_array_equal(np.asarray(infos.time)[..., 0, 0], wanted)
    assert infos.rng == 7
    with pytest.raises(ValueError, match="num_steps is 3: this schedule needs 4 times"):
        module.TabulatedTimeSchedule(Uniform()).all_step_infos(7, 3, jnp.zeros((2, 5, 1)))


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_file_is_python_without_mdmjax_and_with_short_lines(name):
    for counts in ([5], list(range(1, 300))):
        source = adapter_source(name, Schedule(counts))
        compile(source, name, "exec")
        assert "import mdmjax" not in source
        assert "<<" not in source
        assert source.endswith("\n")
        assert max(map(len, source.splitlines())) <= 110
