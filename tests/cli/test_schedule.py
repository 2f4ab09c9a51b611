"""The command line as a stranger uses it: numbers, files, and one clear line for every mistake."""

import io
import json
import os
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

from mdmjax.cli import main
from mdmjax.distributions.joint import Joint
from mdmjax.files.schedule_files import read_schedule
from mdmjax.information.closed_form import mds_curve, pairs_curve
from mdmjax.information.curve import InformationCurve
from mdmjax.information.enumeration import information_curve
from mdmjax.schedules.named import NAMED
from mdmjax.schedules.optimal import optimal_schedule
from mdmjax.schedules.schedule import Schedule, expected_kl
from mdmjax.studies.report import four_decimals, run_lengths
from mdmjax.studies.schedule import BASELINES, listed_steps


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    """Standard output of a command that succeeds and says nothing on stderr."""
    assert main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def run_json(capsys, *words):
    return json.loads(run(capsys, "schedule", *words, "--json"), parse_constant=pytest.fail)


SCHEMA = {
    "schema": str,
    "version": int,
    "source": dict,
    "title": str,
    "method": str,
    "exact": bool,
    "units": str,
    "n": int,
    "criterion": str,
    "counts": list,
    "steps": int,
    "expected_kl": float | None,
    "nll": float | None,
    "information_curve": list | None,
    "total_correlation": float | None,
    "dual_total_correlation": float | None,
    "baselines": dict,
}

SOURCES = {
    "block-hmm": ["--blocks", "2", "--block-size", "3", "--eta", "0.01"],
    "markov": ["--n", "8", "--q", "3", "--flip", "0.2"],
    "repetition": ["--n", "8", "--q", "3"],
    "parity": ["--n", "8", "--q", "3"],
    "reed-solomon": ["--n", "8", "--q", "9", "--dim", "3"],
    "permutation": ["--n", "8"],
    "pairs": ["--n", "8", "--q", "3"],
    "noisy-bit": ["--n", "8", "--flip", "0.2"],
    "mixture": ["--file", "mixture.json", "--n", "8"],
    "multiset": ["--repeats", "4", "2", "2"],
    "joint": ["table.npz"],
    "hmm": ["--file", "hmm.json"],
    "text": ["text.txt", "--window", "4"],
    "loss-curve": ["loss.csv", "--length", "8"],
}


HIDDEN = {
    "initial": [0.5, 0.5],
    "transition": [[0.9, 0.1], [0.2, 0.8]],
    "emission": [[0.7, 0.3], [0.2, 0.8]],
    "n": 8,
}


@pytest.fixture
def inputs(tmp_path):
    """One small file for each source that reads one."""
    table = np.random.default_rng(0).dirichlet(np.ones(27)).reshape(3, 3, 3)
    np.savez(tmp_path / "table.npz", probs=table)
    (tmp_path / "hmm.json").write_text(json.dumps(HIDDEN))
    mixture = {"weights": [0.4, 0.6], "probs": [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]}
    (tmp_path / "mixture.json").write_text(json.dumps(mixture))
    (tmp_path / "text.txt").write_text("def f(x):\n    return x + 1\n" * 3)
    rows = [(k, 2 - 1.5 * (1 - k / 8) ** 0.5) for k in range(1, 9)]
    write_csv(tmp_path / "loss.csv", ("n_masked", "loss"), rows)
    return table


def write_csv(path, columns, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]))


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_documented_json(capsys, inputs, source):
    """The schema, and each listed schedule scored again from the printed curve alone."""
    result = run_json(capsys, source, *SOURCES[source], "--steps", "3")
    for key, kind in SCHEMA.items():
        assert isinstance(result[key], kind), key
    assert result["units"] == "nats"
    assert result["source"]["name"] == source
    assert "frontier" not in result
    key = "expected_kl" if result["exact"] else "nll"
    assert result["exact"] == (source != "loss-curve")
    values = result["information_curve"] if result["exact"] else result["loss_curve"]
    for entry in [result, *result["baselines"].values()]:
        assert sum(entry["counts"]) == result["n"] == len(values)
        assert len(entry["counts"]) <= 3
        starts = np.repeat(np.cumsum(entry["counts"]) - entry["counts"], entry["counts"])
        seen = np.array(values)[starts]
        score = np.sum(values - seen) if result["exact"] else np.sum(seen)
        assert entry[key] == pytest.approx(score, abs=1e-12)
        assert entry[key] >= result[key] - 1e-12
    assert set(result["baselines"]) == set(BASELINES)
    assert result["nll" if result["exact"] else "expected_kl"] is None


def test_closed_forms_are_those_of_the_library(capsys):
    code = run_json(capsys, "reed-solomon", "--n", "6", "--q", "7", "--dim", "2", "--steps", "2")
    curve = mds_curve(6, 2, 7)
    np.testing.assert_allclose(code["information_curve"], curve.information)
    assert code["counts"] == [2, 4]
    assert code["expected_kl"] == 0
    assert code["total_correlation"] == pytest.approx(4 * np.log(7))
    pairs = run_json(capsys, "pairs", "--n", "128", "--steps", "16")
    assert pairs["counts"] == [8] * 16
    assert pairs["expected_kl"] == pytest.approx(2.445, abs=5e-4)  # peers' published value
    assert pairs["baselines"]["pyramid"]["expected_kl"] == pytest.approx(3.275, abs=5e-4)
    assert pairs["information_curve"] == pairs_curve(128, 2).information.tolist()


def test_a_chain_of_any_flip_and_alphabet_has_a_closed_form(capsys):
    """Refused before: one that never moves, and more symbols than a matrix of them fits."""
    still = run_json(capsys, "markov", "--n", "5", "--flip", "0", "--steps", "2")
    same = run_json(capsys, "repetition", "--n", "5", "--steps", "2")
    for key in ("information_curve", "entropy", "expected_kl"):
        assert still[key] == pytest.approx(same[key], abs=1e-12)
    assert still["counts"] == same["counts"] == [1, 4]
    large = run_json(capsys, "markov", "--n", "5", "--q", "99999", "--flip", "0.5", "--steps", "2")
    assert large["entropy"] == pytest.approx(np.log(99999) + 4 * (np.log(2) + np.log(99998) / 2))


def test_a_joint_from_a_file_is_enumerated(capsys, inputs):
    result = run_json(capsys, "joint", "table.npz")
    curve = information_curve(Joint(jax.numpy.asarray(inputs)))
    np.testing.assert_allclose(result["information_curve"], curve.information, atol=1e-14)
    assert (result["n"], result["q"]) == (3, 3)


def test_text_windows_are_those_of_the_file(capsys, tmp_path):
    """Windows of "aa1" are aa and a1: H_1 = H_2 = log 2 only for the second place."""
    (tmp_path / "t.txt").write_text("aa1")
    result = run_json(capsys, "text", "t.txt", "--window", "2", "--steps", "1")
    assert result["classes"] == ["letter", "digit", "space", "other"]
    assert result["characters"] == 3
    assert result["entropy"] == pytest.approx(np.log(2))
    assert result["expected_kl"] == pytest.approx(0, abs=1e-12)


def test_the_frontier_has_every_number_of_steps(capsys):
    result = run_json(capsys, "permutation", "--n", "9")
    assert list(result["frontier"]) == [str(k) for k in range(1, 10)]
    scores = [entry["expected_kl"] for entry in result["frontier"].values()]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(result["total_correlation"])
    assert scores[-1] == 0
    for k, entry in result["frontier"].items():
        assert len(entry["counts"]) == int(k)
        assert list(entry["baselines"]) == list(NAMED)
        assert min(entry["baselines"].values()) >= entry["expected_kl"] - 1e-12
    chosen = len(result["counts"])
    assert result["counts"] == result["frontier"][str(chosen)]["counts"]
    assert scores[chosen - 1] <= 0.05 * scores[0] < scores[chosen - 2]


def test_a_long_frontier_is_thinned(capsys):
    assert listed_steps(64, 64) == list(range(1, 65))
    assert listed_steps(100, 100) == [*range(1, 17), 23, 32, 45, 64, 91]
    result = run_json(capsys, "parity", "--n", "100000")
    assert result["counts"] == [99_999, 1]
    assert result["expected_kl"] == 0
    assert list(result["frontier"]) == [str(k) for k in [*range(1, 17), 23, 32, 45, 64]]


def test_epsilon_takes_the_fewest_steps(capsys):
    result = run_json(capsys, "permutation", "--n", "9", "--epsilon", "0.7")
    curve = InformationCurve(jax.numpy.asarray(result["information_curve"]), jax.numpy.asarray(np.log(9)))
    fewer = optimal_schedule(curve, len(result["counts"]) - 1)
    assert result["expected_kl"] <= 0.7 < float(expected_kl(curve, fewer))


def test_a_loss_curve_with_a_known_optimum(capsys, tmp_path):
    """A curve with two levels: two steps that part where it falls lose nothing."""
    rows = [(k, 3.0 if k > 5 else 1.0) for k in range(1, 9)]
    write_csv(tmp_path / "l.csv", ("n_masked", "loss"), rows)
    result = run_json(capsys, "loss-curve", "l.csv", "--steps", "2")
    assert result["counts"] == [3, 5]
    assert result["nll"] == 3 * 3 + 5 * 1 == result["nll_one_by_one"]
    even = result["baselines"]["llada_uniform"]
    assert even.items() >= {"counts": [4, 4], "steps": 2, "nll": 16, "nll_interval": [16, 16]}.items()
    assert result["interpolated"] == 0
    found = run_json(capsys, "loss-curve", "l.csv", "--epsilon", "0.5")
    assert found["counts"] == [3, 5]
    assert "expected_kl" not in found["baselines"]["dream"]


def test_a_loss_curve_says_what_it_does_not_know(capsys, tmp_path):
    rows = [(1.0, 2.0), (0.5, 1.0), (0.5, 1.2), (0.1, 1.4)]
    write_csv(tmp_path / "l.csv", ("mask_ratio", "loss"), rows)
    words = ["loss-curve", "l.csv", "--length", "10", "--steps", "2"]
    result = run_json(capsys, *words)
    assert (result["measured"], result["interpolated"], result["repeated"]) == (3, 7, 1)
    assert result["measured_points"] == [m in (0, 5, 9) for m in range(10)]
    raw = run_json(capsys, *words, "--fit", "rows")
    assert raw["loss_curve"][5] == pytest.approx(1.1)
    assert raw["loss_curve"][9] == 1.4
    assert result["rises"] == 1
    fitted = run_json(capsys, *words, "--fit", "isotonic")
    assert (fitted["fit"], result["fit"]) == ("isotonic", "spline")
    assert fitted["loss_curve"] == sorted(fitted["loss_curve"], reverse=True)
    out = run(capsys, "schedule", *words, "--fit", "rows")
    assert "3 of 10 mask counts measured, 7 interpolated" in out
    assert "rises at 1 measured points" in out
    assert "NLL" in out
    assert "KL" not in out


def test_a_trainers_log_is_read_and_said_to_be(capsys, tmp_path):
    log = [{"step": s, f"eval_loss_t{t}": s * t, "lr": 1} for s in (1, 2) for t in (0.25, 0.5, 1.0)]
    log += [{"step": 3, "loss": 9.0}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    words = ["loss-curve", "trainer_state.json", "--length", "8", "--unit", "bits", "--vocabulary", "3"]
    result = run_json(capsys, *words, "--steps", "2")
    assert result["loss_curve"][0] == pytest.approx(2 * np.log(2), rel=1e-15)
    assert (result["measured"], result["largest_measured"], result["q"]) == (3, 8, 3)
    assert result["columns"] == {"mask_ratio": "*", "loss": "eval_loss_t*", "step": "step"}
    assert result["logged_steps"] == {"read": 2, "of": 2}
    assert result["above_log_q"] == [8]
    kept = {"columns": None, "unit": "bits", "per": "token", "weighted": False, "vocabulary": 3}
    assert kept.items() <= result["source"].items()
    out = " ".join(run(capsys, "schedule", *words).split())
    assert "Read: mask_ratio from *, loss from eval_loss_t*." in out
    assert "Of 2 steps the last that is whole is read, 2." in out
    assert "The loss is above log 3 = 1.0986, which guessing has, at n_masked = 8" in out


def test_losses_of_another_unit_are_pointed_out(capsys, tmp_path):
    write_csv(tmp_path / "l.csv", ("n_masked", "loss"), [(1, 2.0), (16, 40.0), (32, 100.0)])
    out = " ".join(run(capsys, "schedule", "loss-curve", "l.csv").split())
    assert "above the logarithm of any vocabulary: sums over a sequence (--per sequence)" in out
    out = run(capsys, "schedule", "loss-curve", "l.csv", "--per", "sequence")
    assert "any vocabulary" not in out


def test_what_falls_by_noise_is_warned_of_and_isotonic_is_not_the_advice(capsys, tmp_path):
    write_csv(
        tmp_path / "l.csv", ("n_masked", "loss", "stderr"), [(1, 2.1, 0.2), (4, 2.0, 0.2), (8, 1.9, 0.2)]
    )
    out = " ".join(run(capsys, "schedule", "loss-curve", "l.csv").split())
    assert "The loss falls as more is masked: by noise, or n_masked is what is revealed" in out
    assert "--fit" not in out
    assert "rises at" not in out


def rows_of(stderr):
    return [(k, 3 * np.exp(-(12 - k) / 4), stderr) for k in range(1, 13)]


def test_gains_are_judged_on_data_that_did_not_choose(capsys, tmp_path):
    write_csv(tmp_path / "l.csv", ("n_masked", "loss", "stderr"), rows_of(0.2))
    words = ["loss-curve", "l.csv", "--steps", "3"]
    one, again, other = (run_json(capsys, *words, "--seed", seed) for seed in (1, 1, 2))
    assert one["gain"] == again["gain"] != other["gain"]
    assert one["judged"] == {"repetitions": 64, "level": 0.95, "errors": "stderr"}
    assert one["fit"] == "spline"
    even = one["baselines"]["llada_uniform"]
    assert [even[key] for key in ("gain", "gain_interval")] == [one["gain"], one["gain_interval"]]
    for entry in one["baselines"].values():
        low, high = entry["gain_interval"]
        assert low < entry["gain"] < high
        assert high - low == pytest.approx(2 * 1.959964 * entry["gain_stderr"], rel=1e-6)
    assert one["gain_interval"][0] < 0 < one["gain_interval"][1]
    out = run(capsys, "schedule", *words)
    assert "These data do not tell the best from llada_uniform" in out
    assert "times as many data would" in out
    assert "a little less than with all" in out
    assert " +" not in out.split("NLL:")[0]
    few = run_json(capsys, *words, "--repetitions", "2")
    assert few["judged"]["repetitions"] == 2


def test_gains_that_are_told_and_gains_that_cannot_be(capsys, tmp_path):
    write_csv(tmp_path / "sure.csv", ("n_masked", "loss", "stderr"), rows_of(1e-3))
    words = ["loss-curve", "sure.csv", "--steps", "3"]
    assert "The best gains against llada_uniform" in run(capsys, "schedule", *words)
    assert run_json(capsys, *words)["gain_needs"] < 1
    write_csv(tmp_path / "bare.csv", ("n_masked", "loss"), [row[:2] for row in rows_of(0)])
    words = ["loss-curve", "bare.csv", "--steps", "3"]
    bare = run_json(capsys, *words)
    assert [bare[key] for key in ("gain", "gain_interval", "judged", "fit")] == [None, None, None, "rows"]
    assert "nothing here tells by how much" in run(capsys, "schedule", *words)
    write_csv(tmp_path / "twice.csv", ("n_masked", "loss"), [row[:2] for row in 2 * rows_of(0)])
    twice = run_json(capsys, "loss-curve", "twice.csv", "--steps", "3")
    assert (twice["judged"]["errors"], twice["gain_stderr"]) == ("rows", 0)


def test_losses_beyond_the_rows_make_intervals(capsys, tmp_path):
    """Held at the nearest loss, but only known to a monotone bracket: 0 below, any height above."""
    write_csv(tmp_path / "bins.csv", ("n_masked", "loss"), [(3, 0.5), (5, 0.6), (8, 0.8)])
    words = ["loss-curve", "bins.csv", "--length", "10", "--steps", "2"]
    found = run_json(capsys, *words)
    assert (found["least_measured"], found["largest_measured"]) == (3, 8)
    assert found["nll_interval"] == [found["nll"], "inf"]
    one_by_one = run_json(capsys, *words[:-1], "10")
    low, high = one_by_one["nll_interval"]
    assert low == pytest.approx(one_by_one["nll"] - 2 * 0.5)
    assert high == "inf"
    out = run(capsys, "schedule", *words)
    assert "No loss is known above n_masked = 8" in out
    assert "measure n_masked = 10" in " ".join(out.split())
    assert "No loss is known below n_masked = 3" in out
    assert " to inf" in out
    write_csv(
        tmp_path / "noisy.csv",
        ("n_masked", "loss", "stderr"),
        [(3, 0.5, 0.1), (5, 0.6, 0.1), (8, 0.8, 0.1)],
    )
    noisy = run_json(capsys, "loss-curve", "noisy.csv", *words[2:])
    assert "inf" in str(noisy["baselines"]["geometric"]["gain_interval"])


def test_the_table_is_plain_text_with_every_number_named(capsys):
    out = run(capsys, "schedule", "permutation", "--n", "9")
    assert out.isascii()
    assert "\x1b" not in out
    for name in BASELINES:
        assert name in out
    for phrase in ("total correlation", "mean over random ordered partitions", "1x3 means three steps"):
        assert phrase in out
    assert max(map(len, out.splitlines())) <= 120


def test_long_counts_are_printed_in_full_once(capsys):
    out = run(capsys, "schedule", "permutation", "--n", "1024", "--steps", "40")
    best = next(line for line in out.split("\n\n") if line.startswith("The best 40:"))
    counts = []
    for run_ in " ".join(best.splitlines()).removeprefix("The best 40: ").rstrip(". ").split():
        value, _, times = run_.partition("x")
        counts += [int(value)] * int(times or 1)
    assert len(counts) == 40
    assert sum(counts) == 1024


@pytest.mark.parametrize(
    "words", ["permutation --n 300", "repetition --n 100000 --steps 40", "loss-curve loss.csv"]
)
def test_no_number_is_cut_at_any_width(capsys, monkeypatch, inputs, words):
    """Columns are left out, not cut, and the best counts are given in full where the table has not."""
    result = run_json(capsys, *words.split())
    key = "expected_kl" if result["exact"] else "nll"
    for width in (40, 60, 80, 120):
        monkeypatch.setattr("mdmjax.studies.table.PLAIN_WIDTH", width)
        out = run(capsys, "schedule", *words.split())
        assert "\N{HORIZONTAL ELLIPSIS}" not in out
        assert max(map(len, out.splitlines())) <= width
        tables = [line.split("|") for line in out.splitlines() if "|" in line]
        found = {cells[0].strip(): cells[1].strip() for cells in tables}
        assert found["best"] == four_decimals(result[key])
        for name, entry in result["baselines"].items():
            assert found[name] == four_decimals(entry[key])
        for steps, entry in result.get("frontier", {}).items():
            assert found[steps] == four_decimals(entry[key])
        assert run_lengths(result["counts"]) in " ".join(out.split())


@pytest.mark.parametrize("kind", ["png", "pdf"])
@pytest.mark.parametrize("source", ["permutation", "loss-curve"])
def test_a_picture_is_written(capsys, tmp_path, inputs, kind, source):
    path = tmp_path / f"picture.{kind}"
    run(capsys, "schedule", source, *SOURCES[source], "--steps", "3", "--plot", path)
    content = path.read_bytes()
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[kind])
    assert len(content) > 5000


@pytest.mark.slow
def test_the_objective_may_be_the_own_law(capsys, tmp_path):
    """The numbers of the issue; and of tables, with contexts that the data never have, those of `law`."""
    own = ("--objective", "forward-kl", "--steps", "2")
    found = run_json(capsys, "noisy-bit", "--n", "6", *own)
    assert found["counts"] == [1, 5]
    assert (round(found["expected_kl"], 4), round(found["forward_kl"], 4)) == (0.4237, 0.0672)
    shortest = found["shortest_path"]
    assert shortest["counts"] == [2, 4]
    assert (round(shortest["expected_kl"], 4), round(shortest["forward_kl"], 4)) == (0.3938, 0.3128)
    assert found["search"]["optimal"]
    found = run_json(capsys, "permutation", "--n", "4", *own, "--export", "out")
    assert read_schedule(tmp_path / "out").counts.tolist() == found["counts"]
    counts = ",".join(map(str, found["counts"]))
    assert main(["law", "permutation", "--n", "4", "random", "--counts", counts, "--json"]) == 0
    law = json.loads(capsys.readouterr().out)
    assert law["forward_kl"] == pytest.approx(found["forward_kl"], rel=1e-12)
    shown = run(capsys, "schedule", "reed-solomon", *own)
    assert "best for the sampler's own law: the shortest path, for every order" in shown
    found = run_json(capsys, "permutation", "--n", "100000", *own)
    assert found["forward_kl"] == found["expected_kl"] == found["shortest_path"]["forward_kl"]
    found = run_json(capsys, "pairs", "--n", "16", *own)
    assert found["search"]["optimal"]
    assert found["forward_kl"] <= found["shortest_path"]["forward_kl"] < found["expected_kl"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("noisy-bit --n 6", "--objective is forward-kl: want --steps K beside it"),
        ("markov --n 64 --steps 2", "--objective is forward-kl of markov of n = 64, q = 2"),
        ("markov --n 64 --steps 2", "known at length of noisy-bit, mixture, multiset, repetition, parity"),
        ("pairs --n 2000 --steps 2", "--n is 2000: want a step of the law of pairs of at most 1.0 GiB"),
        ("loss-curve none.csv --steps 2", "--objective is forward-kl of a loss-curve: want expected-kl"),
        ("noisy-bit --n 6 --steps 2 --lengths 4 --export out", "--lengths is 4: want left out with"),
        ("noisy-bit --n 6 --steps 2 --objective best", "--objective is best: want one of"),
    ],
)
def test_an_own_law_that_is_not_known_is_refused(capsys, words, message):
    assert main(["schedule", "--objective", "forward-kl", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_an_export_is_written_and_comes_back(capsys, tmp_path):
    result = run_json(capsys, "permutation", "--n", "9", "--steps", "3", "--export", "out")
    assert read_schedule(tmp_path / "out").counts.tolist() == result["counts"]
    document = json.loads((tmp_path / "out" / "schedule.json").read_text())
    assert document["metadata"]["expected_kl"] == result["expected_kl"]
    assert document["metadata"]["source"]["name"] == "permutation"
    assert {"llada_adapter.py", "dllm_adapter.py"} <= set(os.listdir(tmp_path / "out"))


def test_an_export_has_rows_and_lengths(capsys, tmp_path):
    words = (
        "permutation",
        "--n",
        "9",
        "--steps",
        "3",
        "--export",
        "out",
        "--lengths",
        "6,9",
        "--infill",
        "4",
    )
    result = run_json(capsys, *words)
    alone = run_json(capsys, "permutation", "--n", "6", "--steps", "3")
    assert result["plan"]["lengths"] == {
        "6": {key: alone[key] for key in ("counts", "steps", "expected_kl")}
    }
    assert result["plan"]["by_masks"] == {"4": [2, 1, 1]}
    document = json.loads((tmp_path / "out" / "schedule.json").read_text())
    assert document["by_masks"] == {"4": [2, 1, 1]}
    assert [(other["n"], other["counts"]) for other in document["lengths"]] == [(6, alone["counts"])]
    assert document["order"] == result["order"] == "random"
    shown = run(capsys, "schedule", *words)
    assert "Rows of 4 masks are exported too" in shown
    assert "for random order" in shown


@pytest.mark.parametrize(("block", "blocks"), [("3", [[1, 2]] * 3), ("9", [[1, 1, 1, 1, 2, 3]])])
def test_an_export_of_blocks_says_what_it_costs(capsys, tmp_path, block, blocks):
    words = ("noisy-bit", "--n", "9", "--steps", "6", "--export", "out", "--block-length", block)
    result = run_json(capsys, *words)
    plan, document = result["plan"], json.loads((tmp_path / "out" / "schedule.json").read_text())
    assert plan["blocks"] == blocks == [entry["counts"] for entry in document["blocks"]]
    assert document["every_block"] == (block == "9")
    information = np.array(result["information_curve"])
    starts = np.repeat(np.cumsum(plan["counts"]) - plan["counts"], plan["counts"])
    assert plan["expected_kl"] == pytest.approx(np.sum(information - information[starts]))
    assert document["metadata"]["expected_kl"] == plan["expected_kl"] >= result["expected_kl"] - 1e-12
    assert ("all blocks" in run(capsys, "schedule", *words)) == (block == "3")


def test_what_is_exported_beside_needs_an_export(capsys):
    for words in (["--infill", "3"], ["--lengths", "4"], ["--block-length", "4"]):
        assert main(["schedule", "permutation", "--n", "8", *words]) == 2
        assert f"{words[0]} is {words[1]}: want --export DIR beside it" in capsys.readouterr().err


def lying_npz(shape):
    """An .npz file whose array's header names a shape that its data does not have."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("probs.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + bytes(64))
    return stream.getvalue()


BAD_FILES = {
    "sum.json": json.dumps(HIDDEN | {"transition": [[0.9, 0.2], [0.1, 0.9]]}),
    "shape.json": json.dumps(HIDDEN | {"emission": [[0.5, 0.5]]}),
    "words.json": json.dumps(HIDDEN | {"transition": "often"}),
    "ragged.json": json.dumps(HIDDEN | {"transition": [[0.9, 0.1], [1.0]]}),
    "list.json": "[1, 2]",
    "no.json": "{",
    "half.json": json.dumps(HIDDEN | {"n": 2.5}),
    "length.json": json.dumps({name: HIDDEN[name] for name in ("initial", "transition", "emission")}),
    "nan.npz": {"probs": np.array([0.5, np.nan])},
    "negative.npz": {"probs": np.array([1.5, -0.5])},
    "sum.npz": {"probs": np.array([0.5, 0.6])},
    "shape.npz": {"probs": np.full((2, 3), 1 / 6)},
    "name.npz": {"p": np.array([0.5, 0.5])},
    "large.npz": {"probs": np.full((2,) * 22, 2.0**-22)},
    "pickle.npz": {"probs": np.array([{}, 1], dtype=object)},
    "text.npz": "n_masked,loss",
    "empty.csv": "",
    "columns.csv": "step,loss\n1,1\n2,1\n",
    "reversed.csv": "t,loss\n.1,4\n.5,3\n.9,1\n",
    "sums.csv": "n_masked,loss\n1,2\n32,80\n64,170\n",
    "runs.csv": "n_masked,train_loss,val_loss\n1,1,2\n2,1,2\n",
    "nan.csv": "n_masked,loss\n1,nan\n2,1\n",
    "none.csv": "n_masked,loss\n0,1\n",
    "negative.csv": "n_masked,loss\n1,-1\n2,1\n",
    "one.csv": "n_masked,loss\n2,1\n2,1\n",
    "cell.csv": "n_masked,loss\n,1\n2,1\n",
    "good.csv": "n_masked,loss\n1,1\n2,1\n8,2\n",
    "ratio.csv": "mask_ratio,loss\n0.5,1\n1.5,1\n",
    "empty.py": "",
    "good.npz": {"probs": np.array([0.5, 0.5])},
    "lies.npz": lying_npz("(99999999999999999999, 2)"),
    "parts.json": json.dumps({"weights": [0.5, 0.5], "probs": [[1, 0], [0, 1]]}),
    "weights.json": json.dumps({"weights": [0.5, 0.6], "probs": [[1, 0], [0, 1]]}),
    "flat.json": json.dumps({"weights": [0.5, 0.5], "probs": [1, 0]}),
    "header.npz": lying_npz("((("),
    "cell_size.csv": "n_masked,loss\n1," + "9" * 200_000,
    "deep.jsonl": "[" * 100_000,
    "keys.jsonl": "{}\n{}\n",
    "sum.csv": "n_masked,loss\n1,1e308\n2,1e308\n",
}

MISTAKES = [
    ("permutation --n 8 --steps 2 --infill 3,x", "--infill is 3,x: want integers >= 1 with commas"),
    ("permutation --n 8 --steps 2 --infill 9", "--infill is 9: want numbers of masks in 1..8"),
    ("permutation --n 8 --steps 2 --lengths 0", "--lengths is 0: want integers >= 1"),
    ("permutation --n 8 --steps 3 --lengths 2", "--steps is 3: want an integer in 1..2"),
    ("block-hmm --steps 2 --lengths 4", "--lengths is 4: want n = "),
    (
        "loss-curve good.csv --steps 2 --lengths 6",
        "want n = 8 alone of loss-curve; measure a curve at that",
    ),
    ("permutation --n 8 --steps 4 --block-length 3", "--block-length is 3: want a divisor of n = 8"),
    ("permutation --n 8 --steps 3 --block-length 4", "--steps is 3: want a multiple of 2, in 2..8"),
    (
        "permutation --n 8 --steps 2 --block-length 4 --lengths 4",
        "--block-length, --lengths is 4, 4: want only",
    ),
    ("permutation --steps 0", "--steps is 0: want an integer in 1..n"),
    ("permutation --steps 17", "--steps is 17: want an integer in 1..16"),
    ("permutation --steps x", "--steps is x: want an integer"),
    ("permutation --steps 2 --epsilon 1", "--steps, --epsilon is 2, 1.0: want only one of the two"),
    ("permutation --epsilon 0", "--epsilon is 0.0: want a positive number"),
    ("permutation --epsilon -1", "--epsilon is -1.0"),
    ("permutation --epsilon nan", "--epsilon is nan"),
    ("permutation --epsilon inf", "--epsilon is inf"),
    ("permutation --n 0", "--n is 0"),
    ("permutation --n 99999999999999", "--n is 99999999999999: want at most 16777216"),
    ("permutation --n 1.5", "--n is 1.5: want an integer"),
    ("permutation --size 3", "option is --size: want an option of `mdmjax schedule permutation`"),
    ("permutation extra", "argument is extra: want no more words"),
    ("permutation --plot x.jpg", "--plot is x.jpg: want a name that ends in .png or .pdf"),
    ("permutation --plot no/x.png", "--plot is no/x.png: want a file in an existing folder"),
    ("permutation --export good.csv", "--export is good.csv: want a folder"),
    ("permutation --export no/x", "--export is no/x: want a folder in an existing one"),
    ("pairs --n 7", "--n is 7: want an even integer"),
    ("repetition --q 1", "--q is 1"),
    ("parity --n 1", "--n is 1"),
    ("reed-solomon --q 12 --n 4", "--q is 12: want a prime power"),
    ("reed-solomon --q 7 --n 8", "--n is 8: want at most q = 7"),
    ("reed-solomon --dim 0", "--dim is 0"),
    ("markov --flip 1.5", "--flip is 1.5"),
    ("markov --flip x", "--flip is x: want a number"),
    ("noisy-bit --flip -0.1", "--flip is -0.1"),
    ("noisy-bit --flip nan", "--flip is nan"),
    ("block-hmm --eta 2", "--eta is 2"),
    ("block-hmm --blocks 0", "--blocks is 0"),
    ("block-hmm --blocks 3 --sequences 1", "--sequences is 1: want an integer >= 2"),
    ("block-hmm --blocks 2 --sequences 9", "--sequences is 9: want left out; this curve is exact"),
    ("block-hmm --blocks 3 --objective forward-kl --steps 2", "want expected-kl; the own law is a table"),
    ("hmm", "--file is not given"),
    ("hmm --file missing.npz", "--file is missing.npz: want a file; no such file"),
    (
        "hmm --file sum.json",
        "--file is sum.json, whose transition is of sum 1.1: want a sum of 1; divide by the sum",
    ),
    ("hmm --file shape.json", "emission is of shape (1, 2): want shape (states, q) = (2, 2)"),
    ("hmm --file words.json", "with transition often: want numbers: arrays initial (K,)"),
    ("hmm --file ragged.json", "want numbers: arrays initial (K,), transition (K, K)"),
    ("hmm --file list.json", "file is list.json, no JSON object: want arrays initial (K,)"),
    ("hmm --file no.json", "file is no.json, not JSON: want arrays initial"),
    (
        "hmm --file good.npz",
        "want arrays initial (K,), transition (K, K) and emission (K, q), and",
    ),
    ("hmm --file length.json", "--n is not given: want the number of positions; --n N"),
    ("hmm --file length.json --n 0", "--n is 0: want an integer >= 1"),
    ("hmm --file length.json --n 9999999999", "are needed; use fewer positions"),
    ("hmm --file half.json", "--n is 2.5 in half.json: want an integer >= 1"),
    ("mixture", "--file is not given"),
    ("mixture --file parts.json", "--n is not given: want the number of positions; --n N"),
    ("mixture --file good.npz --n 4", "want arrays weights (parts,) and probs (parts, q), and a number n"),
    ("mixture --file parts.json --n 0", "--n is 0: want an integer >= 1"),
    (
        "mixture --file weights.json --n 4",
        "--file is weights.json, whose weights is of sum 1.1: want a sum of 1; divide by the sum",
    ),
    ("mixture --file flat.json --n 4", "whose probs is of shape (2,): want shape (parts, q)"),
    ("multiset", "--repeats is not given: want an integer"),
    ("multiset --repeats 0 0", "--repeats is [0, 0]: want integers >= 0 that are not all 0"),
    ("multiset --repeats 3 -2", "--repeats is -2: want an integer >= 0"),
    ("multiset --repeats 300000 300000", "--repeats is 600000 in all: want at most"),
    ("joint", "FILE.npz is not given"),
    ("joint missing.npz", "file is missing.npz: want a file; no such file"),
    ("joint nan.npz", "probs is nan: want a probability in [0, 1]"),
    ("joint negative.npz", "probs is 1.5: want a probability in [0, 1]"),
    ("joint sum.npz", "probs is of sum 1.1: want a sum of 1"),
    ("joint shape.npz", "probs is of shape (2, 3): want shape (q,)*n"),
    ("joint name.npz", "want an array named probs"),
    ("joint pickle.npz", "arrays of objects are never loaded"),
    ("joint text.npz", "file is text.npz: want an .npz file"),
    (
        "joint large.npz",
        "n, q is 22, 2: want a joint and entropies of all its subsets in at most 4.0 GiB",
    ),
    ("text missing", "path is missing"),
    ("text empty.py", "path is empty.py without text"),
    ("text good.csv --window 0", "--window is 0"),
    ("text good.csv --classes digit", "--classes is digit: want NAME=SET"),
    ("text good.csv --classes digit=[", "--classes is "),
    ("block-hmm --blocks 9999999", "GiB"),
    ("block-hmm --blocks 999999999999999999", "--blocks is 999999999999999999: want at most 16777216; "),
    ("text good.csv --window 999999999999999999", "these need over 2^"),
    ("joint lies.npz", "file is lies.npz: want an .npz file"),
    ("joint header.npz", "the file is damaged or of another format"),
    ("text good.csv --window 99", "GiB"),
    ("text empty.csv", "path is empty.csv without text"),
    ("loss-curve", "FILE is not given"),
    ("loss-curve missing.csv", "file is missing.csv: want a file; no such file"),
    ("loss-curve empty.csv", "file is empty.csv, empty"),
    (
        "loss-curve empty.py",
        "file is empty.py: want a name that ends in .csv, .tsv, .txt, .json, .jsonl, .npz or",
    ),
    (
        "loss-curve columns.csv",
        "one averaged loss a step cannot tell what a schedule costs: log it by ratio",
    ),
    (
        "loss-curve columns.csv --columns n_masked=stp",
        "--columns is n_masked=stp: want a column of columns",
    ),
    ("loss-curve runs.csv", "for loss: want one of them; --columns loss=val_loss"),
    ("loss-curve reversed.csv --length 10", "--columns revealed_ratio=t,loss=loss --length N"),
    ("loss-curve reversed.csv --length 10 --fit isotonic", "t is perhaps the share that is revealed"),
    ("loss-curve sums.csv --vocabulary 4", "a sum over a sequence is --per sequence"),
    ("loss-curve good.csv --vocabulary 1", "--vocabulary is 1: want an integer >= 2"),
    ("loss-curve good.csv --unit nat", "--unit is nat: want one of nats, bits, perplexity"),
    ("loss-curve good.csv --unit perplexity --weighted", "--unit is perplexity: want nats or bits"),
    (
        "loss-curve good.csv --per position",
        "--length is not given: want the number of positions; --per position",
    ),
    ("loss-curve cell_size.csv", "file is cell_size.csv: want comma-separated values"),
    ("loss-curve deep.jsonl", "line 1 is not a JSON object"),
    ("loss-curve keys.jsonl", "file is keys.jsonl with columns none: want a column n_masked or mask_ratio"),
    ("loss-curve sum.csv", "loss is 1e+308 in row 1: want nats whose sum over n = 2 positions is finite"),
    ("loss-curve nan.csv", "loss is nan in row 1"),
    ("loss-curve none.csv", "n_masked is 0: want at least 1 in some row"),
    ("loss-curve negative.csv", "loss is -1 in row 1"),
    ("loss-curve one.csv", "n_masked is 2 in every row: want at least two"),
    ("loss-curve cell.csv", "n_masked is 2 in every row: want at least two different mask counts"),
    ("loss-curve good.csv --length 7", "n_masked is 8 in row 3: want 1..n with n = 7"),
    ("loss-curve good.csv --length 0", "--length is 0"),
    ("loss-curve good.csv --steps 9", "--steps is 9: want an integer in 1..8"),
    ("loss-curve good.csv --repetitions 1", "--repetitions is 1: want an integer >= 2"),
    ("loss-curve good.csv --fit spline", "stderr is not known of n_masked = "),
    ("loss-curve good.csv --fit straight", "--fit is straight: want one of rows, isotonic, spline"),
    (f"loss-curve good.csv --length {10**18}", f"--length is {10**18}: want at most"),
    ("loss-curve good.csv --seed -1", "--seed is -1"),
    ("loss-curve ratio.csv --length 8", "mask_ratio is 1.5 in row 2: want a ratio in (0, 1]"),
    ("loss-curve ratio.csv", "--length is not given"),
    ("", "source is not given: want one of block-hmm, markov"),
    ("unknown", "source is unknown: want one of block-hmm, markov"),
]


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_files")
    for name, content in BAD_FILES.items():
        if isinstance(content, str):
            (folder / name).write_text(content)
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            np.savez_compressed(folder / name, **content)
    return folder


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_one_line_and_nothing_is_written(capsys, monkeypatch, bad_files, words, message):
    monkeypatch.chdir(bad_files)
    before = sorted(os.listdir())
    argv = ["schedule", *words.split()]
    outputs = [] if "--plot" in argv or "--export" in argv else ["--plot=p.png", "--export=e"]
    code = main(argv + (outputs if len(argv) > 1 else []))
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("mdmjax: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(os.listdir()) == before


def test_no_command_is_a_mistake_too(capsys):
    assert main([]) == 2
    assert "command is not given: want one of schedule, certify, law" in capsys.readouterr().err


def test_matplotlib_is_asked_for_before_any_work(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["schedule", "permutation", "--plot", "x.png"]) == 2
    assert "pip install 'mdmjax[figures]'" in capsys.readouterr().err


def in_a_process(*words):
    return subprocess.run(
        [sys.executable, "-c", "import sys; from mdmjax.cli import main; sys.exit(main())", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_process_exits_with_the_code_and_no_traceback():
    good = in_a_process("schedule", "pairs", "--steps", "2")
    assert good.returncode == 0
    assert good.stderr == ""
    bad = in_a_process("schedule", "pairs", "--n", "7")
    assert bad.returncode == 2
    assert bad.stderr.startswith("mdmjax: error: --n is 7: want an even integer")
    assert bad.stderr.count("\n") == 1


def test_a_closed_pipe_and_a_full_disk_are_no_traceback():
    code = "import sys; from mdmjax.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "schedule", "permutation", "--n", "8", "--steps", "2"]
    for extra in ([], ["--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        left = subprocess.run([*words, *extra], stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        assert (left.returncode, left.stderr) == (0, "")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            found = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
        assert found.returncode == 2
        assert found.stderr.startswith("mdmjax: error: standard output cannot be used")
        assert found.stderr.count("\n") == 1


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from mdmjax.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "heavy = {'jax', 'numpy', 'scipy', 'equinox', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for words in (["--help"], ["schedule", "--help"], ["schedule", "loss-curve", "--help"]):
        found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        assert "usage: mdmjax" in found.stdout
    assert "n_masked" in found.stdout


def test_counts_of_the_best_schedule_are_a_schedule(capsys):
    result = run_json(capsys, "noisy-bit", "--n", "128", "--steps", "16")
    assert Schedule(result["counts"]).n == 128
    assert result["expected_kl"] == pytest.approx(0.0003, abs=5e-5)  # peers' published value
    assert result["baselines"]["llada_uniform"]["expected_kl"] == pytest.approx(2.271, abs=5e-4)
