import json

import jax
import numpy as np
import pytest
from _hidden_models import EMISSION, INITIAL, TRANSITION, small
from scipy.stats import t as student

from mdmjax import expected_kl, information_curve, schedule_study, tabulate
from mdmjax.cli import main
from mdmjax.distributions.hmm import HMM
from mdmjax.files.measurement import partial_path
from mdmjax.studies import estimated
from mdmjax.studies.estimated import DRAWS, Estimation, estimated_schedule_study, hidden_markov, streams
from mdmjax.studies.report import Subject
from mdmjax.studies.sources import FamilySource, HMMSource, source_from_json
from mdmjax.studies.table_sources import markov_transition


def written(path, **change):
    arrays = {"initial": INITIAL, "transition": TRANSITION, "emission": EMISSION, "n": 6} | change
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_a_file_is_a_distribution_with_an_exact_curve(tmp_path):
    source = HMMSource(written(tmp_path / "hmm.npz"))
    assert source_from_json(source.to_json()) == source
    curve, subject = source.curve()
    assert subject.method == "enumeration of 3^6 states and 2^6 subsets"
    assert subject.title == "hidden Markov model hmm.npz, 3 states"
    np.testing.assert_allclose(
        curve.information, information_curve(tabulate(small())).information, rtol=1e-12
    )
    assert HMMSource(source.file, 4).distribution()[0].n == 4
    assert list(source.examples().facts) == ["fingerprint"]


def test_float32_arrays_are_normalised(tmp_path):
    path = written(tmp_path / "hmm.npz", emission=EMISSION.astype(np.float32))
    emission = HMMSource(path).distribution()[0].emission
    np.testing.assert_allclose(emission.sum(axis=1), 1.0, rtol=1e-15)


def test_a_stationary_chain_of_any_length_is_exact(tmp_path):
    """Each state shows a symbol of its own, in any order; elsewhere the curve is estimated."""
    move, start = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([2 / 3, 1 / 3])
    source = HMMSource(
        written(tmp_path / "a.npz", initial=start, transition=move, emission=np.eye(2)[::-1], n=10**4)
    )
    assert hidden_markov(source) is None
    curve, subject = source.curve()
    assert subject.method.startswith("closed form of a stationary Markov chain")
    assert float(curve.entropy) == pytest.approx(6365.1, rel=1)
    rates = start @ np.sum(-move * np.log(move), axis=1)
    assert float(curve.entropy) == pytest.approx(-start @ np.log(start) + (10**4 - 1) * rates, rel=1e-9)
    for initial, transition, emission in (
        ([0.5, 0.5], move, np.eye(2)),
        (start, move, [[0.9, 0.1], [0.0, 1.0]]),
        (start, move, [[1.0, 0.0], [1.0, 0.0]]),
        ([0.5, 0.5], np.eye(2), np.eye(2)),
    ):
        assert markov_transition(HMM(initial, transition, emission, 30)) is None


def test_what_is_estimated(tmp_path):
    assert hidden_markov(HMMSource(written(tmp_path / "hmm.npz"))) is None
    assert hidden_markov(HMMSource(tmp_path / "hmm.npz", 64))[0].n == 64
    assert hidden_markov(FamilySource("noisy-bit", {"n": 64, "flip": 0.1})) is None
    block = {"blocks": 2, "block_size": 4, "eta": 0.1, "kept": 0.9, "bias": 0.9}
    assert hidden_markov(FamilySource("block-hmm", block)) is None
    assert hidden_markov(FamilySource("block-hmm", block | {"blocks": 9}))[0].initial.size == 8


@pytest.mark.slow
def test_the_interval_is_students():
    model = small()
    _, curve, subject = Estimation(sequences=6).curve(model, Subject("small"))
    report = schedule_study(curve, steps=2, subject=subject)
    found = estimated_schedule_study(jax.random.key(0), report, model, draws=400)
    wanted = float(expected_kl(information_curve(tabulate(model)), report.schedule))
    reach = student.ppf(0.975, 399) * found.kl.stderr
    assert found.interval == pytest.approx((found.kl.mean - reach, found.kl.mean + reach))
    assert abs(found.kl.mean - wanted) < 5 * found.kl.stderr
    assert found.to_json()["expected_kl"] == found.kl.mean
    assert "Expected KL(data || sampler) of the best: " in str(found)


def test_an_estimation_that_is_stopped_goes_on(tmp_path, monkeypatch):
    """Its rows are beside the file that is to be, which is the same as of one that was not stopped."""
    whole, stopped = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    how = {"seed": 3, "sequences": 4, "batch": 8}
    Estimation(**how, path=whole).losses(small())

    def stop(items, label):
        for item in items:
            if item == 16:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        Estimation(**how, path=stopped).losses(small(), stop)
    assert len(partial_path(stopped).read_text().splitlines()) == 1 + 16
    Estimation(**how, path=stopped).losses(small())
    assert stopped.read_text() == whole.read_text()
    assert not partial_path(stopped).exists()


def words_of(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_what_judges_is_not_what_chose():
    """No key of a draw that judges, nor one split off it, is one of a draw that chose or of a half."""
    drawing, halving, judging = streams(7)
    chose = [*jax.random.split(drawing, 64), *jax.random.split(halving, 64)]
    judge = [jax.random.fold_in(judging, i) for i in range(64)]
    both = [{words_of(k) for key in keys for k in (key, *jax.random.split(key))} for keys in (chose, judge)]
    assert [len(one) for one in both] == [3 * 128, 3 * 64]
    assert not both[0] & both[1]
    assert words_of(streams(8).judging) not in both[1] | {words_of(judging)}


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    """A long model: its curve goes into a file, the KL has its interval, and certify takes the curve."""
    monkeypatch.chdir(tmp_path)
    written("hmm.npz", n=None)
    used, kls = [], estimated.partition_kls
    monkeypatch.setattr(
        estimated, "partition_kls", lambda key, *a, **b: (used.append(key), kls(key, *a, **b))[1]
    )
    words = "schedule hmm --file hmm.npz --n 70 --steps 3 --sequences 4 --repetitions 2 --losses curve.csv"
    assert main([*words.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["expected_kl_interval"]
    assert low < found["expected_kl"] < high
    assert (found["expected_kl_draws"], found["draws"], found["exact"]) == (4, 4, False)
    assert sum(found["counts"]) == found["n"] == 70
    assert found["method"] == "curve estimated on 4 draws: mean entropies of exact conditionals"
    assert (tmp_path / "curve.csv").read_text().startswith("n_masked,loss,count,sequence\n")
    assert DRAWS == 32
    assert [words_of(key) for key in used] == [words_of(streams(0).judging)]

    words = ["hmm", "--file", "hmm.npz", "--n", "70", "--sequences", "4", "--fit", "spline"]
    own, table = (certified(capsys, *source) for source in (words, ["loss-curve", "curve.csv"]))
    assert (own["exact"], own["draws"]) == (False, 4)
    assert own["promises"] == table["promises"]
    assert own["promises"][0]["true"] <= 2.0
    assert main(["certify", *words[:3], "--n", "6", *words[5:], "--epsilon", "2"]) == 2
    assert "--sequences is 4: want left out; this curve is exact" in capsys.readouterr().err


def certified(capsys, *source):
    assert main(["certify", *source, "--epsilon", "2", "--samples", "0", "--json"]) == 0
    return json.loads(capsys.readouterr().out)
