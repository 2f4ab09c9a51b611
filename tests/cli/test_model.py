"""`mdmjax loss-curve`, `decode`, `schedule model` and `law --model`, on models that nobody trained."""

import json
import os
import re
import shutil

import jax
import numpy as np
import pytest

from mdmjax import NAMED, Transformer, TransformerConfig
from mdmjax.cli import main
from mdmjax.families import FAMILIES
from mdmjax.files.loss_table import read_loss_table
from mdmjax.files.model_folder import MODEL
from mdmjax.files.safetensor_files import write_model
from mdmjax.studies.named_decoders import DECODERS
from mdmjax.studies.sources import CorpusSource, FamilySource, rooted


def model_of(folder, source):
    """A folder with a random network, as a training of it would leave it."""
    source = rooted(source)
    examples = source.examples()
    config = TransformerConfig(
        n=examples.training.n, q=examples.training.q, width=16, depth=1, heads=2, hidden=16
    )
    folder.mkdir()
    network = Transformer.create(jax.random.key(0), config)
    write_model(folder / MODEL, network, {"source": source.to_json(), "data": examples.facts})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    model_of(root / "chain", FamilySource("markov", FAMILIES["markov"].values("law", n=6)))
    (root / "texts").mkdir()
    for number in range(30):
        (root / "texts" / f"{number}.py").write_text(f"x = {number} # abc\n" * (number + 2))
    model_of(root / "prose", CorpusSource(root / "texts", length=8))
    return root


@pytest.fixture(autouse=True)
def _in_the_folder(models, monkeypatch):
    monkeypatch.chdir(models)


def run(capsys, *words):
    """What a command that succeeds prints; it says nothing on stderr."""
    assert main(list(map(str, words))) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def result_of(capsys, *words):
    return json.loads(run(capsys, *words, "--json"), parse_constant=pytest.fail)


def test_a_curve_is_measured_and_scheduled(capsys, tmp_path):
    path = tmp_path / "curve.csv"
    found = result_of(capsys, "loss-curve", "chain", "--out", path, "--sequences", "34")
    assert (found["n"], found["calls"], found["count"]) == (6, 204, [34] * 6)
    table = read_loss_table(path)
    means = [table.loss[table.n_masked == m].mean() for m in found["n_masked"]]
    assert means == pytest.approx(found["loss"], rel=1e-12)
    assert min(found["stderr"]) > 0  # the file has every row with its sequence instead
    # A network at its start knows little: about log 2 nats a bit.
    assert found["loss"] == pytest.approx([np.log(2)] * 6, abs=0.2)
    assert found["nll_one_by_one"] == pytest.approx(sum(found["loss"]))
    assert result_of(capsys, "schedule", *found["next"].split()[2:])["n"] == 6
    direct = result_of(
        capsys, "schedule", "model", "chain", "--sequences", "34", "--steps", "2", "--fit", "rows"
    )
    assert direct["loss_curve"] == pytest.approx(found["loss"][::-1])
    assert (direct["q"], direct["expected_kl"], sum(direct["counts"])) == (2, None, 6)


def test_a_curve_in_words(capsys, models):
    text = run(capsys, "loss-curve", "prose", "--sequences", "4")
    assert "4 held-out sequences of 8 tokens, with every number of them masked" in text
    assert text.endswith("next:\n  mdmjax schedule loss-curve prose/loss_curve.csv\n")
    (models / "prose" / "loss_curve.csv").unlink()


@pytest.mark.slow
def test_gains_of_a_model_are_by_sequence(capsys):
    words = ("schedule", "model", "chain", "--sequences", "40", "--steps", "2", "--repetitions", "20")
    found = result_of(capsys, *words)
    assert found["judged"] == {"repetitions": 20, "level": 0.95, "errors": "sequences"}
    assert found["gain_interval"][0] <= found["gain"] <= found["gain_interval"][1]


QUICK = ("random", "threshold", "draft-verify", "low-confidence", "wino")
DECODED = [
    pytest.param(one.name, marks=[] if one.name in QUICK else pytest.mark.slow)
    for one in DECODERS.values()
    if not one.needs_truth
]


@pytest.mark.parametrize("name", DECODED)
def test_every_decoder_decodes(capsys, name):
    """float32 under x64: everything is written, and the statistics are those of the steps."""
    found = result_of(capsys, "decode", "chain", name, "--steps", "3", "--samples", "5")
    tokens, steps = np.array(found["tokens"]), np.array(found["finalised"])
    assert tokens.shape == (5, 6)
    assert (found["still_masked"], found["text"]) == (0, None)
    assert set(tokens.reshape(-1).tolist()) <= {0, 1}
    spread = [6 / len(set(row)) for row in steps.tolist()]
    assert found["statistics"]["parallelism"]["mean"] == pytest.approx(np.mean(spread))
    ties = [np.mean(row[:, None] == row[None, :]) * 36 / 30 - 6 / 30 for row in steps]
    assert found["statistics"]["tie_fraction"]["mean"] == pytest.approx(np.mean(ties))


def test_text_is_decoded(capsys, tmp_path):
    out = tmp_path / "traces.npz"
    found = result_of(capsys, "decode", "prose", "l2r", "--samples", "3", "--out", out)
    assert [len(text) for text in found["text"]] == [8] * 3
    assert found["statistics"]["kendall_tau"] == {"mean": 1, "stderr": 0, "of": 3}
    with np.load(out) as traces:
        assert traces["tokens"].tolist() == found["tokens"]
        assert traces["finalised"].tolist() == [list(range(8))] * 3
        assert (traces["calls"].tolist(), int(traces["q"])) == ([8] * 3, found["q"])
    greedy = result_of(capsys, "decode", "prose", "l2r", "--temperature", "0", "--samples", "3")
    assert greedy["tokens"][0] == greedy["tokens"][1]


def test_canvases_are_kept_and_drawn(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    out, gif = tmp_path / "traces.npz", tmp_path / "steps.gif"
    words = ("--samples", "3", "--out", out, "--canvases", "--animate", gif)
    run(capsys, "decode", "prose", "l2r", *words)
    with np.load(out) as traces:
        assert traces["canvases"].shape == (3, 9, 8)
        assert (traces["canvases"][:, -1] == traces["tokens"]).all()
    assert gif.read_bytes()[:4] == b"GIF8"
    found = result_of(capsys, "trace", out)
    assert (found["format"], found["kendall_tau_b"]["mean"], found["edits"]["mean"]) == ("own", 1, 0)


def test_a_decode_in_words(capsys):
    text = run(capsys, "decode", "chain", "--steps", "1", "--samples", "9")
    assert re.findall(r"^--- (\d+)$", text, re.MULTILINE) == [*"12345678"]
    assert "and 1 more" in text
    assert "tau is undefined" in text
    assert "llada_uniform: 6" in text


def test_schedules_of_a_decode(capsys, models, tmp_path):
    counts = lambda *words: result_of(capsys, "decode", "chain", "random", "--samples", "1", *words)
    assert counts()["counts"] == [1] * 6
    assert counts("--counts", "1,2,3")["counts"] == [1, 2, 3]
    pyramid = counts("--steps", "3", "--schedule", "pyramid")
    assert pyramid["counts"] == NAMED["pyramid"](6, 3).counts.tolist()
    assert pyramid["statistics"]["calls"]["mean"] == 3
    curve = models / "chain" / "loss_curve.csv"
    curve.write_text("n_masked,loss\n" + "".join(f"{m},{1 if m > 2 else 0}\n" for m in range(1, 7)))
    best = counts("--steps", "2", "--schedule", "best")
    assert best["counts"] == [4, 2]
    assert str(curve.relative_to(models)) in best["schedule"]
    os.utime(curve, (0, 0))  # older than the model: of another one
    assert "measured now" in counts("--steps", "2", "--schedule", "best")["schedule"]
    os.utime(curve)
    run(capsys, "schedule", "loss-curve", curve, "--steps", "2", "--export", tmp_path / "plan")
    assert counts("--schedule", tmp_path / "plan" / "schedule.json")["counts"] == [4, 2]
    curve.unlink()


def test_the_law_of_a_model(capsys):
    """Bits of a network at its start: nearly uniform, in whatever order."""
    found = result_of(
        capsys, "law", "markov", "--n", "6", "entropy", "--steps", "3", "--model", "chain", "--full"
    )
    assert found["denoiser"] == {"model": "chain"}
    assert sum(found["law"]) == pytest.approx(1, abs=1e-12)
    assert len(found["local_circulation"]) == 5
    assert 0 < max(found["local_circulation"]) < 1
    truth = result_of(capsys, "law", "markov", "--n", "6", "mean-field", "--block", "1", "--full")["law"]
    assert found["forward_kl"] == pytest.approx(5 * np.log(2) - 5 * 0.3251, abs=0.6)
    assert len(truth) == len(found["law"])
    split = result_of(capsys, "law", "markov", "--n", "6", "random", "--steps", "3", "--model", "chain")
    assert split["learning_error"] > 0.1
    assert split["expected_kl"] >= split["forward_kl"]
    text = run(capsys, "law", "markov", "--n", "6", "l2r", "--model", "chain", "--mix", "0.1")
    assert "denoiser: model chain, mix 0.1" in text
    assert "local circulation" in text


MISTAKES = {
    "no-folder": (["loss-curve", "missing"], "model is missing: want a folder with model.safetensors"),
    "no-model": (["decode", "texts"], "mdmjax train SOURCE --out DIR"),
    "out": (["loss-curve", "chain", "--out", "x.txt"], "a name that ends in .csv"),
    "out-folder": (["loss-curve", "chain", "--out", "no/x.csv"], "a file in an existing folder"),
    "sequences": (["loss-curve", "chain", "--sequences", "0"], "--sequences is 0"),
    "curve-batch": (["loss-curve", "chain", "--batch", "0"], "--batch is 0"),
    "curve-seed": (["schedule", "model", "chain", "--seed", "-1"], "--seed is -1"),
    "source-batch": (["schedule", "model", "chain", "--batch", "0"], "--batch is 0"),
    "source": (["schedule", "model", "missing"], "model is missing"),
    "truth": (["decode", "chain", "verified"], "decoder is verified: want one that does not need the true"),
    "policy": (["decode", "chain", "optimal"], "decoder is optimal"),
    "samples": (["decode", "chain", "--samples", "0"], "--samples is 0"),
    "seed": (["decode", "chain", "--seed", "-1"], "--seed is -1"),
    "temperature": (["decode", "chain", "--temperature", "-1"], "--temperature is -1"),
    "steps": (["decode", "chain", "--steps", "7"], "want an integer in 1..n with n = 6"),
    "both": (["decode", "chain", "--steps", "6", "--counts", "6"], "only one of them"),
    "canvases": (["decode", "chain", "--canvases"], "--canvases is given without --out"),
    "sum": (["decode", "chain", "--counts", "1,2"], "a sum of n = 6"),
    "unsized": (["decode", "chain", "--schedule", "best"], "--steps is not given"),
    "name": (["decode", "chain", "--steps", "2", "--schedule", "x"], "--schedule is x: want best, a file"),
    "file": (["decode", "chain", "--schedule", "x.json"], "no such file"),
    "traces": (["decode", "chain", "--out", "x.csv"], "a name that ends in .npz"),
    "block": (["decode", "chain", "mean-field", "--block", "7"], "--block is 7"),
    "sizes": (["law", "markov", "--n", "5", "l2r", "--model", "chain"], "want n, q = 5, 2 of the source"),
    "no-law": (["law", "markov", "--n", "5", "l2r", "--model", "missing"], "model is missing"),
    "long": (
        ["law", "block-hmm", "--blocks", "8", "--block-size", "8", "mean-field", "--model", "chain"],
        "--model is given: want none of it with a Block-HMM of 64 bits",
    ),
    "gone": (["loss-curve", "moved"], "as it was for the training"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(capsys, models, name):
    words, message = MISTAKES[name]
    if name == "gone":  # the text of a model changes
        shutil.copytree("prose", "moved")
        (models / "texts" / "0.py").write_text("y = 1\n")
    before = sorted(models.rglob("*"))
    code = main(words)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("mdmjax: error: ")
    assert message in err
    assert sorted(models.rglob("*")) == before


LIKELIHOOD = ("likelihood", "chain", "--sequences", "12", "--steps", "3", "--orders", "2")


@pytest.mark.slow
def test_every_decoder_is_scored(capsys):
    """Those that only reveal, at their own kind of number; the others are named with the reason."""
    found = result_of(capsys, *LIKELIHOOD)
    names = [row["decoder"]["name"] for row in found["decoders"]]
    assert {"random", "confidence", "threshold", "low-confidence"} <= set(names)
    kinds = {row["decoder"]["name"]: row["kind"] for row in found["decoders"]}
    assert (kinds["confidence"], kinds["random"]) == ("exact_nll", "importance_nll")
    assert {"wino", "remdm"} <= {one["name"] for one in found["refused"]}
    assert (found["n"], found["sequences"], found["orders"]) == (6, 12, 2)


def test_decoders_are_named_with_their_parameters(capsys):
    words = ("random:schedule=pyramid,steps=2", "threshold:0.7", "entropy-bounded:bound=0.3", "l2r")
    found = result_of(capsys, *LIKELIHOOD, *words)
    assert [row["decoder"] for row in found["decoders"]] == [
        {"name": "random", "schedule": "pyramid", "steps": 2},
        {"name": "threshold", "threshold": 0.7},
        {"name": "entropy-bounded", "bound": 0.3},
        {"name": "l2r", "schedule": "llada_uniform", "steps": 3},
    ]
    assert found["decoders"][3]["calls"]["mean"] == 3


def test_the_best_schedule_is_that_of_the_curve(capsys):
    (row,) = result_of(capsys, *LIKELIHOOD, "random:schedule=best")["decoders"]
    assert row["decoder"] == {"name": "random", "schedule": "best", "steps": 3}


def test_a_text_of_ones_own_is_scored(capsys, tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("x = 7 # abc\n" * 20)
    found = result_of(
        capsys, "likelihood", "prose", "l2r", "--data", path, "--sequences", "8", "--steps", "2"
    )
    assert found["sequences"] == 8
    assert str(path) in found["title"]


@pytest.mark.parametrize(
    "mode",
    [
        *(pytest.param(mode, marks=pytest.mark.slow) for mode in (["--budget", "3"], ["--frontier"])),
        ["--schedules"],
    ],
)
def test_modes_of_the_likelihood(capsys, mode, tmp_path):
    (tmp_path / "cost.csv").write_text("revealed,milliseconds\n0,40\n5,10\n")
    extra = ["--cost", tmp_path / "cost.csv"] if mode != ["--schedules"] else ["--steps", "3"]
    words = ("likelihood", "chain", "--sequences", "12", "--orders", "2", *mode, *extra)
    found = result_of(capsys, *words)
    assert found["units"] == "nats"
    assert run(capsys, *words)
    if mode != ["--schedules"]:
        assert all(row["milliseconds"]["mean"] > 0 for row in found["decoders"])


@pytest.mark.slow
def test_the_frontier_is_drawn(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    words = ("likelihood", "chain", "--sequences", "12", "--orders", "2")
    run(capsys, *words, "--frontier", "--plot", tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "nothing": "decoder is nothing: want one of random, l2r",
        "confidense": "coral, optimal; perhaps confidence",
        "random --losses none.csv": "--losses is none.csv: want left out without --schedule best",
        "wino": "decoder is wino: want one that only reveals its tokens",
        "optimal": "decoder is optimal: want one that does not need the true distribution",
        "threshold:x": "decoder is threshold:x: want a number for threshold",
        "threshold:level=1": "decoder is threshold:level=1: want parameters among threshold, as",
        "threshold:0.9,0.8": "decoder is threshold:0.9,0.8: want threshold once",
        "dilated:steps=2": "decoder is dilated:steps=2: want no parameters: it has none",
        "mean-field:steps=2": "decoder is mean-field:steps=2: want parameters among block",
        "--counts 3,3 --schedule best": "--counts, --schedule is given together: want only one of them",
        "--counts 3,3 --steps 2": "--counts, --steps is given together",
        "--budget 3 --temperature 0.5": "--temperature is 0.5: want left out with --budget",
        "--frontier --steps 2": "--steps is 2: want left out with --frontier",
        "--schedules --cost cost.csv": "--cost is cost.csv: want left out with --schedules",
        "threshold:1.5": "threshold is 1.5: want a probability in [0, 1]",
        "random:steps=9": "want an integer in 1..n with n = 6",
        "random:schedule=bset": "want best, a file .json, or one of",
        "--budget 9": "--budget is 9.0: want a number of calls in 1..6",
        "--budget 3 --frontier": "--budget, --frontier is given together: want only one of them",
        "random --frontier": "decoder is random: want none with --frontier",
        "--plot x.png": "--plot is x.png: want left out without --frontier",
        "--sequences 1": "--sequences is 1: want an integer >= 2",
        "--orders 0": "--orders is 0: want an integer >= 1",
        "--temperature -1": "--temperature is -1.0",
        "--data texts/3.py": "--data is texts/3.py: want no text",
        "--cost cost.csv": "--cost is cost.csv",
    }.items(),
)
def test_slips_of_the_likelihood_are_one_line(capsys, words, message):
    assert main([*LIKELIHOOD[:4], *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "table", ["tokens,ms\n0,1\n", "0,1\n0,2\n", "0,-1\n", "9,1\n", "0,nan\n", "x\n", ""]
)
def test_a_cost_table_that_is_none_is_refused(capsys, tmp_path, table):
    (tmp_path / "cost.csv").write_text(table)
    assert main(["likelihood", "chain", "l2r", "--cost", str(tmp_path / "cost.csv")]) == 2
    assert "--cost is" in capsys.readouterr().err


def test_counts_are_shown_as_such(capsys):
    words = ("likelihood", "chain", "random", "--sequences", "8", "--counts", "4,2")
    (row,) = result_of(capsys, *words)["decoders"]
    assert row["decoder"] == {"name": "random", "schedule": "counts", "steps": 2}
    (row,) = result_of(capsys, *words[:2], "early-commit:thresholds=3/2/1", *words[3:])["decoders"]
    assert row["decoder"]["thresholds"] == [3.0, 2.0, 1.0]


def test_losses_of_another_model_are_refused_by_name(capsys, tmp_path):
    (tmp_path / "l.csv").write_text("n_masked,loss\n1,1.0\n9,2.0\n")
    words = ["likelihood", "chain", "random:schedule=best", "--losses", str(tmp_path / "l.csv")]
    assert main(words) == 2
    assert "--losses is" in (said := capsys.readouterr().err)
    assert "a loss table of this model, n = 6" in said
