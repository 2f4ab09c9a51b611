"""The curve of a distribution that has no formula, refused in the words of its source."""

import dataclasses

from .._errors import InvalidInputError, refuse
from ..distributions.base import AbstractDistribution
from ..distributions.joint import tabulate
from ..information.curve import InformationCurve
from ..information.enumeration import check_entropy_size, information_curve
from .subject import Subject


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
