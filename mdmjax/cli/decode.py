"""`mdmjax decode DIR DECODER`: sequences of a trained model, and what their traces say of the decoder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import refuse
from ..studies.named_decoders import DECODERS
from ..studies.naming import Setting
from .choices import DECODER_CHOICES
from .options import Command, Option, Parsed, Positional, Slot

if TYPE_CHECKING:
    from ..schedules.schedule import Schedule
    from ..studies.trained import Trained


def run(parsed: Parsed) -> None:
    """Decode, write the traces if they are asked for, and show."""
    import jax

    from ..files.trace_files import write_traces
    from ..studies.decode import decode_study
    from ..studies.law_report import Named
    from ..studies.trained import open_model
    from .show import show

    values, decoder = parsed.values, DECODERS[parsed.chosen["decoder"].name]
    check(values, decoder)
    trained = open_model(values["folder"])
    network = trained.network
    schedule, how = _schedule(values, trained)
    setting = Setting(network, schedule, max(1, network.n // 2), values["temperature"])
    knobs = decoder.values(parsed.chosen["decoder"].values)
    report = decode_study(
        jax.random.key(values["seed"]),
        network,
        Named(decoder.build(setting, **knobs), decoder.name, knobs),
        values["samples"],
        schedule=schedule,
        schedule_of=how,
        batch=values["batch"],
        temperature=values["temperature"],
        alphabet=trained.alphabet,
        model=str(values["folder"]),
        seed=values["seed"],
        out=None if values["out"] is None else str(values["out"]),
    )
    if values["out"]:
        write_traces(values["out"], report.traces, network.q)
    show(report, json=values["json"])


def check(values: dict[str, Any], decoder: Any) -> None:
    """Refuse, before any work, options that do not fit or a file that could not be written."""
    from .inputs import check_seed, check_suffix, check_temperature

    if decoder.needs_truth:
        remedy = f"`mdmjax law SOURCE {decoder.name} --model DIR` has it for a known one"
        refuse("decoder", decoder.name, "one that does not need the true distribution", remedy)
    for name in ("samples", "batch"):
        if values[name] < 1:
            refuse(name, values[name], "an integer >= 1")
    check_temperature(values["temperature"])
    check_seed(values["seed"])
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


def _schedule(values: dict[str, Any], trained: "Trained") -> tuple["Schedule", str]:
    """The sizes of the steps, and where they come from."""
    from ..files.schedule_files import read_schedule
    from ..schedules.named import NAMED
    from ..schedules.optimal import optimal_schedule
    from .inputs import check_steps, counts_of
    from .progress import track

    n, name = trained.network.n, values["schedule"] or "llada_uniform"
    if values["counts"] is not None:
        return counts_of(values["counts"], n), "as given"
    if name.endswith(".json"):
        schedule = read_schedule(Path(name))
        if schedule.n != n:
            refuse("schedule", f"{name} of {schedule.n} tokens", f"n = {n} of the model")
        return schedule, f"read from {name}"
    if name != "best" and name not in NAMED:
        refuse("schedule", name, f"best, a file .json, or one of {', '.join(NAMED)}")
    steps = n if values["steps"] is None else values["steps"]
    check_steps(steps, n)
    if name == "best":
        curve, how = trained.curve(track)
        return optimal_schedule(curve, steps), f"best {how}"
    return NAMED[name](n, steps), name


COMMAND = Command(
    "decode",
    "Sequences of a trained model by any decoder, and how parallel and in which order it wrote them.",
    run,
    positionals=(Positional("folder", Path, "Folder that `mdmjax train` wrote.", "DIR"),),
    slots=(Slot("decoder", DECODER_CHOICES, default="random"),),
    options=(
        Option("counts", str, None, "Tokens revealed at each step; they sum to n.", "S1,S2,..."),
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
        Option(
            "temperature",
            float,
            1.0,
            "Tokens are drawn at it, 0: the argmax. Choices go by the model's own rows, except in decoders "
            "that draw before they choose.",
        ),
        Option("seed", int, 0, "Seed of the draws."),
        Option("json", bool, False, "Print one JSON object instead of the text."),
        Option(
            "out",
            Path,
            None,
            "Write tokens, the step that finalised each, and calls, of all sequences.",
            "FILE.npz",
        ),
    ),
    examples=(
        ("mdmjax decode model --steps 16 --schedule best --samples 2", "the best sixteen steps"),
        ("mdmjax decode model threshold --threshold 0.9 --out traces.npz", "and the traces of it"),
    ),
)
