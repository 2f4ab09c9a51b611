"""`mdmjax sweep CONFIG.toml --out DIR`: a thousand settings, stopped and resumed, in one data set."""

import contextlib
import dataclasses
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._errors import refuse
from .choices import SHOWN
from .options import Command, Option, Parsed, Positional


def run(parsed: Parsed) -> int:
    """Measure what is not there yet, or say how far it is, or what it would take."""
    from .output import show, track
    from .signals import stop_on_signals

    values = parsed.values
    given = [name for name in ("status", "dry_run", "retry_failed") if values[name]]
    if values["plot"] is not None:
        given += ["plot", *(name for name in ("workers", "cluster") if values[name] is not None)]
    if len(given) > 1:
        refuse(", ".join(given), "given together", "one of them")
    if importlib.util.find_spec("pyarrow") is None:
        refuse("sweep", "not possible here", "pyarrow", "pip install 'mdmjax[sweep]'")
    if values["pod"] is not None:
        return _in_a_pod(values)
    from ..sweeps.config import read_config
    from ..sweeps.run import planned, run_sweep, status
    from ..sweeps.store import Store

    config, folder = read_config(values["config"]), values["out"]
    if values["status"] or values["dry_run"]:
        report = (status if values["status"] else planned)(config, folder)
        show(report, json=values["json"])
        return 0
    if (words := values["plot"]) is not None:
        show(_picture(words, Store(folder, config)), json=values["json"])
        return 0
    Store(folder, config).check_writable()
    with _measured(values) as measured, stop_on_signals() as stop:
        how = {"track": track, "stopped": lambda: bool(stop), "measured": measured}
        report = run_sweep(config, folder, retry_failed=values["retry_failed"], **how)
    show(report, json=values["json"])
    return stop.exit_code


def _in_a_pod(values: dict[str, Any]) -> int:
    """The same on every host. Only the first one reads the config, has the folder and shows."""
    from ..sweeps import pod
    from ..sweeps.config import read_config
    from ..sweeps.run import run_sweep
    from .output import complain, show, track
    from .signals import stop_on_signals

    others = [name for name in ("workers", "cluster", "status", "dry_run", "plot") if values[name]]
    if others:
        refuse(f"pod, {others[0]}", "given together", "one of them")
    try:
        leads = pod.join(values["pod"])
        with stop_on_signals() as stop:
            if not leads:
                return pod.follow(lambda: stop.exit_code)
            with pod.leading(lambda: stop.exit_code) as leader:
                how = {"track": track, "stopped": leader.stopped, "measured": leader.measured}
                config = read_config(values["config"])
                report = run_sweep(config, values["out"], retry_failed=values["retry_failed"], **how)
                show(report, json=values["json"])
            return leader.code
    except pod.Lost as lost:
        os._exit(complain(str(lost)))


def _picture(words: str, store: Any) -> Any:
    """Draw the rows of a folder; the report of what is drawn."""
    from ..files.atomic import write_bytes
    from ..studies.plots import as_file
    from ..sweeps.lines import lines_of
    from ..sweeps.picture import figure_of
    from .inputs import check_picture
    from .plot_words import plotted

    plot, path = plotted(words, store.folder)
    report = lines_of(store.rows(), store.config.size, plot)
    check_picture(path)
    write_bytes(path, as_file(figure_of(report), path.suffix[1:].lower()))
    return dataclasses.replace(report, file=str(path))


@contextlib.contextmanager
def _measured(values: dict[str, Any]) -> Iterator[Any]:
    """What chunks are measured with: this process, some of this machine, or those of a cluster."""
    from .._checks import check_integer

    if values["workers"] is None and values["cluster"] is None:
        from ..sweeps.run import here

        yield here
        return
    if values["workers"] is not None and values["cluster"] is not None:
        refuse("workers, cluster", "given together", "one of them", "a cluster has workers of its own")
    if importlib.util.find_spec("distributed") is None:
        name = "cluster" if values["workers"] is None else "workers"
        refuse(name, "not possible here", "Dask", "pip install 'mdmjax[cluster]'")
    from ..sweeps import cluster

    if (address := values["cluster"]) is not None:
        client = cluster.cluster(address)
    else:
        client = cluster.workers(check_integer("workers", values["workers"], 1))
    with client as one:
        yield cluster.over(one)


COMMAND = Command(
    "sweep",
    "Many settings of a study at once: a config of axes, a Parquet data set of rows.",
    run,
    positionals=(Positional("config", "The axes, the study and what is kept.", "CONFIG.toml"),),
    options=(
        Option(
            "out", Path, None, "Folder of the rows; one of this sweep goes on there.", "DIR", required=True
        ),
        Option("workers", int, None, "Measure in so many processes of this machine, by Dask."),
        Option("cluster", str, None, "Measure on the workers of this Dask scheduler.", "tcp://HOST:PORT"),
        Option(
            "pod",
            str,
            None,
            "Be a process of a pod, on each host of which this command starts; auto: as JAX knows the job.",
            "auto|INDEX/COUNT@HOST:PORT",
        ),
        Option("status", bool, False, "Say what is done, left and failed; measure nothing."),
        Option("dry-run", bool, False, "Say what it would take, from one timed chunk; write nothing."),
        Option("retry-failed", bool, False, "Measure chunks with a failed point again."),
        Option(
            "plot",
            str,
            None,
            "Draw the rows that are there into DIR/_plot.png, or file=FILE.png or .pdf; measure nothing. "
            "panel=COLUMN: one picture each; log=x, y or xy; color and panel take COLUMN+COLUMN too.",
            "x=COLUMN,y=COLUMN,color=COLUMN",
        ),
        *SHOWN,
    ),
    examples=(
        ("mdmjax sweep sweep.toml --out rows", "pandas.read_parquet('rows') reads it"),
        ("mdmjax sweep sweep.toml --out rows --dry-run", "how long it would take"),
        ("mdmjax sweep sweep.toml --out rows --plot x=mix,y=forward_kl,color=decoder", "draws them"),
    ),
)
