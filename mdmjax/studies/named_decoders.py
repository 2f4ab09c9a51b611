"""The list of decoders by name goes on: those that verify, mask again or rewrite, and the best."""

from typing import TYPE_CHECKING

from .._errors import refuse
from .named_rules import BLOCK, DECODERS, Build, at, mean_field, named
from .naming import Knob, Setting, check_share

if TYPE_CHECKING:
    from ..decoders.base import AbstractDecoder
    from ..denoisers.base import AbstractDenoiser


def _blocks_of_the_truth(kind: str) -> Build:
    """The decoder that draws blocks from their exact law."""
    return lambda setting, block: setting.tempered(
        at(f"decoders.verification.{kind}")(setting.known_truth(), setting.partition(block))
    )


_DRAFTS = Knob("drafts", int, 4, "Tokens drafted a step.")

named(
    "verified",
    "Blocks from left to right, each drawn from its exact law by enumeration (2602.00286).",
    BLOCK,
    needs_truth=True,
    paper_sizes=True,
)(_blocks_of_the_truth("BlockVerification"))
named(
    "rejection",
    "As verified, but proposed from the marginals and accepted or not (Prop. 5.1).",
    BLOCK,
    needs_truth=True,
)(_blocks_of_the_truth("BlockRejection"))


def _constrained(kind: str) -> Build:
    """Blocks from left to right whose words a constraint accepts."""

    def build(setting: Setting, accept: str, block: int | None) -> "AbstractDecoder":
        from .constraints import satisfied

        rule = at("decoders.orders.FixedPartition")(setting.partition(block))
        made = at(f"decoders.constrained.{kind}")
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
    named(_name, f"Blocks, {_help}", _ACCEPT, BLOCK)(_constrained(_kind))
named("speculative", "Left to right, DRAFTS tokens drawn, then verified by a second call (ASSD).", _DRAFTS)(
    lambda setting, drafts: setting.tempered(
        at("decoders.speculative.AnySubsetSpeculative")(list(range(setting.denoiser.n)), drafts)
    )
)
named("draft-verify", "Greedy, most confident first, DRAFTS steps in a batched check (FreeDave).", _DRAFTS)(
    lambda setting, drafts: setting.tempered(at("decoders.speculative.DraftAndVerify")(drafts))
)
named(
    "dream",
    "Positions drawn without replacement by exp(confidence / CHOICE_TEMPERATURE) (Dream's alg_temp).",
    Knob("choice_temperature", float, 0.1, "0 is confidence, high is random."),
)(
    lambda setting, choice_temperature: setting.reveal(
        at("decoders.ranked.Ranked")(
            at("decoders.ranked.confidence"), setting.schedule, choice_temperature=choice_temperature
        )
    )
)
named(
    "maskgit",
    "As low-confidence, with Gumbel noise on log-confidences, annealed to 0 (MaskGIT).",
    Knob("choice_temperature", float, 4.5, "Of the noise before the first step; 0 is low-confidence."),
)(
    lambda setting, choice_temperature: at("decoders.low_confidence.LowConfidence").maskgit(
        setting.schedule, choice_temperature, temperature=setting.temperature
    )
)
named("low-confidence", "Remasking: everything drawn, the least confident draws masked again (LLaDA).")(
    lambda setting: at("decoders.low_confidence.LowConfidence")(
        setting.schedule, temperature=setting.temperature
    )
)


@named(
    "eoser",
    "As low-confidence, with a discount of the end of text that rises to 1 (EOSER).",
    Knob("eos", int, None, "The symbol that ends a text; the last one if nothing is given."),
    Knob("gamma_min", float, None, "The first factor of its confidence; 0.4, with ASCENDING 0.01."),
    Knob("gamma_max", float, 1.0, "The last."),
    Knob("ascending", bool, False, "With the steps of ascending."),
)
def _eoser(
    setting: Setting, eos: int | None, gamma_min: float | None, gamma_max: float, ascending: bool
) -> "AbstractDecoder":
    q = setting.denoiser.q
    if not 0 <= (q - 1 if eos is None else eos) < q:
        refuse("eos", eos, f"a symbol in 0..{q - 1}")
    return at("decoders.low_confidence.LowConfidence").eoser(
        setting.schedule,
        q - 1 if eos is None else eos,
        least=gamma_min,
        most=gamma_max,
        ascending=ascending,
        temperature=setting.temperature,
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
    return at("decoders.remasking.Wino")(draft, verify, temperature=setting.temperature)


@named(
    "edit",
    "Blocks written at once from left to right, then Gibbs sweeps (generate-then-edit).",
    BLOCK,
    Knob("sweeps", int, 1, "Sweeps; each draws every position again, given the others."),
    Knob("width", int, 1, "Positions drawn again at once: 1 is Gibbs sampling."),
    Knob("editor_mix", float, None, "The editor is the oracle with this share uniform, 0: the oracle."),
)
def _edit(
    setting: Setting, block: int | None, sweeps: int, width: int, editor_mix: float | None
) -> "AbstractDecoder":
    from ..decoders.base import MAX_STEPS
    from ..decoders.sweeps import Edited, Sweeps

    if sweeps < 1:
        refuse("sweeps", sweeps, "an integer >= 1", "no sweep at all is mean-field")
    parts = setting.partition(width, "width")
    most = (MAX_STEPS - setting.denoiser.n) // len(parts)
    if sweeps > most:
        refuse("sweeps", sweeps, f"at most {most}", f"a law is followed for {MAX_STEPS} steps")
    written = mean_field(setting._replace(temperature=1.0), block)
    return setting.tempered(Edited(written, Sweeps(parts, sweeps), _editor(setting, editor_mix)))


def _editor(setting: Setting, mix: float | None) -> "AbstractDenoiser | None":
    """The denoiser of an editor that is not the writer's: of the truth."""
    from .law import oracle_of, tabulated

    if mix is None:
        return None
    check_share("editor_mix", mix)
    return tabulated(at("denoisers.perturbed.Mixed")(oracle_of(setting.known_truth()), mix))


@named(
    "masked-gibbs",
    "Random sets masked and redrawn at once, SWEEPS times n/WIDTH of them (GMLM).",
    Knob("sweeps", int, 1, "Sweeps; each redraws as many tokens as there are."),
    Knob("width", int, 1, "Positions redrawn at once: 1 is Gibbs sampling."),
)
def _masked_gibbs(setting: Setting, sweeps: int, width: int) -> "AbstractDecoder":
    from ..decoders.base import MAX_STEPS

    if sweeps < 1:
        refuse("sweeps", sweeps, "an integer >= 1")
    a_sweep = len(setting.partition(width, "width"))
    most = (MAX_STEPS - 1) // a_sweep
    if sweeps > most:
        refuse("sweeps", sweeps, f"at most {most}", f"a law is followed for {MAX_STEPS} steps")
    steps = sweeps * a_sweep
    return setting.tempered(at("decoders.sweeps.MaskedGibbs")(width, steps))


@named(
    "coral",
    "A sliding block rewritten greedily from several contexts until it stands: a memory (COrAL).",
    Knob("block", int, 16, "Positions of the block."),
    Knob("forward", int, 4, "Positions predicted ahead."),
    Knob("backward", int, 8, "Positions after a token that reconstruct it."),
    Knob("times", int, 8, "How often a token must be written again, with all before it."),
)
def _coral(setting: Setting, times: int, **knobs: int) -> "AbstractDecoder":
    sliding = at("decoders.coral.SlidingBlock")
    return sliding(setting.denoiser.n, repeats=times, **knobs)  # the source writes the argmax


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


NOT_COMPARED = (
    "rejection",
    "dream",
    "maskgit",
    "eoser",
    "coral",
    "dingo",
    "completable",
    "constrained",
)
COMPARED = tuple(name for name in DECODERS if name not in NOT_COMPARED)
"""Those of the table of all decoders: a proposal of `rejection` is no call; `dream` and `maskgit` lie
between two of the others, and laws over words times sets are slow; `eoser` needs a symbol that ends a text,
`coral` writes one sequence, three are for a constraint."""
