"""Constraints by name: patterns and files on the command line, and one line for what cannot be had."""

import json

import jax
import numpy as np
import pytest

from mdmjax.cli import main
from mdmjax.files.arrays import read_automaton

LAW = ["law", "markov", "--n", "2", "--block", "1"]


def found(capsys, *words):
    assert main([*LAW, *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


TABLES = {"transition": [[1, 2], [3, 4], [4, 3], [4, 4], [4, 4]], "start": 0, "accepting": [0, 0, 0, 1, 0]}


def test_a_file_is_json_or_npz(tmp_path):
    (tmp_path / "same.json").write_text(json.dumps(TABLES))
    np.savez(tmp_path / "same.npz", **TABLES)
    one, other = (read_automaton(tmp_path / f"same.{end}") for end in ("json", "npz"))
    assert all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )
    assert one.accepting.tolist() == [False, False, False, True, False]


@pytest.mark.slow
def test_a_pattern_and_a_file_are_one_constraint(capsys, tmp_path, monkeypatch):
    """Two equal bits of a chain of flip 0.1, one by one: 0.45 each of p, and so p given acceptance."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same.json").write_text(json.dumps(TABLES))
    for accept in ("00|11", "same.json"):
        report = found(capsys, "completable", "--accept", accept)
        assert report["accepted_mass"] == pytest.approx(0.9, abs=1e-12)
        assert abs(report["accepted_forward_kl"]) < 1e-12
        assert report["decoder"] == {"name": "completable", "accept": accept, "block": 1}


@pytest.mark.slow
def test_where_the_truth_is_never_accepted(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("table.npz", probs=np.array([[0.5, 0.0], [0.0, 0.5]]))
    assert main(["law", "joint", "table.npz", "dingo", "--accept", "01|10", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accepted_mass"] == 0
    assert "accepted_forward_kl" not in report


@pytest.mark.parametrize(
    ("accept", "line"),
    {
        "(01": "--accept is (01: want ) at character 4",
        "0{3}": "--accept is 0{3}, one that no word of length 2 satisfies: want at least one accepted word",
        "no.npz": "--accept is no.npz: want a file; no such file",
        "three.json": "--accept is three.json, of 3 symbols: want one of q = 2 symbols",
        "half.json": "--accept is half.json, whose start is not of integers: want numbers of states",
        "odd.json": "--accept is odd.json, whose accepting is of other numbers: want 1 or 0 a state",
        "five.json": "--accept is five.json, whose transition is 5: want states among 0..0",
        "less.json": "--accept is less.json with start, transition: want arrays transition (states, q)",
    }.items(),
)
def test_what_is_no_constraint(accept, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = {"transition": [[0, 0]], "start": 0, "accepting": [1]}
    for name, change in {
        "three": {"transition": [[0, 0, 0]]},
        "half": {"start": 0.5},
        "odd": {"accepting": [2]},
        "five": {"transition": [[0, 5]]},
        "less": {"accepting": None},
    }.items():
        tables = {key: value for key, value in (whole | change).items() if value is not None}
        (tmp_path / f"{name}.json").write_text(json.dumps(tables))
    assert main([*LAW, "dingo", "--accept", accept]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"mdmjax: error: {line}")
    assert err.count("\n") == 1
