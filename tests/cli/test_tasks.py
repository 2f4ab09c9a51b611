"""A task from training to answers by the command line, at the smallest size; one line for every mistake."""

import dataclasses
import json

import numpy as np
import pytest

from mdmjax.cli.parser import parse
from mdmjax.cli.task_words import TASK_OPTIONS
from mdmjax.cli.train import COMMAND as TRAIN
from mdmjax.cli.train import SIZE_NAMES
from mdmjax.denoisers.transformer import SIZES
from mdmjax.studies import training as study
from mdmjax.studies.sources import TaskSource, source_from_json
from mdmjax.studies.task_source import HELD_OUT_SEED, TRAINING_SEED
from mdmjax.tasks.registry import TASKS

TRAINED = ["train", "task:addition", "--digits", "2", "--problems", "64", "--steps", "2", "--batch", "4",
           "--width", "8", "--heads", "1"]  # fmt: skip


def test_the_command_line_has_every_task_with_every_option():
    assert list(TASK_OPTIONS) == list(TASKS)
    for name, (help, options) in TASK_OPTIONS.items():
        assert help == TASKS[name].help
        fields = dataclasses.fields(TASKS[name])
        assert [option.key for option in options] == [field.name for field in fields]
        for option, field in zip(options, fields, strict=True):
            assert option.kind is (str if field.type is bool else field.type)
            default = ("no", "yes")[field.default] if field.type is bool else field.default
            assert option.help.endswith(f" [{default}]")


def test_the_sizes_are_those_that_there_are():
    assert tuple(SIZES) == SIZE_NAMES


def test_a_source_of_problems_is_written_and_read():
    from mdmjax.cli.inputs import source_of

    words = ["train", "task:addition", "--digits", "3", "--reverse", "--problems", "10", "--out", "x"]
    source = source_of(parse(words, [TRAIN]).chosen["source"], "law")
    assert source == TaskSource("addition,digits=3,uniform=no", True, 10)
    assert source_from_json(json.loads(json.dumps(source.to_json()))) == source
    examples = source.examples()
    task = source.made()
    for pool, seed in ((examples.training, TRAINING_SEED), (examples.held_out, HELD_OUT_SEED)):
        wanted = task.problems(seed, pool.tokens.shape[0])
        np.testing.assert_array_equal(pool.tokens, wanted.tokens)
        np.testing.assert_array_equal(pool.given, wanted.given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that was hardly trained."""
    from mdmjax.cli import main

    out = tmp_path_factory.mktemp("sums") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "HELD_OUT_BATCHES", 2)
        patch.setattr(study, "HELD_OUT_PROBLEMS", 8)
        assert main([*TRAINED, "--out", str(out)]) == 0
    return out


def shown(capsys, *words):
    from mdmjax.cli import main

    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words):
    from mdmjax.cli import main

    assert main([str(word) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.slow
def test_prompts_are_answered_and_written_for_the_grader(capsys, folder, tmp_path):
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
    prompts.write_text('{"id": "a", "prompt": "1+2="}\n\n{"id": 7, "prompt": "99+9=", "answer": "108"}\n')
    found = shown(capsys, "decode", folder, "l2r", "--prompts", prompts, "--out", out, "--json")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], row["prompt"]) for row in rows] == [("a", "1+2="), (7, "99+9=")]
    assert [row["output"] for row in rows] == [answer["output"] for answer in found["answers"]]
    assert found["accuracy"]["of"] == 2
    assert found["counts"] == [1, 1, 1]
    assert found["statistics"]["calls"]["mean"] == 3
    assert found["statistics"]["kendall_tau"]["mean"] == 1  # prompts have no part in it
    for row, text in zip(found["tokens"], ("1+2=", "99+9="), strict=True):
        tokens, given = TASKS["addition"](digits=2).prompt(text)
        assert np.asarray(row)[given].tolist() == tokens[given].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--prompt", "123+4="], "--prompt is '123+4=': want A+B= of numbers of at most 2 digits"),
        (["--prompt", "1+4=", "--prompts", "x"], "--prompt, --prompts is given together"),
        (["--template", "1"], "--template is 1: want left out for a task"),
        (["--counts", "9"], "--counts is 9: want a sum of n = 3"),
        (["--mask", "_"], "--mask is _: want left out without --template"),
    ],
)
def test_one_line_for_what_cannot_be_asked(capsys, folder, words, line):
    assert line in refused(capsys, "decode", folder, *words)


@pytest.mark.slow
def test_a_broken_line_of_prompts_is_named(capsys, folder, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id": 1, "prompt": "1+1="}\n{"id"\n')
    assert "in line 2" in refused(capsys, "decode", folder, "--prompts", path)
    path.write_text('{"id": 1, "prompt": "1+1="}\r\n', newline="")
    own = refused(capsys, "decode", folder, "--prompts", path, "--out", path)
    assert own.endswith("want another file than --prompts")


@pytest.mark.slow
def test_one_answer_has_no_standard_error(capsys, folder):
    from mdmjax.cli import main

    assert main(["decode", str(folder), "--prompt", "1+1="]) == 0
    assert "% of 1 answers" in (text := capsys.readouterr().out)
    assert "nan" not in text


@pytest.mark.slow
def test_curves_and_likelihoods_are_of_the_answers(capsys, folder):
    found = shown(capsys, "loss-curve", folder, "--sequences", 6, "--json")
    assert found["n"] == 3
    scored = shown(capsys, "likelihood", folder, "l2r", "--sequences", 6, "--steps", 3, "--json")
    assert scored["n"] == 3
    best = shown(capsys, "decode", folder, "--schedule", "best", "--steps", 2, "--samples", 4, "--json")
    assert sum(best["counts"]) == 3


@pytest.mark.slow
def test_four_digits_are_learned_in_a_minute(capsys, tmp_path):
    """Above 99% of new problems, by the most confident first."""
    words = [
        "train",
        "task:addition",
        "--digits",
        "4",
        "--model-size",
        "mini",
        "--steps",
        "4000",
        "--batch",
        "64",
    ]
    found = shown(capsys, *words, "--out", tmp_path / "sums", "--json")
    assert found["accuracy"]["new"] > 500
    assert found["accuracy"]["new_mean"] > 0.99
