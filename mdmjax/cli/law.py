"""`mdmjax law SOURCE DECODER`: the exact output law of a decoder, beside the truth and the best."""

from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import InvalidInputError, refuse
from ..studies.named_decoders import COMPARED, DECODERS
from ..studies.naming import Setting, check_share
from .choices import ALL, COUNTS, DECODER_CHOICES, SHOWN, TEMPERATURE, families, text_choice
from .options import Command, Option, Parsed, Slot

NOISES = ("mix", "dirichlet", "entropy_noise")  # the kinds of model error


def run(parsed: Parsed) -> None:
    """Compute, write the picture if it is asked for, and show."""
    from ..studies.law import is_long
    from .inputs import check_picture, check_temperature, key_of, source_of, write_picture
    from .output import show, track

    values, chosen = parsed.values, parsed.chosen["decoder"]
    check_temperature(values["temperature"])
    key = key_of(values["seed"])
    _check(values | chosen.values)
    check_picture(values["plot"])
    every = values["compare"] or chosen.name == "all"
    paper = not every and DECODERS[chosen.name].paper_sizes
    use = "paper" if paper and not _errors(values) else "law"
    truth, subject = source_of(parsed.chosen["source"], use).distribution(track)
    about = {"epsilon": values["epsilon"], "subject": subject}
    if paper and is_long(truth):
        report = _long(parsed, truth, key, about)
    elif values["samples"] is not None:
        laws = "laws of a comparison are" if every else "law of this decoder is"
        refuse("samples", values["samples"], "none", f"the {laws} exact")
    elif every:
        report = _all(values, truth, key, about)
    else:
        setting = _setting(values, truth, key)
        named = DECODERS[chosen.name].named(setting, **chosen.values)
        about |= {"denoiser": setting.denoiser, "head": _head(values, setting)}
        report = mj.law_study(truth, named, with_regret=values["regret"], **about)
    write_picture(values["plot"], report)
    show(report, json=values["json"], more=report.whole() if values["full"] and not every else None)


def _long(parsed: Parsed, truth: "mj.BlockHMM", key: Any, about: dict[str, Any]) -> Any:
    """Mean-field or verified decoding of a Block-HMM whose law is no table, exact or estimated."""
    from ..laws.block_decoding import check_contexts, check_samples
    from ..studies.law import law_estimate, oracle_of

    values, chosen = parsed.values, parsed.chosen["decoder"]
    unfit = [name for name in ("counts", "steps", "plot", "regret") if values[name] not in (None, False)]
    if _errors(values) or unfit:
        bits = f"a Block-HMM of {truth.n} bits, whose law is not a table"
        remedy = "fewer blocks, as --blocks 2 --block-size 4, have them all; --json has these numbers"
        refuse(", ".join([*_errors(values), *unfit]), "given", f"none of it with {bits}", remedy)
    if chosen.values["block"] not in (None, truth.block_size):
        refuse("block", chosen.values["block"], f"the source's own, {truth.block_size}", "at this length")
    if values["samples"] is None:
        check_contexts(truth)  # before its positions are listed
    else:
        check_samples(truth, values["samples"])
    setting = Setting(oracle_of(truth), mj.Schedule([1] * truth.n), truth.block_size, truth=truth)
    named = DECODERS[chosen.name].named(setting, **chosen.values)
    if values["samples"] is None:
        return mj.law_study(truth, named, denoiser=setting.denoiser, **about)
    return law_estimate(key, truth, named, values["samples"], **about)


def _all(values: dict[str, Any], truth: Any, key: Any, about: dict[str, Any]) -> Any:
    """Every decoder with its defaults; one that cannot be made says why."""
    from ..studies.law_report import Refused
    from .output import track

    if values["counts"] is None and values["steps"] is None:
        values = values | {"steps": -(-truth.n // 2)}  # one by one all are alike
    setting, decoders = _setting(values, truth, key), list[mj.Named | Refused]()
    for name in COMPARED:
        try:
            decoders.append(DECODERS[name].named(setting))
        except InvalidInputError as error:
            decoders.append(Refused(name, DECODERS[name].values(), str(error)))
    about |= {"denoiser": setting.denoiser, "head": _head(values, setting)}
    return mj.comparison_study(truth, decoders, track=track, **about)


def _setting(values: dict[str, Any], truth: Any, key: Any) -> Setting:
    """The denoiser with its error, the schedule, and the truth as a table."""
    from ..studies.law import check_size, oracle_of, tabulated
    from .inputs import schedule_of

    check_size(truth.n, truth.q)
    joint = mj.tabulate(truth)
    denoiser = oracle_of(joint) if values["model"] is None else _network(values["model"], truth)
    if values["mix"] is not None:
        denoiser = mj.Mixed(denoiser, values["mix"])
    elif values["dirichlet"] is not None:
        denoiser = mj.DirichletNoise(denoiser, values["dirichlet"], key=key)
    elif values["entropy_noise"] is not None:
        denoiser = mj.EntropyNoise(denoiser, values["entropy_noise"], 0)
    denoiser, best = tabulated(denoiser), lambda: (mj.information_curve(joint), "")
    schedule, _ = schedule_of(values, values["schedule"], truth.n, best)
    block = truth.block_size if isinstance(truth, mj.BlockHMM) else max(1, truth.n // 2)
    return Setting(denoiser, schedule, block, values["temperature"], joint)


def _network(folder: Path, truth: Any) -> "mj.AbstractDenoiser":
    """The trained model of a folder at every context, in the precision of the exact laws."""
    import numpy as np

    network = mj.open_model(folder).network
    if (network.n, network.q) != (truth.n, truth.q):
        found, wanted = f"n, q = {network.n}, {network.q}", f"n, q = {truth.n}, {truth.q} of the source"
        refuse("model", f"{folder} of {found}", wanted, "give the source these sizes")
    return mj.tabulate_denoiser(network, dtype=np.dtype(float))


def _head(values: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """What the reader should know beside the numbers."""
    counts, truth = setting.schedule.counts, mj.tabulate(setting.known_truth())
    head = {"counts": counts, "steps": counts.size, "denoiser": _errors(values) or "the oracle"}
    if values["model"] is not None and truth.n > 1:
        from ..losses.circulation import local_circulation

        head["local_circulation"] = local_circulation(truth, setting.denoiser).mean_abs
    return head


def _errors(values: dict[str, Any]) -> dict[str, float | str]:
    """What makes the denoiser, or the writing, differ from the oracle."""
    model = {} if values["model"] is None else {"model": str(values["model"])}
    noises = {name: values[name] for name in NOISES if values[name] is not None}
    temperature = {} if values["temperature"] == 1 else {"temperature": values["temperature"]}
    return model | noises | temperature


def _check(values: dict[str, Any]) -> None:
    """Refuse, before any work, options that do not fit."""
    check_share("epsilon", values["epsilon"])
    check_share("mix", values["mix"])
    for name in ("dirichlet", "entropy_noise"):
        if values[name] is not None and not 0 < values[name] < float("inf"):
            refuse(name, values[name], "a finite number > 0")
    given = [name for name in NOISES if values[name] is not None]
    if len(given) > 1:
        refuse(", ".join(given), "given together", "one kind of model error")
    if values["counts"] is not None and values["steps"] is not None:
        refuse("counts, steps", f"{values['counts']}, {values['steps']}", "only one of the two")
    if values["steps"] is not None and values.get("price") is not None:
        refuse("steps, price", f"{values['steps']}, {values['price']}", "only one of the two")
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
        COUNTS,
        Option("steps", int, None, "Number of steps, sized by --schedule; if not given n (all: n/2)."),
        Option(
            "schedule",
            str,
            "llada_uniform",
            "How --steps sizes its steps; best: the optimum for random order.",
            choices=("llada_uniform", "dllm_cosine", "pyramid", "geometric", "best"),
        ),
        TEMPERATURE,
        Option("model", Path, None, "The denoiser is the model that `mdmjax train` wrote here.", "DIR"),
        Option("mix", float, None, "Model error: a share MIX of every row is uniform."),
        Option("dirichlet", float, None, "Model error: rows of a Dirichlet law of this concentration."),
        Option(
            "entropy-noise",
            float,
            None,
            "Model error: KL(model || truth) of a row is this share of its entropy (Assumption 4.2).",
        ),
        Option("seed", int, 0, "Seed of --dirichlet and --samples."),
        Option("epsilon", float, 1e-8, "Incoherent: of probability at most this."),
        Option("samples", int, None, "Estimate the long Block-HMM from so many sequences."),
        Option("regret", bool, False, "Also the forward KL above the best policy of as many calls."),
        Option("compare", bool, False, "All decoders in one table with their regret, not DECODER alone."),
        *SHOWN,
        Option("full", bool, False, "With --json: also the law and the truth of every sequence."),
        Option("plot", Path, None, "Draw the law, or KL against calls, into this .png or .pdf file."),
    ),
    examples=(
        ("mdmjax law block-hmm mean-field", "the experiment of arXiv 2602.00286, 64 bits"),
        ("mdmjax law markov entropy --n 8 --steps 4 --regret", "easy-first, and how far from the best"),
        ("mdmjax law noisy-bit --n 6 --mix 0.05 --plot laws.png", "every decoder with a wrong model"),
    ),
)
