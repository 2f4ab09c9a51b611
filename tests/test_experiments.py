"""The frame of experiments: what is stored, when it is stale, and every experiment at its smoke size."""

import dataclasses
import json

import numpy as np
import pytest
from rich.console import Console

from experiments import _run
from experiments.__main__ import main


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
