"""Problems by id, and the grades of answers to them: no answer key is needed, each is made again."""

import functools
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from .._errors import InvalidInputError, refuse, shown
from .registry import task_in, word_of
from .task import CHUNK, AbstractTask, Problems

CLUE = "clue"
"""The check that what is given was kept, of tasks whose answer repeats it."""
MADE = 8  # chunks of problems that are kept: answers mostly come in the order of the problems


class ProblemId(NamedTuple):
    """A problem: the task, the seed, and its number."""

    task: AbstractTask
    seed: int
    number: int


class Output(NamedTuple):
    """What somebody answered: the number of its line, what it is called, the answer.

    `prompt` is the user's own, if there is one; an `id` of ours names the problem otherwise. `fault` says
    that the line is none.
    """

    line: int
    id: str
    output: str
    prompt: str | None = None
    fault: str = ""


class Grade(NamedTuple):
    """Of one line: the check that failed, `None` if it is right, why, and the kind of the problem.

    What is not `usable` is no answer, and failed `line`, `id`, `prompt`, `length` or `alphabet`.
    """

    line: int
    id: str
    check: str | None
    why: str = ""
    kind: str | None = None
    usable: bool = True


def id_of(task: AbstractTask, seed: int, number: int) -> str:
    """What `read_id` reads.

    >>> from mdmjax.tasks.addition import Addition
    >>> id_of(Addition(digits=4), 0, 17)
    'addition,digits=4,uniform=no/0/17'
    """
    return f"{word_of(task)}/{seed}/{number}"


def read_id(text: str) -> ProblemId:
    """The problem of an id.

    Raises:
        InvalidInputError: an id that is none, of no task.

    >>> read_id("addition,digits=4/0/17")
    ProblemId(task=Addition(digits=4, uniform=False), seed=0, number=17)
    """
    word, *numbers = text.split("/")
    # A seed may have as many digits as Python reads; a number is a place in a 64-bit count.
    good = len(numbers) == 2 and all(x.isdecimal() and x.isascii() for x in numbers)
    good = good and len(numbers[0]) <= 4300 and len(numbers[1]) < 16
    if not good:
        refuse("id", shown(repr(text)), "TASK/SEED/NUMBER, as `mdmjax task` writes it")
    return ProblemId(_task(word), *map(int, numbers))


def problems_as_text(task: AbstractTask, seed: int, count: int) -> Iterator[dict[str, str]]:
    """`id`, `task`, `prompt` and `answer` of the first problems of a seed, made a chunk at a time.

    >>> from mdmjax.tasks.addition import Addition
    >>> next(problems_as_text(Addition(digits=2), 0, 1))["task"]
    'addition,digits=2,uniform=no'
    """
    word = word_of(task)
    for start in range(0, count, CHUNK):
        problems = task.problems(seed, min(CHUNK, count - start), start)
        for at, (tokens, given) in enumerate(zip(*problems[:2], strict=True), start):
            prompt, answer = task.to_text(tokens, given)
            yield {"id": id_of(task, seed, at), "task": word, "prompt": prompt, "answer": answer}


def grades(task: AbstractTask, outputs: Iterable[Output]) -> Iterator[Grade]:
    """The grade of every answer, in their order, some at a time: memory does not grow with them.

    An id may name any options of the task. A prompt of the user's is read with the options of the id, or,
    where that is none of ours, those of `task`. What is not usable is graded as wrong, by a
    check before those of the task.

    >>> from mdmjax.tasks.addition import Addition
    >>> own = [Output(1, "a", "12", "7+5="), Output(2, "b", "13", "7+5="), Output(3, "c", "x", "7+5=")]
    >>> [grade.check for grade in grades(Addition(digits=2), own)]
    [None, 'answer', 'alphabet']
    """
    stream = iter(outputs)
    while some := list(islice(stream, CHUNK)):
        yield from _graded(task, some)


class _Asked(NamedTuple):
    """A problem with the mask where the answer goes."""

    task: AbstractTask
    tokens: UInt8[np.ndarray, " n"]
    given: Bool[np.ndarray, " n"]
    kind: str | None = None


class _Read(NamedTuple):
    """An answer that can be judged by its task."""

    asked: _Asked
    tokens: UInt8[np.ndarray, " n"]


def _graded(task: AbstractTask, outputs: list[Output]) -> Iterator[Grade]:
    """The grades of some answers: those of one task are checked together."""
    found = [_read(task, output) for output in outputs]
    checks: dict[int, str | None] = {}
    groups: dict[AbstractTask, list[tuple[int, _Read]]] = {}
    for at, one in enumerate(found):
        if isinstance(one, _Read):
            groups.setdefault(one.asked.task, []).append((at, one))
    for own, members in groups.items():
        tokens = np.stack([one.tokens for _, one in members])
        given = np.stack([one.asked.given for _, one in members])
        kept = ~((tokens != np.stack([one.asked.tokens for _, one in members])) & given).any(axis=1)
        failures = own.failed(tokens, given).tolist()
        for (at, _), same, failed in zip(members, kept.tolist(), failures, strict=True):
            checks[at] = CLUE if not same else own.checks[failed] if failed >= 0 else None
    for at, (output, one) in enumerate(zip(outputs, found, strict=True)):
        if isinstance(one, _Read):
            yield Grade(output.line, output.id, checks[at], "", one.asked.kind)
        else:
            yield one


def _read(task: AbstractTask, output: Output) -> Grade | _Read:
    """The tokens of an answer, or a grade that says what it is none of."""
    wrong = functools.partial(Grade, output.line, output.id, usable=False)
    if output.fault:
        return wrong("line", output.fault)
    try:
        asked = _asked(task, output)
    except InvalidInputError as error:
        return wrong("id" if output.prompt is None else "prompt", str(error))
    try:
        answer = asked.task.answered(asked.tokens, asked.given, output.output.strip())
    except InvalidInputError as error:
        return wrong("alphabet" if error.argument == "text" else "length", str(error), kind=asked.kind)
    return _Read(asked, answer)


def _asked(task: AbstractTask, output: Output) -> _Asked:
    """The problem of an id, or that of a prompt which is not the one of the id."""
    try:
        own, seed, number = read_id(output.id)
        if own.name != task.name:
            refuse("id", shown(repr(output.id)), f"one of {task.name}")
    except InvalidInputError:
        if output.prompt is None:
            raise
        return _Asked(task, *task.prompt(output.prompt))
    chunk, at = divmod(number, CHUNK)
    made = _chunk(own, seed, chunk)
    tokens, given = made.tokens[at], made.given[at]
    if output.prompt is not None and own.to_text(tokens, given)[0] != output.prompt:
        return _Asked(own, *own.prompt(output.prompt))
    masked = np.where(given, tokens, own.q).astype(np.uint8)
    return _Asked(own, masked, given, own.kinds[made.kind[at]])


@functools.lru_cache(maxsize=256)
def _task(word: str) -> AbstractTask:
    return task_in(word)


@functools.lru_cache(maxsize=MADE)
def _chunk(task: AbstractTask, seed: int, chunk: int) -> Problems:
    return task.problems(seed, CHUNK, chunk * CHUNK)
