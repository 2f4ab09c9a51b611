"""Every DECODER of the command line that verifies, speculates or masks again; and all of them."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from .._errors import refuse
from . import decoders
from .setting import DecoderOptions, OptionalFloat, OptionalInt, Setting, check_share, one_of

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder


@dataclasses.dataclass(frozen=True)
class Verified(DecoderOptions):
    """Blocks from left to right, each drawn from its exact law by enumeration (arXiv 2602.00286)."""

    name = "verified"
    needs_truth = True
    paper_sizes: ClassVar[dict[str, int]] = {"blocks": 8, "block_size": 8}

    block: OptionalInt = None
    """Positions of a block; the source's own, or half of the sequence."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """Enumeration of blocks."""
        from ..decoders.verification import BlockVerification

        return BlockVerification(setting.joint, setting.partition(self.block))


@dataclasses.dataclass(frozen=True)
class Rejection(DecoderOptions):
    """As verified, but proposed from the marginals and accepted with the exact constant (Prop. 5.1)."""

    name = "rejection"
    needs_truth = True

    block: OptionalInt = None
    """Positions of a block; the source's own, or half of the sequence."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """One proposal a step."""
        from ..decoders.verification import BlockRejection

        return BlockRejection(setting.joint, setting.partition(self.block))


@dataclasses.dataclass(frozen=True)
class Speculative(DecoderOptions):
    """Left to right, DRAFTS tokens drawn at once and verified by a second call (ASSD)."""

    name = "speculative"

    drafts: int = 4
    """Tokens drafted a step."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """Any-subset speculative sampling from the left."""
        from ..decoders.speculative import AnySubsetSpeculative

        return AnySubsetSpeculative(list(range(setting.model.n)), self.drafts)


@dataclasses.dataclass(frozen=True)
class DraftVerify(DecoderOptions):
    """Greedy, most confident first, DRAFTS steps checked in one batched call (FreeDave)."""

    name = "draft-verify"

    drafts: int = 4
    """Nested drafts a step."""

    def build(self, setting: Setting) -> "AbstractDecoder":
        """Draft and verify; writes the argmax."""
        from ..decoders.speculative import DraftAndVerify

        return DraftAndVerify(self.drafts)


@dataclasses.dataclass(frozen=True)
class LowConfidence(DecoderOptions):
    """Everything drawn, the least confident draws masked again (LLaDA)."""

    name = "low-confidence"

    def build(self, setting: Setting) -> "AbstractDecoder":
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

    def build(self, setting: Setting) -> "AbstractDecoder":
        """One of the three ways."""
        from ..decoders.remdm import remdm_cap, remdm_conf, remdm_rescale

        given = (self.cap is not None) + (self.rescale is not None) + self.by_confidence
        if given > 1:
            refuse("cap, rescale, by-confidence", f"{given} of them", "one of the three")
        check_share("cap", self.cap)
        check_share("rescale", self.rescale)
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

    def build(self, setting: Setting) -> "AbstractDecoder":
        """Wide in, narrow out."""
        from ..decoders import wino

        check_share("draft", self.draft)
        check_share("verify", self.verify)
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

    def build(self, setting: Setting) -> "AbstractDecoder":
        """The mean-field decoder, then sweeps."""
        from ..decoders.run import MAX_STEPS
        from ..decoders.sweeps import Edited, Sweeps

        if self.sweeps < 1:
            refuse("sweeps", self.sweeps, "an integer >= 1", "no sweep at all is mean-field")
        parts = setting.partition(self.width, "width")
        most = (MAX_STEPS - setting.model.n) // len(parts)
        if self.sweeps > most:
            refuse("sweeps", self.sweeps, f"at most {most}", f"a law is followed for {MAX_STEPS} steps")
        return Edited(decoders.MeanField(self.block).build(setting), Sweeps(parts, self.sweeps))


DECODERS: tuple[type[DecoderOptions], ...] = (
    decoders.Random,
    decoders.LeftToRight,
    decoders.RightToLeft,
    decoders.Dilated,
    decoders.Entropy,
    decoders.Confidence,
    decoders.Margin,
    decoders.HardFirst,
    decoders.Ascending,
    decoders.Threshold,
    decoders.Factor,
    decoders.EntropyBounded,
    decoders.EntropySum,
    decoders.EarlyCommit,
    decoders.SemiAutoregressive,
    decoders.MeanField,
    Verified,
    Rejection,
    Speculative,
    DraftVerify,
    LowConfidence,
    ReMDM,
    Wino,
    Edit,
    decoders.Optimal,
)
"""Every decoder, in the order of the table that compares them."""

COMPARED = tuple(one for one in DECODERS if one is not Rejection)
"""Those of the table: a proposal of `rejection` is no call."""


@dataclasses.dataclass(frozen=True)
class All(DecoderOptions):
    """Every decoder with its defaults, in one table; also what --compare asks for."""

    name = "all"


DecoderChoice = one_of(All, *DECODERS)
"""One of them, or all."""
