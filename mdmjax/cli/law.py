"""`mdmjax law SOURCE DECODER`: the exact output law of a decoder, beside the truth and the best."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError, refuse
from ..studies.named_decoders import COMPARED, DECODERS
from ..studies.naming import Setting, check_share
from .choices import ALL, DECODER_CHOICES, families, text_choice
from .options import Command, Option, Parsed, Slot

if TYPE_CHECKING:
    from ..denoisers.base import AbstractDenoiser
    from ..distributions.base import AbstractDistribution
    from ..schedules.schedule import Schedule
    from ..studies.law_report import ComparisonReport, LawReport
    from ..studies.subject import Subject

NOISES = ("mix", "dirichlet", "entropy_noise")
"""The kinds of model error."""


def run(parsed: Parsed) -> None:
    """Compute, write the picture if it is asked for, and show."""
    from .inputs import check_picture, check_seed, check_temperature, source_of, write_picture
    from .progress import track
    from .show import show

    values, chosen = parsed.values, parsed.chosen["decoder"]
    check_temperature(values["temperature"])
    check_seed(values["seed"])
    _check(values)
    check_picture(values["plot"])
    every = values["compare"] or chosen.name == "all"
    paper = not every and DECODERS[chosen.name].paper_sizes and not _errors(values)
    truth, subject = source_of(parsed.chosen["source"], "paper" if paper else "law").distribution(track)
    report = _all(values, truth, subject) if every else _one(parsed, truth, subject)
    write_picture(values["plot"], report)
    show(report, json=values["json"], more=report.whole() if values["full"] else None)


def _one(parsed: Parsed, truth: "AbstractDistribution", subject: "Subject") -> "LawReport":
    """The law of one decoder, exact or estimated."""
    from ..studies.law import is_long, law_study
    from ..studies.law_report import Named

    values, decoder = parsed.values, DECODERS[parsed.chosen["decoder"].name]
    knobs = decoder.values(parsed.chosen["decoder"].values)
    if is_long(truth) and decoder.paper_sizes:
        return _long(parsed, truth, subject)
    if values["samples"] is not None:
        refuse("samples", values["samples"], "none", "the law of this decoder is exact")
    setting = _setting(values, truth)
    named = Named(decoder.build(setting, **knobs), decoder.name, knobs)
    return law_study(
        truth,
        named,
        denoiser=setting.denoiser,
        epsilon=values["epsilon"],
        with_regret=values["regret"],
        subject=subject,
        head=_head(values, truth, setting),
    )


def _long(parsed: Parsed, truth: Any, subject: "Subject") -> "LawReport":
    """Mean-field or verified decoding of a Block-HMM whose law is no table."""
    import jax

    from ..laws.block_decoding import check_contexts, check_samples
    from ..schedules.schedule import Schedule
    from ..studies.law import law_estimate, law_study, oracle_of
    from ..studies.law_report import Named

    values, decoder = parsed.values, DECODERS[parsed.chosen["decoder"].name]
    unfit = [name for name in ("counts", "steps", "plot", "regret") if values[name] not in (None, False)]
    if _errors(values) or unfit:
        bits = f"a Block-HMM of {truth.n} bits, whose law is not a table"
        remedy = "fewer blocks, as --blocks 2 --block-size 4, have them all; --json has these numbers"
        refuse(", ".join([*_errors(values), *unfit]), "given", f"none of it with {bits}", remedy)
    knobs = decoder.values(parsed.chosen["decoder"].values)
    if knobs["block"] not in (None, truth.block_size):
        refuse("block", knobs["block"], f"the source's own, {truth.block_size}", "at this length")
    if values["samples"] is None:
        check_contexts(truth)  # before its positions are listed
    else:
        check_samples(truth, values["samples"])
    denoiser = oracle_of(truth)
    one_by_one = Schedule([1] * truth.n)
    setting = Setting(denoiser, one_by_one, truth.block_size, truth=truth)
    named = Named(decoder.build(setting, **knobs), decoder.name, knobs)
    about = {"epsilon": values["epsilon"], "subject": subject}
    if values["samples"] is None:
        return law_study(truth, named, denoiser=denoiser, **about)
    return law_estimate(jax.random.key(values["seed"]), truth, named, values["samples"], **about)


def _all(values: dict[str, Any], truth: "AbstractDistribution", subject: "Subject") -> "ComparisonReport":
    """Every decoder with its defaults; one that cannot be made says why."""
    from ..studies.law import comparison_study
    from ..studies.law_report import Named, Refused
    from .progress import track

    if values["samples"] is not None:
        refuse("samples", values["samples"], "none", "the laws of a comparison are exact")
    if values["counts"] is None and values["steps"] is None:
        values = values | {"steps": -(-truth.n // 2)}  # one by one all are alike
    setting, decoders = _setting(values, truth), list[Named | Refused]()
    for name in COMPARED:
        knobs = DECODERS[name].values({})
        try:
            decoders.append(Named(DECODERS[name].build(setting, **knobs), name, knobs))
        except InvalidInputError as error:
            decoders.append(Refused(name, knobs, str(error)))
    return comparison_study(
        truth,
        decoders,
        denoiser=setting.denoiser,
        epsilon=values["epsilon"],
        subject=subject,
        head=_head(values, truth, setting),
        track=track,
    )


def _setting(values: dict[str, Any], truth: "AbstractDistribution") -> Setting:
    """The denoiser with its error, the schedule, and the truth as a table."""
    from ..distributions.block_hmm import BlockHMM
    from ..distributions.joint import tabulate
    from ..studies.law import check_size, oracle_of, tabulated

    check_size(truth.n, truth.q)
    joint = tabulate(truth)
    denoiser = oracle_of(joint) if values["model"] is None else _network(values["model"], truth)
    denoiser = tabulated(_with_error(denoiser, values))
    block = truth.block_size if isinstance(truth, BlockHMM) else max(1, truth.n // 2)
    return Setting(denoiser, _schedule(values, joint), block, values["temperature"], joint)


def _network(folder: Path, truth: "AbstractDistribution") -> "AbstractDenoiser":
    """The trained model of a folder at every context, in the precision of the exact laws."""
    import jax.numpy as jnp

    from ..denoisers.table import tabulate_denoiser
    from ..studies.trained import open_model

    network = open_model(folder).network
    if (network.n, network.q) != (truth.n, truth.q):
        found, wanted = f"n, q = {network.n}, {network.q}", f"n, q = {truth.n}, {truth.q} of the source"
        refuse("model", f"{folder} of {found}", wanted, "give the source these sizes")
    return tabulate_denoiser(network, dtype=jnp.dtype(float))


def _with_error(denoiser: "AbstractDenoiser", values: dict[str, Any]) -> "AbstractDenoiser":
    """The denoiser with the model error that is asked for."""
    import jax

    from ..denoisers.perturbed import DirichletNoise, EntropyNoise, Mixed

    if values["mix"] is not None:
        return Mixed(denoiser, values["mix"])
    if values["dirichlet"] is not None:
        return DirichletNoise(denoiser, values["dirichlet"], key=jax.random.key(values["seed"]))
    if values["entropy_noise"] is not None:
        return EntropyNoise(denoiser, values["entropy_noise"], 0)
    return denoiser


def _schedule(values: dict[str, Any], joint: Any) -> "Schedule":
    """The sizes of the steps: as given, or of a name; one token a step if nothing is said."""
    from ..information.enumeration import information_curve
    from ..schedules.named import NAMED
    from ..schedules.optimal import optimal_schedule
    from .inputs import check_steps, counts_of

    n = joint.n
    if values["counts"] is not None:
        return counts_of(values["counts"], n)
    steps = n if values["steps"] is None else values["steps"]
    check_steps(steps, n)
    if values["schedule"] == "best":
        return optimal_schedule(information_curve(joint), steps)
    return NAMED[values["schedule"]](n, steps)


def _head(values: dict[str, Any], truth: "AbstractDistribution", setting: Setting) -> dict[str, Any]:
    """What the reader should know beside the numbers."""
    counts = setting.schedule.counts
    head = {"counts": counts, "steps": counts.size, "denoiser": _errors(values) or "the oracle"}
    if values["model"] is not None and truth.n > 1:
        from ..losses.circulation import local_circulation

        head["local_circulation"] = local_circulation(setting.truth, setting.denoiser).mean_abs  # type: ignore[arg-type]
    return head


def _errors(values: dict[str, Any]) -> dict[str, float | str]:
    """What makes the denoiser, or the writing, differ from the oracle."""
    model = {} if values["model"] is None else {"model": str(values["model"])}
    knobs = {name: values[name] for name in NOISES if values[name] is not None}
    temperature = {} if values["temperature"] == 1 else {"temperature": values["temperature"]}
    return model | knobs | temperature


def _check(values: dict[str, Any]) -> None:
    """Refuse, before any work, options that do not fit."""
    if not 0 <= values["epsilon"] <= 1:
        refuse("epsilon", values["epsilon"], "a probability in [0, 1]")
    check_share("mix", values["mix"])
    for name in ("dirichlet", "entropy_noise"):
        if values[name] is not None and not 0 < values[name] < float("inf"):
            refuse(name, values[name], "a finite number > 0")
    given = [name for name in NOISES if values[name] is not None]
    if len(given) > 1:
        refuse(", ".join(given), "given together", "one kind of model error")
    if values["counts"] is not None and values["steps"] is not None:
        refuse("counts, steps", f"{values['counts']}, {values['steps']}", "only one of the two")
    if values["samples"] is not None and values["samples"] < 2:
        refuse("samples", values["samples"], "an integer >= 2")


COMMAND = Command(
    "law",
    "Exact output law of a decoder: how far from the truth, at what cost, how far from the best.",
    run,
    slots=(
        Slot("source", (*families("law"), text_choice(5))),
        Slot("decoder", (ALL, *DECODER_CHOICES), default="all"),
    ),
    options=(
        Option("counts", str, None, "Tokens revealed at each step; they sum to n.", "S1,S2,..."),
        Option(
            "steps", int, None, "Number of steps, sized by --schedule; one token a step (all: n/2 steps)."
        ),
        Option(
            "schedule",
            str,
            "llada_uniform",
            "How --steps sizes its steps; best: the optimum for random order.",
            choices=("llada_uniform", "dllm_cosine", "pyramid", "geometric", "best"),
        ),
        Option(
            "temperature",
            float,
            1.0,
            "Tokens are drawn at it, 0: the argmax. Choices go by the model's own rows, except in decoders "
            "that draw before they choose.",
        ),
        Option("model", Path, None, "The denoiser is the model that `mdmjax train` wrote here.", "DIR"),
        Option("mix", float, None, "Model error: a share MIX of every row is uniform."),
        Option(
            "dirichlet",
            float,
            None,
            "Model error: rows drawn from the Dirichlet law of this concentration.",
        ),
        Option(
            "entropy-noise",
            float,
            None,
            "Model error: KL(model || truth) of a row is this share of its entropy (Assumption 4.2).",
        ),
        Option("seed", int, 0, "Seed of --dirichlet and --samples."),
        Option("epsilon", float, 1e-8, "Incoherent: of probability at most this."),
        Option(
            "samples", int, None, "Estimate the long Block-HMM from so many sequences instead of exactly."
        ),
        Option(
            "regret", bool, False, "Also how far the forward KL is above the best policy of as many calls."
        ),
        Option(
            "compare", bool, False, "All decoders in one table, whatever DECODER is, with their regret."
        ),
        Option("json", bool, False, "Print one JSON object instead of the table."),
        Option("full", bool, False, "With --json: also the law and the truth of every sequence."),
        Option("plot", Path, None, "Draw the law, or KL against calls, into this .png or .pdf file."),
    ),
    examples=(
        ("mdmjax law block-hmm mean-field", "the experiment of arXiv 2602.00286, 64 bits"),
        ("mdmjax law markov entropy --n 8 --steps 4 --regret", "easy-first, and how far from the best"),
        ("mdmjax law noisy-bit --n 6 --mix 0.05 --plot laws.png", "every decoder with a wrong model"),
    ),
)
