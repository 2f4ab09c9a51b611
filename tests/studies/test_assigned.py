"""Models under one budget: the report, its honest gains, and the command."""

import itertools
import json

import jax
import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array

from mdmjax import InvalidInputError, LossCurve, LossTable, loss_means
from mdmjax.cli import main
from mdmjax.files.schedule_files import read_schedule
from mdmjax.information.joined_means import JoinedMeans, same_sequences
from mdmjax.schedules.honest import curve_of_half, judged_gains, lines_between
from mdmjax.studies.assigned import assigned_study

N = 6
LARGE = np.array([4.0, 2.5, 1.8, 1.2, 0.8, 0.5])
SMALL = np.array([4.0, 2.7, 2.3, 2.1, 2.0, 1.9])


def table(loss, stderr=0.2, seed=0):
    noise = np.random.default_rng(seed).normal(size=N) * stderr
    return LossTable(N, N - np.arange(N), loss + noise, stderr=np.full(N, stderr))


def sequences(loss, own):
    """Every sequence masked once at every count, its losses off by what is its own."""
    n_masked, sequence = np.tile(N - np.arange(N), len(own)), np.repeat(np.arange(len(own)), N)
    return LossTable(N, n_masked, np.tile(loss, len(own)) * (1 + own[sequence]), sequence=sequence)


def fixed(first, second):
    """A rule that always has these weights."""
    return lambda curves: np.stack([first, second])[None]


def judged(key, tables, rule, repetitions):
    """The gain of a rule on the curves of all tables."""
    joined = JoinedMeans(tables)

    def choose(known):
        halves = zip(tables, joined.parts(known), strict=True)
        curves = [curve_of_half(one, half) for one, half in halves]
        return rule(curves).reshape(1, -1), np.concatenate([np.asarray(curve.loss) for curve in curves])

    lines = csr_array(block_diag([lines_between(N, one.at) for one in tables]))
    return judged_gains(key, joined, lines, choose, ["one"], repetitions)["one"]


def test_gains_of_several_models_by_their_definition(key):
    """Halves as they were drawn, each table with a key of its own; both plans chosen on one half."""
    means = [loss_means(table(LARGE, seed=1)), loss_means(table(SMALL, seed=2))]

    def rule(curves):
        report = assigned_study(curves, [1, 0.5], 2)
        return np.stack([report.compared["alone_0"].weights(2) - report.plan.weights(2)])

    found = judged(key, means, rule, 6)
    halves = [means[0].halves(key, 3), means[1].halves(jax.random.fold_in(key, 1), 3)]
    gains, variances = [], []
    for pair, known in itertools.product(range(3), range(2)):
        weights = rule([LossCurve(one[pair, known]) for one in halves])[0]
        gains.append(sum(w @ one[pair, 1 - known] for w, one in zip(weights, halves, strict=True)))
        variances.append(np.sum(weights**2) * 0.2**2)
    assert found.gain == pytest.approx(np.mean(gains), rel=1e-12)
    drawing = np.var(np.reshape(gains, (3, 2)).mean(axis=1), ddof=1) / 3
    assert found.stderr == pytest.approx(np.sqrt(np.mean(variances) + drawing), rel=1e-12)


def test_errors_of_the_same_sequences_are_summed_over_sequences(key):
    """What a sequence has of its own in both models cancels in their difference; apart it would not."""
    own = np.array([-0.3, -0.1, 0.0, 0.4])
    weights = np.array([0, 0, 3, 0, 0, 0])
    means = [loss_means(sequences(LARGE, own)) for _ in range(2)]
    found = judged(key, means, fixed(weights, -weights), 4)
    assert found.gain == pytest.approx(0, abs=1e-12)
    assert found.stderr == pytest.approx(0, abs=1e-12)
    sums = judged(key, means, fixed(weights, weights), 4)
    assert sums.gain == pytest.approx(6 * LARGE[2], rel=1e-12)
    assert sums.stderr == pytest.approx(6 * LARGE[2] * np.std(own, ddof=1) / 2, rel=1e-9)


def test_other_sequences_are_refused_and_the_report_has_no_gains(key):
    means = [loss_means(sequences(LARGE, np.zeros(k))) for k in (3, 4)]
    assert not same_sequences(means)
    with pytest.raises(InvalidInputError, match="loss table is of other sequences .*same --sequences"):
        JoinedMeans(means)
    report = assigned_study([one.curve() for one in means], [1, 0.5], 2)
    assert report.with_gains(key, means, "spline").gains is None


def test_the_report_compares_the_best_of_each_kind(key):
    report = assigned_study([LossCurve(LARGE), LossCurve(SMALL)], [1, "0.25"], 2)
    nll = {name: plan.nll for name, plan in report.compared.items()}
    assert report.plan.nll <= nll["sandwich"] <= min(nll["alone_0"], nll["alone_1"])
    assert nll["prefix"] <= min(nll["alone_0"], nll["alone_1"])
    means = [loss_means(table(loss, 1e-6)) for loss in (LARGE, SMALL)]
    judged = report.with_gains(key, means, "rows", repetitions=4)
    for name, gain in judged.gains.items():
        assert gain.gain == pytest.approx(nll[name] - report.plan.nll, abs=1e-4)
    assert "Differences of NLL in this table flatter the best" in " ".join(str(judged).split())
    few = assigned_study([LossCurve(LARGE), LossCurve(SMALL)], [1, "0.25"], "0.5")
    assert "alone_0" not in few.compared
    assert few.to_json()["cost"] == 0.5


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, loss, column in (
        ("large", LARGE, ""),
        ("small", SMALL, ""),
        ("a", LARGE, ",0.01"),
        ("b", SMALL, ",0.01"),
    ):
        rows = "".join(f"{N - m},{one}{column}\n" for m, one in enumerate(loss))
        (tmp_path / f"{name}.csv").write_text(f"n_masked,loss{',stderr' * bool(column)}\n{rows}")
    (tmp_path / "short.csv").write_text("n_masked,loss\n1,1.0\n2,2.0\n")


def run(capsys, *words):
    assert main(["schedule", "loss-curve", *words]) == 0
    return capsys.readouterr().out


def test_the_command_finds_shows_and_exports(capsys, tmp_path, tables):
    words = ["large.csv", "--with", "small.csv:0.25", "--budget", "2", "--export", "plan"]
    found = json.loads(run(capsys, *words, "--json"))
    starts = np.cumsum([0, *found["counts"][:-1]])
    losses = np.array([LARGE, SMALL])[found["models"], starts]
    assert found["nll"] == pytest.approx(np.sum(found["counts"] * losses), abs=1e-12)
    assert found["cost"] == sum([1, 0.25][one] for one in found["models"]) <= 2
    assert [one["cost"] for one in found["curves"]] == [1, 0.25]
    assert found["judged"] is None
    files = sorted(path.name for path in (tmp_path / "plan").iterdir())
    assert files == ["dllm_adapter.py", "llada_adapter.py", "schedule.json"]
    assert f"'models': {found['models']}" in (tmp_path / "plan" / "llada_adapter.py").read_text()
    written = json.loads((tmp_path / "plan" / "schedule.json").read_text())
    assert (written["counts"], written["models"]) == (found["counts"], found["models"])
    assert written["metadata"]["models"] == ["large.csv", "small.csv"]
    with pytest.raises(InvalidInputError, match=r"models is \[.*: want 0 for every step"):
        read_schedule(tmp_path / "plan")
    out = " ".join(run(capsys, *words).split())
    assert "1: loss table small.csv, cost 0.25" in out
    assert "nothing here tells by how much" in out
    told = run(capsys, "a.csv", "--with", "b.csv:0.25", "b.csv:1/3", "--budget", "2", "--repetitions", "2")
    assert "2: loss table b.csv, cost 0.333333" in told
    assert "95% interval" in told


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--with small.csv --budget 4", "--with is small.csv: want FILE:COST with a cost > 0"),
        ("--with small.csv:0 --budget 4", "--with is small.csv:0: want FILE:COST with a cost > 0"),
        ("--with :0.5 --budget 4", "--with is :0.5: want FILE:COST"),
        ("--with small.csv:0.5", "--budget is not given: want what the calls"),
        ("--budget 4", "--budget is 4: want given with --with FILE:COST"),
        ("--with small.csv:0.5 --budget=", "--budget is : want a number > 0"),
        ("--with small.csv:0.5 --budget x", "--budget is x: want a number > 0"),
        ("--with small.csv:0.5 --budget 0.2", "--budget is 0.2: want at least 0.5; the cheapest plan is"),
        ("--with small.csv:0.5 --budget 4 --steps 3", "--steps is 3: want left out with --with"),
        ("--with none.csv:0.5 --budget 4", "file is none.csv: want a file"),
        ("--with short.csv:0.5 --budget 4", "--with is short.csv of n = 2: want n = 6 of large.csv"),
        ("--with small.csv:1e-9 --budget 4", "--budget is 4000000000 units of 1/1000000000"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(capsys, tmp_path, tables, words, line):
    assert main(["schedule", "loss-curve", "large.csv", *words.split(), "--export", "plan"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"mdmjax: error: {line}")
    assert err.count("\n") == 1
    assert not (tmp_path / "plan").exists()
