"""List operations and Latin squares: every answer there is, against what the words say."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import mdmjax as mj
from mdmjax._errors import InvalidInputError
from mdmjax.tasks.answers import answer_joint, answer_law
from mdmjax.tasks.latin import Latin, latin_squares
from mdmjax.tasks.lists import OPERATIONS, Lists


def right_answers(operation, items, word, place):
    """From the words of the benchmark; places count from 1."""
    size = len(items)
    return {
        "copy": [items],
        "reverse": [items[::-1]],
        "sort": ["".join(sorted(items))],
        "shuffle": ["".join(p) for p in itertools.permutations(items) if "".join(p) != items],
        "replace-index": [items[: place - 1] + word + items[place:]],
        "replace-random": [items[:i] + word + items[i + 1 :] for i in range(size)],
        "insert-index": [items[:place] + word + items[place:]],
        "insert-random": [items[:i] + word + items[i:] for i in range(size + 1)],
        "remove-index": [items[: place - 1] + items[place:]],
        "remove-random": [items[:i] + items[i + 1 :] for i in range(size)],
    }[operation]


def parts(text):
    items, _, place = text.partition("@")
    items, _, word = items.partition("+")
    return items, word, int(place or 0)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_judged_as_the_words_say(operation):
    task = Lists(operation=operation, least=2, most=3, letters=4)
    problems = task.problems(0, 12)
    width = task.most + task.how.grows
    every = ["".join(x) for x in itertools.product("abcd ", repeat=width)]
    rows = np.array([task.encode(answer) for answer in every])
    for tokens, given in zip(problems.tokens, problems.given, strict=True):
        right = right_answers(operation, *parts(task.to_text(tokens, given)[0]))
        of = np.tile(tokens, (len(every), 1))
        of[:, ~given] = rows
        found = task.failed(of, np.tile(given, (len(every), 1)))
        for answer, failed in zip(every, found.tolist(), strict=True):
            if answer.rstrip() in right and answer.rstrip().ljust(width) == answer:
                assert failed == -1
            elif len(answer.replace(" ", "")) != len(right[0]) or " " in answer.rstrip():
                assert failed == 0
            else:
                same = any(sorted(answer.rstrip()) == sorted(one) for one in right)
                assert failed == (2 if same else 1)
        answers = [task.to_text(row, given)[1] for row in task.answers(tokens, given)]
        assert sorted(answers) == sorted(right)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_drawn_is_right_and_read_back(operation):
    task = Lists(operation=operation, least=2, most=12)
    problems = task.problems(5, 300)
    assert set(problems.kind.tolist()) == set(range(11))
    assert np.all(task.failed(*problems[:2]) == -1)
    for tokens, given in zip(*problems[:2], strict=True):
        prompt, answer = task.to_text(tokens, given)
        assert answer in right_answers(operation, *parts(prompt)) if len(prompt) < 8 else answer
        back, places = task.prompt(prompt)
        assert np.array_equal(task.answered(back, places, answer), tokens)


def test_random_answers_are_uniform():
    task = Lists(operation="shuffle", least=3, most=3, letters=4)
    problems = task.problems(0, 20000)
    prompt, answer = problems.tokens[:, :3], problems.tokens[:, 3:]
    order = np.argmax(prompt[:, None, :] == answer[:, :, None], axis=2) @ np.array([9, 3, 1])
    counts = np.unique(order, return_counts=True)[1]
    assert counts.size == 5
    assert np.all(np.abs(counts - 4000) < 5 * np.sqrt(4000))


@pytest.mark.parametrize(
    ("operation", "text", "message"),
    [
        ("copy", "", "want LIST"),
        ("copy", "ab+c", "want LIST"),
        ("copy", "aab", "letters that differ"),
        ("copy", "abcdefgh", "3 to 6 letters"),
        ("copy", "abz", "the first 8 letters"),
        ("replace-index", "abc+d", "LIST.ITEM@PLACE"),
        ("replace-index", "abc+d@4", "a place in 1..3"),
        ("insert-random", "abc+a", "a new item is none"),
    ],
)
def test_a_prompt_that_is_none(operation, text, message):
    with pytest.raises(InvalidInputError, match=message):
        Lists(operation=operation, letters=8).prompt(text)


def test_the_squares_are_those_of_a_search():
    squares = [()]
    for cell in range(16):
        row, column = divmod(cell, 4)
        squares = [
            (*square, symbol)
            for square in squares
            for symbol in range(4)
            if symbol not in square[4 * row :] and symbol not in square[column::4]
        ]
    assert sorted(squares) == sorted(map(tuple, latin_squares(4).tolist()))


@pytest.mark.slow
def test_the_squares_of_five():
    assert len(latin_squares(5)) == len(np.unique(latin_squares(5), axis=0)) == 161280


def test_the_check_of_a_square_is_that_of_sets():
    task, rng = Latin(size=3, letters=5), np.random.default_rng(0)
    problems = task.problems(0, 900)
    tokens = problems.tokens.copy()
    tokens[::3, 3:] = rng.integers(0, 5, (300, 9))
    tokens[1::3, 3:] = np.take_along_axis(tokens[1::3, :3], rng.integers(0, 3, (300, 9)), 1)
    rolled = tokens[1::6, 3:6]
    tokens[1::6, 3:] = np.concatenate([rolled, rolled[:, [1, 2, 0]], rolled[:, [1, 2, 0]]], axis=1)
    for row, failed in zip(tokens.tolist(), task.failed(tokens, problems.given).tolist(), strict=True):
        names, cells = set(row[:3]), [row[3:6], row[6:9], row[9:]]
        right = [
            set(row[3:]) <= names,
            all(set(line) == names for line in cells),
            all(set(line) == names for line in zip(*cells, strict=True)),
        ]
        assert failed == (-1 if all(right) else right.index(False))


@pytest.mark.parametrize("size", [3, 4])
def test_the_law_of_squares_counts(size):
    task, rng = Latin(size=size, letters=size), np.random.default_rng(size)
    tokens, given = task.prompt("CABD"[:size])
    law, squares = answer_law(task, tokens, given), task.answers(tokens, given)
    for shown in (0, 2, 5):
        context = tokens.astype(int)
        places = rng.choice(np.flatnonzero(~given), shown, replace=False)
        context[places] = squares[7][places]
        fits = squares[(squares[:, places] == squares[7][places]).all(axis=1)]
        share = np.stack([(fits == symbol).mean(axis=0) for symbol in range(size)], axis=1)
        found = np.exp(law.log_conditionals(jnp.asarray(context)))
        np.testing.assert_allclose(found, share, atol=1e-12)


def test_the_dense_joint_of_3x3():
    task = Latin(size=3, letters=6)
    joint, symbols = answer_joint(task, *task.prompt("FAC"))
    assert task.decode(symbols) == "ACF"
    probs = np.asarray(joint.probs)
    assert probs.shape == (3,) * 9
    assert np.count_nonzero(probs) == 12
    assert probs[0, 1, 2, 1, 2, 0, 2, 0, 1] == probs.max() == 1 / 12
    shuffle = Lists(operation="shuffle", least=3, most=5)
    joint, symbols = answer_joint(shuffle, *shuffle.prompt("bda"))
    assert joint.n == 3
    assert shuffle.decode(symbols) == "abd"
    assert float(joint.probs[1, 2, 0]) == 0  # the list itself
    law = mj.exact_law(mj.Oracle(joint), mj.Reveal(mj.left_to_right(mj.Schedule([1, 1, 1]))))
    assert float(law.kl(joint)) < 1e-12
