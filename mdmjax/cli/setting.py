"""What every DECODER of the command line has to go by, and what a decoder's options share."""

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import tyro

from .._errors import refuse

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder, AbstractRule
    from ..denoisers.base import AbstractDenoiser
    from ..distributions.base import AbstractDistribution
    from ..distributions.joint import Joint
    from ..schedules.schedule import Schedule

OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="INT")]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]


class Setting(NamedTuple):
    """What a decoder is made for; it sees the rows of `model`. The truth is not always known."""

    distribution: "AbstractDistribution | None"
    joint: "Joint | None"
    model: "AbstractDenoiser"
    schedule: "Schedule"
    block: int

    def partition(self, block: int | None = None, name: str = "block") -> list[list[int]]:
        """Blocks of that many positions from left to right; the last may be shorter."""
        size, n = self.block if block is None else block, self.model.n
        if not 1 <= size <= n:
            refuse(name, size, f"an integer in 1..n with n = {n}")
        return [list(range(start, min(start + size, n))) for start in range(0, n, size)]


def check_share(option: str, value: float | None) -> None:
    """Refuse, by the name of the option, what is no probability."""
    if value is not None and not 0 <= value <= 1:
        refuse(option, value, "a probability in [0, 1]")


def check_above_zero(option: str, value: float | None) -> None:
    """Refuse, by the name of the option, what is not a finite number above 0."""
    if value is not None and not 0 < value < float("inf"):
        refuse(option, value, "a finite number > 0")


class DecoderOptions:
    """What decoders share: a name, and the sizes of the Block-HMM of the paper that they come from."""

    name: ClassVar[str]
    paper_sizes: ClassVar[dict[str, int]] = {}
    needs_truth: ClassVar[bool] = False
    """Whether it is made from the true joint: not for a model of data that are not known."""

    def build(self, setting: Setting) -> "AbstractRule | AbstractDecoder":
        """The decoder."""
        raise NotImplementedError


def one_of(*kinds: type) -> Any:
    """The type of a command's argument that is one of `kinds`, each by its name."""
    choices = (Annotated[kind, tyro.conf.subcommand(kind.name)] for kind in kinds)
    return functools.reduce(operator.or_, choices)
