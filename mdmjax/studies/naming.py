"""What a decoder by name is. Builders import what they need: to read the list imports nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import refuse

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder, AbstractRule
    from ..denoisers.base import AbstractDenoiser
    from ..distributions.base import AbstractDistribution
    from ..schedules.schedule import Schedule
    from .law_report import Named


class Setting(NamedTuple):
    """What a decoder is made for: the denoiser, what sizes its steps, the block length if none is given.

    `temperature` is that of the writing; from `truth`, where it is known, some decoders are made.
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
    """A decoder by name; `build(setting, **values)` makes it, of the truth where it `needs_truth`.

    With `paper_sizes` it is shown on the Block-HMM of its paper where no sizes are given.
    """

    name: str
    help: str
    build: Callable[..., "AbstractDecoder"]
    knobs: tuple[Knob, ...] = ()
    needs_truth: bool = False
    paper_sizes: bool = False

    def values(self, **given: Any) -> dict[str, Any]:
        """Every parameter with its value, the default where none is given."""
        return {knob.name: knob.default for knob in self.knobs} | given

    def named(self, setting: Setting, **given: Any) -> "Named":
        """The decoder with its name and its parameters."""
        from .law_report import Named

        values = self.values(**given)
        return Named(self.build(setting, **values), self.name, values)


def check_share(name: str, value: float | None) -> None:
    """Refuse what is no probability."""
    if value is not None and not 0 <= value <= 1:
        refuse(name, value, "a probability in [0, 1]")
