"""What a model is asked, and what it answers: prompts as tokens, and sequences as checked texts."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from .._errors import refuse, shown
from ..distributions.alphabet import AbstractAlphabet
from ..files.prompts import Prompt
from ..tasks.accuracy import cut_after_end, failed_checks
from ..tasks.task import AbstractTask, Problems

End = Literal["keep", "cut"]


class Asked(NamedTuple):
    """Sequences to be decoded, the mask where one is to be written, and what each is called."""

    start: Int[np.ndarray, "samples n"]
    ids: Sequence[Any]

    def given(self, q: int) -> Bool[np.ndarray, "samples n"]:
        """What is not written."""
        return self.start != q


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer: `failed` is the first check that it does not pass, `None` where it is right."""

    id: Any
    prompt: str
    output: str
    failed: str | None


def asked_of_problems(problems: Problems, q: int, ids: Sequence[Any]) -> Asked:
    """The prompts of problems, whose answers are hidden."""
    return Asked(np.where(problems.given, problems.tokens, q).astype(np.int32), ids)


def asked_of_task(task: AbstractTask, prompts: Sequence[Prompt]) -> Asked:
    """Prompts as the task writes them.

    Raises:
        InvalidInputError: a prompt that is none of the task, or longer than it allows.

    >>> from mdmjax.tasks.addition import Addition
    >>> asked_of_task(Addition(digits=2), [Prompt(7, "12+9=")]).start.tolist()
    [[1, 2, 10, 12, 9, 11, 13, 13, 13]]
    """
    rows = []
    for prompt in prompts:
        tokens, given = task.prompt(prompt.text)
        if given.all():
            refuse("prompt", shown(prompt.text), "one that leaves something to answer")
        rows.append(np.where(given, tokens, task.q))
    return Asked(np.array(rows, np.int32), [prompt.id for prompt in prompts])


def asked_of_text(
    alphabet: AbstractAlphabet, texts: Sequence[str], n: int, mask: str | None = None
) -> Asked:
    """Texts that are kept, each followed by masks up to `n` tokens; every character `mask` is one as well.

    Raises:
        InvalidInputError: a text that leaves nothing to write, or of more than `n` tokens.

    >>> from mdmjax.distributions.alphabet import ByteAlphabet
    >>> asked_of_text(ByteAlphabet(), ["a_b"], 4, "_").start.tolist()
    [[97, 256, 98, 256]]
    """
    argument = "prompt" if mask is None else "template"
    rows = np.full((len(texts), n), alphabet.q, np.int32)
    for row, text in zip(rows, texts, strict=True):
        parts = [alphabet.encode(part).tolist() for part in ([text] if mask is None else text.split(mask))]
        tokens = parts[0] + [token for part in parts[1:] for token in (alphabet.q, *part)]
        if len(tokens) > n:
            refuse(argument, f"of {len(tokens)} tokens", f"at most the {n} of the model")
        row[: len(tokens)] = tokens
        if (row != alphabet.q).all():
            refuse(
                argument, f"of {len(tokens)} tokens", f"something to write: fewer than the {n} of the model"
            )
    return Asked(rows, list(range(len(texts))))


def checked(
    task: AbstractTask, asked: Asked, tokens: Int[np.ndarray, "samples n"], end: End = "keep"
) -> list[Answer]:
    """The answers as texts, with what they fail; `cut` leaves out what follows their end (`cut_after_end`).

    >>> from mdmjax.tasks.addition import Addition
    >>> task = Addition(digits=2)
    >>> asked = asked_of_task(task, [Prompt("a", "12+9=")])
    >>> tokens = asked.start.copy()
    >>> tokens[0, -3:] = 0, 2, 1
    >>> checked(task, asked, tokens)
    [Answer(id='a', prompt='12+9=', output='021', failed='answer')]
    """
    given = asked.given(task.q)
    tokens = cut_after_end(task, tokens, given) if end == "cut" else tokens
    failed = failed_checks(task, tokens, given)
    found = []
    for name, row, own, check in zip(
        asked.ids, tokens.astype(np.uint8), given, failed.tolist(), strict=True
    ):
        prompt, output = task.to_text(row, own)
        found.append(Answer(name, prompt, output, None if check < 0 else task.checks[check]))
    return found
