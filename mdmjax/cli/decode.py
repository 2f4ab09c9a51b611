"""`mdmjax decode DIR DECODER`: sequences of a trained model, and what their traces say of the decoder."""

from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from ..studies.named_decoders import DECODERS
from ..studies.naming import NamedDecoder, Setting
from .choices import ANIMATE, COUNTS, DECODER_CHOICES, MODEL_FOLDER, SHOWN, TEMPERATURE
from .options import Command, Option, Parsed, Slot


def run(parsed: Parsed) -> None:
    """Decode, write the traces if they are asked for, and show."""
    from ..files.atomic import write_bytes
    from ..files.trace_files import write_traces
    from .inputs import key_of, schedule_of
    from .output import show, track

    values, chosen = parsed.values, parsed.chosen["decoder"]
    folder, out = values["folder"], values["out"]
    decoder, key = DECODERS[chosen.name], key_of(values["seed"])
    check(values, decoder)
    trained = mj.open_model(folder)
    network, name = trained.network, values["schedule"] or "llada_uniform"
    schedule, how = schedule_of(values, name, network.n, lambda: trained.curve(track))
    setting = Setting(network, schedule, max(1, network.n // 2), values["temperature"])
    named, about = decoder.named(setting, **chosen.values), {"schedule": schedule, "schedule_of": how}
    about |= {"model": str(folder), "alphabet": trained.alphabet, "out": out and str(out)}
    about |= {name: values[name] for name in ("batch", "temperature", "seed")}
    keep = values["canvases"] or values["animate"] is not None
    report = mj.decode_study(key, network, named, values["samples"], keep=keep, **about)
    if out:
        traces = report.traces if values["canvases"] else report.traces._replace(canvases=None)
        write_traces(out, traces, network.q)
    if (path := values["animate"]) is not None:
        from ..studies.trace_pictures import drawn

        write_bytes(path, drawn(report.traces, network.q, named.name))
    show(report, json=values["json"])


def check(values: dict[str, Any], decoder: NamedDecoder) -> None:
    """Refuse, before any work, options that do not fit or a file that could not be written."""
    from .._checks import check_integer
    from .inputs import check_gif, check_suffix, check_temperature

    if decoder.needs_truth:
        remedy = f"`mdmjax law SOURCE {decoder.name} --model DIR` has it for a known one"
        refuse("decoder", decoder.name, "one that does not need the true distribution", remedy)
    for name in ("samples", "batch"):
        check_integer(name, values[name], 1)
    check_temperature(values["temperature"])
    given = [name for name in ("counts", "steps") if values[name] is not None]
    schedule = values["schedule"]
    if schedule is not None and schedule.endswith(".json"):
        given.append("schedule")
    elif schedule is not None and values["steps"] is None:
        refuse("steps", "not given", "an integer in 1..n", f"{schedule} sizes that many steps")
    if len(given) > 1:
        refuse(", ".join(given), "given together", "only one of them")
    if values["out"]:
        check_suffix("out", values["out"], ".npz")
    elif values["canvases"]:
        refuse("canvases", "given without --out", "--out FILE.npz", "they are written there")
    check_gif(values["animate"])


COMMAND = Command(
    "decode",
    "Sequences of a trained model by any decoder, and how parallel and in which order it wrote them.",
    run,
    positionals=(MODEL_FOLDER,),
    slots=(Slot("decoder", DECODER_CHOICES, default="random"),),
    options=(
        COUNTS,
        Option("steps", int, None, "Number of steps, sized by --schedule. Else one token a step."),
        Option(
            "schedule",
            str,
            None,
            "Sizes the steps: llada_uniform, dllm_cosine, pyramid, ...; best: the optimum by the model's "
            "loss curve; or a schedule.json of `mdmjax schedule --export`.",
            "NAME|best|FILE.json",
        ),
        Option("samples", int, 4, "Number of sequences."),
        Option("batch", int, 64, "Sequences decoded at once: bounds the memory."),
        TEMPERATURE,
        Option("seed", int, 0, "Seed of the draws."),
        *SHOWN,
        Option("out", Path, None, "Where tokens, the step that finalised each, and calls go.", "FILE.npz"),
        Option("canvases", bool, False, "Write the tokens before each step into --out too."),
        ANIMATE,
    ),
    examples=(
        ("mdmjax decode model --steps 16 --schedule best --samples 2", "the best sixteen steps"),
        ("mdmjax decode model threshold --threshold 0.9 --out traces.npz", "and the traces of it"),
    ),
)
