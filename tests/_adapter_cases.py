"""Random plans, and the module of an adapter for one."""

import sys
import types

import numpy as np

from mdmjax import Schedule
from mdmjax.adapters.source import adapter_source
from mdmjax.schedules.plan import Plan


def cut(rng, n, steps):
    """A random schedule of exactly `steps` steps."""
    inner = 1 + rng.permutation(n - 1)[: steps - 1]
    return Schedule(np.diff([0, *np.sort(inner), n]).tolist())


def random_plan(rng, most=48):
    """A plan of random counts, for random counts too where a row has fewer masks."""
    n = int(rng.integers(1, most + 1))
    steps = int(rng.integers(1, min(n, 9) + 1))
    fewer = rng.permutation(n - 1)[:3] + 1
    return Plan(cut(rng, n, steps), {int(m): cut(rng, int(m), min(steps, int(m))) for m in fewer})


def random_blocks(rng, most=9):
    """A plan of several blocks, each of random steps and counts."""
    length, number = int(rng.integers(2, most + 1)), int(rng.integers(2, 5))
    blocks = []
    for b in range(number):
        steps = int(rng.integers(1, length + 1))
        rows = {m: cut(rng, m, int(rng.integers(1, min(m, steps) + 1))) for m in range(1, length) if b == 0}
        blocks.append(Plan(cut(rng, length, steps), rows))
    whole = Schedule([count for block in blocks for count in block.schedule.counts.tolist()])
    return Plan(whole, {}, length, False, tuple(blocks))


def plan_of(literal):
    """The `Plan` of a `PLAN`."""
    entries = lambda key: tuple(
        Plan(Schedule(e["counts"]), {int(m): Schedule(c) for m, c in e["by_masks"].items()})
        for e in literal[key]
    )
    if literal["lengths"]:
        first, *others = entries("lengths")
    else:
        counts = [count for e in literal["blocks"] for count in e["counts"]]
        first, others = Plan(Schedule(counts)), []
    of_blocks = literal["block_length"], literal["every_block"], entries("blocks")
    return Plan(first.schedule, first.by_masks, *of_blocks, tuple(others))


def load(name, plan):
    """The module of an adapter as `--export` writes it."""
    module = types.ModuleType(name.removesuffix(".py"))
    exec(compile(adapter_source(name, plan), name, "exec"), module.__dict__)
    sys.modules.pop(module.__name__, None)
    return module


def planned(plan, call):
    """The counts of every row that the plan has for a call, steps of no token left out."""
    blocks = plan.blocks or (plan,)
    masks = call.get("masks", plan.schedule.n)
    if isinstance(masks, int) or plan.blocks:
        first = plan.block_length - call.get("prompt", 0) % plan.block_length if plan.blocks else masks
        sizes = [first, *(block.schedule.n for block in blocks[1:])]
        row = [c for block, size in zip(blocks, sizes, strict=True) for c in counts_of(block, size)]
        return [row] * (len(masks) if isinstance(masks, list) else call.get("rows", 1))
    return [counts_of(plan, m) for m in masks]


def counts_of(plan, masks):
    if masks == 0:
        return []
    return (plan.schedule if masks == plan.schedule.n else plan.by_masks[masks]).counts.tolist()


def without_zeros(rows):
    return [[count for count in row if count] for row in rows]
