"""Addition: problems and answers are what Python's integers say; kinds have their shares and sizes."""

import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.tasks.addition import Addition


@pytest.mark.parametrize("digits", [2, 4, 10, 18])
def test_the_sum_is_that_of_integers(digits):
    task = Addition(digits=digits)
    problems = task.problems(1, 600)
    for tokens, given in zip(problems.tokens, problems.given, strict=True):
        prompt, answer = task.to_text(tokens, given)
        a, b = map(int, prompt.rstrip("=").split("+"))
        assert str(a + b) == answer
        back, places = task.prompt(prompt)
        assert np.array_equal(task.answered(back, places, answer), tokens)
        assert np.array_equal(places, given)
    assert np.all(task.failed(problems.tokens, problems.given) == -1)


def test_any_other_answer_fails():
    task, rng = Addition(digits=4), np.random.default_rng(0)
    problems = task.problems(2, 2000)
    wrong = problems.tokens.copy()
    answers = np.flatnonzero(~problems.given[0])
    place = rng.choice(answers, len(wrong))
    wrong[np.arange(len(wrong)), place] = (
        wrong[np.arange(len(wrong)), place] + rng.integers(1, 13, 2000)
    ) % 13
    assert np.all(task.failed(wrong, problems.given) == 0)


def test_kinds_are_those_of_the_paper():
    task = Addition()
    problems = task.problems(0, 20000)
    shares = np.bincount(problems.kind, minlength=6) / 20000
    assert np.all(np.abs(shares - task.shares) < 5 * np.sqrt(0.3 * 0.7 / 20000))
    texts = [task.to_text(*row)[0].rstrip("=").split("+") for row in zip(*problems[:2], strict=True)]
    sizes = np.array([[len(a), len(b)] for a, b in texts])
    for kind, (low, high) in enumerate([(1, 3), (4, 6), (7, 9), (10, 10)]):
        of = sizes[problems.kind == kind]
        assert of.min() == low
        assert of.max() == high
    mixed = np.sort(sizes[problems.kind == 5], axis=1)
    assert np.all(mixed[:, 1] == 10)
    assert mixed[:, 0].max() == 3
    edges = [texts[i] for i in np.flatnonzero(problems.kind == 4)]
    assert all(
        "0" in pair or set(pair[0]) == {"9"} or set(pair[1]) == {"9"} or len(pair[0]) == 10
        for pair in edges
    )


@pytest.mark.parametrize("text", ["12+9", "12-9=", "+1=", "123+1=", "1+²=", ""])
def test_a_prompt_that_is_none(text):
    with pytest.raises(InvalidInputError, match="prompt is"):
        Addition(digits=2).prompt(text)


def test_an_answer_of_another_length_or_alphabet():
    task = Addition(digits=2)
    tokens, given = task.prompt("1+2=")
    with pytest.raises(InvalidInputError, match="at most 3 digits"):
        task.answered(tokens, given, "1234")
    with pytest.raises(InvalidInputError, match="'x' is no symbol of addition"):
        task.answered(tokens, given, "1x")
