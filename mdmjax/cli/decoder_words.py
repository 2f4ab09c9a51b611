"""Decoders as one word each: `NAME`, or `NAME:KEY=VALUE,...` with parameters, `steps` and `schedule`."""

from typing import Any

from .._errors import refuse, shown
from ..studies.named_decoders import DECODERS
from .parser import perhaps

SCHEDULED = (
    "random",
    "l2r",
    "r2l",
    "entropy",
    "confidence",
    "margin",
    "hard-first",
    "early-commit",
    "dream",
    "maskgit",
    "low-confidence",
)
"""Decoders that take a schedule."""


def parsed_word(word: str) -> tuple[str, dict[str, Any]]:
    """`NAME` or `NAME:KEY=VALUE,...`: a decoder with its parameters, its `steps` and its `schedule`."""
    name, _, rest = word.partition(":")
    if name not in DECODERS:
        remedy = perhaps(name, DECODERS)
        refuse("decoder", shown(name) or "''", f"one of {', '.join(DECODERS)}", remedy)
    if DECODERS[name].needs_truth:
        refuse("decoder", name, "one that does not need the true distribution")
    knobs = {knob.name: knob.kind if knob.size is None else _several for knob in DECODERS[name].knobs}
    kinds = knobs | ({"steps": int, "schedule": str} if name in SCHEDULED else {})
    found = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals and len(knobs) == 1:
            key, value = next(iter(knobs)), pair
        if key not in kinds:
            one = next(iter(kinds), "")
            known = f"parameters among {', '.join(kinds)}, as {name}:{one}=VALUE"
            refuse("decoder", word, known if kinds else "no parameters: it has none")
        if key in found:
            refuse("decoder", word, f"{key} once")
        try:
            found[key] = kinds[key](value)
        except ValueError:
            refuse("decoder", word, f"a number for {key}")
    return name, found


def named_word(name: str, own: dict, values: dict, network: Any, steps: int, schedules: Any) -> Any:
    """The decoder that a word names, with its schedule."""
    from ..studies.naming import Setting
    from .inputs import schedule_of

    own, at_once = dict(own), {"steps", "schedule"} & own.keys()
    counts = None if at_once else values["counts"]
    asked = {"counts": counts, "steps": own.pop("steps", steps)}
    label = own.pop("schedule", values["schedule"]) or "llada_uniform"
    if label == "best" and counts is None:
        if not 1 <= asked["steps"] <= network.n:
            refuse("steps", asked["steps"], f"an integer in 1..n with n = {network.n}")
        schedule = schedules(asked["steps"])["best"]
    else:
        schedule, _ = schedule_of(asked, label, network.n, lambda: (None, ""))
    setting = Setting(network, schedule, max(1, network.n // 2), values["temperature"])
    found = DECODERS[name].named(setting, **own)
    label = label if counts is None else "counts"
    shown = {"schedule": label, "steps": schedule.steps} if name in SCHEDULED else {}
    return found._replace(parameters={**shown, **found.parameters})


def _several(text: str) -> tuple[float, ...]:
    """Numbers with a slash between them."""
    return tuple(map(float, text.split("/")))
