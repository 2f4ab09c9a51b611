"""`mdmjax task`: what it writes is graded right, a bad line is one line, and nothing is lost."""

import json

import pytest

from mdmjax.cli import main
from mdmjax.tasks.registry import TASKS


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def outputs(here, rows, *more):
    text = [json.dumps({"id": row["id"], "output": row["answer"]}) for row in rows]
    (here / "outputs.jsonl").write_text("\n".join([*text, *more]) + "\n")


def test_what_is_written_is_graded_right(here, capsys):
    assert main(["task", "matrix,size=3", "--count", "30", "--seed", "4"]) == 0
    rows = lines(capsys.readouterr().out)
    assert set(rows[0]) == {"id", "task", "prompt", "answer"}
    assert (
        main(["task", "matrix,size=3", "--count", "30", "--seed", "4", "--out", "problems.jsonl", "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["count"] == 30
    assert lines((here / "problems.jsonl").read_text()) == rows
    outputs(here, rows)
    assert main(["task", "matrix", "--grade", "outputs.jsonl", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["answers"], report["right"], report["accuracy"], report["wrong"]) == (30, 30, 1.0, [])
    assert sum(kind["answers"] for kind in report["kinds"]) == 30


def test_a_bad_line_is_one_line_and_nothing_is_lost(here, capsys):
    assert main(["task", "addition,digits=2", "--count", "3"]) == 0
    rows = lines(capsys.readouterr().out)
    rows[1]["answer"] = "999"
    outputs(
        here,
        rows,
        "",
        '{"id": "x", "output"',
        '{"id": "y", "output": "1"}',
        '{"id": 3}',
        "\xff",
        '{"id": 7, "prompt": "1+2=", "output": "3"}',
    )
    assert main(["task", "addition", "--grade", "outputs.jsonl", "--out", "grades.jsonl"]) == 2
    shown, complaint = capsys.readouterr()
    assert complaint.count("\n") == 1
    assert "4 that are no answers and count as wrong, first line 5 (line): no JSON" in complaint
    assert "8 answers, 3 right" in shown
    grades = lines((here / "grades.jsonl").read_text())
    assert [grade["check"] for grade in grades] == [
        None,
        "answer",
        None,
        "line",
        "id",
        "line",
        "line",
        None,
    ]
    assert [grade["line"] for grade in grades] == [1, 2, 3, 5, 6, 7, 8, 9]
    assert grades[3]["why"].startswith("no JSON")


def test_a_thousand_wrong_lines_are_counted(here, capsys):
    assert main(["task", "latin,size=3", "--count", "1500"]) == 0
    rows = lines(capsys.readouterr().out)
    outputs(here, [row | {"answer": row["prompt"] * 3} for row in rows], "{")
    assert main(["task", "latin", "--grade", "outputs.jsonl", "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["failed"] == {"column": 1500, "line": 1}
    assert len(report["wrong"]) == 1001
    assert report["wrong"][-1]["line"] == 1501
    assert main(["task", "latin", "--grade", "outputs.jsonl"]) == 2
    assert "and 1401 more wrong answers" in capsys.readouterr().out


def test_the_tasks_there_are(capsys):
    assert main(["task"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in TASKS)
    assert main(["task", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["tasks"]] == list(TASKS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("task nothing", "task is nothing: want one of addition"),
        ("task addition --count 0", "--count is 0"),
        ("task addition --seed -1", "--seed is -1"),
        ("task addition --json", "--json is given: want left out without --out"),
        ("task --count 3", "--count is 3: want left out without NAME"),
        ("task addition --grade nowhere", "--grade is nowhere: want a file"),
        ("task addition --grade empty --count 3", "--count is 3: want left out with --grade"),
        ("task addition --grade empty", "--grade is empty without a line"),
        ("task addition --out no/where", "--out is no/where: want a file in an existing folder"),
    ],
)
def test_a_mistake_is_one_line(here, capsys, line, message):
    (here / "empty").write_text("\n")
    assert main(line.split()) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (here / "problems.jsonl").exists()


def test_answers_are_not_written_over(here, capsys):
    assert main(["task", "addition", "--count", "1"]) == 0
    outputs(here, lines(capsys.readouterr().out))
    before = (here / "outputs.jsonl").read_text()
    (here / "same.jsonl").symlink_to("outputs.jsonl")
    for out in ("outputs.jsonl", "./outputs.jsonl", "same.jsonl"):
        assert main(["task", "addition", "--grade", "outputs.jsonl", "--out", out]) == 2
        assert capsys.readouterr().err.endswith("want another file than --grade\n")
    assert (here / "outputs.jsonl").read_text() == before


def test_a_long_seed_is_read_back_and_an_option_is_given_once(here, capsys):
    assert main(["task", "addition", "--count", "1", "--seed", "9" * 20]) == 0
    outputs(here, lines(capsys.readouterr().out))
    assert main(["task", "addition", "--grade", "outputs.jsonl"]) == 0
    assert main(["task", "addition,digits=2,digits=3"]) == 2
    assert "digits is 2 and 3: want given once" in capsys.readouterr().err
