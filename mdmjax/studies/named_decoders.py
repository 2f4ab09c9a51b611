"""The list of decoders by name: rules that only reveal, those that verify or mask again, the best."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._errors import refuse
from .naming import Knob, NamedDecoder, Setting, check_share

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder, AbstractRule
    from ..schedules.schedule import Schedule

Build = Callable[..., "AbstractDecoder"]


def _at(place: str) -> Any:
    """What `file.name` of `mdmjax.decoders` is, imported now."""
    file, name = place.split(".")
    return getattr(importlib.import_module(f"...decoders.{file}", __name__), name)


def _scheduled(place: str) -> Build:
    """The rule at `place`, made with the schedule."""
    return lambda setting: setting.reveal(_at(place)(setting.schedule))


def _tuned(place: str) -> Build:
    """The rule at `place`, made with its one parameter."""
    return lambda setting, **knob: setting.reveal(_at(place)(*knob.values()))


def _easy_first(schedule: "Schedule", score: str = "confidence") -> "AbstractRule":
    """The positions of the highest score, as many as the schedule says."""
    return _at("ranked.Ranked")(_at(f"ranked.{score}"), schedule)


def _ranked(score: str) -> Build:
    return lambda setting: setting.reveal(_easy_first(setting.schedule, score))


def _ascending(setting: Setting) -> "AbstractDecoder":
    from ..schedules.named import ascending_steps

    return setting.reveal(_easy_first(ascending_steps(setting.denoiser.n)))


def _early_commit(setting: Setting, thresholds: tuple[float, ...]) -> "AbstractDecoder":
    rule = _at("nested.EarlyCommit")(_easy_first(setting.schedule), thresholds)
    return setting._replace(temperature=0.0).reveal(rule)  # Prophet writes the argmax


def _semi_autoregressive(setting: Setting, block: int | None, width: int) -> "AbstractDecoder":
    from ..schedules.schedule import Schedule

    size = len(setting.partition(block)[0])
    if not 1 <= width <= size:
        refuse("width", width, f"an integer in 1..{size}, the positions of a block")
    counts = [width] * (size // width) + [size % width] * (size % width > 0)
    rule = _at("nested.SemiAutoregressive")
    return setting.reveal(rule(_easy_first(Schedule(counts)), size))


def _mean_field(setting: Setting, block: int | None) -> "AbstractDecoder":
    return setting.reveal(_at("orders.FixedPartition")(setting.partition(block)))


def _blocks_of_the_truth(place: str) -> Build:
    """The decoder at `place` that draws blocks from their exact law."""

    def build(setting: Setting, block: int | None) -> "AbstractDecoder":
        return setting.tempered(_at(place)(setting.known_truth(), setting.partition(block)))

    return build


def _speculative(setting: Setting, drafts: int) -> "AbstractDecoder":
    order = list(range(setting.denoiser.n))
    return setting.tempered(_at("speculative.AnySubsetSpeculative")(order, drafts))


def _remdm(
    setting: Setting, cap: float | None, rescale: float | None, by_confidence: bool
) -> "AbstractDecoder":
    from ..decoders.remasking import ReMDM

    given = (cap is not None) + (rescale is not None) + by_confidence
    if given > 1:
        refuse("cap, rescale, by_confidence", f"{given} of them", "one of the three")
    check_share("cap", cap)
    check_share("rescale", rescale)
    if by_confidence:
        return setting.tempered(ReMDM.conf(setting.schedule))
    if rescale is not None:
        return setting.tempered(ReMDM.rescale(setting.schedule, rescale))
    return setting.tempered(ReMDM.cap(setting.schedule, 0.1 if cap is None else cap))


def _wino(setting: Setting, draft: float, verify: float) -> "AbstractDecoder":
    check_share("draft", draft)
    check_share("verify", verify)
    return _at("remasking.Wino")(draft, verify, temperature=setting.temperature)


def _edit(setting: Setting, block: int | None, sweeps: int, width: int) -> "AbstractDecoder":
    from ..decoders.base import MAX_STEPS
    from ..decoders.sweeps import Edited, Sweeps

    if sweeps < 1:
        refuse("sweeps", sweeps, "an integer >= 1", "no sweep at all is mean-field")
    parts = setting.partition(width, "width")
    most = (MAX_STEPS - setting.denoiser.n) // len(parts)
    if sweeps > most:
        refuse("sweeps", sweeps, f"at most {most}", f"a law is followed for {MAX_STEPS} steps")
    written = _mean_field(setting._replace(temperature=1.0), block)
    return setting.tempered(Edited(written, Sweeps(parts, sweeps)))


def _optimal(setting: Setting, price: float | None) -> "AbstractDecoder":
    from ..distributions.joint import tabulate
    from ..policies.optimal import optimal_policy, optimal_policy_calls

    joint = tabulate(setting.known_truth())
    if price is None:
        best = optimal_policy(joint, setting.schedule.steps, denoiser=setting.denoiser)
    else:
        best = optimal_policy_calls(joint, price, denoiser=setting.denoiser)
    return setting.reveal(best.decoder.rule)


_BLOCK = Knob("block", int, None, "Block length; the source's own, or half of the sequence.")
_DRAFTS = Knob("drafts", int, 4, "Tokens drafted a step.")

DECODERS: dict[str, NamedDecoder] = {}
"""Every decoder by its name."""


def _add(name: str, help: str, build: Build, *knobs: Knob, **flags: bool) -> None:
    DECODERS[name] = NamedDecoder(name, help, build, knobs, **flags)


_add("random", "Uniformly random positions.", _scheduled("orders.RandomSubset"))
_add("l2r", "The next positions from the left.", _scheduled("orders.left_to_right"))
_add("r2l", "The next positions from the right.", _scheduled("orders.right_to_left"))
_add(
    "dilated",
    "Every n/2-th position, then every n/4-th, ... (DUS); takes no schedule.",
    lambda setting: setting.reveal(_at("orders.dilated")(setting.denoiser.n)),
)
_add("entropy", "Easy-first: the positions of lowest entropy.", _ranked("negative_entropy"))
_add("confidence", "Easy-first: the most probable best symbol.", _ranked("confidence"))
_add("margin", "Easy-first: the widest gap of the two best symbols.", _ranked("margin"))
_add("hard-first", "The positions of highest entropy.", _ranked("row_entropy"))
_add("ascending", "1, 2, 4, ... most confident positions (ASS); takes no schedule.", _ascending)
_add(
    "threshold",
    "Every position whose best symbol has at least this probability (Fast-dLLM).",
    _tuned("ranked.ConfidenceThreshold"),
    Knob("threshold", float, 0.9, "Probability of the best symbol."),
)
_add(
    "factor",
    "The k most confident with (k + 1)(1 - confidence of the k-th) < FACTOR (Fast-dLLM).",
    _tuned("ranked.ConfidenceFactor"),
    Knob("factor", float, 1.0, "The bound."),
)
_add(
    "entropy-bounded",
    "Lowest entropies while those before sum to at most BOUND (EB-Sampler).",
    _tuned("ranked.EntropyBounded"),
    Knob("bound", float, 0.1, "Nats."),
)
_add(
    "entropy-sum",
    "Random positions until their entropies sum to more (Cai and Li; order our choice).",
    _tuned("ranked.EntropySum"),
    Knob("threshold", float, 0.5, "Nats."),
)
_add(
    "early-commit",
    "Most confident first until the model is sure, then everything at once (Prophet).",
    _early_commit,
    Knob("thresholds", float, (7.5, 5.0, 2.5), "Mean gaps in nats: early, in the middle, late.", 3),
)
_add(
    "semi-autoregressive",
    "Blocks from left to right, within each the most confident first (LLaDA).",
    _semi_autoregressive,
    Knob("block", int, None, "Block length, a divisor of n; the source's own, or half."),
    Knob("width", int, 1, "Positions revealed at once."),
)
_add(
    "mean-field",
    "Blocks from left to right, each written at once from its marginals (2602.00286).",
    _mean_field,
    _BLOCK,
    paper_sizes=True,
)
_add(
    "verified",
    "Blocks from left to right, each drawn from its exact law by enumeration (2602.00286).",
    _blocks_of_the_truth("verification.BlockVerification"),
    _BLOCK,
    needs_truth=True,
    paper_sizes=True,
)
_add(
    "rejection",
    "As verified, but proposed from the marginals and accepted or not (Prop. 5.1).",
    _blocks_of_the_truth("verification.BlockRejection"),
    _BLOCK,
    needs_truth=True,
)
_add(
    "speculative",
    "Left to right, DRAFTS tokens drawn at once and verified by a second call (ASSD).",
    _speculative,
    _DRAFTS,
)
_add(
    "draft-verify",
    "Greedy, most confident first, DRAFTS steps checked in one batched call (FreeDave).",
    lambda setting, drafts: setting.tempered(_at("speculative.DraftAndVerify")(drafts)),
    _DRAFTS,
)
_add(
    "low-confidence",
    "Remasking: everything drawn, the least confident draws masked again (LLaDA).",
    lambda setting: _at("remasking.LowConfidence")(setting.schedule, temperature=setting.temperature),
)
_add(
    "remdm",
    "Remasking: every token may be masked again (ReMDM), by CAP, RESCALE or by confidence.",
    _remdm,
    Knob("cap", float, None, "Most probable masking of a token again; 0.1 if nothing is given."),
    Knob("rescale", float, None, "Share of the highest probability that the schedule allows."),
    Knob("by_confidence", bool, False, "The highest probability, shared out by lack of confidence."),
)
_add(
    "wino",
    "Remasking: confident positions drafted, doubtful tokens masked again (WINO).",
    _wino,
    Knob("draft", float, 0.6, "Probability of the best symbol from which it is written."),
    Knob("verify", float, 0.9, "Probability, given the others, below which it is masked again."),
)
_add(
    "edit",
    "Blocks written at once from left to right, then Gibbs sweeps (generate-then-edit).",
    _edit,
    _BLOCK,
    Knob("sweeps", int, 1, "Sweeps; each draws every position again, given the others."),
    Knob("width", int, 1, "Positions drawn again at once: 1 is Gibbs sampling."),
)
_add(
    "optimal",
    "The best policy (Bellman): least KL for --steps calls, or for a price of a call.",
    _optimal,
    Knob("price", float, None, "Nats a call: minimise KL + PRICE * E[calls]."),
    needs_truth=True,
)

COMPARED = tuple(name for name in DECODERS if name != "rejection")
"""Those of the table of all decoders: a proposal of `rejection` is no call."""
