"""`mdmjax likelihood DIR [DECODER ...]`: how likely data are under the decoders of a trained model."""

from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from ..studies.named_decoders import COMPARED, DECODERS
from .choices import SHOWN
from .decoder_words import named_word, parsed_word
from .models import EITHER, FOR_HUGGING_FACE, judged_of
from .options import Command, Option, Parsed, Positional

MODES = ("budget", "frontier", "schedules")
SCHEDULES = ("llada_uniform", "dllm_cosine", "pyramid")  # beside the best
STEPS = 16  # of decoders that take a schedule, if nothing is said (our choice)


def run(parsed: Parsed) -> None:
    """Score, tune or draw the frontier, and show."""
    from ..studies import likelihood, own_law, tuning
    from .inputs import check_picture, key_of, write_picture
    from .output import show, track

    values = parsed.values
    check(values)
    check_picture(values["plot"])
    key = key_of(values["seed"])
    import jax

    drawing, scoring = jax.random.split(key)
    judged = judged_of(str(values["folder"]), values, drawing, values["sequences"], losses=values["losses"])
    n = judged.sequences.shape[1]
    curve: list[Any] = []

    def schedules(steps: int) -> dict[str, Any]:
        """The best of the loss curve, which is measured once where it is not stored, and those in use."""
        if not curve:
            curve.append(judged.curve())
        best = {"best": mj.optimal_schedule(curve[0], steps)}
        return best | {name: mj.NAMED[name](n, steps) for name in SCHEDULES}

    about = {
        "orders": values["orders"],
        "batch": values["batch"],
        "subject": judged.subject,
        "track": track,
    }
    priced, sequences = _cost(values["cost"], n), judged.sequences
    steps = values["steps"] if values["steps"] is not None else min(STEPS, n)
    if values["budget"] is not None:
        about["cost"] = priced
        report = tuning.budget_study(scoring, judged.one, sequences, values["budget"], schedules, **about)
    elif values["frontier"]:
        about["cost"] = priced
        ks = [k for k in _doubling(n) if k <= max(4, n // 4)]
        report = tuning.frontier_study(scoring, judged.one, sequences, ks, schedules, **about)
    elif values["schedules"]:
        ks = [k for k in _doubling(n) if k <= own_law.GRID // 2] if values["steps"] is None else [steps]
        named = {name: {k: schedules(k)[name] for k in ks} for name in ("best", *SCHEDULES)}
        report = own_law.own_law_study(scoring, judged.one, sequences, ks, named=named, **about)
    else:
        words = [parsed_word(word) for word in values["decoders"]]
        given = words or [(name, {}) for name in COMPARED if not DECODERS[name].needs_truth]
        first = judged.denoiser if isinstance(judged.denoiser, mj.AbstractDenoiser) else judged.denoiser[0]
        named = [named_word(name, own, values, first, steps, schedules) for name, own in given]
        good, bad = likelihood.supported(named, first)
        if bad and words:
            refuse("decoder", bad[0].name, "one that only reveals its tokens", bad[0].why)
        about |= {"cost": priced, "refused": bad}
        report = likelihood.likelihood_study(scoring, judged.denoiser, good, sequences, **about)
    write_picture(values["plot"], report)
    show(report, json=values["json"])


def check(values: dict[str, Any]) -> None:
    """Refuse, before any work, options that do not fit."""
    from .._checks import check_integer
    from .inputs import check_temperature

    for name in ("sequences", "orders", "batch"):
        check_integer(name, values[name], 2 if name == "sequences" else 1)
    check_temperature(values["temperature"])
    given = [name for name in MODES if values[name]]
    if len(given) > 1:
        refuse(", ".join(given), "given together", "only one of them")
    if given and values["decoders"]:
        refuse("decoder", values["decoders"][0], f"none with --{given[0]}", "it takes every family")
    unused = ("temperature", "counts", "schedule", "steps") if given else ()
    unused = (*unused[:3], "cost") if values["schedules"] else unused
    for name in unused:
        if values[name] is not None and values[name] != 1.0:
            refuse(name, values[name], f"left out with --{given[0]}", "it is for decoders by name")
    beside = [name for name in ("schedule", "steps") if values[name] is not None]
    if values["counts"] is not None and beside:
        refuse(f"counts, {beside[0]}", "given together", "only one of them")
    if values["plot"] is not None and not values["frontier"]:
        refuse("plot", str(values["plot"]), "left out without --frontier", "the frontier is drawn")
    own = [parsed_word(word)[1].get("schedule") for word in values["decoders"]]
    if values["losses"] is not None and not given and "best" not in (values["schedule"], *own):
        refuse("losses", str(values["losses"]), "left out without --schedule best", "nothing else needs it")


def _doubling(n: int) -> list[int]:
    """1, 2, 4, ... and `n`."""
    return sorted({*(2**i for i in range(n.bit_length()) if 2**i <= n), n})


def _cost(path: Path | None, n: int) -> Any:
    """Milliseconds of a call by revealed tokens, between the rows of a table `revealed,milliseconds`."""
    if path is None:
        return None
    import jax.numpy as jnp
    import numpy as np

    from ..files.arrays import read_text

    wanted = "lines `revealed,milliseconds`, such as 0,41.5"
    rows = dict[float, float]()
    for number, line in enumerate(read_text("cost", path).splitlines(), 1):
        cells, where = line.replace(",", " ").split(), f"{line[:40]!r} in line {number} of {path}"
        if not cells or (number == 1 and cells in (["revealed", "milliseconds"], ["revealed", "ms"])):
            continue
        try:
            revealed, milliseconds = map(float, cells)
        except ValueError:
            refuse("cost", where, wanted)
        if not (0 <= revealed < n and 0 <= milliseconds < np.inf and revealed not in rows):
            refuse("cost", where, f"each number of 0 to {n - 1} revealed tokens once, and a time >= 0")
        rows[revealed] = milliseconds
    if not rows:
        refuse("cost", f"{path}, without rows", wanted)
    at, times = np.array(sorted(rows.items())).T
    return jnp.asarray(np.interp(np.arange(n), at, times))


COMMAND = Command(
    "likelihood",
    "Likelihood of held-out data under the decoders of a trained model: which is best, at what calls?",
    run,
    positionals=(
        EITHER,
        Positional(
            "decoders",
            "Decoders, as confidence or threshold:0.9 or random:schedule=best,steps=8; all without any.",
            "DECODER",
            required=False,
            kind=str,
            many=True,
        ),
    ),
    options=(
        Option("data", Path, None, "Text, .fasta or .jsonl; else what `mdmjax train` held out.", "FILE"),
        Option("sequences", int, 256, "Sequences that are scored."),
        Option(
            "orders", int, 4, "Paths a sequence of decoders that are random: the bound tightens with more."
        ),
        Option("steps", int, None, "Steps of decoders that take a schedule [16]."),
        Option("schedule", str, None, "Their schedule: best, or one in use [llada_uniform].", "NAME"),
        Option("counts", str, None, "Or its counts; they sum to n.", "S1,S2,..."),
        Option("temperature", float, 1.0, "Tokens are drawn at it; at 0 they are scored as drawn at 1."),
        Option(
            "losses",
            Path,
            None,
            "Losses for the best schedule; MODEL/loss_curve.csv, or as measured now; "
            "with hf ./loss_curve.csv.",
            "FILE",
        ),
        Option("budget", float, None, "Tune every family to that many mean calls; which is best?", "CALLS"),
        Option("frontier", bool, False, "NLL against calls for every family."),
        Option("schedules", bool, False, "Is the loss curve's best schedule best for the own law too?"),
        Option(
            "cost", Path, None, "Milliseconds of a call by revealed tokens: what paths take.", "FILE.csv"
        ),
        Option("plot", Path, None, "Draw the frontier into this .png or .pdf."),
        Option("batch", int, 64, "Sequences that the model sees at once: bounds the memory."),
        Option("seed", int, 0, "Seed of the sequences and of random orders."),
        *FOR_HUGGING_FACE,
        *SHOWN,
    ),
    examples=(
        ("mdmjax likelihood model", "every decoder, at 16 steps where it takes any"),
        ("mdmjax likelihood model random:schedule=best,steps=8 threshold:0.9", "two of them"),
        ("mdmjax likelihood model --budget 16", "the best within 16 calls, tuned on half of the data"),
        ("mdmjax likelihood model --frontier --plot frontier.png", "NLL against calls"),
    ),
)
