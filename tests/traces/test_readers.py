"""Traces from what other tools keep: by hand, against a slow loop, and as the tools themselves wrote it."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.files.trace_batches import HowRead
from mdmjax.files.trace_files import read_traces
from mdmjax.traces.readers import mask_of, traces_of_canvases, traces_of_masks, traces_of_steps

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
MASK = 9


def lists(*arrays):
    return [np.asarray(array).tolist() for array in arrays]


def test_steps_that_are_negative_were_given():
    traces = traces_of_steps(np.array([[-1, 3, 0, -2, -7]]))
    assert lists(traces.counted, traces.unfinished) == [
        [[False, True, True, False, False]],
        [[False, False, False, True, False]],
    ]


def test_a_change_of_a_token_is_an_edit_and_finalises():
    canvases = np.array([[[5, 9, 9, 9], [5, 3, 9, 9], [5, 4, 9, 9], [6, 9, 1, 9], [6, 2, 1, 9]]])
    traces = traces_of_canvases(canvases, MASK)
    assert lists(traces.steps, traces.counted, traces.edits, traces.unfinished) == [
        [[2, 3, 2, -2]],
        [[True, True, True, False]],
        [[1, 2, 0, 0]],
        [[False, False, False, True]],
    ]


def test_with_a_prompt_the_first_canvas_is_of_a_step():
    canvases = np.array([[[5, 3, 9], [5, 3, 1]]])
    alone = traces_of_canvases(canvases, MASK)
    after = traces_of_canvases(canvases, MASK, prompt=np.array([[True, False, False]]))
    assert lists(alone.counted, after.counted) == [[[False, False, True]], [[False, True, True]]]
    assert lists(after.steps) == [[[-1, 0, 1]]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(7, 9), min_size=4, max_size=4), min_size=1, max_size=6))
def test_canvases_are_read_as_one_by_one(rows):
    canvases = np.array([rows])
    traces = traces_of_canvases(canvases, MASK)
    for position in range(4):
        column = [row[position] for row in rows]
        changes = [k for k in range(len(column) - 1) if column[k] != column[k + 1]]
        given_ = column[0] != MASK
        step = changes[-1] if changes else -1 if given_ else -2
        assert int(traces.steps[0, position]) == step
        assert int(traces.edits[0, position]) == sum(column[k] != MASK for k in changes)
        assert bool(traces.counted[0, position]) == (bool(changes) and column[-1] != MASK)


def test_masks_count_from_where_the_last_run_begins():
    masks = np.array([[[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 1, 0]]], bool)
    traces = traces_of_masks(masks)
    assert lists(traces.steps, traces.edits) == [[[-1, 0, 2, 2]], [[0, 0, 1, 0]]]
    edited = traces_of_masks(masks, edited=np.array([[[0, 0, 0, 0]] * 3 + [[0, 1, 0, 0]]], bool))
    assert lists(edited.steps, edited.edits) == [[[-1, 3, 2, 2]], [[0, 1, 1, 0]]]


def test_the_mask_token_is_seen_or_asked_for():
    assert mask_of(np.array([1, 9, 9]), np.array([1, 2, 3])) == 9
    for first, last in (([1, 2], [3, 4]), ([1, 2], [1, 2]), ([9, 9], [3, 9])):
        with pytest.raises(InvalidInputError, match="mask is not to be seen"):
            mask_of(np.array(first), np.array(last))


def stored(name, tmp_path, *left_out):
    """A fixture as a line of JSON, and its parts."""
    found = json.loads((FIXTURES / f"{name}.json").read_text())
    path = tmp_path / f"{name}.jsonl"
    path.write_text(json.dumps({key: value for key, value in found.items() if key not in left_out}))
    return path, found


@pytest.mark.parametrize("name", ["dllm", "dream"])
def test_canvases_of_the_tools_are_read_back(name, tmp_path):
    """dLLM keeps the canvas before the first step, Dream does not: its prompt is said."""
    path, found = stored(name, tmp_path)
    (chunk,) = read_traces(path)
    seen = np.array(found["seen"])
    assert chunk.samples == len(seen) == 2
    n = seen.shape[1]
    counted = np.asarray(chunk.traces.counted)[:2, :n]
    np.testing.assert_array_equal(counted, seen >= 0)
    np.testing.assert_array_equal(np.asarray(chunk.traces.steps)[:2, :n][counted], seen[seen >= 0])
    assert not np.asarray(chunk.traces.edits).any()


def test_masks_of_diffusers_are_read_back(tmp_path):
    """`transfer_index` is true once; `accepted_index` as long as a token is kept."""
    path, found = stored("diffusers", tmp_path, "accepted_index")
    (chunk,) = read_traces(path)
    np.testing.assert_array_equal(np.asarray(chunk.traces.steps)[:2, :8], found["seen"])
    path, found = stored("diffusers", tmp_path, "transfer_index")
    (chunk,) = read_traces(path, HowRead(partial=True))
    accepted = np.array(found["accepted_index"])
    for sample in range(2):
        for position in np.flatnonzero(np.asarray(chunk.traces.counted)[sample, :8]):
            column = accepted[:, sample, position].tolist()
            step = int(chunk.traces.steps[sample, position])
            assert column[step]
            assert not (step and column[step - 1])
            rest = column[step:]
            assert True not in rest[rest.index(False) :] if False in rest else all(rest)


ROWS = [
    {"step_map": [0, 1, 2], "id": "a", "correct": True, "entropy": [0.1, 0.2, 0.3], "nfe": 3},
    {
        "step_map": [-1, 4, 4, 5, 0],
        "id": "b",
        "correct": False,
        "entropy": [0.0, 1.0, 2.0, 0.5, 0.1],
        "nfe": 6,
    },
]


def parts_of(path, **how):
    chunks = list(read_traces(path, HowRead(**how)))
    (chunk,) = chunks
    return chunk


@pytest.mark.parametrize("kind", ["jsonl", "npz", "parquet"])
def test_files_of_every_kind_say_the_same(kind, tmp_path):
    path = tmp_path / f"steps.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    elif kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(ROWS), path)
    else:
        steps, entropy = np.full((2, 5), -1), np.zeros((2, 5))
        for number, row in enumerate(ROWS):
            steps[number, : len(row["step_map"])] = row["step_map"]
            entropy[number, : len(row["entropy"])] = row["entropy"]
        about = {name: np.array([row[name] for row in ROWS]) for name in ("correct", "nfe")}
        np.savez(path, step_map=steps, entropy=entropy, **about)
    chunk = parts_of(path)
    assert chunk.samples == 2
    counted = np.asarray(chunk.traces.counted)[:, :5]
    assert counted.tolist() == [[True] * 3 + [False] * 2, [False] + [True] * 4]
    assert np.asarray(chunk.traces.steps)[:, :5][counted].tolist() == [0, 1, 2, 4, 4, 5, 0]
    assert np.asarray(chunk.traces.correct).tolist() == [True, False]
    assert np.asarray(chunk.traces.calls).tolist() == [3, 6]
    assert np.asarray(chunk.traces.against["entropy"])[1, :5].tolist() == ROWS[1]["entropy"]
    assert chunk.prompts == ([None, None] if kind == "npz" else ["a", "b"])


def test_a_large_file_is_read_in_chunks(tmp_path):
    """No chunk has more numbers than it may, but for a long sample; all samples come in order."""
    path, rng = tmp_path / "many.jsonl", np.random.default_rng(0)
    rows = [rng.integers(0, 9, rng.integers(1, 20)).tolist() for _ in range(200)]
    rows[77] = list(range(100))
    path.write_text("\n".join(json.dumps({"steps": row}) for row in rows))
    found = []
    for chunk in read_traces(path, chunk=64):
        assert (
            chunk.samples * max(map(len, rows[len(found) : len(found) + chunk.samples])) <= 64
            or chunk.samples == 1
        )
        for sample in range(chunk.samples):
            counted = np.asarray(chunk.traces.counted)[sample]
            found.append(np.asarray(chunk.traces.steps)[sample][counted].tolist())
    assert found == rows


def test_batches_have_their_axes_by_name(tmp_path):
    """`histories` are by step, `canvases` by sample."""
    by_sample = np.array([[[9, 9], [1, 9], [1, 2]], [[9, 9], [9, 3], [4, 3]]])
    for name, array in (("canvases", by_sample), ("histories", by_sample.swapaxes(0, 1))):
        np.savez(tmp_path / "f.npz", **{name: array})
        chunk = parts_of(tmp_path / "f.npz", mask=9)
        assert np.asarray(chunk.traces.steps).tolist() == [[0, 1], [1, 0]]


def test_texts_end_and_prompts_are_said(tmp_path):
    path = tmp_path / "f.jsonl"
    rows = [{"steps": [0, 1, 2, 3], "tokens": [7, 5, 7, 1]}, {"steps": [0, 1], "tokens": [5, 5]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    counted = lambda **how: np.asarray(parts_of(path, **how).traces.counted).tolist()
    assert counted(prompt=1, end=7) == [[False, True, False, False], [False, True, False, False]]
    path.write_text(json.dumps({"steps": [0, 1, None], "end": 2}))
    assert counted() == [[True, True, False, False]]


def test_negative_steps_of_an_array_were_given_as_those_of_a_list(tmp_path):
    np.savez(tmp_path / "f.npz", step_map=np.array([[-2, 0, 1], [-5, 1, 0]]))
    assert (
        np.asarray(parts_of(tmp_path / "f.npz").traces.counted)[:, :3].tolist() == [[False, True, True]] * 2
    )


def test_too_long_a_trace_is_named(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text(f'{{"steps": [0]}}\n{{"steps": {list(range(2**15 + 1))}}}\n')
    with pytest.raises(InvalidInputError, match="with 32769 positions in line 2"):
        parts_of(path)
