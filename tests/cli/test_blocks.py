"""`loss-curve --block-length`, and `schedule` of its table: files, numbers, one line for every mistake."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from mdmjax import Transformer, TransformerConfig
from mdmjax.cli import main
from mdmjax.families import FAMILIES
from mdmjax.files.loss_table import read_loss_file, read_loss_table
from mdmjax.files.model_folder import MODEL
from mdmjax.files.safetensor_files import write_model
from mdmjax.files.schedule_files import read_schedule
from mdmjax.schedules.schedule import Schedule, nll
from mdmjax.studies.sources import FamilySource


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A folder with a network that nobody trained, and its losses by blocks of three."""
    folder = tmp_path_factory.mktemp("blocks") / "chain"
    folder.mkdir()
    source = FamilySource("markov", FAMILIES["markov"].values("law", n=6))
    config = TransformerConfig(n=6, q=2, width=16, depth=1, heads=2, hidden=16)
    network = Transformer.create(jax.random.key(0), config)
    write_model(folder / MODEL, network, {"source": source.to_json(), "data": source.examples().facts})
    assert main(["loss-curve", str(folder), "--block-length", "3", "--sequences", "20"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    assert main(list(map(str, words))) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def result_of(capsys, *words):
    return json.loads(run(capsys, *words, "--json"), parse_constant=pytest.fail)


def refusal(capsys, *words):
    assert main(list(map(str, words))) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_blocks_of_a_model_are_measured(capsys, chain):
    capsys.readouterr()
    words = ("loss-curve", chain, "--block-length", "3", "--sequences", "20", "--out", "b.csv")
    found = result_of(capsys, *words)
    assert Path("b.csv").read_bytes() == (chain / "block_losses.csv").read_bytes()
    assert (found["n"], found["calls"], found["sequences"]) == (3, 20 * 6, 20)
    assert [one["block"] for one in found["blocks"]] == [0, 1]
    read = read_loss_file(chain / "block_losses.csv")
    for one in found["blocks"]:
        table = read.blocks[one["block"]]
        assert table.loss.size == 60
        means = [table.loss[table.n_masked == m].mean() for m in (1, 2, 3)]
        assert one["loss"] == pytest.approx(means, rel=1e-12)
        assert one["nll_one_by_one"] == pytest.approx(sum(means), rel=1e-12)
    assert found["nll_one_by_one"] == pytest.approx(sum(o["nll_one_by_one"] for o in found["blocks"]))
    text = run(capsys, *words)
    assert "20 held-out sequences of 2 blocks of 3 tokens" in text
    assert "block after block: NLL" in text


def table(path, header="n_masked,loss,block", **change):
    """Three blocks of four: each row `loss` of block and count, without the rows of `change`."""
    losses = {0: [1.5, 1.9, 2.0, 4.5], 1: [1.0, 1.0, 1.0, 1.0], 2: [0.0, 1.0, 2.0, 3.0]}
    rows = [f"{m},{loss},{b}" for b, line in losses.items() for m, loss in enumerate(line, 1)]
    path.write_text("\n".join([header, *rows, ""]))
    return losses


def test_plans_of_a_known_table(capsys, tmp_path):
    losses = table(tmp_path / "l.csv", header="num_masked,CE,Block_ID")
    words = ("schedule", "loss-curve", "l.csv", "--steps", "2")
    found = result_of(capsys, *words)
    curves = {b: np.array(line[::-1]) for b, line in losses.items()}
    best = {b: min((c[0] * s + c[s] * (4 - s), s) for s in (1, 2, 3)) for b, c in curves.items()}
    assert (found["schema"], found["n"], found["judged"]) == ("mdmjax.report.block_schedule", 4, None)
    for one in found["blocks"]:
        assert one["nll"] == pytest.approx(best[one["block"]][0], rel=1e-14)
        assert one["loss_curve"] == pytest.approx(curves[one["block"]].tolist(), rel=1e-14)
    mean = np.mean(list(curves.values()), axis=0)
    assert found["mean"]["loss_curve"] == pytest.approx(mean.tolist(), rel=1e-14)
    cost, first = min((mean[0] * s + mean[s] * (4 - s), s) for s in (1, 2, 3))
    assert found["counts"] == found["mean"]["counts"] == [first, 4 - first]
    assert found["nll"] == found["mean"]["nll"] == pytest.approx(3 * cost, rel=1e-12)
    assert found["own"]["nll"] == pytest.approx(sum(value for value, _ in best.values()), rel=1e-14)
    assert found["split"]["steps"] == found["own"]["steps"] == 6
    assert found["split"]["nll"] <= found["own"]["nll"] <= found["mean"]["nll"]
    assert [len(one) for one in found["split"]["counts"]] == [2, 1, 3]  # block 1 needs one step
    uniform = sum(2 * (c[0] + c[2]) for c in curves.values())
    assert found["baselines"]["llada_uniform"]["nll"] == pytest.approx(uniform, rel=1e-14)
    wide = result_of(capsys, *words, "--total-steps", "12")
    assert wide["split"]["counts"] == [[1, 1, 1, 1]] * 3
    assert wide["split"]["nll"] == pytest.approx(sum(map(sum, losses.values())), rel=1e-14)
    alone = result_of(capsys, "schedule", "loss-curve", "l.csv", "--total-steps", "7")
    assert (alone["steps"], alone["split"]["steps"], alone["own"]["steps"]) == (2, 7, 6)
    assert alone["criterion"] == "7 steps in all were asked for"
    free = result_of(capsys, "schedule", "loss-curve", "l.csv", "--epsilon", "0.3")
    assert free["steps"] == 4
    text = " ".join(run(capsys, *words).split())
    assert "3 blocks of n = 4 positions" in text
    assert "flatter those that fit best" in text


def test_gains_are_by_sequence(capsys, chain):
    capsys.readouterr()
    words = ("schedule", "loss-curve", chain / "block_losses.csv", "--steps", "2", "--repetitions", "6")
    found = result_of(capsys, *words)
    assert found["judged"] == {"repetitions": 6, "level": 0.95, "errors": "sequences"}
    entries = [found["mean"], found["split"], *found["baselines"].values(), *found["blocks"]]
    for one in entries:
        assert one["gain_interval"][0] <= one["gain"] <= one["gain_interval"][1]
    uniform = found["baselines"]["llada_uniform"]
    assert sum(one["gain"] for one in found["blocks"]) == pytest.approx(uniform["gain"], abs=1e-9)
    assert "against one for all blocks" in run(capsys, *words) or "do not tell plans" in run(capsys, *words)


def test_the_plans_are_exported(capsys, tmp_path):
    table(tmp_path / "l.csv")
    run(capsys, "schedule", "loss-curve", "l.csv", "--steps", "2", "--export", "plan")
    written = json.loads((tmp_path / "plan" / "schedule.json").read_text())
    found = result_of(capsys, "schedule", "loss-curve", "l.csv", "--steps", "2")
    plans = [one["counts"] for one in written["blocks"]]
    assert plans == [one["counts"] for one in found["blocks"]]
    assert read_schedule(tmp_path / "plan").counts.tolist() == sum(plans, []) == written["counts"]
    assert written["metadata"]["nll"] == found["own"]["nll"] != found["nll"]
    run(capsys, "schedule", "loss-curve", "l.csv", "--total-steps", "5", "--export", "split")
    written = json.loads((tmp_path / "split" / "schedule.json").read_text())
    found_split = result_of(capsys, "schedule", "loss-curve", "l.csv", "--total-steps", "5")["split"]
    assert [one["counts"] for one in written["blocks"]] == found_split["counts"]
    assert (written["steps"], written["metadata"]["nll"]) == (5, found_split["nll"])
    read = read_loss_file(tmp_path / "l.csv")
    paid = [
        float(nll(mj_curve, Schedule(counts)))
        for mj_curve, counts in zip(curves_of(read), plans, strict=True)
    ]
    assert sum(paid) == pytest.approx(found["own"]["nll"], rel=1e-14)


def curves_of(read):
    from mdmjax.information.loss_curve import curve_from_table

    return [curve_from_table(one) for one in read.blocks.values()]


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("n_masked,loss,block\n1,1,0\n2,2,0\n1,1,0.5\n2,2,1\n", [], "block is 0.5 in row 3: want a whole"),
        ("n_masked,loss,block\n1,1,0\n2,2,0\n1,1,-1\n2,2,1\n", [], "block is -1 in row 3: want a whole"),
        ("n_masked,loss,block\n1,1,0\n2,2,0\n1,1,x\n2,2,1\n", [], "block is 'x' in row 3"),
        ("n_masked,loss,block\n1,1,0\n2,2,0\n1,1,\n2,2,1\n", [], "block is empty in row 3"),
        (
            "n_masked,loss,block\n1,1,0\n2,2,0\n3,3,0\n1,1,1\n2,2,1\n",
            [],
            "block is 1 without rows of n_mask",
        ),
        ("n_masked,loss,block\n1,1,0\n2,2,0\n1,1,1\n", [], "n_masked is 1 in every row"),
        ("n_masked,loss\n1,1\n2,2\n", ["--total-steps", "3"], "--total-steps is 3: want left out"),
        (None, ["--total-steps", "2"], "--total-steps is 2: want an integer in 3..12"),
        (None, ["--total-steps", "13"], "--total-steps is 13: want an integer in 3..12"),
        (None, ["--steps", "5"], "--steps is 5: want an integer in 1..4"),
        (None, ["--length", "3"], "n_masked is 4 in row 4"),
        (None, ["--fit", "spline"], "stderr is not known"),
        (None, ["--steps", "1", "--epsilon", "1"], "only one of the two"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(content, words, message, capsys, tmp_path):
    table(tmp_path / "l.csv")
    if content is not None:
        (tmp_path / "l.csv").write_text(content)
    assert message in refusal(capsys, "schedule", "loss-curve", "l.csv", *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--block-length", "0"], "--block-length is 0: want an integer in 1..6"),
        (["--block-length", "7"], "--block-length is 7: want an integer in 1..6"),
        (["--block-length", "2", "--script", "m.py"], "MODEL is "),
        (["--block-length", "2", "--sequences", "1"], "--sequences is 1: want an integer >= 2"),
    ],
)
def test_a_measurement_that_cannot_be_is_one_line(words, message, capsys, chain, tmp_path):
    capsys.readouterr()
    assert message in refusal(capsys, "loss-curve", chain, "--out", "x.csv", *words)
    assert list(tmp_path.iterdir()) == []


def test_the_script_has_no_blocks(capsys, tmp_path):
    words = ("loss-curve", "--block-length", "2", "--script", "m.py")
    assert "--block-length is 2: want left out with --script" in refusal(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_losses_of_blocks_are_not_taken_for_those_of_sequences(capsys, chain):
    capsys.readouterr()
    with pytest.raises(Exception, match="with a column block: want losses of whole sequences"):
        read_loss_table(chain / "block_losses.csv")
    words = ("likelihood", chain, "--budget", "2", "--losses", chain / "block_losses.csv")
    assert "column block" in refusal(capsys, *words, "--sequences", "4")
