"""What a SOURCE of the command line gives: a curve for schedules, a distribution for laws."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from .._errors import readable_bytes, refuse

if TYPE_CHECKING:
    from ..distributions.base import AbstractDistribution
    from ..information.curve import InformationCurve
    from ..information.loss_curve import LossCurve, LossTable

T = TypeVar("T")

Track = Callable[[Iterable[T], str], Iterable[T]]
"""Passes an iterable through and shows the progress under a title."""

MAX_POSITIONS = 2**24
"""The longest sequence of a closed form or a loss curve (our choice: 1 GiB)."""


class Loaded(NamedTuple):
    """What a source gives to `schedule`: its curve, how it was found, and facts for the reader."""

    curve: "InformationCurve | LossCurve"
    title: str
    method: str
    q: int | None
    facts: dict[str, Any]
    table: "LossTable | None" = None


class Model(NamedTuple):
    """What a source gives to `law`: a distribution, and facts for the reader."""

    distribution: "AbstractDistribution"
    title: str
    facts: dict[str, Any]


class Sized:
    """What sources with a distribution share: sizes that are not given are of the command's default."""

    curve_sizes: ClassVar[dict[str, int]] = {}
    """Sizes for `schedule`."""
    law_sizes: ClassVar[dict[str, int]] = {}
    """Sizes for `law`: the largest at which every decoder takes seconds (our choice)."""

    def sized(self, sizes: dict[str, int]):
        """The source with the sizes that were not given."""
        return dataclasses.replace(
            self, **{key: size for key, size in sizes.items() if getattr(self, key) is None}
        )


def options_of(chosen: Any) -> dict[str, Any]:
    """The name and the options of a source or a decoder, as JSON has them."""
    options = dataclasses.asdict(chosen)
    return {"name": chosen.name} | {
        key: str(value) if isinstance(value, Path) else value for key, value in options.items()
    }


def enumerated(model: Model) -> Loaded:
    """The curve of a distribution that has no closed form: every state, every subset."""
    from ..distributions.joint import tabulate
    from ..information.enumeration import check_entropy_size, information_curve

    n, q = model.distribution.n, model.distribution.q
    check_entropy_size(n, q)
    curve = information_curve(tabulate(model.distribution))
    return Loaded(curve, model.title, f"enumeration of {q}^{n} states and 2^{n} subsets", q, model.facts)


def closed(curve: "InformationCurve", title: str, q: int) -> Loaded:
    """A curve that has a closed form."""
    return Loaded(curve, title, "closed form", q, {})


def check_positions(n: int) -> None:
    """Refuse a sequence whose curve and schedules would fill the memory, before they are made."""
    need = 64 * n  # the curve, and a handful of arrays of its size for every schedule
    if n > MAX_POSITIONS:
        refuse("n", n, f"at most {MAX_POSITIONS}", f"its curve needs {readable_bytes(need)}")
