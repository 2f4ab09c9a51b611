"""The tasks by name, and a task as one word: `addition,digits=4,uniform=no`."""

import dataclasses
from typing import Any

from .._errors import perhaps, refuse, shown
from .addition import Addition
from .latin import Latin
from .lists import Lists
from .matrix import Matrix
from .sudoku import Sudoku
from .task import AbstractTask

TASKS: dict[str, type[AbstractTask]] = {
    task.name: task for task in (Addition, Sudoku, Latin, Lists, Matrix)
}
"""Every task by its name; the options of one are the fields of its dataclass."""


def task_of(name: str, **options: Any) -> AbstractTask:
    """The task of that name with its options, each of its type or a text of it; `None` is not given.

    Raises:
        InvalidInputError: no such task, no such option, an option that is none of its type.

    >>> task_of("addition", digits="4", uniform=None)
    Addition(digits=4, uniform=False)
    """
    if name not in TASKS:
        refuse("task", shown(name), f"one of {', '.join(TASKS)}", perhaps(name, TASKS))
    fields = {field.name: field for field in dataclasses.fields(TASKS[name])}
    given = {key: value for key, value in options.items() if value is not None}
    for key in given.keys() - fields.keys():
        refuse(key, shown(given[key]), f"only {', '.join(fields)}", f"{name} has no other options")
    return TASKS[name](**{key: _typed(key, fields[key].type, value) for key, value in given.items()})


def word_of(task: AbstractTask) -> str:
    """The task as one word, with every option: what `task_in` reads.

    >>> word_of(Addition(digits=4))
    'addition,digits=4,uniform=no'
    """
    options = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    words = {True: "yes", False: "no"}
    pairs = [f"{k}={words[v] if isinstance(v, bool) else v}" for k, v in options.items()]
    return ",".join([task.name, *pairs])


def task_in(word: str) -> AbstractTask:
    """The task of a word, as `addition` or `addition,digits=4`: an option left out has its default.

    >>> task_in("addition,digits=4")
    Addition(digits=4, uniform=False)
    """
    name, *pairs = word.split(",")
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            refuse("task", shown(word), "NAME,OPTION=VALUE,...", f"{shown(repr(pair))} has no value")
        if key in options:
            refuse(key, f"{shown(options[key])} and {shown(value)}", "given once")
        options[key] = value
    return task_of(name, **options)


def _typed(name: str, kind: Any, value: Any) -> Any:
    """An option that may be a text as its type; what the task itself refuses passes."""
    if not isinstance(value, str) or kind is str:
        return value
    if kind is bool:
        if value not in ("yes", "no"):
            refuse(name, shown(value), "yes or no")
        return value == "yes"
    try:
        return kind(value)
    except ValueError:
        refuse(name, shown(value), "an integer" if kind is int else "a number")
