r"""A plan as JSON: what other programs read, and how its schedule comes back.

The object of `schedule.json`, schema `"mdmjax.schedule"`, version 1, for $k$ steps on $n$ tokens
with $N_j$ tokens revealed after $j$ steps:

| field                 | value                                                               |
|-----------------------|---------------------------------------------------------------------|
| `schema`, `version`   | `"mdmjax.schedule"`, `1`                                            |
| `n`, `steps`          | integers                                                            |
| `counts`              | `k` integers >= 1 of sum `n`: tokens revealed by each step          |
| `boundaries`          | `k + 1` integers `0 = N_0 < ... < N_k = n`                          |
| `remaining_fractions` | `k + 1` numbers `1 - N_j / n` from 1 to 0: the fraction still masked|
| `decreasing_times`    | `k + 1` diffusion times, 1 to 0: when a linear noise masks as much  |
| `increasing_times`    | `k + 1` flow times `N_j / n` from 0 to 1                            |
| `models`              | where several models share the steps: `k` integers, which takes each|
| `order`               | `"random"`: the order that the expected KL or NLL is for            |
| `by_masks`            | optional: by `m` (a string), `counts` for a row of `m < n` masks    |
| `block_length`        | optional: positions that are finished before the next ones are begun|
| `blocks`              | with it: an object for each block, from left to right               |
| `every_block`         | with it: whether there is one, which all blocks follow              |
| `lengths`             | optional: an object for each other length of generation             |
| `metadata`            | an object of the writer: the curve, its expected KL or NLL, units   |

The objects of `blocks` and `lengths` have `n`, `steps`, `counts` and perhaps `by_masks`. Only `counts` is
needed to read a schedule back: `{"counts": [3, 5]}` is one. With several blocks `counts` are theirs, one
after the other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import refuse, shown
from .plan import Plan
from .schedule import Schedule

SCHEMA, VERSION = "mdmjax.schedule", 1


def to_json_dict(plan: Plan | Schedule, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The object of `schedule.json`; its `metadata` have `"units": "nats"` by default.

    >>> to_json_dict(Schedule([1, 3]), {"curve": "parity"})["decreasing_times"]
    [1.0, 0.75, 0.0]
    """
    plan = plan if isinstance(plan, Plan) else Plan(plan)
    found = {
        "schema": SCHEMA,
        "version": VERSION,
        **_fields(plan.schedule),
        "order": "random",
        **_rows(plan),
    }
    if plan.blocks:
        found |= {"block_length": plan.block_length, "every_block": plan.every_block}
        found["blocks"] = [_entry(block) for block in plan.blocks]
    if plan.lengths:
        found["lengths"] = [_entry(other) for other in plan.lengths]
    if plan.models:
        found["models"] = list(plan.models)
    return {**found, "metadata": {"units": "nats", **metadata}}


def _entry(plan: Plan) -> dict[str, Any]:
    """A block, or another length."""
    counts = plan.schedule.counts.tolist()
    return {"n": plan.schedule.n, "steps": len(counts), "counts": counts, **_rows(plan)}


def _rows(plan: Plan) -> dict[str, Any]:
    """Counts of rows with fewer masks."""
    rows = {str(m): plan.by_masks[m].counts.tolist() for m in sorted(plan.by_masks)}
    return {"by_masks": rows} if rows else {}


def from_json_dict(document: Any) -> Schedule:
    """The schedule of a parsed `schedule.json`, or of any object that has `counts`, positive integers.

    It is one for a single model: a plan whose steps are of several `models` is refused.

    Refuses another schema or version, and other fields of the schema that disagree with the counts (by more
    than `1e-6`, so that a table that went through float32 is read). Fields of no schema are ignored.

    >>> from_json_dict({"counts": [3, 5]}).n
    8
    """
    if not isinstance(document, Mapping):
        refuse("schedule", f"a {type(document).__name__}", 'an object such as {"counts": [3, 5]}')
    if document.get("schema", SCHEMA) != SCHEMA:
        refuse("schema", repr(document["schema"]), repr(SCHEMA))
    if document.get("version", VERSION) != VERSION:
        refuse("version", repr(document["version"]), str(VERSION), "read it with the mdmjax that wrote it")
    counts = document.get("counts")
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        refuse("counts", shown(repr(counts)), "a list of integers", "one count for every step")
    if sum(map(abs, counts)) >= 2**63:
        refuse("counts", shown(repr(counts)), "a sum below 2^63")
    schedule = Schedule(np.array(counts, dtype=np.int64))
    if document.get("models", [0] * len(counts)) != [0] * len(counts):
        remedy = "a sampler of several models reads counts and models itself"
        refuse("models", shown(repr(document["models"])), "0 for every step, a plan of one model", remedy)
    for name, value in _fields(schedule).items():
        if name in document and not _agrees(document[name], value):
            refuse(name, shown(repr(document[name])), f"{shown(repr(value))} for these counts")
    return schedule


def _fields(schedule: Schedule) -> dict[str, Any]:
    """The fields that follow from the counts."""
    n, revealed = schedule.n, schedule.boundaries
    masked = ((n - revealed) / n).tolist()
    return {
        "n": n,
        "steps": schedule.steps,
        "counts": schedule.counts.tolist(),
        "boundaries": revealed.tolist(),
        "remaining_fractions": masked,
        "decreasing_times": masked,
        "increasing_times": (revealed / n).tolist(),
    }


def _agrees(found: Any, expected: Any) -> bool:
    """Whether a field has this value, numbers within `1e-6`."""
    if isinstance(expected, list):
        as_long = isinstance(found, list) and len(found) == len(expected)
        return as_long and all(map(_agrees, found, expected))
    return type(found) in (int, float) and abs(found - expected) <= 1e-6
