"""Every DECODER of the command line that only reveals: its options, and the decoder that it stands for.

A decoder is a frozen dataclass; its `build` imports what it needs, so that `--help` imports nothing.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from .._errors import refuse
from .setting import DecoderOptions, OptionalFloat, OptionalInt, Setting

if TYPE_CHECKING:
    from ..decoders.base import AbstractRule


@dataclasses.dataclass(frozen=True)
class Random(DecoderOptions):
    """Uniformly random positions."""

    name = "random"

    def build(self, setting: Setting) -> "AbstractRule":
        """A random subset a step."""
        from ..decoders.orders import RandomSubset

        return RandomSubset(setting.schedule)


@dataclasses.dataclass(frozen=True)
class LeftToRight(DecoderOptions):
    """The next positions from the left."""

    name = "l2r"

    def build(self, setting: Setting) -> "AbstractRule":
        """A fixed partition."""
        from ..decoders.orders import left_to_right

        return left_to_right(setting.schedule)


@dataclasses.dataclass(frozen=True)
class RightToLeft(DecoderOptions):
    """The next positions from the right."""

    name = "r2l"

    def build(self, setting: Setting) -> "AbstractRule":
        """A fixed partition."""
        from ..decoders.orders import right_to_left

        return right_to_left(setting.schedule)


@dataclasses.dataclass(frozen=True)
class Dilated(DecoderOptions):
    """Every n/2-th position, then every n/4-th, ... (DUS); takes no schedule."""

    name = "dilated"

    def build(self, setting: Setting) -> "AbstractRule":
        """A fixed partition."""
        from ..decoders.orders import dilated

        return dilated(setting.model.n)


class _Ranked(DecoderOptions):
    """The best masked positions by a score of the model's rows."""

    score: ClassVar[str]

    def build(self, setting: Setting) -> "AbstractRule":
        """The ranking with the schedule's sizes."""
        from ..decoders import ranked

        return ranked.Ranked(getattr(ranked, self.score), setting.schedule)


@dataclasses.dataclass(frozen=True)
class Entropy(_Ranked):
    """Easy-first: the positions of lowest entropy."""

    name, score = "entropy", "negative_entropy"


@dataclasses.dataclass(frozen=True)
class Confidence(_Ranked):
    """Easy-first: the positions whose best symbol is most probable."""

    name, score = "confidence", "confidence"


@dataclasses.dataclass(frozen=True)
class Margin(_Ranked):
    """Easy-first: the positions with the widest gap between the two best symbols."""

    name, score = "margin", "margin"


@dataclasses.dataclass(frozen=True)
class HardFirst(_Ranked):
    """The positions of highest entropy."""

    name, score = "hard-first", "row_entropy"


@dataclasses.dataclass(frozen=True)
class Ascending(DecoderOptions):
    """1, 2, 4, ... most confident positions (ASS); takes no schedule."""

    name = "ascending"

    def build(self, setting: Setting) -> "AbstractRule":
        """The ranking with ascending sizes."""
        from ..decoders.ranked import Ranked, confidence
        from ..schedules.named import ascending_steps

        return Ranked(confidence, ascending_steps(setting.model.n))


@dataclasses.dataclass(frozen=True)
class Threshold(DecoderOptions):
    """Every position whose best symbol has at least this probability (Fast-dLLM)."""

    name = "threshold"

    threshold: float = 0.9
    """Probability of the best symbol."""

    def build(self, setting: Setting) -> "AbstractRule":
        """The threshold rule."""
        from ..decoders.parallel import ConfidenceThreshold

        return ConfidenceThreshold(self.threshold)


@dataclasses.dataclass(frozen=True)
class Factor(DecoderOptions):
    """The k most confident positions with (k + 1) (1 - confidence of the k-th) < FACTOR (Fast-dLLM)."""

    name = "factor"

    factor: float = 1.0
    """The bound."""

    def build(self, setting: Setting) -> "AbstractRule":
        """The factor rule."""
        from ..decoders.parallel import ConfidenceFactor

        return ConfidenceFactor(self.factor)


@dataclasses.dataclass(frozen=True)
class EntropyBounded(DecoderOptions):
    """The positions of lowest entropy while those before sum to at most BOUND (EB-Sampler)."""

    name = "entropy-bounded"

    bound: float = 0.1
    """Nats."""

    def build(self, setting: Setting) -> "AbstractRule":
        """The bounded rule."""
        from ..decoders import parallel

        return parallel.EntropyBounded(self.bound)


@dataclasses.dataclass(frozen=True)
class EntropySum(DecoderOptions):
    """Random positions until their entropies sum to more than THRESHOLD (Cai and Li; order our choice)."""

    name = "entropy-sum"

    threshold: float = 0.5
    """Nats."""

    def build(self, setting: Setting) -> "AbstractRule":
        """The rule in random order."""
        from ..decoders import parallel

        return parallel.EntropySum(self.threshold)


@dataclasses.dataclass(frozen=True)
class EarlyCommit(DecoderOptions):
    """Most confident first until the model is sure, then everything at once (Prophet)."""

    name = "early-commit"

    thresholds: tuple[float, float, float] = (7.5, 5.0, 2.5)
    """Mean gap in nats of the two best symbols, early, in the middle and late."""

    def build(self, setting: Setting) -> "AbstractRule":
        """Confidence order with the way out."""
        from ..decoders import early_commit

        return early_commit.EarlyCommit(Confidence().build(setting), self.thresholds)


@dataclasses.dataclass(frozen=True)
class SemiAutoregressive(DecoderOptions):
    """Blocks from left to right, within each the most confident position first (LLaDA)."""

    name = "semi-autoregressive"

    block: OptionalInt = None
    """Positions of a block, a divisor of n; the source's own, or half of the sequence."""
    width: int = 1
    """Positions revealed at once."""

    def build(self, setting: Setting) -> "AbstractRule":
        """Confidence order in blocks."""
        from ..decoders import orders
        from ..decoders.ranked import Ranked, confidence
        from ..schedules.schedule import Schedule

        size = len(setting.partition(self.block)[0])
        if not 1 <= self.width <= size:
            refuse("width", self.width, f"an integer in 1..{size}, the positions of a block")
        counts = [self.width] * (size // self.width) + [size % self.width] * (size % self.width > 0)
        return orders.SemiAutoregressive(Ranked(confidence, Schedule(counts)), size)


@dataclasses.dataclass(frozen=True)
class MeanField(DecoderOptions):
    """Blocks from left to right, each written at once from its marginals (arXiv 2602.00286)."""

    name = "mean-field"
    paper_sizes: ClassVar[dict[str, int]] = {"blocks": 8, "block_size": 8}

    block: OptionalInt = None
    """Positions of a block; the source's own, or half of the sequence."""

    def build(self, setting: Setting) -> "AbstractRule":
        """A fixed partition."""
        from ..decoders.orders import FixedPartition

        return FixedPartition(setting.partition(self.block))


@dataclasses.dataclass(frozen=True)
class Optimal(DecoderOptions):
    """The best policy there is (Bellman): least KL for --steps calls, or for a price of a call."""

    name = "optimal"
    needs_truth = True

    price: OptionalFloat = None
    """Nats a call: minimise KL + PRICE * E[calls], instead of the KL for --steps calls."""

    def build(self, setting: Setting) -> "AbstractRule":
        """A table of what to reveal."""
        from ..policies.optimal import optimal_policy, optimal_policy_calls

        if self.price is not None:
            return optimal_policy_calls(setting.joint, self.price, denoiser=setting.model).decoder
        return optimal_policy(setting.joint, setting.schedule.steps, denoiser=setting.model).decoder
