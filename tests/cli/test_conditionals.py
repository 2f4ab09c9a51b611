"""`mdmjax conditionals`: its numbers by the sum over all words, its files, one line for every mistake."""

import csv
import json

import numpy as np
import pytest
from _oracles import hmm_table, partial_assignments, table_conditionals, table_marginal

from mdmjax.cli import main

ARRAYS = {
    "initial": np.array([1.0, 0.0, 0.0]),
    "transition": np.array([[0.0, 1.0, 0.0], [0.6, 0.0, 0.4], [0.3, 0.2, 0.5]]),
    "emission": np.array([[1.0, 0.0], [0.25, 0.75], [1.0, 0.0]]),
}
"""Only the second state shows a 1: positions 0 and 2 never do."""
TABLE = hmm_table(*ARRAYS.values(), 4)
CONTEXTS = [row for row in partial_assignments(4, 2) if table_marginal(TABLE, row) > 0]
LINES = [" ".join("?" if token == 2 else str(token) for token in row) for row in CONTEXTS]
MODEL = ("hmm", "--file", "hmm.npz")


@pytest.fixture(autouse=True)
def _in_a_folder_with_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("hmm.npz", n=4, **ARRAYS)
    (tmp_path / "seen.txt").write_text("\n".join(LINES))


def run(capsys, *words):
    assert main(["conditionals", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def run_json(capsys, *words):
    return json.loads(run(capsys, *words, "--json"), parse_constant=pytest.fail)


def test_every_context_by_the_sum_over_words(capsys, tmp_path):
    """In JSON, in an .npz and in a .csv."""
    assert 20 < len(CONTEXTS) < 81
    wanted = np.array([table_conditionals(TABLE, row) for row in CONTEXTS])
    evidence = np.log([table_marginal(TABLE, row) for row in CONTEXTS])
    found = run_json(capsys, *MODEL, "--data", "seen.txt")
    for one, row, rows, log_evidence in zip(found["sequences"], CONTEXTS, wanted, evidence, strict=True):
        assert one["tokens"] == [None if token == 2 else token for token in row]
        assert one["missing"] == np.flatnonzero(row == 2).tolist()
        hidden = np.array(one["probabilities"]).reshape(-1, 2)
        np.testing.assert_allclose(hidden, rows[row == 2], rtol=1e-13)
        assert one["log_likelihood"] == pytest.approx(log_evidence, rel=1e-13, abs=1e-15)
    assert found["log_likelihood"] == pytest.approx(evidence.sum(), rel=1e-13)

    written = run_json(capsys, *MODEL, "--data", "seen.txt", "--out", "laws.npz")
    assert written["out"] == "laws.npz"
    assert not any("probabilities" in one for one in written["sequences"])
    arrays = np.load("laws.npz", allow_pickle=False)
    np.testing.assert_array_equal(arrays["tokens"], CONTEXTS)
    np.testing.assert_allclose(arrays["probabilities"], wanted, rtol=1e-13)
    np.testing.assert_allclose(arrays["log_likelihood"], evidence, rtol=1e-13, atol=1e-15)

    assert "The probabilities are in laws.csv." in run(
        capsys, *MODEL, "--data", "seen.txt", "--out", "laws.csv"
    )
    rows = list(csv.DictReader((tmp_path / "laws.csv").read_text().splitlines()))
    assert list(rows[0]) == ["sequence", "position", "0", "1"]
    at = [(int(row["sequence"]), int(row["position"])) for row in rows]
    assert at == [tuple(place) for place in np.argwhere(np.array(CONTEXTS) == 2)]
    table = np.array([[float(row["0"]), float(row["1"])] for row in rows])
    np.testing.assert_allclose(table, [wanted[place] for place in at], rtol=1e-13)


def test_a_chain_in_closed_form(capsys):
    """0 ? 1 of a chain that flips with probability f: f(1-f) each way; its length is that of the words."""
    out = run(capsys, "markov", "--flip", "0.2", "--given", "0?1??")
    assert "n = 5 positions, q = 2 symbols" in out
    # p(0 . 1) = (1/2) 2 f (1 - f); positions 3 and 4 are f and 2 f (1 - f) from a 1
    assert f"the 2 symbols seen: {np.log(0.5 * 0.32):.6f} nats" in out
    rows = [line.split("|") for line in out.splitlines() if line[:9].strip().isdecimal()]
    found = [[float(cell) for cell in row] for row in rows]
    np.testing.assert_allclose(found, [[1, 0.5, 0.5], [3, 0.2, 0.8], [4, 0.32, 0.68]], atol=1e-6)


def test_a_table_of_a_large_alphabet_and_of_classes(capsys, tmp_path):
    out = run(capsys, "permutation", "--given", "?, ?, 2, 3, 4, 5, 6, 7, 8")
    assert out.count("0: 0.500000, 1: 0.500000") == 2
    (tmp_path / "text.txt").write_text("a1 " * 50)
    out = run(capsys, "text", "text.txt", "--given", "letter ? space")
    assert " position | letter |    digit | space | other" in out
    assert "        1 |      0 | 1.000000 |     0 |     0" in out


MISTAKES = {
    "neither": ((), "--given, --data is not given: want one of the two"),
    "both": (("--given", "0", "--data", "seen.txt"), "--given, --data is given together"),
    "nothing": (("--given", " "), "--given is '': want symbols, and ? where none is seen"),
    "length": (("--given", "0 ? 1"), "--given is 0 ? 1, of 3 symbols: want n = 4 of the source; ? stands"),
    "symbol": (("--given", "0?2?"), "--given is 0?2?, with 2 at position 2 (from 0): want symbols 0..1"),
    "word": (("--given", "0 x 1 ?"), "with x at position 1 (from 0)"),
    "negative": (("--given", "0 -1 1 ?"), "with -1 at position 1 (from 0)"),
    "digits": (("--given", f"0 {10**30} 1 ?"), "with 10000"),
    "no-file": (("--data", "none.txt"), "--data is none.txt: want a file; no such file"),
    "empty": (("--data", "empty.txt"), "--data is empty.txt without a sequence: want one a line"),
    "line": (("--data", "bad.txt"), "--data is bad.txt, line 3, of 2 symbols: want n = 4"),
    "out": (("--given", "0???", "--out", "x.txt"), "--out is x.txt: want a name that ends in .npz or .csv"),
    "impossible": (
        ("--data", "impossible.txt"),
        "--data is impossible.txt, line 7, impossible at position 2 (from 0): want a sequence of "
        "probability above 0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(capsys, tmp_path, name):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "bad.txt").write_text("0???\n\n01\n")
    (tmp_path / "impossible.txt").write_text("\n".join([*LINES[:6], "0 ? 1 0", *LINES[7:]]))
    words, message = MISTAKES[name]
    assert main(["conditionals", *MODEL, *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("mdmjax: error: ")
    assert message in err


def test_a_file_that_has_a_length_keeps_it(tmp_path, monkeypatch, capsys):
    """A mixture of two coins by hand: after 0 and 1 the parts weigh .36 and .64."""
    monkeypatch.chdir(tmp_path)
    parts = {"weights": [0.5, 0.5], "probs": [[0.9, 0.1], [0.2, 0.8]], "n": 4}
    (tmp_path / "m.json").write_text(json.dumps(parts))
    words = ["conditionals", "mixture", "--file", "m.json", "--json", "--given"]
    assert main([*words, "0 ? 1"]) == 2
    assert "want n = 4 of the source" in capsys.readouterr().err
    assert main([*words, "0 ? 1 ?"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["sequences"]
    assert found["probabilities"][1] == pytest.approx([0.452, 0.548], abs=1e-12)
