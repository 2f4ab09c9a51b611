"""The manifest of a sweep's folder: which sweep it is of, and by what its rows were measured."""

import contextlib
import datetime
import functools
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from .._errors import refuse
from ..files.atomic import writing
from .config import Config

MANIFEST = "_manifest.json"
MOST_RUNS = 100
"""Lines of the manifest on what measured the rows; runs in which all of it was alike are one line."""


@functools.cache
def versions() -> dict[str, str]:
    """The versions of what numbers depend on."""
    return {name: version(name) for name in ("mdmjax", "jax", "jaxlib", "numpy")}


def code(package: Path = Path(__file__).parent.parent) -> dict[str, Any] | None:
    """The commit of the checkout that the package lies in, and whether files were changed since.

    `None` for a package that is installed, and where there is no git to ask.
    """
    if not (package.parent / ".git").exists():
        return None
    words = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"]
    here = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        found = subprocess.run(
            words, cwd=package.parent, env=here, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, dirty = found.stdout.strip().partition("-")
    return {"commit": commit, "dirty": bool(dirty)} if found.returncode == 0 else None


def digest(config: Config) -> str:
    """What a file of rows says of the sweep that it is of."""
    text = json.dumps(config.document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(folder: Path, config: Config, chunks: int) -> None:
    """The config, and a line for what measures it now: versions, devices, code, and when."""
    runs = list((_read(folder) or {}).get("runs", []))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    by = {
        "versions": versions() | {"pyarrow": version("pyarrow")},
        "code": code(),
        "devices": [device.device_kind for device in jax.local_devices()],
        "float": str(jax.numpy.result_type(float)),
    }
    alike = [run for run in runs if by.items() <= run.items()]
    first, times = (alike[0]["first"], alike[0]["times"]) if alike else (now, 0)
    others = [run for run in runs if run not in alike][1 - MOST_RUNS :]
    run = {"first": first, "last": now, "times": times + 1} | by
    document = {
        "schema": "mdmjax.sweep",
        "version": 1,
        "units": "nats",
        "config": dict(config.document),
        "points": config.size,
        "chunks": chunks,
        "seeds": config.document.get("axes", {}).get("seed", [config.seed]),
        "runs": [*others, run],
    }
    with writing("out", folder / MANIFEST) as stream:
        stream.write((json.dumps(document, indent=1) + "\n").encode())


def check_same(folder: Path, config: Config, others: Iterable[str]) -> None:
    """Refuse a folder of another sweep, with the first key in which they differ, or of something else.

    A manifest that is lost is made again if the files are of this sweep; `others` are those that are not.
    """
    known = _read(folder)
    if known is None:
        strange = sorted(others)
        if strange:
            refuse("out", folder, "a new folder, or one of this sweep", f"{strange[0]} is in it")
        return
    theirs, ours = _by_key(known["config"]), _by_key(json.loads(json.dumps(config.document)))
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            remedy = f"{key} is {theirs.get(key, 'not given')} there, {ours.get(key, 'not given')} here"
            refuse("out", folder, "a folder of this sweep", f"{remedy}; take a new folder")


def _read(folder: Path) -> dict[str, Any] | None:
    """The manifest, if there is a whole one."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        known = json.loads((folder / MANIFEST).read_bytes())
        if known["schema"] == "mdmjax.sweep" and isinstance(known["config"], dict):
            return known
    return None


def _by_key(document: dict[str, Any]) -> dict[str, Any]:
    """The axes beside the other keys."""
    axes = {f"axes.{name}": value for name, value in document.get("axes", {}).items()}
    return {key: value for key, value in document.items() if key != "axes"} | axes
