"""`mdmjax trace`: its JSON by hand, its words, its pictures, and one line for every bad input."""

import json

import numpy as np
import pytest

from mdmjax.cli import main

STEPS = """{"step_map": [0, 0, 1, 1], "id": "a", "correct": true}
{"step_map": [0, 0, 0], "id": "b", "correct": false}
"""
CANVASES = '{"histories": [[5, 9, 9], [5, 3, 9], [5, 4, 2]], "id": "a"}\n'


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.jsonl").write_text(STEPS)
    (tmp_path / "canvases.jsonl").write_text(CANVASES)


def run(capsys, *words):
    assert main(["trace", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_json_has_every_number_with_its_interval(capsys):
    found = json.loads(run(capsys, "steps.jsonl", "--json"), parse_constant=pytest.fail)
    assert (found["format"], found["samples"], found["without_order"]) == ("steps", 2, 1)
    means = {"afp": 2.5, "kendall_tau_b": 0.816496580927726, "tie_fraction": 2 / 3, "n": 3.5, "steps": 1.5}
    for name, value in means.items():
        assert set(found[name]) == {"mean", "low", "high"}
        assert found[name]["mean"] == pytest.approx(value)
    assert found["afp"]["low"] == 2
    assert found["afp"]["high"] == 3
    assert found["kendall_tau_sorted"]["mean"] == 1
    assert found["edits"] == {"mean": None, "low": None, "high": None}  # steps do not say
    assert found["by_correctness"]["false"]["kendall_tau_b"]["mean"] is None
    assert found["by_correctness"]["true"]["afp"]["mean"] == 2


def test_files_are_compared_over_their_prompts(capsys):
    found = json.loads(run(capsys, "steps.jsonl", "canvases.jsonl", "--json"))
    (other,) = found["others"]
    assert (other["format"], other["paired"]) == ("canvases", 1)
    assert other["edits"]["mean"] == 0.5
    assert other["difference"]["afp"] == {"mean": 0.0, "low": 0.0, "high": 0.0}  # 2 and 2 of prompt a
    text = run(capsys, "steps.jsonl", "canvases.jsonl")
    assert "canvases.jsonl less steps.jsonl, paired by 1 prompts" in text
    assert "1 of 2 samples were finalised in one step, which has no order" in text


def test_pictures(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    run(capsys, "canvases.jsonl", "--plot", "heat.png", "--animate", "steps.gif")
    assert (tmp_path / "heat.png").read_bytes()[:4] == b"\x89PNG"
    with Image.open(tmp_path / "steps.gif") as picture:
        assert (picture.format, picture.n_frames) == ("GIF", 2)


REFUSALS = {
    "format": ('{"x": [1]}', [], "format is not to be seen: line 1 of bad.jsonl has x"),
    "no names": ("[0, 1]", [], "--format is not given"),
    "json": ('{"steps": [0]}\n{"steps": [0,', [], "in line 2"),
    "word": ('{"steps": [0]}\n7', [], "bad.jsonl with 7 in line 2: want an object or a list"),
    "empty": ("\n\n", [], "FILE is bad.jsonl without a trace"),
    "unfinished": ('{"steps": [0, null]}', [], "position 1 of line 1 never finalised"),
    "masked": ('{"histories": [[9, 9], [1, 9]]}', ["--mask", "9"], "--partial leaves out"),
    "mask": ('{"histories": [[1, 2], [3, 4]]}', [], "--mask is not to be seen"),
    "ragged": ('{"histories": [[9, 9], [1]]}', ["--mask", "9"], "rows of one length"),
    "fraction": ('{"steps": [0.5, 1]}', [], "with [0.5, 1] in line 1: want integers"),
    "order": ('{"masks": [[1, 0], [0, 1]], "step": [1, 0]}', [], "with step 0 after 1 in line 1"),
    "axes": ('{"steps": [[[0]]]}', [], "with steps of 3 axes in line 1"),
    "other name": ('{"steps": [0]}', ["--format", "masks"], "with steps in line 1"),
    "no place": ('{"steps": [-1, -1]}', [], "in which no position counts"),
    "no tokens": ('{"steps": [0, 1]}', ["--end-token", "3"], "--end-token is 3"),
    "a text": (
        '{"steps": [0, 1], "prompt_length": "x"}',
        [],
        "with prompt_length x in line 1: want an integer",
    ),
    "correct of some": (
        '{"steps": [0, 1], "correct": true}\n{"steps": [0, 1]}',
        [],
        "without correct in line 2: want correct of every sample, or of none",
    ),
    "step numbers": (
        '{"canvases": [[9, 9], [1, 9], [1, 2]], "mask": 9, "step": [0]}',
        [],
        "with 1 steps in line 1: want a number for each of the 3 canvases or masks",
    ),
    "correct": ('{"steps": [0, 1], "correct": "no"}', [], "with correct no in line 1: want true or false"),
    "few": ('{"steps": [0, 1], "entropy": [1]}', [], "a number for each of the 2 positions"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_one_line(case, capsys, tmp_path):
    text, words, message = REFUSALS[case]
    (tmp_path / "bad.jsonl").write_text(text)
    (tmp_path / "heat.png").write_bytes(b"old")
    assert main(["trace", "bad.jsonl", *words, "--plot", "heat.png"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert (tmp_path / "heat.png").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trace"], "FILE is not given"),
        (["trace", "no.jsonl"], "no such file"),
        (["trace", "steps.txt"], "ends in .jsonl, .npz or .parquet"),
        (["trace", "steps.jsonl", "steps.jsonl"], "given twice"),
        (
            ["trace", "steps.jsonl", "--format", "x"],
            "--format is x: want one of steps",
        ),
        (["trace", "steps.jsonl", "--plot", "a.txt"], "--plot is a.txt"),
        (
            ["trace", "steps.jsonl", "--animate", "a.png"],
            "--animate is a.png: want a name",
        ),
        (["trace", "steps.jsonl", "--prompt-length", "-1"], "--prompt-length is -1"),
    ],
)
def test_words_that_do_not_fit(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_parquet_needs_an_extra(capsys, tmp_path, monkeypatch):
    (tmp_path / "f.parquet").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["trace", "f.parquet"]) == 2
    assert "pip install 'mdmjax[sweep]'" in capsys.readouterr().err


def test_our_own_files(capsys, tmp_path):
    """What decode writes: given tokens have -1, and what is masked at the end was never finalised."""
    arrays = {"tokens": [[1, 0, 1], [2, 0, 1]], "finalised": [[-1, 1, 0], [3, 0, 0]], "calls": [2, 1]}
    np.savez(tmp_path / "own.npz", **arrays, edits=np.ones((2, 3), int), q=2)
    assert main(["trace", "own.npz"]) == 2
    assert "position 0 of sample 1 of the arrays never finalised" in capsys.readouterr().err
    found = json.loads(run(capsys, "own.npz", "--partial", "--json"))
    assert (found["format"], found["never_finalised"]) == ("own", 1)
    assert (found["n"]["mean"], found["calls"]["mean"], found["edits"]["mean"]) == (2, 1.5, 1)
