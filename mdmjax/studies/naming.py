"""What a decoder by name is: its parameters, a line of help, and the decoder that it stands for.

What commands and sweeps name by words. A decoder is made for a `Setting`; builders import what they need,
so that to read the list (`named_decoders.DECODERS`) imports nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import refuse

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder, AbstractRule
    from ..denoisers.base import AbstractDenoiser
    from ..distributions.base import AbstractDistribution
    from ..schedules.schedule import Schedule


class Setting(NamedTuple):
    """What a decoder is made for: the denoiser it will be given, and what sizes its steps.

    `truth` is the distribution that some decoders are made from, `None` where it is not known. `block` is
    the block length where none is given, `temperature` that of the writing.
    """

    denoiser: "AbstractDenoiser"
    schedule: "Schedule"
    block: int
    temperature: float = 1.0
    truth: "AbstractDistribution | None" = None

    def partition(self, block: int | None, name: str = "block") -> list[list[int]]:
        """Blocks of that many positions from left to right; the last may be shorter."""
        size, n = self.block if block is None else block, self.denoiser.n
        if not 1 <= size <= n:
            refuse(name, size, f"an integer in 1..n with n = {n}")
        return [list(range(start, min(start + size, n))) for start in range(0, n, size)]

    def known_truth(self) -> "AbstractDistribution":
        """The true distribution, refused where it is not known."""
        if self.truth is None:
            refuse("decoder", "one made from the true distribution", "one that does not need it here")
        return self.truth

    def reveal(self, rule: "AbstractRule") -> "AbstractDecoder":
        """The decoder of a rule at the temperature."""
        from ..decoders.reveal import Reveal

        return Reveal(rule, temperature=self.temperature)

    def tempered(self, decoder: "AbstractDecoder") -> "AbstractDecoder":
        """A decoder that has no temperature of its own at this one."""
        from ..decoders.reveal import AtTemperature

        return decoder if self.temperature == 1 else AtTemperature(decoder, self.temperature)


@dataclass(frozen=True)
class Knob:
    """A parameter of a decoder; `size` is the number of values, where they are several."""

    name: str
    kind: type
    default: Any
    help: str
    size: int | None = None


@dataclass(frozen=True)
class NamedDecoder:
    """A decoder by name; `build(setting, **values)` makes it.

    `needs_truth`: it is made from the true distribution. `paper_sizes`: it is shown on the Block-HMM of its
    paper where no sizes are given.
    """

    name: str
    help: str
    build: Callable[..., "AbstractDecoder"]
    knobs: tuple[Knob, ...] = ()
    needs_truth: bool = False
    paper_sizes: bool = False

    def values(self, given: dict[str, Any]) -> dict[str, Any]:
        """Every parameter with its value, the default where none is given."""
        return {knob.name: given.get(knob.name, knob.default) for knob in self.knobs}


def check_share(name: str, value: float | None) -> None:
    """Refuse what is no probability."""
    if value is not None and not 0 <= value <= 1:
        refuse(name, value, "a probability in [0, 1]")
