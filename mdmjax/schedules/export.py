r"""A schedule as JSON: what other programs read, and how it comes back.

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
| `blocks`              | of a sampler that writes block by block: the counts of every block  |
| `metadata`            | an object of the writer: the curve, its expected KL or NLL, units   |

Only `counts` is needed to read one back: `{"counts": [3, 5]}` is a schedule.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import refuse, shown
from .schedule import Schedule

SCHEMA, VERSION = "mdmjax.schedule", 1


def to_json_dict(
    schedule: Schedule, metadata: Mapping[str, Any], blocks: Sequence[Schedule] = ()
) -> dict[str, Any]:
    """The object of `schedule.json`; its `metadata` have `"units": "nats"` by default.

    `blocks` are the schedules of the blocks of a sequence, where each has its own.

    >>> to_json_dict(Schedule([1, 3]), {"curve": "parity"})["decreasing_times"]
    [1.0, 0.75, 0.0]
    """
    head = {"schema": SCHEMA, "version": VERSION}
    more = {"blocks": [block.counts.tolist() for block in blocks]} if blocks else {}
    return {**head, **_fields(schedule), **more, "metadata": {"units": "nats", **metadata}}


def from_json_dict(document: Any) -> Schedule:
    """The schedule of a parsed `schedule.json`, or of any object that has `counts`, positive integers.

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
