"""Every DECODER of the command line: its options, and the decoder that it stands for.

A decoder is a frozen dataclass; its `build` imports what it needs, so that `--help` imports nothing.
"""

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import tyro

from .._errors import refuse

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder
    from ..decoders.kernel import AbstractKernel
    from ..denoisers.base import AbstractDenoiser
    from ..distributions.base import AbstractDistribution
    from ..distributions.joint import Joint
    from ..schedules.schedule import Schedule

OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="INT")]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]


class Setting(NamedTuple):
    """What a decoder is made for; it sees the rows of `model`."""

    distribution: "AbstractDistribution"
    joint: "Joint"
    model: "AbstractDenoiser"
    schedule: "Schedule"
    block: int

    def partition(self, block: int | None = None) -> list[list[int]]:
        """Blocks of that many positions from left to right; the last may be shorter."""
        size, n = block or self.block, self.joint.n
        if not 1 <= size <= n:
            refuse("block", size, f"an integer in 1..n with n = {n}")
        return [list(range(start, min(start + size, n))) for start in range(0, n, size)]


class DecoderOptions:
    """What decoders share: a name, and the sizes of the Block-HMM of the paper that they come from."""

    name: ClassVar[str]
    paper_sizes: ClassVar[dict[str, int]] = {}

    def build(self, setting: Setting) -> "AbstractDecoder | AbstractKernel":
        """The decoder."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Random(DecoderOptions):
    """Uniformly random positions."""

    name = "random"

    def build(self, setting: Setting) -> "AbstractDecoder":
        """A random subset a step."""
        from ..decoders.orders import RandomSubset

        return RandomSubset(setting.schedule)


@dataclasses.dataclass(frozen=True)
class LeftToRight(DecoderOptions):
    """The next positions from the left."""

    name = "l2r"

    def build(self, setting: Setting) -> "AbstractDecoder":
        """A fixed partition."""
        from ..decoders.orders import left_to_right

        return left_to_right(setting.schedule)


@dataclasses.dataclass(frozen=True)
class RightToLeft(DecoderOptions):
    """The next positions from the right."""

    name = "r2l"

    def build(self, setting: Setting) -> "AbstractDecoder":
        """A fixed partition."""
        from ..decoders.orders import right_to_left

        return right_to_left(setting.schedule)


@dataclasses.dataclass(frozen=True)
class Dilated(DecoderOptions):
    """Every n/2-th position, then every n/4-th, ... (DUS); takes no schedule."""

    name = "dilated"

    def build(self, setting: Setting) -> "AbstractDecoder":
        """A fixed partition."""
        from ..decoders.orders import dilated

        return dilated(setting.joint.n)


class _Ranked(DecoderOptions):
    """The best masked positions by a score of the model's rows."""

    score: ClassVar[str]

    def build(self, setting: Setting) -> "AbstractDecoder":
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

    def build(self, setting: Setting) -> "AbstractDecoder":
        """The ranking with ascending sizes."""
        from ..decoders.ranked import Ranked, confidence
        from ..schedules.named import ascending_steps

        return Ranked(confidence, ascending_steps(setting.joint.n))


@dataclasses.dataclass(frozen=True)
class Threshold(DecoderOptions):
    """Every position whose best symbol has at least this probability (Fast-dLLM)."""

    name = "threshold"

    threshold: float = 0.9
    """Probability of the best symbol."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """The threshold rule."""
        from ..decoders.parallel import ConfidenceThreshold

        return ConfidenceThreshold(self.threshold)


@dataclasses.dataclass(frozen=True)
class Factor(DecoderOptions):
    """The k most confident positions with (k + 1) (1 - confidence of the k-th) < FACTOR (Fast-dLLM)."""

    name = "factor"

    factor: float = 1.0
    """The bound."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """The factor rule."""
        from ..decoders.parallel import ConfidenceFactor

        return ConfidenceFactor(self.factor)


@dataclasses.dataclass(frozen=True)
class EntropyBounded(DecoderOptions):
    """The positions of lowest entropy while those before sum to at most BOUND (EB-Sampler)."""

    name = "entropy-bounded"

    bound: float = 0.1
    """Nats."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """The bounded rule."""
        from ..decoders import parallel

        return parallel.EntropyBounded(self.bound)


@dataclasses.dataclass(frozen=True)
class EntropySum(DecoderOptions):
    """Random positions until their entropies sum to more than THRESHOLD (Cai and Li; order our choice)."""

    name = "entropy-sum"

    threshold: float = 0.5
    """Nats."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """The rule in random order."""
        from ..decoders import parallel

        return parallel.EntropySum(self.threshold)


@dataclasses.dataclass(frozen=True)
class EarlyCommit(DecoderOptions):
    """Most confident first until the model is sure, then everything at once (Prophet)."""

    name = "early-commit"

    thresholds: tuple[float, float, float] = (7.5, 5.0, 2.5)
    """Mean gap in nats of the two best symbols, early, in the middle and late."""

    def build(self, setting: Setting) -> "AbstractDecoder":
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

    def build(self, setting: Setting) -> "AbstractDecoder":
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

    def build(self, setting: Setting) -> "AbstractDecoder":
        """A fixed partition."""
        from ..decoders.orders import FixedPartition

        return FixedPartition(setting.partition(self.block))


@dataclasses.dataclass(frozen=True)
class Verified(DecoderOptions):
    """Blocks from left to right, each drawn from its exact law by enumeration (arXiv 2602.00286)."""

    name = "verified"
    paper_sizes: ClassVar[dict[str, int]] = {"blocks": 8, "block_size": 8}

    block: OptionalInt = None
    """Positions of a block; the source's own, or half of the sequence."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """Enumeration of blocks."""
        from ..decoders.verification import BlockVerification

        return BlockVerification(setting.joint, setting.partition(self.block))


@dataclasses.dataclass(frozen=True)
class Rejection(DecoderOptions):
    """As verified, but proposed from the marginals and accepted with the exact constant (Prop. 5.1)."""

    name = "rejection"

    block: OptionalInt = None
    """Positions of a block; the source's own, or half of the sequence."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """One proposal a step."""
        from ..decoders.verification import BlockRejection

        return BlockRejection(setting.joint, setting.partition(self.block))


@dataclasses.dataclass(frozen=True)
class Speculative(DecoderOptions):
    """Left to right, DRAFTS tokens drawn at once and verified by a second call (ASSD)."""

    name = "speculative"

    drafts: int = 4
    """Tokens drafted a step."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """Any-subset speculative sampling from the left."""
        from ..decoders.speculative import AnySubsetSpeculative

        return AnySubsetSpeculative(list(range(setting.joint.n)), self.drafts)


@dataclasses.dataclass(frozen=True)
class DraftVerify(DecoderOptions):
    """Greedy, most confident first, DRAFTS steps checked in one batched call (FreeDave)."""

    name = "draft-verify"

    drafts: int = 4
    """Nested drafts a step."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """Draft and verify; writes the argmax."""
        from ..decoders.speculative import DraftAndVerify

        return DraftAndVerify(self.drafts)


@dataclasses.dataclass(frozen=True)
class LowConfidence(DecoderOptions):
    """Everything drawn, the least confident draws masked again (LLaDA)."""

    name = "low-confidence"

    def build(self, setting: Setting) -> "AbstractKernel":
        """Low-confidence remasking."""
        from ..decoders import low_confidence

        return low_confidence.LowConfidence(setting.schedule, setting.model)


@dataclasses.dataclass(frozen=True)
class ReMDM(DecoderOptions):
    """Every token may be masked again (ReMDM): by at most CAP, or RESCALE of the most, or by confidence."""

    name = "remdm"

    cap: OptionalFloat = None
    """Highest probability of masking a token again; 0.1 if neither it nor RESCALE is given."""
    rescale: OptionalFloat = None
    """Share of the highest probability that the schedule allows."""
    by_confidence: bool = False
    """Instead: the highest probability, shared out by lack of confidence."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """One of the three ways."""
        from ..decoders.remdm import remdm_cap, remdm_conf, remdm_rescale

        given = (self.cap is not None) + (self.rescale is not None) + self.by_confidence
        if given > 1:
            refuse("cap, rescale, by-confidence", f"{given} of them", "one of the three")
        if self.by_confidence:
            return remdm_conf(setting.schedule)
        if self.rescale is not None:
            return remdm_rescale(setting.schedule, self.rescale)
        return remdm_cap(setting.schedule, 0.1 if self.cap is None else self.cap)


@dataclasses.dataclass(frozen=True)
class Wino(DecoderOptions):
    """Confident positions drafted, doubtful tokens masked again (WINO)."""

    name = "wino"

    draft: float = 0.6
    """Probability of the best symbol from which a position is written."""
    verify: float = 0.9
    """Probability, given the others, below which a token is masked again."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """Wide in, narrow out."""
        from ..decoders import wino

        return wino.Wino(self.draft, self.verify, setting.model)


@dataclasses.dataclass(frozen=True)
class Edit(DecoderOptions):
    """Blocks written at once from left to right, then Gibbs sweeps (generate-then-edit)."""

    name = "edit"

    block: OptionalInt = None
    """Positions written at once; the source's own, or half of the sequence."""
    sweeps: int = 1
    """Sweeps; each draws every position again, given the others."""
    width: int = 1
    """Positions drawn again at once: 1 is Gibbs sampling, more is remasking in parallel."""

    def build(self, setting: Setting) -> "AbstractKernel":
        """The mean-field decoder, then sweeps."""
        from ..decoders.sweeps import Edited, Sweeps

        if self.sweeps < 1:
            refuse("sweeps", self.sweeps, "an integer >= 1", "no sweep at all is mean-field")
        return Edited(
            MeanField(self.block).build(setting), Sweeps(setting.partition(self.width), self.sweeps)
        )


@dataclasses.dataclass(frozen=True)
class Optimal(DecoderOptions):
    """The best policy there is (Bellman): least KL for --steps calls, or for a price of a call."""

    name = "optimal"

    price: OptionalFloat = None
    """Nats a call: minimise KL + PRICE * E[calls], instead of the KL for --steps calls."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """A table of what to reveal."""
        from ..laws.optimal_policy import optimal_policy, optimal_policy_calls

        if self.price is not None:
            return optimal_policy_calls(setting.joint, self.price, denoiser=setting.model).decoder
        return optimal_policy(setting.joint, setting.schedule.steps, denoiser=setting.model).decoder


DECODERS: tuple[type[DecoderOptions], ...] = (
    Random,
    LeftToRight,
    RightToLeft,
    Dilated,
    Entropy,
    Confidence,
    Margin,
    HardFirst,
    Ascending,
    Threshold,
    Factor,
    EntropyBounded,
    EntropySum,
    EarlyCommit,
    SemiAutoregressive,
    MeanField,
    Verified,
    Rejection,
    Speculative,
    DraftVerify,
    LowConfidence,
    ReMDM,
    Wino,
    Edit,
    Optimal,
)
"""Every decoder, in the order of the table that compares them."""

COMPARED = tuple(one for one in DECODERS if one is not Rejection)
"""Those of the table: a proposal of `rejection` is no call."""


@dataclasses.dataclass(frozen=True)
class All(DecoderOptions):
    """Every decoder with its defaults, in one table; also what --compare asks for."""

    name = "all"


_CHOICES = [Annotated[one, tyro.conf.subcommand(one.name)] for one in (All, *DECODERS)]

DecoderChoice = functools.reduce(operator.or_, _CHOICES)
"""One of them, or all."""
