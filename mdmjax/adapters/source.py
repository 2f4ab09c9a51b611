"""The text of an adapter for a plan, and what an adapter knows of one."""

import pprint
from importlib import resources
from typing import Any

from .._errors import refuse
from ..schedules.plan import Plan

ADAPTERS = {
    "llada_adapter.py": "LLaDA, Fast-dLLM",
    "dllm_adapter.py": "dLLM",
    "dream_adapter.py": "Dream",
    "sdar_adapter.py": "SDAR",
    "block_refinement_adapter.py": "diffusers, LLaDA2",
    "mdlm_adapter.py": "MDLM, ReMDM",
    "maskgit_adapter.py": "MaskGIT, levels of a codec",
    "time_grid_adapter.py": "flow_matching, hackable_diffusion",
}
"""The files that are written, and for whom."""

OF_MODELS = ("llada_adapter.py", "dllm_adapter.py")
"""Those that run a plan of several models: these samplers call their model once a step."""

BEGIN, END = "# PLAN: written by mdmjax\n", "# end of PLAN\n"
IMPORT = "from .shared import "


def adapter_source(name: str, plan: Plan) -> str:
    """The text of the file `name`, one of `ADAPTERS`, for a plan; it imports nothing of mdmjax.

    It is the module of this room of that name, with `shared.py` in the place of its import, and in that the
    plan. Refuses another name.

    >>> from mdmjax import Schedule
    >>> "'counts': [1, 3]" in adapter_source("llada_adapter.py", Plan(Schedule([1, 3])))
    True
    """
    if name not in ADAPTERS:
        refuse("adapter", name, f"one of {', '.join(ADAPTERS)}")
    literal = pprint.pformat(plan_literal(plan), width=100, compact=True, sort_dicts=False)
    before, _, rest = _text("shared.py").partition(BEGIN)
    shared = f"{before}PLAN = {literal}\n{rest.partition(END)[2]}".partition('"""\n')[2]
    head, _, body = _text(name.replace("_adapter", "")).partition(IMPORT)
    names, _, body = body.partition(")\n" if body.startswith("(") else "\n")
    steps = plan.schedule.steps
    of = f"# Written by mdmjax: {steps} step{'s' * (steps > 1)} for {plan.schedule.n} masks"
    return f"{of}, predicted for random order.\n{head.rstrip()}\n\n{shared.strip()}\n\n\n{body.strip()}\n"


def plan_literal(plan: Plan) -> dict[str, Any]:
    """A plan as `PLAN` has it: of every length, and of every block."""
    whole = () if plan.blocks and not plan.every_block else (plan, *plan.lengths)
    return {
        "order": "random",
        "models": list(plan.models),
        "lengths": [_entry(one) for one in sorted(whole, key=lambda one: one.schedule.n)],
        "block_length": plan.block_length,
        "every_block": plan.every_block,
        "blocks": [_entry(block) for block in plan.blocks],
    }


def _entry(plan: Plan) -> dict[str, Any]:
    rows = {m: schedule.counts.tolist() for m, schedule in sorted(plan.by_masks.items())}
    return {"n": plan.schedule.n, "counts": plan.schedule.counts.tolist(), "by_masks": rows}


def _text(name: str) -> str:
    return resources.files("mdmjax.adapters").joinpath(name).read_text(encoding="utf-8")
