"""`mdmjax sweep CONFIG.toml --out DIR`: a thousand settings, stopped and resumed, in one data set."""

import importlib.util
from pathlib import Path

from .._errors import refuse
from .choices import SHOWN
from .options import Command, Option, Parsed, Positional


def run(parsed: Parsed) -> int:
    """Measure what is not there yet, or say how far it is, or what it would take."""
    from .output import show, track
    from .signals import stop_on_signals

    values = parsed.values
    given = [name for name in ("status", "dry_run", "retry_failed") if values[name]]
    if len(given) > 1:
        refuse(", ".join(given), "given together", "one of them")
    if importlib.util.find_spec("pyarrow") is None:
        refuse("sweep", "not possible here", "pyarrow", "pip install 'mdmjax[sweep]'")
    from ..sweeps.config import read_config
    from ..sweeps.run import planned, report_of, run_sweep
    from ..sweeps.store import Store

    config, folder = read_config(values["config"]), values["out"]
    if values["status"] or values["dry_run"]:
        report = report_of(Store(folder, config)) if values["status"] else planned(config, folder)
        show(report, json=values["json"])
        return 0
    with stop_on_signals() as stop:
        report = run_sweep(
            config, folder, retry_failed=values["retry_failed"], track=track, stopped=lambda: bool(stop)
        )
    show(report, json=values["json"])
    return stop.exit_code


COMMAND = Command(
    "sweep",
    "Many settings of a study at once: a config of axes, a Parquet data set of rows.",
    run,
    positionals=(Positional("config", "The axes, the study and what is kept.", "CONFIG.toml"),),
    options=(
        Option(
            "out", Path, None, "Folder of the rows; one of this sweep goes on there.", "DIR", required=True
        ),
        Option("status", bool, False, "Say what is done, left and failed; measure nothing."),
        Option("dry-run", bool, False, "Say what it would take, from one timed chunk; write nothing."),
        Option("retry-failed", bool, False, "Measure chunks with a failed point again."),
        *SHOWN,
    ),
    examples=(
        ("mdmjax sweep sweep.toml --out rows", "pandas.read_parquet('rows') reads it"),
        ("mdmjax sweep sweep.toml --out rows --dry-run", "how long it would take"),
    ),
)
