"""`mdmjax certify`: its numbers, its JSON, of whom it can be asked, and one line for every mistake."""

import json

import jax
import numpy as np
import pytest

from mdmjax import Transformer, TransformerConfig
from mdmjax.cli import main
from mdmjax.families import FAMILIES
from mdmjax.files.model_folder import MODEL
from mdmjax.files.safetensor_files import write_model
from mdmjax.information.exchangeable import noisy_bit_curve
from mdmjax.schedules.bernoulli import TimeGrid, bernoulli_kl
from mdmjax.schedules.optimal import frontier
from mdmjax.schedules.schedule import Schedule, expected_kl
from mdmjax.studies.certify_table import NAMES
from mdmjax.studies.sources import CorpusSource, FamilySource


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    assert main(["certify", *map(str, words)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def run_json(capsys, *words):
    return json.loads(run(capsys, *words, "--json"), parse_constant=pytest.fail)


@pytest.mark.slow
@pytest.mark.parametrize(("flip", "ratio"), [(0.01, 4.511), (0.30, 2.165), (0.45, 1.653)])
def test_the_published_ratios(capsys, flip, ratio):
    # arXiv 2608.13520: noisy repeated bits of 128 tokens.
    words = ("noisy-bit", "--n", 128, "--flip", flip, "--epsilon", 0.5, "--samples", 0)
    assert run_json(capsys, *words)["growth_ratio"] == pytest.approx(ratio, abs=5e-4)


def test_every_row_is_scored_again_from_its_plan(capsys):
    words = ("noisy-bit", "--n", 12, "--flip", 0.1, "--epsilon", 0.9, "--samples", 50)
    found, curve = run_json(capsys, *words), noisy_bit_curve(12, 0.1)
    rows = {row["name"]: row for row in found["promises"]}
    assert set(rows) >= set(NAMES) - {"ugc_programme"}
    best = frontier(curve, 12).gaps
    for row in rows.values():
        if row["calls"] is None:
            assert row["steps"] > 12
            continue
        if row["sizes"] == "fixed":
            true, calls = expected_kl(curve, Schedule(row["counts"])), len(row["counts"])
        else:
            grid = TimeGrid(row["times"])
            true, calls = bernoulli_kl(curve, grid), grid.calls(12)
        assert row["true"] == pytest.approx(float(true), abs=1e-12)
        assert row["calls"] == pytest.approx(calls)
        assert row["kept"] == (row["true"] <= 0.9)
        assert row["optimum"] == pytest.approx(best[min(12, round(calls)) - 1], abs=1e-12)
        assert row["kept"] or row["kind"] in ("prediction", "estimate", "rule")
    sample = found["sample"]
    assert sample["samples"] == 50
    assert len(sample["known"]) == len(sample["mass"]) == len(sample["edges"]) - 1 == 1
    assert sum(sample["mass"]) == pytest.approx(found["growth_mass"], rel=1e-3)
    again = run_json(capsys, *words)
    assert again["sample"] == sample
    assert run_json(capsys, *words, "--seed", 1)["sample"]["plugged"] != sample["plugged"]


def test_a_moment_and_a_confidence_can_be_given(capsys):
    words = ("noisy-bit", "--n", 12, "--flip", 0.1, "--epsilon", 0.9, "--samples", 50)
    known = run_json(capsys, *words, "--moment", 12, "--confidence", 0.5, "--parts", 4)["sample"]
    assert (known["alpha"], known["moment"], known["eta"]) == (4.0, 12.0, 0.5)


def test_a_table_of_losses(capsys, tmp_path):
    rows = [(k, 2 - 1.5 * (1 - k / 12) ** 0.5) for k in range(1, 13)]
    (tmp_path / "loss.csv").write_text("n_masked,loss\n" + "\n".join(f"{k},{x}" for k, x in rows))
    found = run_json(capsys, "loss-curve", "loss.csv", "--epsilon", 0.3)
    assert (found["exact"], found["fit"], found["sample"]) == (False, "isotonic", None)
    proved = [row for row in found["promises"] if row["kind"] in ("exact", "theorem", "ours")]
    assert all(row["kept"] or row["calls"] is None for row in proved)
    text = " ".join(run(capsys, "loss-curve", "loss.csv", "--epsilon", 0.3).split())
    assert "Of a model it is its sampling error only" in text


def model_of(folder, source):
    """A folder with a random network, as a training of it would leave it."""
    examples = source.examples()
    sizes = {"n": examples.training.n, "q": examples.training.q}
    config = TransformerConfig(**sizes, width=16, depth=1, heads=2, hidden=16)
    folder.mkdir()
    network = Transformer.create(jax.random.key(0), config)
    write_model(folder / MODEL, network, {"source": source.to_json(), "data": examples.facts})


@pytest.mark.slow
def test_a_model(capsys, tmp_path):
    model_of(tmp_path / "chain", FamilySource("markov", FAMILIES["markov"].values("law", n=6)))
    found = run_json(capsys, "model", "chain", "--epsilon", 0.2, "--samples", 20)
    assert (found["exact"], found["n"], found["sample"]["samples"]) == (False, 6, 20)
    assert (found["source"]["name"], found["fit"]) == ("model", "spline")
    text = " ".join(run(capsys, "model", "chain", "--epsilon", 0.2, "--samples", 20).split())
    assert "Of a model it is its sampling error only" in text
    assert "a network's are near at best" in text


@pytest.mark.slow
def test_a_model_of_text_on_another_text(capsys, tmp_path):
    (tmp_path / "texts").mkdir()
    for number in range(30):
        (tmp_path / "texts" / f"{number}.py").write_text(f"x = {number} # abc\n" * (number + 2))
    model_of(tmp_path / "prose", CorpusSource((tmp_path / "texts").resolve(), length=8))
    (tmp_path / "other.txt").write_text("y = 7 # cba\n" * 40)
    words = ("model", "prose", "--epsilon", 0.5, "--samples", 10)
    own, other = run_json(capsys, *words), run_json(capsys, *words, "--data", "other.txt")
    assert own["total_correlation"] != other["total_correlation"]
    assert "other.txt" in other["title"]


@pytest.mark.slow
def test_a_picture(capsys, tmp_path):
    run(capsys, "noisy-bit", "--n", 8, "--epsilon", 0.5, "--samples", 0, "--plot", "promises.png")
    assert (tmp_path / "promises.png").read_bytes()[:4] == b"\x89PNG"


MISTAKES = {
    "none": (["noisy-bit"], "--epsilon is not given"),
    "zero": (["noisy-bit", "--epsilon", "0"], "--epsilon is 0.0: want a positive number of nats"),
    "rounding": (["parity", "--epsilon", "1e-16"], "--epsilon is 1e-16: want at least 1.6e-13 nats"),
    "one": (["noisy-bit", "--n", "2", "--epsilon", "1"], "--n is 2: want an integer >= 3"),
    "samples": (["noisy-bit", "--epsilon", "1", "--samples", "1"], "--samples is 1"),
    "confidence": (["noisy-bit", "--epsilon", "1", "--confidence", "1"], "--confidence is 1.0"),
    "parts": (["noisy-bit", "--epsilon", "1", "--parts", "0"], "--parts is 0"),
    "moment": (["noisy-bit", "--epsilon", "1", "--moment", "-1"], "--moment is -1.0"),
    "table": (["loss-curve", "no.csv", "--epsilon", "1"], "no.csv"),
    "model": (["model", "missing", "--epsilon", "1"], "model is missing"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(capsys, tmp_path, name):
    words, wanted = MISTAKES[name]
    assert main(["certify", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert wanted in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_numbers_are_shown_for_every_promise(capsys):
    out = run(capsys, "permutation", "--n", 12, "--epsilon", 0.5, "--samples", 0)
    names = {name: words for name, words in NAMES.items() if not name.startswith("ugc_samples")}
    names.pop("ugc_programme")  # more steps than there are tokens
    assert all(words in out for words in names.values())
    assert np.all([len(line) <= 120 for line in out.splitlines()])
