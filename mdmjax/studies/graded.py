"""What `mdmjax task` shows: the tasks there are, problems that were written, answers that were graded."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from ..tasks.grading import Grade
from ..tasks.registry import TASKS, word_of
from .report import AbstractReport
from .table import Column, Part, Table

MOST_KEPT, MOST_ROWS = 1000, 100
"""Wrong answers that a report has, and that its table shows."""
Z = 1.959963984540054  # of 95%


class Share(NamedTuple):
    """Right ones among answers, with the 95% interval of Wilson (1927)."""

    name: str
    answers: int
    right: int
    accuracy: float
    low: float
    high: float


def share(name: str, answers: int, right: int) -> Share:
    r"""The share, and the interval of centre $(\hat p + z^2/2n) / (1 + z^2/n)$; of none all of [0, 1].

    >>> [round(value, 3) for value in share("any", 10, 9)[3:]]
    [0.9, 0.596, 0.982]
    """
    if not answers:
        return Share(name, 0, 0, float("nan"), 0.0, 1.0)
    part, extra = right / answers, Z**2 / answers
    centre = (part + extra / 2) / (1 + extra)
    half = Z * (part * (1 - part) / answers + extra / (4 * answers)) ** 0.5 / (1 + extra)
    low, high = (0.0 if right == 0 else centre - half), (1.0 if right == answers else centre + half)
    return Share(name, answers, right, part, low, high)


@dataclasses.dataclass(frozen=True, eq=False)
class TasksReport(AbstractReport):
    """The tasks by name, with their options and the defaults of these."""

    schema: ClassVar[str] = "mdmjax.report.tasks"
    tasks: list[dict[str, Any]]

    def tables(self) -> list[Part]:
        """One row a task."""
        options = lambda row: ",".join(f"{name}={value}" for name, value in row["options"].items())
        columns = [
            Column("task", "name", justify="left"),
            Column("options", options, justify="left"),
            Column("checks", lambda row: ", ".join(row["checks"]), justify="left"),
            Column("what it is", "help", justify="left"),
        ]
        return [Table(columns, self.tasks), "Options follow the name: `mdmjax task addition,digits=4`."]


def tasks_study() -> TasksReport:
    """Every task that there is.

    >>> [row["name"] for row in tasks_study().tasks]
    ['addition', 'sudoku', 'latin', 'lists', 'matrix']
    """
    rows = []
    for name, task in TASKS.items():
        options = dict(pair.split("=") for pair in word_of(task()).split(",")[1:])
        rows.append({"name": name, "help": task.help, "options": options, "checks": list(task.checks)})
    return TasksReport(rows)


@dataclasses.dataclass(frozen=True, eq=False)
class ProblemsReport(AbstractReport):
    """Problems of a task that were written to a file."""

    schema: ClassVar[str] = "mdmjax.report.problems"
    task: str
    n: int
    q: int
    count: int
    seed: int
    file: str

    def tables(self) -> list[Part]:
        """One line."""
        return [f"{self.count} problems of {self.task}, seed {self.seed}, written to {self.file}"]


@dataclasses.dataclass(frozen=True, eq=False)
class GradesReport(AbstractReport):
    """How many answers of a file are right, by kind, what the others fail, and the first of those.

    `unusable` are those that are none: they count as wrong.
    """

    schema: ClassVar[str] = "mdmjax.report.grades"
    task: str
    answers: int
    right: int
    accuracy: float
    low: float
    high: float
    unusable: int
    failed: dict[str, int]
    kinds: list[Share]
    wrong: list[Grade]
    grade: str | None = None
    file: str | None = None

    def tables(self) -> list[Part]:
        """Accuracy with its interval, by kind; failed checks; the first wrong answers."""
        three = "{:.3f}".format
        numbers = [Column(name, name) for name in ("answers", "right")]
        numbers += [Column(name, name, three) for name in ("accuracy", "low", "high")]
        rows = [share("all", self.answers, self.right), *self.kinds]
        parts: list[Part] = [f"{self.task}: {self.answers} answers, {self.right} right"]
        parts.append(Table([Column("kind", "name", justify="left"), *numbers], rows))
        parts.append("low, high: 95% interval of Wilson over answers.")
        if self.failed:
            checks = [Column("first failed check", 0, justify="left"), Column("answers", 1)]
            parts.append(Table(checks, list(self.failed.items())))
            named = [Column("line", "line")]
            named += [Column(name, name, justify="left") for name in ("id", "check", "why")]
            parts.append(Table(named, self.wrong[:MOST_ROWS]))
            if (more := self.answers - self.right - MOST_ROWS) > 0:
                parts.append(f"and {more} more wrong answers; --out FILE.jsonl has the grade of every one")
        return [*parts, *([f"grades written to {self.file}"] if self.file else [])]


def grades_study(
    task: str, graded: Iterable[Grade], note: Callable[[Grade], object] = lambda grade: None
) -> GradesReport:
    """The report of grades, each of which is told to `note`.

    Of the wrong answers, and of those that are none, the first 1000 are kept.

    >>> graded = [Grade(1, "a", None, "", "easy"), Grade(2, "b", "answer", "", "easy")]
    >>> report = grades_study("addition", graded)
    >>> report.accuracy, report.failed, [kind.name for kind in report.kinds]
    (0.5, {'answer': 1}, ['easy'])
    """
    counts: dict[str | None, list[int]] = {}
    failed: dict[str, int] = {}
    wrong: dict[bool, list[Grade]] = {True: [], False: []}
    unusable = 0
    for grade in graded:
        note(grade)
        of = counts.setdefault(grade.kind, [0, 0])
        of[0] += 1
        of[1] += grade.check is None
        unusable += not grade.usable
        if grade.check is not None:
            failed[grade.check] = failed.get(grade.check, 0) + 1
            if len(wrong[grade.usable]) < MOST_KEPT:
                wrong[grade.usable].append(grade)
    kinds = [share(kind, *pair) for kind, pair in sorted(counts.items(), key=str) if kind is not None]
    answers, right = (sum(pair[at] for pair in counts.values()) for at in (0, 1))
    named = sorted(wrong[True] + wrong[False], key=lambda grade: grade.line)
    return GradesReport(task, *share("all", answers, right)[1:], unusable, failed, kinds, named)
