"""`mdmjax sweep`: from a config to rows, how far it is, and one line for every mistake."""

import json

import pytest

from mdmjax.cli import main

CONFIG = """
study = "schedule"
chunk = 2
[axes]
source = [{ name = "noisy-bit", flip = [0.1, 0.2] }, "markov"]
"source.n" = [4, 5]
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(CONFIG)


def run(capsys, *words):
    code = main(["sweep", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_it_runs_says_how_far_it_is_and_goes_on(capsys):
    words = ("sweep.toml", "--out", "rows", "--json")
    code, out, err = run(capsys, *words, "--dry-run")
    assert (code, err) == (0, "")
    assert json.loads(out)["left"] == 6
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert json.loads(out)["done"] == 6
    code, out, _ = run(capsys, *words[:-1], "--status")
    assert code == 0
    assert "6, of which 0 failed" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("sweep.toml",), "--out is not given"),
        (("none.toml", "--out", "rows"), "CONFIG is none.toml"),
        (("sweep.toml", "--out", "no/rows"), "--out is no/rows: want a folder in an existing one"),
        (("sweep.toml", "--out", "sweep.toml"), "--out is sweep.toml: want a folder"),
        (("sweep.toml", "--out", "rows", "--status", "--dry-run"), "--status, --dry-run is given together"),
        (("sweep.toml", "--out", "rows", "--workers", "0"), "--workers is 0: want an integer >= 1"),
        (("sweep.toml", "--out", "rows", "--workers", "1", "--cluster", "tcp://a:1"), "given together"),
    ],
)
def test_one_line_for_every_mistake(capsys, words, line):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("mdmjax: error: ")
    assert line in err
    assert err.count("\n") == 1
