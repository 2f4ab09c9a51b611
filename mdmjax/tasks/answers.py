"""The exact law of the right answers to a prompt, where there are several: what an ideal model samples."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from .._checks import check_number
from ..distributions.empirical import Empirical, empirical_joint
from ..distributions.joint import Joint
from .task import AbstractRandomTask


class AnswerJoint(NamedTuple):
    """The dense law of the answer alone, and the symbol of the task that each of its symbols is."""

    joint: Joint
    symbols: UInt8[np.ndarray, " local"]


def answer_law(
    task: AbstractRandomTask, tokens: UInt8[np.ndarray, " n"], given: Bool[np.ndarray, " n"]
) -> Empirical:
    """Prompt and answer together, uniform over the right answers; its conditionals are by counting.

    `Oracle` of it is the ideal model of this prompt, on the positions and the symbols of the task: the
    576 squares of 4x4, n! - 1 orders of a list.

    >>> from mdmjax.tasks.latin import Latin
    >>> task = Latin(size=3, letters=3)
    >>> tokens, given = task.prompt("ABC")
    >>> law = answer_law(task, tokens, given)
    >>> law.n, law.q, round(float(law.log_marginal(tokens.astype(int))), 4)
    (12, 3, 0.0)
    """
    rows = task.answers(tokens, given)
    return Empirical(rows.astype(int), np.ones(len(rows)), task.q)


def answer_joint(
    task: AbstractRandomTask,
    tokens: UInt8[np.ndarray, " n"],
    given: Bool[np.ndarray, " n"],
    *,
    smoothing: float = 0.0,
) -> AnswerJoint:
    """The dense table of the answer's positions, over the symbols that some right answer has there.

    Positions that are the same in every right answer (padding) are left out. This is what `exact_law`
    and schedules take: the law of any decoder with the ideal model. A decoder that writes several
    positions at once comes to contexts that no right answer has, where the ideal model is not defined;
    with `smoothing`, the share of the uniform law that is mixed in, it is (1e-12 changes no other digit).

    Raises:
        InvalidInputError: a table that is too large; a `smoothing` that is not in [0, 1].

    >>> from mdmjax.tasks.latin import Latin
    >>> task = Latin(size=2, letters=4)
    >>> answer_joint(task, *task.prompt("CA")).joint.probs[0].tolist()
    [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.5, 0.0]]]
    """
    check_number("smoothing", smoothing, "a number in [0, 1]", lambda x: 0 <= x <= 1)
    rows = task.answers(tokens, given)
    rows = rows[:, (rows != rows[:1]).any(axis=0)]
    symbols, local = np.unique(rows, return_inverse=True)
    joint = empirical_joint(local.reshape(rows.shape).astype(int), np.ones(len(rows)), len(symbols))
    probs = (1 - smoothing) * joint.probs + smoothing / joint.probs.size
    return AnswerJoint(Joint(probs), symbols)
