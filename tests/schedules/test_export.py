import json

import numpy as np
import pytest
from _oracles import dllm_counts_by_rule
from _strategies import counts_of
from hypothesis import given
from hypothesis import strategies as st

from mdmjax import InvalidInputError, Schedule
from mdmjax.schedules.export import from_json_dict, to_json_dict
from mdmjax.schedules.plan import Plan

COUNTS = st.one_of(
    st.integers(1, 40).flatmap(counts_of),
    st.lists(st.sampled_from([1, 1, 2, 3, 17, 400, 9999]), min_size=1, max_size=60),
)


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
        "order": "random",
        "metadata": {"units": "nats"},
    }


def test_the_fields_of_a_plan():
    block = Plan(Schedule([1, 1]), {1: Schedule([1])})
    document = to_json_dict(
        Plan(Schedule([1, 1]), block.by_masks, 2, True, (block,), (Plan(Schedule([2, 3])),)), {}
    )
    entry = {"n": 2, "steps": 2, "counts": [1, 1], "by_masks": {"1": [1]}}
    more = {"block_length": 2, "every_block": True, "blocks": [entry], "by_masks": {"1": [1]}}
    assert more.items() <= document.items()
    assert document["lengths"] == [{"n": 5, "steps": 2, "counts": [2, 3]}]
    assert from_json_dict(json.loads(json.dumps(document))).counts.tolist() == [1, 1]
    assert document["version"] == 1


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


def test_the_alpha_table_alone_does_too():
    """For dLLM: alpha(1 - j/k) = 1 - remaining_fractions[j], in float32."""
    for counts in ([1, 2, 97, 300], [300, 1, 1, 2], [1] * 57, [5]):
        remaining = to_json_dict(Schedule(counts), {})["remaining_fractions"]
        table = np.float32(1 - np.array(remaining))

        def alpha(t, table=table):
            return table[round((1 - float(t)) * (len(table) - 1))]

        assert dllm_counts_by_rule(sum(counts), len(counts), alpha) == counts
