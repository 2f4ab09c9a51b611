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

DECODERS: dict[str, NamedDecoder] = {}
"""Every decoder by its name."""


def named(name: str, help: str, *knobs: Knob, **flags: bool) -> Callable[[Build], Build]:
    """Enters what it decorates into the list: it takes the setting, and the knobs by name."""

    def enter(build: Build) -> Build:
        DECODERS[name] = NamedDecoder(name, help, build, knobs, **flags)
        return build

    return enter


def _at(place: str) -> Any:
    """What `room.file.name` of the package is, imported now."""
    file, _, name = place.rpartition(".")
    return getattr(importlib.import_module(f"...{file}", __name__), name)


def _rule(name: str, help: str, place: str, *knobs: Knob) -> None:
    """A rule that is made with its knobs, or with the schedule where it has none."""

    @named(name, help, *knobs)
    def build(setting: Setting, **given: Any) -> "AbstractDecoder":
        return setting.reveal(_at(place)(*(given.values() if knobs else [setting.schedule])))


def _easy_first(schedule: "Schedule", score: str = "confidence") -> "AbstractRule":
    """The positions of the highest score, as many as the schedule says."""
    return _at("decoders.ranked.Ranked")(_at(f"decoders.ranked.{score}"), schedule)


def _blocks_of_the_truth(kind: str) -> Build:
    """The decoder that draws blocks from their exact law."""
    return lambda setting, block: setting.tempered(
        _at(f"decoders.verification.{kind}")(setting.known_truth(), setting.partition(block))
    )


def _ranked(name: str, help: str, score: str) -> None:
    named(name, help)(lambda setting: setting.reveal(_easy_first(setting.schedule, score)))


_BLOCK = Knob("block", int, None, "Block length; the source's own, or half of the sequence.")
_DRAFTS = Knob("drafts", int, 4, "Tokens drafted a step.")

_rule("random", "Uniformly random positions.", "decoders.orders.RandomSubset")
_rule("l2r", "The next positions from the left.", "decoders.orders.left_to_right")
_rule("r2l", "The next positions from the right.", "decoders.orders.right_to_left")
named("dilated", "Every n/2-th position, then every n/4-th, ... (DUS); takes no schedule.")(
    lambda setting: setting.reveal(_at("decoders.orders.dilated")(setting.denoiser.n))
)
_ranked("entropy", "Easy-first: the positions of lowest entropy.", "negative_entropy")
_ranked("confidence", "Easy-first: the most probable best symbol.", "confidence")
_ranked("margin", "Easy-first: the widest gap of the two best symbols.", "margin")
_ranked("hard-first", "The positions of highest entropy.", "row_entropy")
named("ascending", "1, 2, 4, ... most confident positions (ASS); takes no schedule.")(
    lambda setting: setting.reveal(_easy_first(_at("schedules.named.ascending_steps")(setting.denoiser.n)))
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


@named(
    "early-commit",
    "Most confident first until the model is sure, then everything at once (Prophet).",
    Knob("thresholds", float, (7.5, 5.0, 2.5), "Mean gaps in nats: early, in the middle, late.", 3),
)
def _early_commit(setting: Setting, thresholds: tuple[float, ...]) -> "AbstractDecoder":
    rule = _at("decoders.nested.EarlyCommit")(_easy_first(setting.schedule), thresholds)
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
    return setting.reveal(_at("decoders.nested.SemiAutoregressive")(_easy_first(Schedule(counts)), size))


@named(
    "mean-field",
    "Blocks from left to right, each written at once from its marginals (2602.00286).",
    _BLOCK,
    paper_sizes=True,
)
def _mean_field(setting: Setting, block: int | None) -> "AbstractDecoder":
    return setting.reveal(_at("decoders.orders.FixedPartition")(setting.partition(block)))


named(
    "verified",
    "Blocks from left to right, each drawn from its exact law by enumeration (2602.00286).",
    _BLOCK,
    needs_truth=True,
    paper_sizes=True,
)(_blocks_of_the_truth("BlockVerification"))
named(
    "rejection",
    "As verified, but proposed from the marginals and accepted or not (Prop. 5.1).",
    _BLOCK,
    needs_truth=True,
)(_blocks_of_the_truth("BlockRejection"))


def _constrained(kind: str) -> Build:
    """Blocks from left to right whose words a constraint accepts."""

    def build(setting: Setting, accept: str, block: int | None) -> "AbstractDecoder":
        from .constraints import satisfied

        rule = _at("decoders.orders.FixedPartition")(setting.partition(block))
        made = _at(f"decoders.constrained.{kind}")
        n, q, temperature = setting.denoiser.n, setting.denoiser.q, setting.temperature
        return satisfied(accept, q, lambda automaton: made(rule, automaton, n, temperature=temperature))

    return build


_ACCEPT = Knob(
    "accept",
    str,
    ".*",
    "What a whole word must match: a regular expression over the symbols 0-9a-z, as '(0*10*1)*0*', or a "
    ".json or .npz file of an automaton.",
)
for _name, _kind, _help in (
    ("dingo", "Dingo", "each the most probable word that --accept allows (DINGO)."),
    ("completable", "Completable", "drawn as dingo chooses: the rest can be completed (ours)."),
    ("constrained", "Constrained", "drawn from the product of all rows that --accept allows (ours)."),
):
    named(_name, f"Blocks, {_help}", _ACCEPT, _BLOCK)(_constrained(_kind))
named("speculative", "Left to right, DRAFTS tokens drawn, then verified by a second call (ASSD).", _DRAFTS)(
    lambda setting, drafts: setting.tempered(
        _at("decoders.speculative.AnySubsetSpeculative")(list(range(setting.denoiser.n)), drafts)
    )
)
named("draft-verify", "Greedy, most confident first, DRAFTS steps in a batched check (FreeDave).", _DRAFTS)(
    lambda setting, drafts: setting.tempered(_at("decoders.speculative.DraftAndVerify")(drafts))
)
named(
    "dream",
    "Positions drawn without replacement by exp(confidence / CHOICE_TEMPERATURE) (Dream's alg_temp).",
    Knob("choice_temperature", float, 0.1, "0 is confidence, high is random."),
)(
    lambda setting, choice_temperature: setting.reveal(
        _at("decoders.ranked.Ranked")(
            _at("decoders.ranked.confidence"), setting.schedule, choice_temperature=choice_temperature
        )
    )
)
named(
    "maskgit",
    "As low-confidence, with Gumbel noise on log-confidences, annealed to 0 (MaskGIT).",
    Knob("choice_temperature", float, 4.5, "Of the noise before the first step; 0 is low-confidence."),
)(
    lambda setting, choice_temperature: _at("decoders.low_confidence.LowConfidence").maskgit(
        setting.schedule, choice_temperature, temperature=setting.temperature
    )
)
named("low-confidence", "Remasking: everything drawn, the least confident draws masked again (LLaDA).")(
    lambda setting: _at("decoders.low_confidence.LowConfidence")(
        setting.schedule, temperature=setting.temperature
    )
)


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
    check_share("cap", cap)
    check_share("rescale", rescale)
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
    check_share("draft", draft)
    check_share("verify", verify)
    return _at("decoders.remasking.Wino")(draft, verify, temperature=setting.temperature)


@named(
    "edit",
    "Blocks written at once from left to right, then Gibbs sweeps (generate-then-edit).",
    _BLOCK,
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
    written = _mean_field(setting._replace(temperature=1.0), block)
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

    joint, denoiser = tabulate(setting.known_truth()), setting.denoiser
    if price is None:
        best = optimal_policy(joint, setting.schedule.steps, denoiser=denoiser)
    else:
        best = optimal_policy_calls(joint, price, denoiser=denoiser)
    return setting.reveal(best.decoder.rule)


NOT_COMPARED = ("rejection", "dream", "maskgit", "dingo", "completable", "constrained")
COMPARED = tuple(name for name in DECODERS if name not in NOT_COMPARED)
"""Those of the table of all decoders: a proposal of `rejection` is no call; `dream` and `maskgit` lie
between two of the others, and laws over words times sets are slow; three are for a constraint."""
