"""Measurements that are stopped and go on, the script that stands alone, and folders of Hugging Face."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

import mdmjax
from mdmjax._errors import InvalidInputError
from mdmjax.cli import main
from mdmjax.files.measurement import partial_path
from mdmjax.files.sequences import read_examples
from mdmjax.losses.measure import measure
from mdmjax.studies.measure import Measurable, measure_study

V, MASK = 7, 5
WEIGHTS = np.random.default_rng(0).normal(size=(V, V)).astype(np.float32)
SCRIPT = Path(mdmjax.__path__[0]) / "studies" / "measure_torch.py"


def model(tokens):
    """Logits of the tokens beside a position, and of how many are hidden."""
    rows = WEIGHTS[np.asarray(tokens)]
    return np.roll(rows, 1, axis=1) + 0.3 * rows.sum(axis=1, keepdims=True)


def data_of(size=5, length=9):
    return np.random.default_rng(1).integers(0, 5, (size, length))


MEASURABLE = Measurable(model, data_of(), MASK, facts={"model": "roll"})


def stopping(after):
    """A progress that is interrupted."""

    def track(items, label):
        for done, item in enumerate(items):
            if done == after:
                raise KeyboardInterrupt
            yield item

    return track


@pytest.mark.parametrize("after", [0, 1, 3, 8])
@pytest.mark.parametrize("cut", [0, 1, 9])
def test_a_measurement_that_was_killed_gives_the_same_bytes(after, cut, tmp_path):
    measure_study(0, MEASURABLE, tmp_path / "whole.csv", batch=4)
    path = tmp_path / "loss.csv"
    with pytest.raises(KeyboardInterrupt):
        measure_study(0, MEASURABLE, path, batch=4, track=stopping(after))
    kept = partial_path(path).read_bytes()
    losses = kept.count(b"\n") - 1
    assert losses == 4 * max(after - 1, 0)  # the last call was still running
    if losses:
        partial_path(path).write_bytes(kept[: len(kept) - cut])
    seen = []

    def spy(tokens):
        seen.append(len(tokens))
        return model(tokens)

    again = Measurable(spy, MEASURABLE.data, MASK, facts=MEASURABLE.facts)
    measure_study(0, again, path, batch=4)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    lost = (cut > 0) if losses else 0
    assert sum(seen) == 1 + 45 - losses + lost
    assert not partial_path(path).exists()


def test_a_measurement_of_blocks_goes_on(tmp_path):
    measure_study(0, MEASURABLE, tmp_path / "whole.csv", block_length=4, batch=4)
    path = tmp_path / "loss.csv"
    with pytest.raises(KeyboardInterrupt):
        measure_study(0, MEASURABLE, path, block_length=4, batch=4, track=stopping(3))
    with pytest.raises(InvalidInputError, match="with block_length 4, not 3"):
        measure_study(0, MEASURABLE, path, block_length=3, batch=4)
    report = measure_study(0, MEASURABLE, path, block_length=4, batch=4)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert path.read_text().startswith("n_masked,loss,count,block,sequence\n")
    assert "5 tokens are left out: they are in no whole block of 4." in str(report)
    found = report.to_json()
    assert (found["block_length"], found["left_out"], len(found["blocks"])) == (4, 5, 2)


def test_nothing_is_left_of_what_was_refused_at_once(tmp_path):
    with pytest.raises(InvalidInputError, match="block_length is 10"):
        measure_study(0, MEASURABLE, tmp_path / "loss.csv", block_length=10)
    assert list(tmp_path.iterdir()) == []


def test_another_measurement_is_refused_with_what_differs(tmp_path):
    path = tmp_path / "loss.csv"
    with pytest.raises(KeyboardInterrupt):
        measure_study(0, MEASURABLE, path, batch=4, track=stopping(3))
    kept = partial_path(path).read_bytes()
    other = Measurable(model, data_of(), MASK, facts={"model": "another"})
    for change, message in [
        (lambda: measure_study(1, MEASURABLE, path), "a measurement with seed 0, not 1"),
        (lambda: measure_study(0, other, path), "with model roll, not another"),
        (
            lambda: measure_study(0, MEASURABLE, path, masks="independent"),
            "with masks nested, not independent",
        ),
        (
            lambda: measure_study(0, Measurable(model, data_of(6), MASK, facts=MEASURABLE.facts), path),
            "with data ",
        ),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            change()
        assert partial_path(path).read_bytes() == kept
    partial_path(path).write_bytes(b"\x00nothing\n")
    with pytest.raises(InvalidInputError, match="damaged: want the file of a stopped measurement; remove"):
        measure_study(0, MEASURABLE, path)


def test_a_report_says_what_its_reader_should_know():
    data = data_of()
    data[:3, 5:] = 6
    report = measure_study(0, Measurable(model, data, MASK, options={"forbidden": [6]}), cfg_scale=0.0)
    text, found = " ".join(str(report).split()), report.to_json()
    assert "Regions of 5 to 9 tokens have the same share masked: masked tokens are of 5" in text
    assert "Temperature, top-p and the like are the sampler's" in text
    assert found["mask_ratio"] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert (found["shortest"], found["longest"], found["n"], found["sequences"]) == (5, 9, 5, 5)
    assert report.one_by_one().mean == pytest.approx(sum(found["loss"]))

    def small(tokens):
        if len(tokens) > 8:
            raise MemoryError
        return model(tokens)

    text = " ".join(str(measure_study(0, Measurable(small, data_of(), MASK), batch=30)).split())
    assert "The memory was full with 30 sequences at once: 7 were taken." in text


def test_where_not_every_count_is_measured_lines_are_between(tmp_path):
    subject = Measurable(model, np.random.default_rng(0).integers(0, 5, (3, 70)), MASK)
    report = measure_study(0, subject)
    table = report.losses.table()
    assert 20 < table.n_masked.size < 32
    lines = np.interp(np.arange(1, 71), table.n_masked, table.loss)
    assert report.one_by_one().mean == pytest.approx(lines.sum(), rel=1e-12)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("case", ["plain", "shift", "regions", "long", "unequal"])
def test_the_script_has_the_table_of_measure(case, torch):
    script = runpy.run_path(str(SCRIPT))
    data = data_of(4, 80) if case == "long" else data_of()
    given = {"forbidden": [6], "seed": 7, "batch": 6, "shift": int(case == "shift")}
    if case == "regions":
        given["regions"] = np.arange(9)[None, :] >= np.array([4, 3, 4, 4, 4])[:, None]
    if case == "unequal":
        data[1:3, 4:] = 6
    weights = torch.from_numpy(WEIGHTS)

    def network(tokens):
        rows = weights[tokens]
        return torch.roll(rows, 1, 1) + 0.3 * rows.sum(1, keepdim=True)

    rows = script["measure"](network, data, MASK, **given)
    mine = measure(
        logits_fn=lambda x: network(torch.from_numpy(x)), data=data, mask_id=MASK, **given
    ).losses
    sequence, n_masked, loss = map(np.array, zip(*rows, strict=True))
    assert sequence.tolist() == mine.sequence.tolist()
    assert n_masked.tolist() == mine.n_masked.tolist()
    assert loss == pytest.approx(mine.loss, abs=1e-6)
    other = measure(logits_fn=model, data=data, mask_id=MASK, **given).losses
    assert loss == pytest.approx(other.loss, abs=1e-5)


def test_the_script_needs_torch_and_numpy_only():
    tree = SCRIPT.read_text()
    assert {line.split()[1] for line in tree.splitlines() if line.strip().startswith("import ")} == {
        "math",
        "numpy",
        "torch",
    }
    assert len(tree.splitlines()) < 75


def test_the_command_writes_the_script(tmp_path, capsys):
    assert main(["loss-curve", "--script", str(tmp_path / "m.py")]) == 0
    assert (tmp_path / "m.py").read_bytes() == SCRIPT.read_bytes()
    assert "needs torch and NumPy only" in capsys.readouterr().out
    assert main(["loss-curve"]) == 2
    assert "MODEL is not given" in capsys.readouterr().err


def test_sequences_of_every_kind(tmp_path):
    (tmp_path / "a.fasta").write_text(">one\nacd\n EF\n\n>two x\nGHI*\n")
    (tmp_path / "a.txt").write_text("a line\n\nanother\n")
    rows = [{"text": "x y"}, {"prompt": "q", "answer": "r"}, {"prompt": "q", "completion": "s"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert [one.text for one in read_examples(tmp_path / "a.fasta")] == ["ACDEF", "GHI"]
    assert [one.text for one in read_examples(tmp_path / "a.txt")] == ["a line", "another"]
    assert [tuple(one) for one in read_examples(tmp_path / "a.jsonl")] == [
        ("x y", ""),
        ("r", "q"),
        ("s", "q"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.fasta", "ACD\n", "begins with ACD: want a FASTA header"),
        ("a.jsonl", '{"prompt": "x"}\n', 'in line 1: want an object with "text"'),
        ("a.jsonl", "no\n", "with no in line 1"),
        ("a.jsonl", '{"text": 3}\n', "in line 1"),
        ("a.txt", "\n\n", "without a sequence"),
        (".", None, "is .: want a file|this is not a file"),
    ],
)
def test_sequences_that_are_none(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_examples(tmp_path / name)


def test_without_the_extra_it_is_one_line(tmp_path, monkeypatch, capsys):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("x\n")
    assert main(["loss-curve", "hf:here", "--data", "a.txt"]) == 2
    assert "pip install 'mdmjax[hf]'" in capsys.readouterr().err
