"""`mdmjax task NAME`: problems of a task as JSONL; the grades of answers to them; the tasks there are."""

import contextlib
import dataclasses
from json import dumps
from pathlib import Path
from typing import Any

from .._errors import refuse
from .choices import SHOWN
from .options import Command, Option, Parsed, Positional


def run(parsed: Parsed) -> int:
    """List, write or grade."""
    from ..studies.graded import tasks_study
    from ..tasks.registry import task_in
    from .output import show

    values = parsed.values
    if values["name"] is None:
        for name in ("count", "seed", "grade", "out"):
            if values[name] is not None:
                refuse(name, values[name], "left out without NAME", "name the task first")
        show(tasks_study(), json=values["json"])
        return 0
    task = task_in(values["name"])
    if values["grade"] is None:
        _write_problems(task, values)
        return 0
    for name in ("count", "seed"):
        if values[name] is not None:
            refuse(name, values[name], "left out with --grade", "an id says the problem")
    return _grade(task, values)


def _write_problems(task: Any, values: dict[str, Any]) -> None:
    """Problems as lines of JSON, as they are made, to standard output or a file."""
    from .._checks import check_integer
    from ..studies.graded import ProblemsReport
    from ..tasks.grading import problems_as_text
    from ..tasks.registry import word_of
    from .output import show, track

    count = check_integer("count", 10 if values["count"] is None else values["count"], 1)
    seed = check_integer("seed", values["seed"] or 0, 0)
    path = values["out"]
    if values["json"] and path is None:
        refuse("json", "given", "left out without --out", "problems are JSON, one a line")
    numbers = range(count) if path is None else track(range(count), "problems")
    with _lines_to(path) as put:
        for _, problem in zip(numbers, problems_as_text(task, seed, count), strict=False):
            put(problem)
    if path is not None:
        report = ProblemsReport(word_of(task), task.n, task.q, count, seed, str(path))
        show(report, json=values["json"])


def _grade(task: Any, values: dict[str, Any]) -> int:
    """Show the grades of a file; 2, after one line, where some lines are no answers."""
    from ..files.arrays import check_readable
    from ..files.atomic import check_not_itself
    from ..files.outputs import read_outputs
    from ..studies.graded import grades_study
    from ..tasks.grading import grades
    from ..tasks.registry import word_of
    from .output import complain, show

    path, out = values["grade"], values["out"]
    check_readable("grade", path)
    if out is not None:
        check_not_itself("out", out, path, "--grade")
    graded = grades(task, read_outputs(path))
    if out is None:
        report = grades_study(word_of(task), graded)
    else:
        with _lines_to(out) as put:
            report = grades_study(word_of(task), graded, lambda grade: put(grade._asdict()))
    report = dataclasses.replace(report, grade=str(path), file=None if out is None else str(out))
    show(report, json=values["json"])
    if not report.answers:
        return complain(f"--grade is {path} without a line: want lines of `id` and `output`")
    if not report.unusable:
        return 0
    first = next(one for one in report.wrong if not one.usable)
    told = f"{report.unusable} that are no answers and count as wrong, first line {first.line}"
    return complain(f"--grade is {path} with {told} ({first.check}): {first.why}")


@contextlib.contextmanager
def _lines_to(path: Path | None) -> Any:
    """What writes an object as a line of JSON: to the output, or to a file that is whole at the end."""
    from ..files.atomic import check_writable, writing
    from .output import write

    if path is None:
        yield lambda row: write(dumps(row) + "\n")
        return
    check_writable("out", path)
    with writing("out", path) as stream:
        yield lambda row: stream.write(dumps(row).encode() + b"\n")


COMMAND = Command(
    "task",
    "Problems with answers that can be checked, as JSONL; the grades of answers; the tasks there are.",
    run,
    positionals=(
        Positional(
            "name",
            "The task, with options: addition,digits=4. Without it, the tasks there are.",
            "NAME",
            required=False,
            kind=str,
        ),
    ),
    options=(
        Option("count", int, None, "Problems that are written. [10]"),
        Option("seed", int, None, "Of the problems: each is the same however many are written. [0]"),
        Option("grade", Path, None, "Grade these answers: lines of `id` and `output`, and of `prompt` "
               "where it is your own.", "FILE.jsonl"),
        Option("out", Path, None, "Where the problems, or the grade of every line, are written.",
               "FILE.jsonl"),
        *SHOWN,
    ),
    examples=(
        ("mdmjax task addition --count 100", "lines of `id`, `task`, `prompt`, `answer`"),
        ("mdmjax task sudoku,size=4 --grade outputs.jsonl", "which check failed, accuracy by kind"),
        ("mdmjax task", "the names"),
    ),
)  # fmt: skip
