"""The decoders by name that only reveal: each is a rule of `mdmjax.decoders`, made a decoder."""

from typing import TYPE_CHECKING

from .._errors import refuse
from .naming import BLOCK, Build, Knob, Setting, named

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder


@named("random", "Uniformly random positions.")
def _random(setting: Setting) -> "AbstractDecoder":
    from ..decoders.orders import RandomSubset

    return setting.reveal(RandomSubset(setting.schedule))


@named("l2r", "The next positions from the left.")
def _left_to_right(setting: Setting) -> "AbstractDecoder":
    from ..decoders.orders import left_to_right

    return setting.reveal(left_to_right(setting.schedule))


@named("r2l", "The next positions from the right.")
def _right_to_left(setting: Setting) -> "AbstractDecoder":
    from ..decoders.orders import right_to_left

    return setting.reveal(right_to_left(setting.schedule))


@named("dilated", "Every n/2-th position, then every n/4-th, ... (DUS); takes no schedule.")
def _dilated(setting: Setting) -> "AbstractDecoder":
    from ..decoders.orders import dilated

    return setting.reveal(dilated(setting.denoiser.n))


RANKINGS = {
    "entropy": ("negative_entropy", "Easy-first: the positions of lowest entropy."),
    "confidence": ("confidence", "Easy-first: the most probable best symbol."),
    "margin": ("margin", "Easy-first: the widest gap of the two best symbols."),
    "hard-first": ("row_entropy", "The positions of highest entropy."),
}
"""Rankings by name: the score in `decoders.ranked`, and what it is."""


def _ranked(score: str) -> Build:
    def build(setting: Setting) -> "AbstractDecoder":
        from ..decoders import ranked

        return setting.reveal(ranked.Ranked(getattr(ranked, score), setting.schedule))

    return build


for _name, (_score, _help) in RANKINGS.items():
    named(_name, _help)(_ranked(_score))


@named("ascending", "1, 2, 4, ... most confident positions (ASS); takes no schedule.")
def _ascending(setting: Setting) -> "AbstractDecoder":
    from ..decoders.ranked import Ranked, confidence
    from ..schedules.named import ascending_steps

    return setting.reveal(Ranked(confidence, ascending_steps(setting.denoiser.n)))


@named(
    "threshold",
    "Every position whose best symbol has at least this probability (Fast-dLLM).",
    Knob("threshold", float, 0.9, "Probability of the best symbol."),
)
def _threshold(setting: Setting, threshold: float) -> "AbstractDecoder":
    from ..decoders.thresholds import ConfidenceThreshold

    return setting.reveal(ConfidenceThreshold(threshold))


@named(
    "factor",
    "The k most confident with (k + 1)(1 - confidence of the k-th) < FACTOR (Fast-dLLM).",
    Knob("factor", float, 1.0, "The bound."),
)
def _factor(setting: Setting, factor: float) -> "AbstractDecoder":
    from ..decoders.thresholds import ConfidenceFactor

    return setting.reveal(ConfidenceFactor(factor))


@named(
    "entropy-bounded",
    "Lowest entropies while those before sum to at most BOUND (EB-Sampler).",
    Knob("bound", float, 0.1, "Nats."),
)
def _entropy_bounded(setting: Setting, bound: float) -> "AbstractDecoder":
    from ..decoders.thresholds import EntropyBounded

    return setting.reveal(EntropyBounded(bound))


@named(
    "entropy-sum",
    "Random positions until their entropies sum to more (Cai and Li; order our choice).",
    Knob("threshold", float, 0.5, "Nats."),
)
def _entropy_sum(setting: Setting, threshold: float) -> "AbstractDecoder":
    from ..decoders.thresholds import EntropySum

    return setting.reveal(EntropySum(threshold))


@named(
    "early-commit",
    "Most confident first until the model is sure, then everything at once (Prophet).",
    Knob("thresholds", float, (7.5, 5.0, 2.5), "Mean gaps in nats: early, in the middle, late.", size=3),
)
def _early_commit(setting: Setting, thresholds: tuple[float, ...]) -> "AbstractDecoder":
    from ..decoders.nested import EarlyCommit
    from ..decoders.ranked import Ranked, confidence

    rule = EarlyCommit(Ranked(confidence, setting.schedule), thresholds)
    return setting._replace(temperature=0.0).reveal(rule)  # Prophet writes the argmax


@named(
    "semi-autoregressive",
    "Blocks from left to right, within each the most confident first (LLaDA).",
    Knob("block", int, None, "Block length, a divisor of n; the source's own, or half."),
    Knob("width", int, 1, "Positions revealed at once."),
)
def _semi_autoregressive(setting: Setting, block: int | None, width: int) -> "AbstractDecoder":
    from ..decoders.nested import SemiAutoregressive
    from ..decoders.ranked import Ranked, confidence
    from ..schedules.schedule import Schedule

    size = len(setting.partition(block)[0])
    if not 1 <= width <= size:
        refuse("width", width, f"an integer in 1..{size}, the positions of a block")
    counts = [width] * (size // width) + [size % width] * (size % width > 0)
    return setting.reveal(SemiAutoregressive(Ranked(confidence, Schedule(counts)), size))


@named(
    "mean-field",
    "Blocks from left to right, each written at once from its marginals (2602.00286).",
    BLOCK,
    paper_sizes=True,
)
def mean_field(setting: Setting, block: int | None) -> "AbstractDecoder":
    """Blocks of that length at once, from left to right."""
    from ..decoders.orders import FixedPartition

    return setting.reveal(FixedPartition(setting.partition(block)))
