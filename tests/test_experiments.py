"""The frame of experiments: what is stored, when it is stale; every experiment in small."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments import _run, kl_against_steps, n128_k16, steps_against_n
from experiments.__main__ import main
from mdmjax import Joint, blocks_curve, expected_kl, information_curve, parity_curve
from mdmjax.schedules.named import llada_uniform


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = 3
    seed: int = 7


ARRAYS = {"kl": np.array([0.5, 0.25]), "labels": np.array(["a", "b"])}


def manifest(config=Config()):
    return {"name": "toy", "config_hash": _run.config_hash("toy", config)}


def test_a_result_survives_storage(tmp_path):
    folder = tmp_path / "new" / "results"
    _run.save(folder, ARRAYS, manifest())
    arrays, stored = _run.load(folder, "toy")
    assert sorted(path.name for path in folder.iterdir()) == ["toy.json", "toy.npz"]
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert _run.fault(folder, "toy", Config()) is None


def test_equal_arrays_are_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        _run.save(tmp_path / folder, ARRAYS, manifest())
    assert (tmp_path / "one/toy.npz").read_bytes() == (tmp_path / "two/toy.npz").read_bytes()


def test_faults_are_told_apart(tmp_path):
    assert "no result" in _run.fault(tmp_path, "toy", Config())
    _run.save(tmp_path, ARRAYS, manifest())
    assert "another configuration" in _run.fault(tmp_path, "toy", Config(size=4))
    (tmp_path / "toy.npz").write_bytes(b"half a file")
    assert "is not the one of" in _run.fault(tmp_path, "toy", Config())


def test_the_hash_depends_on_every_field_and_on_the_name():
    hashes = {
        _run.config_hash("toy", Config()),
        _run.config_hash("toy", Config(size=4)),
        _run.config_hash("toy", Config(seed=8)),
        _run.config_hash("other", Config()),
    }
    assert len(hashes) == 4


def test_progress_hands_out_every_item_and_is_silent_off_a_terminal(tmp_path):
    with open(tmp_path / "log", "w") as log:
        assert _run.progress_on(Console(file=log)) is _run.silent
    assert list(_run.silent([1, 2], "label")) == [1, 2]
    with open(tmp_path / "log", "w") as log:
        bar = _run.progress_on(Console(file=log, force_terminal=True))
        assert list(bar([1, 2], "label")) == [1, 2]
    assert "label" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("name", _run.names())
def test_smoke(name, tmp_path):
    assert main((name,), smoke=True, out=tmp_path) == 0
    arrays, stored = _run.load(tmp_path, name)
    module = _run.experiment(name)
    assert _run.fault(tmp_path, name, module.SMOKE) is None
    assert _run.fault(tmp_path, name, module.Config()) is not None
    assert stored["config"] == json.loads(json.dumps(dataclasses.asdict(module.SMOKE)))
    assert stored["versions"]["jax"]
    assert stored["dtype"] == "float64"
    assert stored["seconds"] >= 0
    assert set(stored["arrays"]) == set(arrays)
    for key, array in arrays.items():
        assert array.size > 0, key
        assert array.dtype.kind in "fiuU", key


def test_resume_keeps_what_is_current(tmp_path, capsys):
    name = _run.names()[0]
    assert main((name,), smoke=True, out=tmp_path) == 0
    before = (tmp_path / f"{name}.json").stat().st_mtime_ns
    assert main((name,), smoke=True, resume=True, out=tmp_path) == 0
    assert (tmp_path / f"{name}.json").stat().st_mtime_ns == before
    assert "kept" in capsys.readouterr().out


def test_smoke_never_overwrites_the_full_results(capsys):
    assert main((_run.names()[0],), smoke=True, out=_run.RESULTS) == 2
    assert "--out" in capsys.readouterr().err


def test_an_unknown_name_is_one_line(capsys):
    assert main(("nonsense",)) == 2
    assert main(()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "nonsense" in first
    assert "missing" in second


def test_n128_k16_is_the_published_table():
    """Numbers that were computed elsewhere, to the digits printed there."""
    arrays = n128_k16.run(n128_k16.Config(), _run.silent)
    names = arrays["schedule"].tolist()
    columns = [names.index(name) for name in ("llada_uniform", "pyramid", "dllm_cosine")]
    table = np.column_stack([arrays["optimum_kl_nats"], arrays["named_kl_nats"][:, columns]])
    expected = [
        [0.0003, 2.271, 0.121, 0.126],
        [2.445, 2.445, 3.275, 3.111],
        [11.11, 15.14, 23.17, 21.42],
        [0.0, 0.0, 49.9, 16.6],
        [0.0, 0.693, 0.693, 0.693],
    ]
    half_digits = [[5e-5, 5e-4, 5e-4, 5e-4], 5e-4, 5e-3, [1e-12, 1e-12, 0.05, 0.05], 5e-4]
    for row, wanted, tolerance in zip(table, expected, half_digits, strict=True):
        assert np.all(np.abs(row - wanted) <= tolerance), (row, wanted)
    counts = arrays["optimum_counts"].tolist()
    assert counts[0] == [1] * 12 + [2, 3, 8, 103]
    assert counts[1] == [8] * 16
    assert sorted(counts[2], reverse=True) == counts[2]
    assert 64 in np.cumsum(counts[3])
    assert counts[4][-1] == 1


@pytest.mark.parametrize("m", [2, 3])
def test_parity_checks_curve_is_the_one_of_the_enumerated_code(m):
    """The joint is built bit by bit here: uniform over words whose every set has even parity."""
    n = 2**m
    sets = np.repeat(np.arange(m), [2, *(2**i for i in range(1, m))])
    words = np.arange(2**n)[:, None] >> np.arange(n) & 1
    even = np.all([words[:, sets == s].sum(1) % 2 == 0 for s in range(m)], axis=0)
    probs = (even / even.sum()).reshape((2,) * n)
    expected = information_curve(Joint(jnp.asarray(probs)))
    curve = steps_against_n.parity_checks_curve(m)
    # Enumeration subtracts entropies of n bits: that many roundings.
    np.testing.assert_allclose(curve.information, expected.information, atol=64 * n * np.finfo(float).eps)


def test_parity_checks_curve_is_the_product_of_its_blocks():
    kinds, copies = [parity_curve(size, 2) for size in (2, 4, 8, 16, 32)], [2, 1, 1, 1, 1]
    expected = blocks_curve(kinds, copies).information
    curve = steps_against_n.parity_checks_curve(6)
    np.testing.assert_allclose(curve.information, expected, rtol=64 * 64 * np.finfo(float).eps)


@pytest.mark.parametrize("m", [1, 10, 17])
def test_parity_checks_have_a_bit_of_total_correlation_each(m):
    curve = steps_against_n.parity_checks_curve(m)
    np.testing.assert_allclose(float(curve.total_correlation), m * np.log(2), rtol=1e-11)
    assert np.all(np.diff(np.asarray(curve.information)) >= 0)


def test_first_steps_reaches_and_one_less_does_not():
    curve = steps_against_n.parity_checks_curve(6)
    for epsilon in (0.05, 0.5, 2.0):
        steps = steps_against_n.first_steps(curve, llada_uniform, epsilon)
        assert float(expected_kl(curve, llada_uniform(64, steps))) <= epsilon
        assert float(expected_kl(curve, llada_uniform(64, steps - 1))) > epsilon
    assert steps_against_n.first_steps(curve, llada_uniform, 1e9) == 1


def test_no_schedule_beats_the_optimum_and_li_cai_holds():
    arrays = kl_against_steps.run(kl_against_steps.SMOKE, _run.silent)
    for family, n in enumerate(arrays["n"]):
        optimum = arrays["optimum_kl_nats"][family, :n]
        kl, made = (arrays[name][family, :, :n] for name in ("named_kl_nats", "steps_made"))
        slack = 1e-12 * optimum[0]
        assert np.all(kl >= optimum[made.astype(int) - 1] - slack)
        assert np.all(made <= np.arange(1, n + 1))
        uniform = kl[arrays["schedule"].tolist().index("llada_uniform")]
        assert np.all(uniform <= arrays["li_cai_bound_nats"][family, :n] + slack)


def test_theorem_9_lies_between_the_optimum_and_its_bound():
    arrays = steps_against_n.run(steps_against_n.SMOKE, _run.silent)
    steps = dict(zip(arrays["method"].tolist(), np.moveaxis(arrays["steps"], -1, 0), strict=True))
    assert np.all(steps["optimum"] <= steps["theorem9"])
    assert np.all(steps["theorem9"] <= steps["theorem9_bound"])
    assert np.all(steps["optimum"] <= steps["austin"])
    assert np.all(steps["optimum"] <= steps["uniform"])
    assert arrays["correlation_is_tc"][:2].tolist() == [[1, 1], [0, 0]]
