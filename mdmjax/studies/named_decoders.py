"""The decoders by name that verify, speculate or mask again, and the best there is; the whole list."""

from typing import TYPE_CHECKING

from .._errors import refuse
from .named_rules import mean_field
from .naming import BLOCK, DECODERS, DRAFTS, Knob, Setting, check_share, named, truth_of

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder


@named(
    "verified",
    "Blocks from left to right, each drawn from its exact law by enumeration (2602.00286).",
    BLOCK,
    needs_truth=True,
    paper_sizes=True,
)
def _verified(setting: Setting, block: int | None) -> "AbstractDecoder":
    from ..decoders.verification import BlockVerification

    return setting.tempered(BlockVerification(truth_of(setting), setting.partition(block)))


@named(
    "rejection",
    "As verified, but proposed from the marginals and accepted or not (Prop. 5.1).",
    BLOCK,
    needs_truth=True,
)
def _rejection(setting: Setting, block: int | None) -> "AbstractDecoder":
    from ..decoders.verification import BlockRejection

    return setting.tempered(BlockRejection(truth_of(setting), setting.partition(block)))


@named(
    "speculative",
    "Left to right, DRAFTS tokens drawn at once and verified by a second call (ASSD).",
    DRAFTS,
)
def _speculative(setting: Setting, drafts: int) -> "AbstractDecoder":
    from ..decoders.speculative import AnySubsetSpeculative

    return setting.tempered(AnySubsetSpeculative(list(range(setting.denoiser.n)), drafts))


@named(
    "draft-verify",
    "Greedy, most confident first, DRAFTS steps checked in one batched call (FreeDave).",
    DRAFTS,
)
def _draft_verify(setting: Setting, drafts: int) -> "AbstractDecoder":
    from ..decoders.speculative import DraftAndVerify

    return setting.tempered(DraftAndVerify(drafts))


@named(
    "low-confidence",
    "Remasking: everything drawn, the least confident draws masked again (LLaDA).",
)
def _low_confidence(setting: Setting) -> "AbstractDecoder":
    from ..decoders.remasking import LowConfidence

    return LowConfidence(setting.schedule, temperature=setting.temperature)


@named(
    "remdm",
    "Remasking: every token may be masked again (ReMDM), by CAP, RESCALE or by confidence.",
    Knob("cap", float, None, "Most probable masking of a token again; 0.1 if nothing is given."),
    Knob("rescale", float, None, "Share of the highest probability that the schedule allows."),
    Knob("by_confidence", bool, False, "The highest probability, shared out by lack of confidence."),
)
def _remdm(
    setting: Setting, cap: float | None, rescale: float | None, by_confidence: bool
) -> "AbstractDecoder":
    from ..decoders.remasking import ReMDM

    given = (cap is not None) + (rescale is not None) + by_confidence
    if given > 1:
        refuse("cap, rescale, by_confidence", f"{given} of them", "one of the three")
    for name, value in (("cap", cap), ("rescale", rescale)):
        check_share(name, value)
    if by_confidence:
        return setting.tempered(ReMDM.conf(setting.schedule))
    if rescale is not None:
        return setting.tempered(ReMDM.rescale(setting.schedule, rescale))
    return setting.tempered(ReMDM.cap(setting.schedule, 0.1 if cap is None else cap))


@named(
    "wino",
    "Remasking: confident positions drafted, doubtful tokens masked again (WINO).",
    Knob("draft", float, 0.6, "Probability of the best symbol from which it is written."),
    Knob("verify", float, 0.9, "Probability, given the others, below which it is masked again."),
)
def _wino(setting: Setting, draft: float, verify: float) -> "AbstractDecoder":
    from ..decoders.remasking import Wino

    check_share("draft", draft)
    check_share("verify", verify)
    return Wino(draft, verify, temperature=setting.temperature)


@named(
    "edit",
    "Blocks written at once from left to right, then Gibbs sweeps (generate-then-edit).",
    BLOCK,
    Knob("sweeps", int, 1, "Sweeps; each draws every position again, given the others."),
    Knob("width", int, 1, "Positions drawn again at once: 1 is Gibbs sampling."),
)
def _edit(setting: Setting, block: int | None, sweeps: int, width: int) -> "AbstractDecoder":
    from ..decoders.base import MAX_STEPS
    from ..decoders.sweeps import Edited, Sweeps

    if sweeps < 1:
        refuse("sweeps", sweeps, "an integer >= 1", "no sweep at all is mean-field")
    parts = setting.partition(width, "width")
    most = (MAX_STEPS - setting.denoiser.n) // len(parts)
    if sweeps > most:
        refuse("sweeps", sweeps, f"at most {most}", f"a law is followed for {MAX_STEPS} steps")
    written = mean_field(setting._replace(temperature=1.0), block)
    return setting.tempered(Edited(written, Sweeps(parts, sweeps)))


@named(
    "optimal",
    "The best policy (Bellman): least KL for --steps calls, or for a price of a call.",
    Knob("price", float, None, "Nats a call: minimise KL + PRICE * E[calls]."),
    needs_truth=True,
)
def _optimal(setting: Setting, price: float | None) -> "AbstractDecoder":
    from ..distributions.joint import tabulate
    from ..policies.optimal import optimal_policy, optimal_policy_calls

    joint = tabulate(truth_of(setting))
    if price is not None:
        rule = optimal_policy_calls(joint, price, denoiser=setting.denoiser).decoder.rule
    else:
        rule = optimal_policy(joint, setting.schedule.steps, denoiser=setting.denoiser).decoder.rule
    return setting.reveal(rule)


COMPARED = tuple(name for name in DECODERS if name != "rejection")
"""Those of the table of all decoders: a proposal of `rejection` is no call."""
