"""Answers after prompts: right ones count, prompts stay, answers may be written backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import ConfidenceThreshold, Reveal, Schedule, Wino, left_to_right
from mdmjax._errors import InvalidInputError
from mdmjax.decoders.prompted import decode_prompts
from mdmjax.denoisers.base import AbstractDenoiser
from mdmjax.tasks.accuracy import cut_after_end, task_accuracy
from mdmjax.tasks.addition import Addition
from mdmjax.tasks.reversed import Reversed, turned

TASK = Addition(digits=2)
PROBLEMS = TASK.problems(3, 40)


class Adder(AbstractDenoiser):
    """Certain of the sum, computed from the digits of the prompt, but wrong by one where `a` is odd."""

    backwards: bool = False
    n, q = TASK.n, TASK.q

    def __call__(self, tokens):
        tokens = tokens.astype(int)
        digits = jnp.where(tokens > 9, 0, tokens)
        a, b = digits[0] * 10 + digits[1], digits[3] * 10 + digits[4]
        total = a + b + a % 2
        places = jnp.array([100, 10, 1])
        blank = (total < places) & (places > 1)
        answer = jnp.where(blank, TASK.q - 1, total // places % 10)
        answer = answer[::-1] if self.backwards else answer
        whole = tokens.at[6:].set(answer.astype(tokens.dtype))
        return jnp.where(whole[:, None] == jnp.arange(self.q)[None, :], 0.0, -jnp.inf)


@pytest.mark.parametrize("backwards", [False, True])
def test_answers_are_checked_and_prompts_stay(backwards):
    task = Reversed(TASK) if backwards else TASK
    problems = task.problems(3, 40)
    decoder = Reveal(left_to_right(Schedule([1, 1, 1])))
    found = task_accuracy(jax.random.key(0), Adder(backwards), task, problems, decoder, batch=16)
    even = PROBLEMS.tokens[:, 1] % 2 == 0
    np.testing.assert_array_equal(found.correct, even)
    np.testing.assert_array_equal(found.failed, np.where(even, -1, 0))
    tokens = np.asarray(found.traces.tokens)
    assert (tokens[problems.given] == problems.tokens[problems.given]).all()
    np.testing.assert_array_equal(found.traces.finalised, np.tile([-1] * 6 + [0, 1, 2], (40, 1)))
    assert not np.asarray(found.traces.edits).any()


def test_prompts_at_different_positions_are_decoded_among_all():
    start = jnp.asarray(np.where(PROBLEMS.given, PROBLEMS.tokens, TASK.q), jnp.int32)[:2]
    start = start.at[1, 6].set(12)  # one more token is known
    traces = decode_prompts(jax.random.key(0), Adder(), Reveal(ConfidenceThreshold(0.5)), start)
    assert traces.finalised.tolist() == [[-1] * 6 + [0] * 3, [-1] * 7 + [0] * 2]
    assert int(traces.tokens[1, 6]) == 12
    with pytest.raises(InvalidInputError, match="given is tokens to Wino, which revises"):
        decode_prompts(jax.random.key(0), Adder(), Wino(0.6, 0.9), start)


def test_what_leaves_nothing_to_write_is_refused():
    with pytest.raises(InvalidInputError, match="start is a row without a mask"):
        decode_prompts(jax.random.key(0), Adder(), Reveal(ConfidenceThreshold(0.5)), jnp.zeros((1, 9), int))


def test_turning_is_its_own_inverse_and_moves_answers_alone():
    rng = np.random.default_rng(0)
    tokens, given = rng.integers(0, 9, (50, 7)).astype(np.uint8), rng.random((50, 7)) < 0.5
    back = turned(tokens, given)
    for row, out, own in zip(tokens, back, given, strict=True):
        assert (out[own] == row[own]).all()
        assert (out[~own] == row[~own][::-1]).all()
    np.testing.assert_array_equal(turned(back, given), tokens)


@pytest.mark.parametrize(
    ("answer", "cut"), [("21 ", "21 "), (" 21", " 21"), ("2 1", "2  "), ("   ", "   ")]
)
def test_an_answer_ends_at_the_padding_after_it(answer, cut):
    tokens, given = TASK.prompt("12+9=")
    tokens[~given] = TASK.encode(answer)
    assert TASK.decode(cut_after_end(TASK, tokens[None], given[None])[0][~given]) == cut
    assert (cut_after_end(TASK, tokens[None], given[None])[0][given] == tokens[given]).all()
