"""Schedules on disk: the folder that samplers take them from, and `schedule.json` read back."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._errors import refuse
from ..adapters.source import ADAPTERS, OF_MODELS, adapter_source
from ..schedules.export import from_json_dict, to_json_dict
from ..schedules.plan import Plan
from ..schedules.schedule import Schedule
from .arrays import read_text
from .atomic import write_folder

SCHEDULE_JSON = "schedule.json"


def export_schedule(folder: Path, plan: Plan | Schedule, metadata: Mapping[str, Any]) -> None:
    """Write `schedule.json` and every file of `ADAPTERS` into `folder`, all or none.

    Where several models share the steps the adapters are those of `OF_MODELS`.
    """
    plan = plan if isinstance(plan, Plan) else Plan(plan)
    document = json.dumps(to_json_dict(plan, metadata), indent=1, allow_nan=False)
    adapters = OF_MODELS if plan.models else ADAPTERS
    texts = {SCHEDULE_JSON: document + "\n"} | {name: adapter_source(name, plan) for name in adapters}
    write_folder(folder, {name: text.encode() for name, text in texts.items()})


def read_schedule(path: Path) -> Schedule:
    """The schedule of a `schedule.json`, or of a folder that has one."""
    file = path / SCHEDULE_JSON if os.path.isdir(path) else path
    text = read_text("file", file)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        refuse("file", file, "a JSON object such as mdmjax schedule --export writes")
    return from_json_dict(document)
