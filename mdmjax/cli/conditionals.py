"""`mdmjax conditionals SOURCE --given "0 ? 1"`: what a distribution says of symbols that are not seen."""

import dataclasses
from pathlib import Path
from typing import Any

from .._errors import refuse
from .choices import SHOWN, families, text_choice
from .options import Chosen, Command, Option, Parsed, Slot


def run(parsed: Parsed) -> None:
    """Read what is seen, compute, write the file that is asked for, and show."""
    import numpy as np

    from ..files.observations import observed_tokens, read_observations, typed_observations
    from ..studies.conditionals import conditionals_study, first_impossible
    from .inputs import check_suffix, source_of
    from .output import show, track

    values = parsed.values
    given = [name for name in ("given", "data") if values[name] is not None]
    if len(given) != 1:
        refuse("given, data", "given together" if given else "not given", "one of the two")
    if values["out"] is not None:
        check_suffix("out", values["out"], ".npz", ".csv")
    (name,) = given
    observed = (typed_observations if name == "given" else read_observations)(values[name])
    source = source_of(_of_length(parsed.chosen["source"], len(observed[0].words)), "curve")
    distribution, subject = source.distribution(track)
    names = subject.facts.get("classes", ())
    tokens = observed_tokens(name, observed, distribution.n, distribution.q, names)
    report = conditionals_study(distribution, tokens, names=names, subject=subject, track=track)
    for row in np.flatnonzero(np.isneginf(report.log_likelihood))[:1]:
        position = first_impossible(distribution, tokens[row])
        found = f"{observed[row].place}, impossible at position {position} (from 0)"
        refuse(name, found, "a sequence of probability above 0")
    report = report if values["out"] is None else report.written(values["out"])
    show(report, json=values["json"])


def _of_length(chosen: Chosen, n: int) -> Chosen:
    """With `n` positions, where the source has a number of them that was not given, nor is in its file."""
    if "file" in chosen.values:
        return chosen
    own = {key: n for key in ("n", "window") if chosen.values.get(key, n) is None}
    return dataclasses.replace(chosen, values=chosen.values | own)


def _text() -> Any:
    """Windows as long as what is given."""
    choice = text_choice(1)
    window = dataclasses.replace(choice.options[0], default=None)
    return dataclasses.replace(choice, options=(window, *choice.options[1:]))


COMMAND = Command(
    "conditionals",
    "Log-likelihood of symbols that are seen, and the law of each that is not, exactly.",
    run,
    slots=(Slot("source", (*families("curve"), _text())),),
    options=(
        Option(
            "given",
            str,
            None,
            "One sequence: symbols 0, 1, ..., with ? for each that is not seen. A source whose length is "
            "not given is as long.",
            "'0 ? 1'",
        ),
        Option("data", Path, None, "Or a text file of many, one a line.", "FILE"),
        *SHOWN,
        Option(
            "out",
            Path,
            None,
            "Where the numbers go: .npz has tokens, log_likelihood and probabilities of all positions; "
            ".csv a line for each that is missing.",
            "FILE.npz|.csv",
        ),
    ),
    examples=(
        ("mdmjax conditionals markov --given '0 ? 1 ? ?'", "a closed form"),
        ("mdmjax conditionals hmm --file hmm.json --data seen.txt --out laws.npz", "many sequences"),
        ("mdmjax conditionals block-hmm --blocks 2 --block-size 4 --given '?0111???'", "a parity bit"),
    ),
)
