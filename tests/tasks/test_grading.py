"""The registry and the grades: words and ids are read back, and every kind of line has its check."""

import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.tasks.addition import Addition
from mdmjax.tasks.grading import Output, grades, id_of, problems_as_text, read_id
from mdmjax.tasks.latin import Latin
from mdmjax.tasks.registry import TASKS, task_in, task_of, word_of
from mdmjax.tasks.sudoku import Sudoku
from mdmjax.tasks.task import CHUNK

SMALL = [task_in("sudoku,size=4" if name == "sudoku" else name) for name in TASKS]


@pytest.mark.parametrize("task", SMALL, ids=lambda task: task.name)
def test_a_task_its_problems_and_their_ids_are_read_back(task):
    assert task_in(word_of(task)) == task
    assert read_id(id_of(task, 5, 12345)) == (task, 5, 12345)
    rows = list(problems_as_text(task, 2, CHUNK + 3))
    assert len({row["id"] for row in rows}) == CHUNK + 3
    outputs = [Output(at, row["id"], row["answer"]) for at, row in enumerate(rows)]
    outputs += [Output(0, row["id"], row["answer"], row["prompt"]) for row in rows[:20]]
    outputs += [Output(0, "mine", row["answer"], row["prompt"]) for row in rows[:20]]
    found = list(grades(task, outputs))
    assert {grade.check for grade in found} == {None}
    assert [grade.line for grade in found[: CHUNK + 3]] == list(range(CHUNK + 3))
    again = task.problems(2, 1, CHUNK + 2)
    assert task.to_text(again.tokens[0], again.given[0]) == (rows[-1]["prompt"], rows[-1]["answer"])
    assert found[CHUNK + 2].kind == task.kinds[again.kind[0]]
    assert found[-1].kind is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("adition", "perhaps addition"),
        ("addition,digit=4", "digit is 4: want only digits, uniform"),
        ("addition,digits", "has no value"),
        ("addition,digits=four", "want an integer"),
        ("addition,digits=1", "digits is 1"),
        ("addition,uniform=true", "want yes or no"),
        ("lists,operation=shufle", "perhaps shuffle"),
        ("lists,least=4,most=3", "least, most is 4, 3"),
        ("lists,letters=6", "letters is 6"),
        ("sudoku,size=5", "size is 5: want 4 or 9"),
        ("sudoku,clues=82", "clues is 82"),
        ("latin,size=6", "size is 6"),
        ("latin,letters=3", "letters is 3"),
        ("matrix,size=17", "size is 17"),
        ("matrix,size=3,blanks=6", "blanks is 6"),
    ],
)
def test_a_word_that_is_none(word, message):
    with pytest.raises(InvalidInputError, match=message):
        task_in(word)


@pytest.mark.parametrize(
    "text", ["", "addition/0", "addition/0/-1", "addition/x/1", "addition/0/1/2", "a/0/1"]
)
def test_an_id_that_is_none(text):
    with pytest.raises(InvalidInputError):
        read_id(text)


def test_options_have_the_types_of_the_fields():
    assert task_of("sudoku", size="4", clues=None) == Sudoku(size=4)
    assert task_of("addition", uniform="yes") == Addition(uniform=True)


def test_every_check_of_a_line():
    task = Sudoku(size=4, clues=12)
    problems = task.problems(0, 1)
    name, right = id_of(task, 0, 0), task.decode(problems.tokens[0])
    blank = int(np.flatnonzero(~problems.given[0])[0])
    clue = int(np.flatnonzero(problems.given[0])[0])
    put = lambda place: right[:place] + task.symbols[(int(right[place])) % 4] + right[place + 1 :]
    several, none = "12.. .... .... ....", "11.. .... .... ...."
    outputs = {
        "right": Output(1, name, " " + right[:4] + "\n" + right[4:]),
        "line": Output(2, "", "", fault="no JSON"),
        "no id": Output(3, "sudoku,size=4/0", right),
        "another task": Output(4, id_of(Latin(), 0, 0), right),
        "several": Output(5, "mine", right, several),
        "none": Output(6, "mine", right, none),
        "length": Output(7, name, right[:15]),
        "alphabet": Output(8, name, "x" + right[1:]),
        "clue": Output(9, name, put(clue)),
        "row": Output(10, name, put(blank)),
    }
    found = dict(zip(outputs, grades(task, outputs.values()), strict=True))
    checks = [None, "line", "id", "id", "prompt", "prompt", "length", "alphabet", "clue", "row"]
    assert [grade.check for grade in found.values()] == checks
    assert [grade.usable for grade in found.values()] == [True] + [False] * 7 + [True] * 2
    assert "several" in found["several"].why
    assert "none" in found["none"].why
    assert [grade.line for grade in found.values()] == list(range(1, 11))
