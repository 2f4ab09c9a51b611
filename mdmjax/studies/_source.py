"""What sources share: examples to train on, and the curve of a distribution that has no formula."""

import dataclasses
from typing import Any, NamedTuple

from .._errors import InvalidInputError, refuse
from ..distributions.alphabet import AbstractAlphabet
from ..distributions.base import AbstractDistribution
from ..distributions.joint import tabulate
from ..information.curve import InformationCurve
from ..information.enumeration import check_entropy_size, information_curve
from ..training.data import AbstractData
from .subject import Subject


class Examples(NamedTuple):
    """What a source gives to train on; of a distribution, both sides are fresh samples of it.

    `facts`, for JSON, must be the same when a training is resumed or its data are taken again. `known` are
    losses to compare with, in nats a token, by what they are.
    """

    training: AbstractData
    held_out: AbstractData
    alphabet: AbstractAlphabet | None
    title: str
    facts: dict[str, Any]
    known: dict[str, float]


def enumerated(
    distribution: AbstractDistribution, subject: Subject, sizes: dict[str, int]
) -> tuple[InformationCurve, Subject]:
    """The curve of a distribution that has no closed form: every state, every subset."""
    n, q = distribution.n, distribution.q
    check_enumerable(n, q, sizes)
    method = f"enumeration of {q}^{n} states and 2^{n} subsets"
    return information_curve(tabulate(distribution)), dataclasses.replace(subject, method=method)


def check_enumerable(n: int, q: int, sizes: dict[str, int]) -> None:
    """`check_entropy_size`, in the words of the `sizes` that were given."""
    try:
        check_entropy_size(n, q)
    except InvalidInputError as error:
        refuse(", ".join(sizes), ", ".join(map(str, sizes.values())), error.wanted, error.remedy)
