"""The list of decoders by name, and the rules of it: those that only reveal."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._errors import refuse
from .naming import Knob, NamedDecoder, Setting

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder, AbstractRule
    from ..schedules.schedule import Schedule

Build = Callable[..., "AbstractDecoder"]

DECODERS: dict[str, NamedDecoder] = {}
"""Every decoder by its name; `named_decoders` has the others of it."""


def named(name: str, help: str, *knobs: Knob, **flags: bool) -> Callable[[Build], Build]:
    """Enters what it decorates into the list: it takes the setting, and the knobs by name."""

    def enter(build: Build) -> Build:
        DECODERS[name] = NamedDecoder(name, help, build, knobs, **flags)
        return build

    return enter


def at(place: str) -> Any:
    """What `room.file.name` of the package is, imported now."""
    file, _, name = place.rpartition(".")
    return getattr(importlib.import_module(f"...{file}", __name__), name)


def _rule(name: str, help: str, place: str, *knobs: Knob) -> None:
    """A rule that is made with its knobs, or with the schedule where it has none."""

    @named(name, help, *knobs)
    def build(setting: Setting, **given: Any) -> "AbstractDecoder":
        return setting.reveal(at(place)(*(given.values() if knobs else [setting.schedule])))


def easy_first(schedule: "Schedule", score: str = "confidence") -> "AbstractRule":
    """The positions of the highest score, as many as the schedule says."""
    return at("decoders.ranked.Ranked")(at(f"decoders.ranked.{score}"), schedule)


def _ranked(name: str, help: str, score: str) -> None:
    named(name, help)(lambda setting: setting.reveal(easy_first(setting.schedule, score)))


BLOCK = Knob("block", int, None, "Block length; the source's own, or half of the sequence.")

_rule("random", "Uniformly random positions.", "decoders.orders.RandomSubset")
_rule("l2r", "The next positions from the left.", "decoders.orders.left_to_right")
_rule("r2l", "The next positions from the right.", "decoders.orders.right_to_left")
named("dilated", "Every n/2-th position, then every n/4-th, ... (DUS); takes no schedule.")(
    lambda setting: setting.reveal(at("decoders.orders.dilated")(setting.denoiser.n))
)
named(
    "halton",
    "Spread over a grid of ROWS rows: the Halton order (Halton-MaskGIT).",
    Knob("rows", int, 1, "Rows of the grid, a divisor of n; 1 is a sequence."),
)(lambda setting, rows: setting.reveal(at("decoders.halton.halton")(setting.schedule, rows)))
_ranked("entropy", "Easy-first: the positions of lowest entropy.", "negative_entropy")
_ranked("confidence", "Easy-first: the most probable best symbol.", "confidence")
_ranked("margin", "Easy-first: the widest gap of the two best symbols.", "margin")
_ranked("hard-first", "The positions of highest entropy.", "row_entropy")
named("ascending", "1, 2, 4, ... most confident positions (ASS); takes no schedule.")(
    lambda setting: setting.reveal(easy_first(at("schedules.named.ascending_steps")(setting.denoiser.n)))
)
_rule(
    "threshold",
    "Every position whose best symbol has at least this probability (Fast-dLLM).",
    "decoders.ranked.ConfidenceThreshold",
    Knob("threshold", float, 0.9, "Probability of the best symbol."),
)
_rule(
    "factor",
    "The k most confident with (k + 1)(1 - confidence of the k-th) < FACTOR (Fast-dLLM).",
    "decoders.ranked.ConfidenceFactor",
    Knob("factor", float, 1.0, "The bound."),
)
_rule(
    "entropy-bounded",
    "Lowest entropies while those before sum to at most BOUND (EB-Sampler).",
    "decoders.ranked.EntropyBounded",
    Knob("bound", float, 0.1, "Nats."),
)
_rule(
    "entropy-sum",
    "Random positions until their entropies sum to more (Cai and Li; order our choice).",
    "decoders.ranked.EntropySum",
    Knob("threshold", float, 0.5, "Nats."),
)

_rule(
    "window",
    "From the first masked position, those with entropy + PENALTY * distance < THRESHOLD (WeDLM).",
    "decoders.window.StreamingWindow",
    Knob("width", int, 16, "Positions of the window."),
    Knob("threshold", float, 0.4, "Nats."),
    Knob("penalty", float, 0.02, "Nats a position."),
)


@named(
    "credit",
    "As threshold, with rows that earlier predictions have raised: a memory (CreditDecoding).",
    Knob("threshold", float, 0.9, "Probability of the best symbol."),
    Knob("strength", float, 0.7, "How much credits raise the rows; 0 is threshold."),
    Knob("decay", float, 0.8, "Of the credits, a step."),
    Knob("boost", float, 0.2, "Power of the probability that a credit grows by."),
)
def _credit(setting: Setting, threshold: float, **knobs: float) -> "AbstractDecoder":
    plain = setting.reveal(at("decoders.ranked.ConfidenceThreshold")(threshold))
    return at("decoders.credit.Credited")(plain, setting.denoiser.n, setting.denoiser.q, **knobs)


@named(
    "early-commit",
    "Most confident first until the model is sure, then everything at once (Prophet).",
    Knob("thresholds", float, (7.5, 5.0, 2.5), "Mean gaps in nats: early, in the middle, late.", 3),
)
def _early_commit(setting: Setting, thresholds: tuple[float, ...]) -> "AbstractDecoder":
    rule = at("decoders.nested.EarlyCommit")(easy_first(setting.schedule), thresholds)
    return setting._replace(temperature=0.0).reveal(rule)  # Prophet writes the argmax


@named(
    "semi-autoregressive",
    "Blocks from left to right, within each the most confident first (LLaDA).",
    Knob("block", int, None, "Block length, a divisor of n; the source's own, or half."),
    Knob("width", int, 1, "Positions revealed at once."),
)
def _semi_autoregressive(setting: Setting, block: int | None, width: int) -> "AbstractDecoder":
    from ..schedules.schedule import Schedule

    size = len(setting.partition(block)[0])
    if not 1 <= width <= size:
        refuse("width", width, f"an integer in 1..{size}, the positions of a block")
    counts = [width] * (size // width) + [size % width] * (size % width > 0)
    return setting.reveal(at("decoders.nested.SemiAutoregressive")(easy_first(Schedule(counts)), size))


@named(
    "mean-field",
    "Blocks from left to right, each written at once from its marginals (2602.00286).",
    BLOCK,
    paper_sizes=True,
)
def mean_field(setting: Setting, block: int | None) -> "AbstractDecoder":
    """The decoder of a partition into blocks of this many positions."""
    return setting.reveal(at("decoders.orders.FixedPartition")(setting.partition(block)))
