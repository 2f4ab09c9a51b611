"""`mdmjax law` as a stranger uses it: every source, every decoder, and one line for every mistake."""

import json

import numpy as np
import pytest

from mdmjax import BlockHMM, symmetric_chain, tabulate
from mdmjax.cli import law as command
from mdmjax.cli import main
from mdmjax.laws.block_decoding import block_decoding
from mdmjax.studies.named_decoders import DECODERS

SOURCES = {
    "block-hmm": ["--blocks", "2", "--block-size", "2", "--eta", "0.01"],
    "markov": ["--n", "3"],
    "repetition": ["--n", "3"],
    "parity": ["--n", "3"],
    "reed-solomon": ["--n", "3", "--q", "3", "--dim", "2"],
    "permutation": ["--n", "3"],
    "pairs": ["--n", "4"],
    "noisy-bit": ["--n", "3"],
    "joint": ["table.npz"],
    "text": ["text.txt", "--window", "3"],
}


@pytest.fixture(autouse=True)
def _in_a_folder_with_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("table.npz", probs=np.random.default_rng(0).dirichlet(np.ones(8)).reshape(2, 2, 2))
    (tmp_path / "text.txt").write_text("a b4 cc; 17 x_y " * 40)


def law(capsys, *words):
    """The JSON of a command that succeeds and says nothing on stderr."""
    assert main(["law", *map(str, words), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out, parse_constant=pytest.fail)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source(capsys, source):
    found = law(capsys, source, *SOURCES[source], "mean-field", "--full")
    assert found["exact"] is True
    assert found["stderr"] is None
    assert found["source"]["name"] == source
    assert (found["violation_rate"] is not None) == (source == "block-hmm")
    assert abs(sum(found["law"]) - 1) < 1e-12
    assert float(found["forward_kl"]) >= 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (i >= 8)) for i, name in enumerate(DECODERS)]
)
def test_every_decoder(capsys, name):
    found = law(capsys, "markov", "--n", "4", name, "--full")
    probs = np.asarray(tabulate(symmetric_chain(4, 2, 0.1)).probs).reshape(-1)
    drawn = np.array(found["law"])
    assert found["truth"] == probs.tolist()
    assert abs(drawn.sum() + found["unfinished"] - 1) < 1e-12
    with np.errstate(divide="ignore"):
        assert float(found["forward_kl"]) == pytest.approx(np.sum(probs * np.log(probs / drawn)), abs=1e-9)
    assert found["total_variation"] == pytest.approx(np.abs(probs - drawn).sum() / 2, abs=1e-12)
    assert ("expected_kl" in found) == (name == "random")
    if name in ("verified", "rejection", "speculative", "l2r", "random"):
        assert found["forward_kl"] == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_mean_field_alone_is_the_experiment_of_the_paper(capsys):
    found = law(capsys, "block-hmm", "mean-field")
    paper = block_decoding(BlockHMM(eta=1e-8))
    assert (found["n"], found["expected_calls"]) == (64, 8)
    for key in ("forward_kl", "reverse_kl", "incoherence", "violation_rate"):
        assert found[key] == pytest.approx(float(getattr(paper, key)), rel=1e-12)
    assert found["reverse_kl"] == pytest.approx(72.07518094, abs=1e-7)
    found = law(capsys, "block-hmm", "verified")
    assert (found["forward_kl"], found["reverse_kl"], found["violation_rate"]) == (0, 0, 1e-8)


def test_the_long_and_the_short_way_agree(capsys):
    """A table of a short Block-HMM, and the law of its belief."""
    short = law(capsys, "block-hmm", "--blocks", "2", "--block-size", "3", "--eta", "0.001", "mean-field")
    long = block_decoding(BlockHMM(2, 3, eta=0.001))
    for key in ("forward_kl", "reverse_kl", "violation_rate", "incoherence"):
        assert short[key] == pytest.approx(float(getattr(long, key)), rel=1e-9, abs=1e-12)


def test_an_estimate_says_so(capsys):
    found = law(capsys, "block-hmm", "mean-field", "--samples", "500")
    assert found["exact"] is False
    assert abs(found["forward_kl"] - 12.33) < 6 * found["stderr"]["forward_kl"] + 0.01


def test_the_law_is_printed_where_it_is_asked_for(capsys):
    words = ("markov", "--n", "3", "l2r")
    short, whole = law(capsys, *words), law(capsys, *words, "--full")
    assert whole.keys() - short.keys() == {"law", "truth"}
    assert {key: whole[key] for key in short} == short
    assert (short["schema"], short["version"], short["units"]) == ("mdmjax.report.law", 1, "nats")
    assert "law" not in law(capsys, "block-hmm", "verified", "--full")  # which is no table


def test_infinities_are_strings(capsys):
    found = law(capsys, "parity", "--n", "3", "mean-field", "--block", "3")
    assert found["reverse_kl"] == "inf"
    assert found["forward_kl"] == pytest.approx(np.log(2))


def test_counts_steps_and_errors(capsys):
    base = ["markov", "--n", "5", "random"]
    assert law(capsys, *base, "--counts", "1,2,2")["counts"] == [1, 2, 2]
    found = law(capsys, *base, "--steps", "3", "--schedule", "best", "--mix", "0.1", "--regret")
    assert sum(found["counts"]) == 5
    assert found["expected_kl"] >= found["forward_kl"]
    assert found["learning_error"] > 0
    assert found["sampling_error"] + found["learning_error"] == pytest.approx(found["expected_kl"])
    greedy = law(capsys, "markov", "--n", "5", "l2r", "--temperature", "0", "--full")
    assert max(greedy["law"]) == 1
    assert greedy["forward_kl"] == "inf"


def test_regret_of_the_optimal_policy_is_none(capsys):
    found = law(capsys, "noisy-bit", "--n", "4", "optimal", "--price", "0.1", "--regret")
    assert found["regret"] == pytest.approx(0, abs=1e-10)


def test_all_decoders_in_one_table(capsys, monkeypatch):
    monkeypatch.setattr(command, "COMPARED", ("random", "entropy-sum", "verified"))
    found = law(capsys, "noisy-bit", "--n", "4")
    assert [row["decoder"]["name"] for row in found["decoders"]] == ["random", "entropy-sum", "verified"]
    assert found["best_policies"]["kl"][-1] == pytest.approx(0, abs=1e-12)
    assert main(["law", "noisy-bit", "--n", "4", "l2r", "--compare"]) == 0
    text = capsys.readouterr().out
    assert "verified" in text
    assert "regret: against the lower convex hull" in text


@pytest.mark.parametrize("words", [["entropy"], ["rejection"]], ids=lambda w: w[0])
def test_a_picture_of_a_law(capsys, tmp_path, words):
    assert main(["law", "noisy-bit", "--n", "3", *words, "--plot", "law.png"]) == 0
    assert (tmp_path / "law.png").read_bytes()[:4] == b"\x89PNG"
    assert "forward KL" in capsys.readouterr().out


MISTAKES = {
    "counts": (["markov", "random", "--counts", "1,2"], "--counts is 1,2: want a sum of n = 8"),
    "no-counts": (["markov", "random", "--counts", "a"], "integers with commas"),
    "both": (["markov", "random", "--counts", "8", "--steps", "1"], "only one of the two"),
    "steps": (["markov", "l2r", "--steps", "9"], "want an integer in 1..n with n = 8"),
    "temperature": (["markov", "l2r", "--temperature", "-1"], "--temperature is -1"),
    "mix": (["markov", "l2r", "--mix", "2"], "--mix is 2"),
    "two-errors": (["markov", "l2r", "--mix", "0.1", "--dirichlet", "1"], "one kind of model error"),
    "threshold": (["markov", "threshold", "--threshold", "3"], "--threshold is 3"),
    "block": (["markov", "mean-field", "--block", "9"], "want an integer in 1..n with n = 8"),
    "too-large": (["markov", "--n", "40", "l2r"], "want marginals of at most 2.0 GiB"),
    "too-many-verified": (["markov", "--n", "18", "verified"], "two tables of 3^18 numbers need 5.8 GiB"),
    "no-block": (["markov", "mean-field", "--block", "0"], "--block is 0"),
    "width": (["markov", "edit", "--width", "0"], "--width is 0"),
    "cap": (["markov", "remdm", "--cap", "2"], "--cap is 2"),
    "dirichlet": (["markov", "l2r", "--dirichlet", "0"], "--dirichlet is 0"),
    "entropy-noise": (["markov", "l2r", "--entropy-noise", "-1"], "--entropy-noise is -1"),
    "long-plot": (["block-hmm", "mean-field", "--plot", "x.png"], "--plot is given: want none of it with"),
    "long-counts": (["block-hmm", "mean-field", "--counts", "1,2"], "--counts is given"),
    "decoder": (["markov", "foo"], "decoder is foo: want one of all, random"),
    "loss-curve": (["loss-curve", "x.csv", "l2r"], "source is loss-curve: want one of block-hmm"),
    "samples": (["markov", "l2r", "--samples", "9"], "the law of this decoder is exact"),
    "plot": (["markov", "l2r", "--plot", "x.txt"], "want a name that ends in .png or .pdf"),
    "no-table": (["joint", "missing.npz", "l2r"], "missing.npz"),
    "sweeps": (["markov", "edit", "--sweeps", "0"], "--sweeps is 0"),
    "steps-of-sweeps": (["markov", "edit", "--sweeps", "300"], "want at most 127"),
    "editor": (["markov", "edit", "--editor-mix", "2"], "--editor-mix is 2"),
    "ways": (["markov", "remdm", "--cap", "0.1", "--rescale", "0.1"], "one of the three"),
    "long-errors": (
        ["block-hmm", "--blocks", "8", "mean-field", "--block-size", "8", "--mix", "0.1"],
        "--mix is given: want none of it with a Block-HMM of 64 bits",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(capsys, tmp_path, name):
    words, message = MISTAKES[name]
    before = sorted(tmp_path.iterdir())
    code = main(["law", *words])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("mdmjax: error: ")
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_closed_stdout_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    assert main(["law", "markov", "--n", "3", "l2r"]) == 2
    assert capsys.readouterr().err.startswith("mdmjax: error: standard output is closed")
