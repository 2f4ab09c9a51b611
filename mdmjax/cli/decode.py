"""`mdmjax decode DIR DECODER`: sequences of a trained model, and what their traces say of the decoder."""

from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from ..studies.named_decoders import DECODERS
from ..studies.naming import NamedDecoder, Setting
from .choices import ANIMATE, COUNTS, DECODER_CHOICES, MODEL_FOLDER, SHOWN, TEMPERATURE
from .options import Command, Option, Parsed, Slot

SAMPLES, PROBLEMS = 4, 64  # sequences; held-out problems of a task (our choices)
MASKED = "░"  # as a masked position is shown


def run(parsed: Parsed) -> None:
    """Decode, write the traces or the answers if they are asked for, and show."""
    from ..decoders.prompted import written_positions
    from ..denoisers.conditioned import Conditioned
    from ..files.atomic import write_bytes
    from ..files.prompts import write_outputs
    from ..files.trace_files import write_traces
    from .inputs import key_of, schedule_of
    from .output import show, track

    values, chosen = parsed.values, parsed.chosen["decoder"]
    folder, out = values["folder"], values["out"]
    decoder, key = DECODERS[chosen.name], key_of(values["seed"])
    check(values, decoder)
    trained = mj.open_model(folder)
    network, one = trained.network, trained.network
    asked, n = asked_of(trained, values), network.n
    if asked is not None:
        import jax.numpy as jnp

        given = asked.given(network.q)
        positions = written_positions(given)
        n = positions.size
        one = Conditioned(network, jnp.asarray(asked.start[0]), jnp.asarray(positions))
        check_schedule(values, bool(given[:, positions].any()), n, trained)
    name = values["schedule"] or "llada_uniform"
    schedule, how = schedule_of(values, name, n, lambda: trained.curve(track))
    setting = Setting(one, schedule, max(1, n // 2), values["temperature"])
    named, about = decoder.named(setting, **chosen.values), {"schedule": schedule, "schedule_of": how}
    about |= {"model": str(folder), "alphabet": trained.alphabet, "out": out and str(out)}
    about |= {name: values[name] for name in ("batch", "temperature", "seed")}
    about |= {"asked": asked, "task": trained.task, "end": values["end"] or "keep"}
    samples = SAMPLES if values["samples"] is None else values["samples"]
    keep = values["canvases"] or values["animate"] is not None
    report = mj.decode_study(key, network, named, samples, keep=keep, **about)
    if out and out.suffix.lower() == ".jsonl":
        write_outputs(out, report.outputs(asked and asked.ids))
    elif out:
        traces = report.traces if values["canvases"] else report.traces._replace(canvases=None)
        write_traces(out, traces, network.q)
    if (path := values["animate"]) is not None:
        from ..studies.trace_pictures import drawn

        write_bytes(path, drawn(report.traces, network.q, named.name))
    show(report, json=values["json"])


def asked_of(trained: Any, values: dict[str, Any]) -> Any:
    """What is given of each sequence; `None` where nothing is."""
    import numpy as np

    from ..files.prompts import Prompt, read_prompts
    from ..studies.answers import Asked, asked_of_problems, asked_of_task, asked_of_text
    from ..studies.task_source import HELD_OUT_SEED
    from ..tasks.grading import id_of
    from ..tasks.registry import task_in

    task, texts = trained.task, list(values["prompt"])
    alphabet: Any = trained.alphabet
    if task is None and alphabet is None:
        for name in ("prompt", "prompts", "template"):
            if values[name]:
                refuse(name, "given", "left out", "this model is of a distribution, which has no text")
    if task is None and values["end"]:
        refuse("end", values["end"], "left out", "this model is of no task: it has no symbol for the end")
    if task is not None and values["template"] is not None:
        refuse(
            "template", values["template"], "left out for a task", "--prompt has what a task leaves open"
        )
    prompts = [Prompt(number, text) for number, text in enumerate(texts)]
    if values["prompts"] is not None:
        prompts = read_prompts(values["prompts"])
    if task is not None and not prompts:
        count = PROBLEMS if values["samples"] is None else values["samples"]
        source = trained.source
        ids = [id_of(task_in(source.task), HELD_OUT_SEED, number) for number in range(count)]
        return asked_of_problems(source.held_out(count), task.q, ids)
    if task is not None:
        found, each = asked_of_task(task, prompts), values["samples"] or 1
    elif alphabet is not None and values["template"] is not None:
        found = asked_of_text(alphabet, [values["template"]], trained.network.n, values["mask"])
        each = values["samples"] or SAMPLES
    elif alphabet is not None and prompts:
        found = asked_of_text(alphabet, [prompt.text for prompt in prompts], trained.network.n)
        found, each = found._replace(ids=[prompt.id for prompt in prompts]), values["samples"] or SAMPLES
    else:
        return None
    return Asked(np.repeat(found.start, each, axis=0), [one for one in found.ids for _ in range(each)])


def check_schedule(values: dict[str, Any], differ: bool, n: int, trained: Any) -> None:
    """Refuse a schedule where answers are at different positions, or the curve is of another length."""
    if differ:
        for name in ("counts", "steps", "schedule"):
            if values[name] is not None:
                remedy = "answers are at different positions: one token a step, or a decoder without steps"
                refuse(name, values[name], "left out", remedy)
    if values["schedule"] == "best" and n != trained.positions.size:
        curve = f"its loss curve is of {trained.positions.size} positions, and {n} are written here"
        refuse("schedule", "best", "another one", curve)


def check(values: dict[str, Any], decoder: NamedDecoder) -> None:
    """Refuse, before any work, options that do not fit or a file that could not be written."""
    from .._checks import check_integer
    from ..files.atomic import check_not_itself
    from .inputs import check_gif, check_suffix, check_temperature

    if decoder.needs_truth:
        remedy = f"`mdmjax law SOURCE {decoder.name} --model DIR` has it for a known one"
        refuse("decoder", decoder.name, "one that does not need the true distribution", remedy)
    for name in ("samples", "batch"):
        if values[name] is not None:
            check_integer(name, values[name], 1)
    asked = [name for name in ("prompt", "prompts", "template") if values[name]]
    if len(asked) > 1:
        refuse(", ".join(asked), "given together", "only one of them")
    if values["mask"] != MASKED and values["template"] is None:
        refuse("mask", values["mask"], "left out without --template")
    if len(values["mask"]) != 1:
        refuse("mask", repr(values["mask"]), "one character")
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
        check_suffix("out", values["out"], ".npz", ".jsonl")
        if values["prompts"]:
            check_not_itself("out", values["out"], values["prompts"], "--prompts")
    if values["canvases"] and (not values["out"] or values["out"].suffix.lower() != ".npz"):
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
        Option("samples", int, None, "Number of sequences, for each prompt if there are any; 4. Of a task, "
               "one a prompt, or without prompts 64 held-out problems."),
        Option("prompt", str, (), "What is given: the problem of a task, or the beginning of a text.",
               "TEXT ...", repeated=True),
        Option("prompts", Path, None, "Prompts, as `mdmjax task` writes them: `id` and `prompt` a line.",
               "FILE.jsonl"),
        Option("template", str, None, "A text to be filled in where --mask is."),
        Option("mask", str, MASKED, "The character of a template that is filled in.", "CHARACTER"),
        Option("end", str, None, "Of an answer, what follows its first padding: kept, or cut as in LLaDA; "
               "keep if nothing is said.", choices=("keep", "cut")),
        Option("batch", int, 64, "Sequences decoded at once: bounds the memory."),
        TEMPERATURE,
        Option("seed", int, 0, "Seed of the draws."),
        *SHOWN,
        Option("out", Path, None, "Where tokens, the step that finalised each, and calls go; .jsonl: `id`, "
               "`prompt` and `output` a line, for `mdmjax task NAME --grade`.", "FILE.npz|.jsonl"),
        Option("canvases", bool, False, "Write the tokens before each step into --out too."),
        ANIMATE,
    ),
    examples=(
        ("mdmjax decode model --steps 16 --schedule best --samples 2", "the best sixteen steps"),
        ("mdmjax decode model threshold --threshold 0.9 --out traces.npz", "and the traces of it"),
        ("mdmjax decode model --prompt 'def '", "a text that begins so"),
        ("mdmjax decode sums confidence --temperature 0 --prompt 12+9= 99+1=", "a model of task:addition"),
    ),
)  # fmt: skip
